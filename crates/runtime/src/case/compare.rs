//! Compares what a test expects with what has been committed, and one run with another.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use millstream_engine::ledger::Ledger;
use millstream_pipeline::case::{Expected, Row, TestSpec};
use millstream_pipeline::literal::{Literal, is_same_number};
use millstream_pipeline::topology::{SinkDef, Topology};

use super::Way;
use super::changes::Changes;
use super::message::{self, Message, text_of, time_of};
use super::world::Outcome;

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
    let changes = Changes::of(topology);
    for ((topic, expected), (_, found)) in straight.topics.iter().zip(&outcome.topics) {
        let same = if changes.reach(topic) {
            let last = |messages| last_by_key(messages).into_iter().filter(|message| !is_retraction(message));
            last(expected).eq(last(found)) && subset(expected, found)
        } else if straight.serial && !changes.are_among_dead_letters(topic) {
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
    let changes = Changes::of(topology);
    let by_commits = changes.reach(topic);
    let rows: Vec<&Row> = expected.rows().iter().map(|row| &row.value).collect();
    let mut kept: Vec<Message> = if by_commits { last_by_key(messages) } else { messages.to_vec() };
    if by_commits {
        // Whether a result was there and is gone depends on commits, so only tombstones that the test names are looked at.
        let is_named = |message: &Message| rows.iter().any(|row| differs(row, message, sink, false).is_none());
        let names = |row: &&Row| row.get("_value").is_some_and(|value| value.is_null());
        let any_named = rows.iter().any(names);
        kept.retain(|message| !is_retraction(message) || (any_named && is_named(message)));
    }
    let several = kept.iter().map(|message| message.partition).collect::<BTreeSet<_>>().len() > 1;
    let ordered = !by_commits && !changes.are_among_dead_letters(topic) && !expected.is_unordered() && !several;
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
    let Some(found) = found else { return Some("its value is not of the sink's format".to_owned()) };
    let type_of = |name: &str| Some(sink?.columns.field_with_name(name).ok()?.data_type());
    for (name, expected) in &columns {
        match found.iter().find(|(of, _)| *of == name.value).map(|(_, value)| value) {
            None if expected.is_null() => {}
            None => return Some(format!("it has no column {name}")),
            Some(value) if same(&expected.value, value, type_of(name)) => {}
            Some(value) => return Some(format!("{name} is {value}, expected {}", expected.value)),
        }
    }
    let named: BTreeSet<&str> = columns.iter().map(|(name, _)| name.value.as_str()).collect();
    let more = found.iter().map(|(name, _)| name).find(|name| exact && !named.contains(name.as_str()))?;
    Some(format!("it has the column {more}, which the test does not name"))
}

fn envelope_differs(row: &Row, message: &Message, sink: Option<&SinkDef>) -> Option<String> {
    if let Some(expected) = row.get("_key") {
        let columns = message.key.as_deref().and_then(|key| message::decode_key(key, sink));
        if let (Literal::Map(_), Some(columns)) = (&expected.value, columns) {
            let is_it = same(&expected.value, &columns, None);
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
    if let Some(expected) = row.get("_partition").and_then(|value| value.as_i64())
        && expected != i64::from(message.partition)
    {
        return Some(format!("it is in partition {}", message.partition));
    }
    let expected = row.get("_headers").and_then(|headers| headers.as_map())?;
    expected.iter().find_map(|(name, expected)| {
        let found = message.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_deref());
        let is_it = match expected {
            Literal::Null => found.is_none(),
            expected => found.flatten() == Some(text_of(expected).as_bytes()),
        };
        (!is_it).then(|| match found {
            Some(found) => format!("its header {name} is {}", show_bytes(found)),
            None => format!("it has no header {name}"),
        })
    })
}

/// Equal as values of a column of type `of`, where that is known: 10 is 10.0, and a time is the same however it is written.
/// Only doubles are compared as doubles. CSV has only text.
fn same(expected: &Literal, found: &Literal, of: Option<&DataType>) -> bool {
    match (expected, found) {
        (Literal::Number(a), Literal::Number(b) | Literal::Text(b)) => same_number(a, b, of),
        (Literal::Text(a), Literal::Number(b)) => is_decimal(of) && is_same_number(a, b),
        (Literal::Text(a), Literal::Text(b)) => {
            a == b || (time_of(a).is_some() && time_of(a) == time_of(b)) || (is_decimal(of) && is_same_number(a, b))
        }
        (Literal::List(a), Literal::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, item_type(of)))
        }
        (Literal::Map(a), Literal::Map(b)) => {
            let is_in =
                |(name, a): &(String, Literal)| found.get(name).is_some_and(|b| same(a, b, entry_type(of, name)));
            a.len() == b.len() && a.iter().all(is_in)
        }
        (Literal::Bool(a), Literal::Text(b)) => a.to_string() == *b,
        (a, b) => a == b,
    }
}

fn same_number(a: &str, b: &str, of: Option<&DataType>) -> bool {
    let is_whole = |text: &str| text.parse::<i128>().is_ok();
    let as_doubles = match of {
        Some(of) => of.is_floating(),
        None => !(is_whole(a) && is_whole(b)),
    };
    let is_equal = || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b);
    is_same_number(a, b) || (as_doubles && is_equal())
}

fn is_decimal(of: Option<&DataType>) -> bool {
    of.is_some_and(DataType::is_decimal)
}

fn item_type(of: Option<&DataType>) -> Option<&DataType> {
    match of? {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

fn entry_type<'a>(of: Option<&'a DataType>, name: &str) -> Option<&'a DataType> {
    match of? {
        DataType::Struct(fields) => fields.find(name).map(|(_, field)| field.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.get(1).map(|value| value.data_type()),
            _ => None,
        },
        _ => None,
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

/// Whether it takes back an earlier result of its key.
fn is_retraction(message: &Message) -> bool {
    message.key.is_some() && message.value.is_none()
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

/// Bytes as text; what a terminal would take for more than text is escaped, as YAML's double quotes do it.
fn show_bytes(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => shown.push_str("\\n"),
                control if control.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(control))),
                char => shown.push(char),
            }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

fn show_row(row: &Row) -> String {
    let columns: Vec<_> = row.0.iter().map(|(name, value)| format!("{name}: {}", value.value)).collect();
    format!("{{{}}}", columns.join(", "))
}
