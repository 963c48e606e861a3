//! What a topic takes. A record that a broker refuses fails its epoch, again and again, so it is known before.

use millstream_engine::time::Millis;

use super::{NewRecord, UNTIMED};
use crate::utc::rfc3339;

/// What a topic takes; the default takes everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordLimits {
    /// How large a record may be ([`NewRecord::size`]).
    pub bytes: Option<usize>,
    /// The earliest and the latest time that a record may have, as the limits stand now.
    pub times: Option<(Millis, Millis)>,
    /// Whether records must have keys.
    pub keys: KeyRule,
}

/// Whether records must have keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyRule {
    /// They may be without.
    #[default]
    Optional,
    /// The topic is compacted: without a key a record is refused.
    Needed,
}

impl RecordLimits {
    /// Whether the topic takes a record of this time.
    pub fn takes_time(&self, time: Millis) -> bool {
        time == UNTIMED || self.times.is_none_or(|(first, last)| (first..=last).contains(&time))
    }

    /// Why the topic does not take a record, and what to do; `None` if it does.
    pub fn why_not(&self, record: &NewRecord<'_>) -> Option<String> {
        if let Some(limit) = self.bytes.filter(|limit| record.size() > *limit) {
            let bytes = record.size();
            return Some(format!("the record has {bytes} bytes, and the topic takes {limit} (max.message.bytes)"));
        }
        if record.key.is_none() && self.keys == KeyRule::Needed {
            let way_out = "give the sink a key that is never null";
            return Some(format!("the record has no key, and the topic is compacted (cleanup.policy): {way_out}"));
        }
        if self.takes_time(record.timestamp) {
            return None;
        }
        let (first, last) = self.times?;
        let (side, setting, bound) = if record.timestamp > last {
            ("after", "message.timestamp.after.max.ms", last)
        } else {
            ("before", "message.timestamp.before.max.ms", first)
        };
        let (time, bound) = (rfc3339(record.timestamp), rfc3339(bound));
        Some(format!(
            "the record's time is {time}, {side} {bound}, the last that the topic takes now ({setting}): let the \
             topic take it, or give the sink a `timestamp` of its own"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Header;

    fn record(timestamp: Millis) -> NewRecord<'static> {
        NewRecord { key: None, value: Some(b"v"), timestamp, headers: &[] }
    }

    #[test]
    fn headers_take_more_than_their_bytes_of_what_a_topic_allows() {
        let headers = [Header { name: "name", value: Some(b"value") }, Header { name: "name", value: None }];
        let record = NewRecord { key: Some(b"key"), value: Some(b"value"), timestamp: UNTIMED, headers: &headers };
        assert_eq!((record.byte_len(), record.size()), (21, 41));
        let limited = |bytes| RecordLimits { bytes: Some(bytes), ..RecordLimits::default() };
        assert_eq!(limited(41).why_not(&record), None);
        assert_eq!(RecordLimits::default().why_not(&record), None);
        let why = limited(40).why_not(&record).expect("it is too large");
        assert_eq!(why, "the record has 41 bytes, and the topic takes 40 (max.message.bytes)");
    }

    #[test]
    fn a_compacted_topic_takes_no_record_without_a_key() {
        let limits = RecordLimits { keys: KeyRule::Needed, ..RecordLimits::default() };
        let why = limits.why_not(&record(UNTIMED)).expect("it has no key");
        assert!(why.contains("(cleanup.policy)"), "{why}");
        assert_eq!(limits.why_not(&NewRecord { key: Some(b""), ..record(UNTIMED) }), None);
    }

    #[test]
    fn a_time_is_taken_within_its_bounds_and_where_it_is_the_brokers() {
        let limits = RecordLimits { times: Some((Millis(10), Millis(20))), ..RecordLimits::default() };
        for time in [Millis(10), Millis(20), UNTIMED] {
            assert_eq!(limits.why_not(&record(time)), None, "{time:?}");
        }
        let late = limits.why_not(&record(Millis(21))).expect("it is too late");
        assert!(
            late.contains("1970-01-01T00:00:00.021Z, after 1970-01-01T00:00:00.020Z")
                && late.contains("message.timestamp.after.max.ms"),
            "{late}"
        );
        let early = limits.why_not(&record(Millis(9))).expect("it is too early");
        assert!(
            early.contains("before 1970-01-01T00:00:00.010Z") && early.contains("message.timestamp.before.max.ms"),
            "{early}"
        );
    }
}
