//! Compares what a test expects with what has been committed, and one run with another.

use std::collections::{BTreeMap, BTreeSet};

use millstream_engine::ledger::Ledger;
use millstream_pipeline::case::{Expected, Row, TestSpec};
use millstream_pipeline::topology::{SinkDef, Topology};
use serde_json::{Map, Value};

use super::message::{self, Message, text_of, time_of};
use super::world::Outcome;
use super::{Way, depends_on_commits};

/// What is wrong with `outcome` by the test's own words.
pub(super) fn with_expected(topology: &Topology, test: &TestSpec, way: Way, outcome: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    match (&outcome.error, &test.fails) {
        (Some(error), Some(expected)) if error.contains(&expected.value) => {}
        (Some(error), Some(expected)) => {
            wrong.push(format!("it should have stopped with {:?}, but stopped with: {error}", expected.value));
        }
        (Some(error), None) => wrong.push(format!("the pipeline stopped: {error}")),
        (None, Some(expected)) => {
            wrong.push(format!("it should have stopped with {:?}, but did not", expected.value));
        }
        (None, None) => {}
    }
    // A pipeline that stops has committed more or less before, by where commits fell.
    let judge_rows = outcome.error.is_none() || way == Way::Straight;
    for (topic, expected) in test.out.value.iter().filter(|_| judge_rows) {
        match outcome.topics.iter().find(|(name, _)| *name == topic.value) {
            Some((name, messages)) => wrong.extend(topic_differs(topology, name, &expected.value, messages)),
            None => wrong.push(format!("the test expects rows of topic {topic}, which the pipeline does not write")),
        }
    }
    if outcome.ledger_is_whole {
        wrong.extend(ledger_differs(test, &outcome.ledger));
    }
    wrong
}

