//! A case as the text of a case file: the pipeline, what arrives, and what must be written.

use std::fmt::Write;

use arrow::temporal_conversions::timestamp_ms_to_datetime;

use super::engine::AGGREGATES;
use super::{Case, End, When, expected};
use crate::model::{Event, Kind, outcome};

/// The text of a case file.
pub fn case_file(name: &str, case: &Case) -> String {
    let mut text = format!("version: 1\npipeline: {name}\n");
    let rules = case.rules;
    let mut line = |indent: usize, words: &str| writeln!(text, "{:indent$}{words}", "").unwrap_or_default();
    line(0, "sources:");
    line(2, "rows:");
    line(4, "topic: rows");
    line(4, "format: json");
    line(4, "schema: {k: string, v: bigint, ts: bigint}");
    line(4, "event_time: ts");
    line(4, &format!("watermark: {{out_of_order: {}ms}}", rules.out_of_order));
    line(0, "steps:");
    line(2, "- window:");
    line(6, "id: world");
    line(6, "by: [k]");
    line(6, &kind(rules.kind));
    if !matches!(rules.kind, Kind::Count(_)) {
        line(6, &format!("grace: {}ms", rules.grace));
        line(6, "late: {to: late}");
    }
    match (rules.kind, case.emit) {
        (Kind::Count(_), _) => {}
        (Kind::OverArrival(_), _) => line(6, "emit: arrival"),
        (_, When::Final) => line(6, "emit: final"),
        (_, When::Changes) => line(6, "emit: changes"),
    }
    line(6, "aggregates:");
    AGGREGATES.iter().for_each(|(name, sql)| line(8, &format!("{name}: {sql}")));
    line(0, "sink:");
    line(2, "topic: results");
    line(2, "format: json");
    line(2, "key: {columns: [k], windowed: true}");
    line(0, "tests:");
    line(2, "- name: shrunken");
    line(4, &format!("partitions: {{rows: {}}}", rules.inputs));
    if case.end == End::Close {
        line(4, "close: true");
    }
    line(4, "in:");
    for event in &case.events {
        match event {
            Event::Idle(input) => line(6, &format!("# partition {input} is idle from here on")),
            Event::Row(row) => {
                let value = row.value.map_or("null".to_owned(), |value| value.to_string());
                let key = row.key.as_deref().unwrap_or("null");
                let fields = format!("k: {key}, v: {value}, ts: {}, _partition: {}", row.t, row.input);
                line(6, &format!("- rows: {{{fields}}}"));
            }
        }
    }
    let outcome = outcome(rules, &case.events);
    let mut windows = outcome.closed;
    if case.end == End::Close || case.emit == When::Changes {
        windows.extend(outcome.open);
    }
    line(4, "out:");
    let results = expected(&case.events, &windows);
    line(6, if results.is_empty() { "results: []" } else { "results:" });
    for result in results {
        let list = result.values.list.iter().map(|value| value.map_or("null".to_owned(), |value| value.to_string()));
        let list = list.collect::<Vec<_>>().join(", ");
        let (start, end) = (time(result.start), time(result.end));
        let bounds = format!("k: {}, window_start: {start}, window_end: {end}", result.key);
        line(8, &format!("- {{{bounds}, rows: {}, list: [{list}]}}", result.values.rows));
    }
    text
}

/// A time as it stands in a result.
fn time(millis: i64) -> String {
    let time = timestamp_ms_to_datetime(millis).map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    time.unwrap_or_else(|| millis.to_string())
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Tumbling { size, offset } => {
            format!("tumbling: {{size: {size}ms, offset: {}ms}}", offset.rem_euclid(size))
        }
        Kind::Hopping { size, every, offset } => {
            format!("hopping: {{size: {size}ms, every: {every}ms, offset: {}ms}}", offset.rem_euclid(every))
        }
        Kind::Sliding(span) => format!("sliding: {span}ms"),
        Kind::OverArrival(span) | Kind::OverFinal(span) => format!("over: {span}ms"),
        Kind::Session(gap) => format!("session: {gap}ms"),
        Kind::Count(rows) => format!("count: {rows}"),
    }
}
