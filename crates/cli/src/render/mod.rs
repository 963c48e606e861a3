//! How things look on a terminal. Colours go through `anstream`, which leaves them out where they are not wanted.

pub(crate) mod progress;

use anstyle::{AnsiColor, Reset, Style};
use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use millstream_engine::ledger::Ledger;
use millstream_runtime::worker::Standing;

/// The start of an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The start of a warning.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// The start of a hint.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What is beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// The end of any of them.
pub(crate) const RESET: Reset = Reset;

/// An empty table with a head.
pub(crate) fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(head);
    table
}

/// Milliseconds since 1970 as a time for people, in UTC.
pub(crate) fn time(ms: i64) -> String {
    use arrow::temporal_conversions::timestamp_ms_to_datetime;
    timestamp_ms_to_datetime(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// Prints where every row of a pipeline went.
pub(crate) fn ledger(pipeline: &str, standing: &Standing, ledger: &[(String, Ledger)]) {
    outln!(
        "{GOOD}{pipeline}{RESET}: {} in, {} out, {}",
        count(standing.records_in, "record"),
        count(standing.records_out, "message"),
        count(standing.commits, "commit")
    );
    for (step, counts) in ledger {
        if *counts == Ledger::default() {
            outln!("  {step}: {DIM}no rows{RESET}");
        } else {
            outln!("  {step}: {counts}");
        }
    }
}

/// So many of a thing: `1 record`, `2 records`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The ledger as JSON: counts by step.
pub(crate) fn ledger_json(ledger: &[(String, Ledger)]) -> serde_json::Value {
    let steps: serde_json::Map<_, _> = ledger
        .iter()
        .map(|(step, ledger)| {
            let counts: serde_json::Map<_, _> =
                ledger.entries().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
            (step.clone(), counts.into())
        })
        .collect();
    steps.into()
}