/// What is wrong with `outcome` because it is not what the straight run left behind.
pub(super) fn with_straight(topology: &Topology, straight: &Outcome, outcome: &Outcome) -> Vec<String> {
    if straight.error.is_some() || outcome.error.is_some() {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for ((topic, expected), (_, found)) in straight.topics.iter().zip(&outcome.topics) {
        let same = if depends_on_commits(topology, topic) {
            last_by_key(expected) == last_by_key(found) && subset(expected, found)
        } else if straight.serial {
            expected == found
        } else {
            sorted(expected) == sorted(found)
        };
        if !same {
            let (mut straight, mut this) = (show_all(expected), show_all(found));
            if straight == this {
                // What differs is beside keys and values.
                (straight, this) = (format!("{expected:?}"), format!("{found:?}"));
            }
            wrong.push(format!(
                "topic {topic} is not what it is straight through\n  straight: {straight}\n  found:    {this}"
            ));
        }
    }
    wrong
}

fn topic_differs(topology: &Topology, topic: &str, expected: &Expected, messages: &[Message]) -> Option<String> {
    let sink = topology.sinks.iter().find(|sink| sink.topic == topic);
    let by_commits = depends_on_commits(topology, topic);
    let kept: Vec<Message> = if by_commits { last_by_key(messages) } else { messages.to_vec() };
    let rows: Vec<&Row> = expected.rows().iter().map(|row| &row.value).collect();
    let several = kept.iter().map(|message| message.partition).collect::<BTreeSet<_>>().len() > 1;
    let ordered = !by_commits && !expected.is_unordered() && !several;
    let matches = |row: &Row, message: &Message| differs(row, message, sink, expected.is_exact()).is_none();
    let equal = rows.len() == kept.len()
        && if ordered {
            rows.iter().zip(&kept).all(|(row, message)| matches(row, message))
        } else {
            pair_up(&rows, &kept, &matches)
        };
    if equal {
        return None;
    }
    let first = rows.iter().zip(&kept).enumerate().filter(|_| ordered);
    let detail = first
        .filter_map(|(index, (row, message))| Some((index, differs(row, message, sink, expected.is_exact())?)))
        .map(|(index, why)| format!("\n  record {index}: {why}"))
        .next()
        .unwrap_or_default();
    let expected_text = rows.iter().map(|row| show_row(row)).collect::<Vec<_>>().join("\n            ");
    let counts = if rows.len() == kept.len() {
        "these are not the records expected".to_owned()
    } else {
        format!("records expected: {}, found: {}", rows.len(), kept.len())
    };
    Some(format!("topic {topic}: {counts}{detail}\n  expected: {expected_text}\n  found:    {}", show_all(&kept)))
}

/// Whether rows and messages can be paired so that every pair matches (augmenting paths: a row may name few columns).
fn pair_up(rows: &[&Row], messages: &[Message], matches: &dyn Fn(&Row, &Message) -> bool) -> bool {
    let mut taken_by: Vec<Option<usize>> = vec![None; messages.len()];
    (0..rows.len()).all(|row| assign(row, rows, messages, matches, &mut taken_by, &mut BTreeSet::new()))
}

fn assign(
    row: usize,
    rows: &[&Row],
    messages: &[Message],
    matches: &dyn Fn(&Row, &Message) -> bool,
    taken_by: &mut [Option<usize>],
    tried: &mut BTreeSet<usize>,
) -> bool {
    for message in 0..messages.len() {
        if !matches(rows[row], &messages[message]) || !tried.insert(message) {
            continue;
        }
        let free = match taken_by[message] {
            None => true,
            Some(other) => assign(other, rows, messages, matches, taken_by, tried),
        };
        if free {
            taken_by[message] = Some(row);
            return true;
        }
    }
    false
}

/// Why `message` is not what `row` says; `None` if it is.
fn differs(row: &Row, message: &Message, sink: Option<&SinkDef>, exact: bool) -> Option<String> {
    if let Some(why) = envelope_differs(row, message, sink) {
        return Some(why);
    }
    let columns: Vec<_> = row.columns().collect();
    if columns.is_empty() && !exact {
        return None;
    }
    let Some(found) = message.value.as_deref().map(|value| message::decode(value, sink)) else {
        return (!columns.is_empty()).then(|| "it has no value".to_owned());
    };
    let found: Map<String, Value> = match found {
        Some(found) => found,
        None => return Some("its value is not of the sink's format".to_owned()),
    };
    for (name, expected) in &columns {
        match found.get(&name.value) {
            None if expected.is_null() => {}
            None => return Some(format!("it has no column {name}")),
            Some(value) if same(&expected.value, value) => {}
            Some(value) => return Some(format!("{name} is {value}, expected {}", expected.value)),
        }
    }
    let named: BTreeSet<&str> = columns.iter().map(|(name, _)| name.value.as_str()).collect();
    let more = found.keys().find(|name| exact && !named.contains(name.as_str()))?;
    Some(format!("it has the column {more}, which the test does not name"))
}

fn envelope_differs(row: &Row, message: &Message, sink: Option<&SinkDef>) -> Option<String> {
    if let Some(expected) = row.get("_key") {
        let columns = message.key.as_deref().and_then(|key| message::decode_key(key, sink));
        if let (Value::Object(_), Some(columns)) = (&expected.value, columns) {
            let is_it = same(&expected.value, &columns);
            return (!is_it).then(|| format!("its key is {columns}")).or_else(|| rest_differs(row, message));
        }
        let expected = (!expected.is_null()).then(|| text_of(&expected.value).into_bytes());
        if expected != message.key {
            return Some(format!("its key is {}", show_bytes(message.key.as_deref())));
        }
    }
    rest_differs(row, message)
}

/// What differs beside key and columns.
fn rest_differs(row: &Row, message: &Message) -> Option<String> {
    if let Some(expected) = row.get("_value") {
        let expected = expected.as_str().map(|text| text.as_bytes().to_vec());
        if expected != message.value {
            return Some(format!("its value is {}", show_bytes(message.value.as_deref())));
        }
    }
    if let Some(expected) = row.get("_timestamp")
        && message::timestamp(&expected.value).ok() != Some(message.timestamp)
    {
        return Some(format!("its timestamp is {}", message.timestamp));
    }
    if let Some(expected) = row.get("_partition").and_then(|value| value.as_u64())
        && expected != u64::from(message.partition)
    {
        return Some(format!("it is in partition {}", message.partition));
    }
    let expected = row.get("_headers").and_then(|headers| headers.as_object())?;
    expected.iter().find_map(|(name, expected)| {
        let found = message.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_deref());
        let is_it = match expected {
            Value::Null => found.is_none(),
            expected => found.flatten() == Some(text_of(expected).as_bytes()),
        };
        (!is_it).then(|| match found {
            Some(found) => format!("its header {name} is {}", show_bytes(found)),
            None => format!("it has no header {name}"),
        })
    })
}

