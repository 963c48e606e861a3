//! Times as people read them.

use arrow::datatypes::TimeUnit;
use millstream_engine::text;
use millstream_engine::time::Millis;

/// A time in UTC, as RFC 3339 has it: `2026-01-01T00:00:00.000Z`.
pub(crate) fn rfc3339(time: Millis) -> String {
    let mut out = Vec::with_capacity(24);
    text::write_timestamp(time.0, TimeUnit::Millisecond, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}