/// Equal as values: 10 is 10.0, and a time is the same however it is written. CSV has only text.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::String(a), Value::String(b)) => a == b || (time_of(a).is_some() && time_of(a) == time_of(b)),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::String(b)) => match (a.as_f64(), b.parse::<f64>()) {
            (Some(a), Ok(b)) => a == b,
            _ => false,
        },
        (Value::Bool(a), Value::String(b)) => a.to_string() == *b,
        (a, b) => a == b,
    }
}

fn ledger_differs(test: &TestSpec, ledger: &[(String, Ledger)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (step, counts) in test.ledger.value.iter() {
        let Some((_, found)) = ledger.iter().find(|(name, _)| *name == step.value) else {
            let names: Vec<_> = ledger.iter().map(|(name, _)| name.as_str()).collect();
            wrong.push(format!("the ledger has no step {step}; its steps are {}", names.join(", ")));
            continue;
        };
        for (count, expected) in counts {
            match found.entries().into_iter().find(|(name, _)| *name == count.value) {
                Some((_, value)) if value == expected.value => {}
                Some((_, value)) => {
                    wrong.push(format!("ledger of {step}: {count} is {value}, expected {}", expected.value));
                }
                None => wrong.push(format!("ledger of {step}: there is no count {count}")),
            }
        }
    }
    wrong
}

/// The last message of each key, in order of keys; all messages without a key.
fn last_by_key(messages: &[Message]) -> Vec<Message> {
    let mut last: BTreeMap<(u32, Vec<u8>), Message> = BTreeMap::new();
    let mut kept = Vec::new();
    for message in messages {
        match &message.key {
            Some(key) => {
                last.insert((message.partition, key.clone()), message.clone());
            }
            None => kept.push(message.clone()),
        }
    }
    kept.extend(last.into_values());
    kept
}

/// Whether every message of `few` is among `many`, which saw a commit after each record: each value is that of some
/// prefix of the input.
fn subset(few: &[Message], many: &[Message]) -> bool {
    let many: BTreeSet<_> = many.iter().map(|message| (&message.key, &message.value)).collect();
    few.iter().all(|message| many.contains(&(&message.key, &message.value)))
}

fn sorted(messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    messages.sort();
    messages
}

fn show_all(messages: &[Message]) -> String {
    if messages.is_empty() {
        return "nothing".to_owned();
    }
    let show = |message: &Message| {
        let key = message.key.as_deref().map(|key| format!("{} = ", show_bytes(Some(key)))).unwrap_or_default();
        format!("{key}{}", show_bytes(message.value.as_deref()))
    };
    messages.iter().map(show).collect::<Vec<_>>().join("\n            ")
}

fn show_bytes(bytes: Option<&[u8]>) -> String {
    bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn show_row(row: &Row) -> String {
    let columns: Vec<_> = row.0.iter().map(|(name, value)| format!("{name}: {}", value.value)).collect();
    format!("{{{}}}", columns.join(", "))
}
