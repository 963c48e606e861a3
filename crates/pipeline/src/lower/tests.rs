//! Lowering as a whole: what becomes of small pipelines, and what is said of wrong ones.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use millstream_engine::ids::{ExchangeId, NodeId, PartitionId, TaskId};
use millstream_engine::plan::{NodeKind, Reading};
use millstream_engine::task::{Task, Wiring};

use super::lower;
use crate::diagnostic::Diagnostics;
use crate::spec::pipeline::Pipeline;
use crate::topology::{ExchangePartitions, PartitionCounts, SinkKey, SinkRole, Topology, WindowedBounds};
use crate::yaml::source_map::{SourceFile, SourceMap};
use crate::yaml::{de, parse};

/// A linear pipeline over trades with these steps and this sink.
fn trades(steps: &str, sink: &str) -> String {
    let steps = steps.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "version: 1\npipeline: p\nsources:\n  trades:\n    format: json\n    schema: {{symbol: string, venue: string, \
         price: double, qty: bigint, tags: array<string>, ts: timestamp(ms)}}\n    event_time: ts\nsteps:\n{steps}sink: \
         {sink}\n"
    )
}

/// A graph over two equal sources.
fn graph(rest: &str) -> String {
    format!(
        "version: 1\npipeline: p\nsources:\n  a: {{format: json, schema: {{k: string, v: bigint}}, key: k}}\n  b: \
         {{format: json, schema: {{v: bigint, k: string}}, key: k}}\n{rest}"
    )
}

fn read(text: &str) -> (Pipeline, SourceMap) {
    let file = Arc::new(SourceFile::new("p.yaml", text));
    let mut map = SourceMap::new(file.clone());
    let mut diagnostics = Diagnostics::new(file);
    let node = parse::parse(&mut map, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(crate::diagnostic::Style::Plain));
    let pipeline = de::from_node(&node.unwrap()).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    (pipeline, map)
}

fn lowered_with(text: &str, counts: &[(&str, u32)]) -> Topology {
    let (pipeline, map) = read(text);
    let counts = counts.iter().map(|&(topic, count)| (topic, count)).collect::<PartitionCounts>();
    match lower(&pipeline, &map, &counts) {
        Ok(topology) => topology,
        Err(found) => panic!("{}", found.render(crate::diagnostic::Style::Plain)),
    }
}

fn lowered(text: &str) -> Topology {
    lowered_with(text, &[])
}

/// The names of the codes of what is found, with the text that each marks.
fn found(text: &str) -> Vec<String> {
    let (pipeline, map) = read(text);
    let found = match lower(&pipeline, &map, &PartitionCounts::unknown()) {
        Ok(topology) => topology.warnings,
        Err(found) => found,
    };
    found.iter().map(|one| format!("{} {}", one.code.name(), &text[one.span.start..one.span.end])).collect()
}

fn names(schema: &arrow::datatypes::Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn node_names(topology: &Topology, subtopology: usize) -> Vec<&str> {
    topology.subtopologies[subtopology].plan.nodes.iter().map(|node| node.name.as_str()).collect()
}

const CANDLES: &str = "- filter: venue = 'XNAS'\n- window: {id: ohlc, by: symbol, tumbling: 1m, aggregates: {high: \
                       max(price), n: count(*)}}";

#[test]
fn a_window_behind_a_source_of_unknown_keys_stands_behind_a_repartition() {
    let topology = lowered(&trades(CANDLES, "{topic: out}"));
    assert_eq!(
        node_names(&topology, 0),
        ["sources.trades", "steps.0.filter", "ohlc.repartition.columns", "ohlc.repartition"]
    );
    assert_eq!(node_names(&topology, 1), ["ohlc.repartitioned", "ohlc", "sinks.out"]);
    let exchange = &topology.exchanges[0];
    assert_eq!(exchange.topic, "p-ohlc-repartition");
    assert_eq!((exchange.from, exchange.from_node, exchange.to, exchange.to_node), (0, NodeId(3), 1, NodeId(0)));
    assert_eq!(names(&exchange.columns), ["symbol", "price"]);
    assert_eq!((exchange.keys.as_slice(), exchange.partitions), (&[0][..], ExchangePartitions::LikeSenders));
    assert_eq!(topology.subtopologies[0].exchanges_out, [ExchangeId(0)]);
    assert_eq!(topology.subtopologies[1].exchanges_in, [ExchangeId(0)]);
    let extent = topology.extent(&[("trades", 4)].into_iter().collect());
    assert_eq!((extent.tasks, extent.exchange_partitions), (vec![4, 4], vec![4]));
}

#[test]
fn one_partition_needs_no_repartition() {
    let topology = lowered_with(&trades(CANDLES, "{topic: out}"), &[("trades", 1)]);
    assert_eq!(topology.exchanges.len(), 0);
    assert_eq!(node_names(&topology, 0), ["sources.trades", "steps.0.filter", "ohlc", "sinks.out"]);
}

#[test]
fn a_declared_key_needs_no_repartition_as_long_as_it_is_grouped_by() {
    let with_key =
        |steps: &str| trades(steps, "{topic: out}").replace("    event_time", "    key: symbol\n    event_time");
    assert_eq!(lowered(&with_key(CANDLES)).exchanges.len(), 0);
    let finer = CANDLES.replace("by: symbol", "by: [venue, symbol]");
    assert_eq!(lowered(&with_key(&finer)).exchanges.len(), 0);
    let other = CANDLES.replace("by: symbol", "by: venue");
    assert_eq!(lowered(&with_key(&other)).exchanges.len(), 1);
    let renamed = "- rename: {symbol: s}\n- window: {id: w, by: s, count: 2, aggregates: {n: count(*)}}";
    assert_eq!(lowered(&with_key(renamed)).exchanges.len(), 0);
    let replaced = "- map: {symbol: upper(symbol)}\n- window: {id: w, by: symbol, count: 2, aggregates: {n: count(*)}}";
    assert_eq!(lowered(&with_key(replaced)).exchanges.len(), 1);
}

#[test]
fn no_key_means_one_group_in_one_partition() {
    let steps = "- window: {id: all, by: [], tumbling: 1m, aggregates: {n: count(*)}}";
    let topology = lowered(&trades(steps, "{topic: out}"));
    assert_eq!(topology.exchanges[0].partitions, ExchangePartitions::One);
    assert_eq!(topology.sinks[0].key, SinkKey::None);
    let extent = topology.extent(&[("trades", 4)].into_iter().collect());
    assert_eq!((extent.tasks, extent.exchange_partitions), (vec![4, 1], vec![1]));
}

#[test]
fn a_second_window_by_the_same_key_runs_in_the_same_task() {
    let steps =
        format!("{CANDLES}\n- window: {{id: day, by: [symbol, n], tumbling: 1d, aggregates: {{high: max(high)}}}}");
    let topology = lowered(&trades(&steps, "{topic: out}"));
    assert_eq!(topology.exchanges.len(), 1);
    assert_eq!(node_names(&topology, 1), ["ohlc.repartitioned", "ohlc", "day", "sinks.out"]);
    assert_eq!(topology.stores.iter().map(|store| store.id.as_str()).collect::<Vec<_>>(), ["ohlc", "day"]);
}

#[test]
fn the_key_of_key_by_is_what_rows_are_sent_by() {
    let steps = "- key_by: venue\n- window: {id: w, by: [venue, symbol], tumbling: 1m, aggregates: {n: count(*)}}";
    let topology = lowered(&trades(steps, "{topic: out}"));
    let exchange = &topology.exchanges[0];
    assert_eq!(
        exchange.keys.iter().map(|&key| exchange.columns.field(key).name().as_str()).collect::<Vec<_>>(),
        ["venue"]
    );
    let topology = lowered(&trades("- key_by: venue\n- aggregate: {id: t, aggregates: {n: count(*)}}", "{topic: out}"));
    let NodeKind::Aggregate(plan) = &topology.subtopologies[1].plan.nodes[1].kind else { panic!("no aggregate") };
    assert_eq!(plan.keys, [0]);
    assert_eq!(topology.sinks[0].key, SinkKey::Column(0));
}

#[test]
fn only_what_is_read_is_decoded() {
    let topology = lowered(&trades("- select: {n: price * 2}\n- filter: n > 1", "{topic: out, key: none}"));
    assert_eq!(names(&topology.sources[0].columns), ["price", "ts"]);
    assert_eq!(topology.sources[0].declared.fields().len(), 6);
    let topology = lowered(&trades("- select: [symbol]", "{topic: out}"));
    assert_eq!(names(&topology.sources[0].columns), ["symbol", "ts", "_key"]);
    assert_eq!(topology.sinks[0].written, [0]);
    assert_eq!(topology.sinks[0].key, SinkKey::SourceKey(1));
    let unread = lowered(&trades("- map: {x: qty + 1}\n- select: [symbol]", "{topic: out, key: none}"));
    assert_eq!(names(&unread.sources[0].columns), ["symbol", "ts"]);
}

#[test]
fn system_columns_ride_along_until_a_window() {
    let topology =
        lowered(&trades("- select: [symbol]\n- map: {from: _topic, at: _offset}", "{topic: out, key: none}"));
    assert_eq!(names(&topology.sources[0].columns), ["symbol", "ts", "_topic", "_offset"]);
    assert_eq!(names(&topology.sinks[0].columns), ["symbol", "from", "at"]);
    let behind = trades(&format!("{CANDLES}\n- map: {{from: _topic}}"), "{topic: out}");
    assert_eq!(found(&behind), ["unknown-column _topic"]);
}

#[test]
fn late_rows_have_all_columns_of_the_row() {
    let steps = CANDLES.replace("tumbling: 1m", "tumbling: 1m, late: {to: late}");
    let topology = lowered(&trades(&steps, "{topic: out}"));
    assert_eq!(names(&topology.sources[0].columns), ["symbol", "venue", "price", "qty", "tags", "ts", "_key"]);
    assert_eq!(topology.sinks[1].role, SinkRole::Late { step: "ohlc".into() });
    assert_eq!(topology.sinks[1].written.len(), 6);
    assert_eq!(topology.sinks[1].key, SinkKey::SourceKey(6));
    assert_eq!(topology.subtopologies[1].sinks.len(), 2);
}

#[test]
fn keys_of_sinks() {
    let key = |sink: &str| lowered(&trades(CANDLES, sink)).sinks[0].key.clone();
    assert_eq!(key("{topic: out}"), SinkKey::Column(0));
    assert_eq!(key("{topic: out, key: none}"), SinkKey::None);
    assert_eq!(key("{topic: out, key: [symbol, n]}"), SinkKey::Object(vec![("symbol".into(), 0), ("n".into(), 4)]));
    let joined = SinkKey::Joined { columns: vec![0, 4], separator: "_".into() };
    assert_eq!(key("{topic: out, key: {columns: [symbol, n], join: _}}"), joined);
    let windowed = |bounds| SinkKey::Windowed { key: Box::new(SinkKey::Column(0)), bounds };
    let written = "{topic: out, key: {columns: symbol, windowed: true}}";
    assert_eq!(key(written), windowed(WindowedBounds::Start { start: 1 }));
    let sessions = trades(&CANDLES.replace("tumbling", "emit: changes, session"), written);
    assert_eq!(lowered(&sessions).sinks[0].key, windowed(WindowedBounds::EndStart { end: 2, start: 1 }));
}

#[test]
fn merged_sources_with_equal_keys_need_equal_partitions() {
    let text = graph(
        "streams:\n  both:\n    steps:\n      - merge: [a, b]\n      - aggregate: {id: sums, by: k, aggregates: {s: \
         sum(v)}}\nsinks:\n  - {from: both, topic: out}\n",
    );
    assert_eq!(lowered_with(&text, &[("a", 3), ("b", 3)]).exchanges.len(), 0);
    assert_eq!(lowered_with(&text, &[("a", 3), ("b", 2)]).exchanges.len(), 1);
    let topology = lowered(&text);
    assert_eq!(topology.exchanges.len(), 1);
    assert_eq!(topology.subtopologies[0].sources, [0, 1]);
    // The second source declares its columns in another order: they are put into that of the first.
    assert_eq!(
        node_names(&topology, 0),
        ["sources.a", "sources.b", "both.0.merge.1.columns", "both.0.merge", "sums.repartition"]
    );
}

#[test]
fn a_source_merged_with_what_was_repartitioned_is_repartitioned_too() {
    let text = graph(
        "streams:\n  counted:\n    from: a\n    steps:\n      - aggregate: {id: c, by: v, aggregates: {n: \
         count(*)}}\n      - select: {k: cast(v as string), v: n}\n  all:\n    steps:\n      - merge: [b, counted]\n      \
         - window: {id: w, by: k, count: 3, aggregates: {s: sum(v)}}\nsinks:\n  - {from: all, topic: out}\n",
    );
    let wrong = found(&text);
    assert!(wrong.iter().any(|one| one.starts_with("group-of-changes")), "{wrong:?}");
    let topology = lowered(&text.replace("aggregate: {id: c, by: v,", "window: {id: c, by: v, tumbling: 1s,"));
    for exchange in &topology.exchanges {
        assert!(exchange.from < exchange.to, "{exchange:?}");
    }
    assert_eq!(topology.subtopologies.len(), 4);
    let readings: Vec<_> = topology.subtopologies.iter().map(|part| part.plan.reading).collect();
    // Results of the first window meet rows of the other source in the third, before they are counted.
    assert_eq!(readings, [Reading::ByEventTime, Reading::ByEventTime, Reading::RowByRow, Reading::ByEventTime]);
}

#[test]
fn order_matters_only_where_rows_are_taken_as_they_come() {
    let reading = |kind: &str| {
        let topology = lowered(&trades(&CANDLES.replace("tumbling: 1m", kind), "{topic: out}"));
        topology.subtopologies.iter().map(|part| part.plan.reading).collect::<Vec<_>>()
    };
    assert_eq!(reading("tumbling: 1m"), [Reading::AsItComes; 2]);
    assert_eq!(reading("over: 1m, emit: final"), [Reading::AsItComes; 2]);
    assert_eq!(reading("over: 1m"), [Reading::ByEventTime; 2]);
    assert_eq!(reading("count: 3"), [Reading::ByEventTime; 2]);
}

#[test]
fn a_stream_is_read_by_several_others_and_by_sinks() {
    let text = graph(
        "streams:\n  split:\n    from: good\n    steps:\n      - branch: {few: v < 3, many: v < 9, otherwise: \
         rest}\n  good:\n    from: a\n    steps:\n      - filter: v > 0\nsinks:\n  - {from: good, topic: all}\n  - {from: \
         few, topic: few}\n  - {from: many, topic: many}\n  - {from: rest, topic: rest}\n",
    );
    let topology = lowered(&text);
    assert_eq!(topology.sources.len(), 1, "a source that nothing reads is left out");
    assert_eq!(topology.subtopologies.len(), 1);
    let nodes = &topology.subtopologies[0].plan.nodes;
    let inputs = nodes.iter().map(|node| (node.name.as_str(), node.inputs.clone())).collect::<Vec<_>>();
    assert_eq!(inputs[1], ("good.0.filter", vec![(NodeId(0), 0)]));
    assert_eq!(inputs[2], ("split.0.branch", vec![(NodeId(1), 0)]));
    assert_eq!(inputs[3], ("sinks.all", vec![(NodeId(1), 0)]));
    assert_eq!(inputs[6], ("sinks.rest", vec![(NodeId(2), 2)]));
    assert_eq!(found(&text), ["unused-source b"]);
}

/// What else there is in a pipeline moves its numbers.
#[test]
fn changelogs_go_by_what_is_kept_in_them() {
    let changelogs = |more: &str| {
        let text = format!(
            "
version: 1
pipeline: p
sources:
  {more}trades: {{format: json, schema: {{symbol: string, venue: string}}, key: symbol}}
streams:
  counted: {{from: trades, steps: [{{aggregate: {{id: by_venue, by: venue, aggregates: {{n: count(*)}}}}}}]}}
sinks:
  - {{from: counted, topic: counts, key: venue}}
{}",
            if more.is_empty() { "" } else { "  - {from: audit, topic: audited}\n" }
        );
        let topology = lowered(&text);
        let parts = 0..topology.subtopologies.len();
        (topology.fingerprint, parts.map(|part| topology.changelog_topic(part)).collect::<Vec<_>>())
    };
    let (alone, more) = (changelogs(""), changelogs("audit: {format: json, schema: {who: string}}\n  "));
    assert_eq!(alone.0, more.0, "the state fits");
    let kept = ["p-by_venue-repartition-changelog", "p-by_venue-changelog"].map(|name| Some(name.to_owned()));
    assert_eq!(alone.1, kept);
    let numbers = |name: &str| more.1.iter().position(|other| other.as_deref() == Some(name));
    assert_eq!(more.1.len(), 3);
    assert_eq!((more.1[0].as_deref(), numbers("p-by_venue-changelog")), (None, Some(2)));
}

#[test]
fn a_fingerprint_changes_with_the_shape_only() {
    let of = |steps: &str| lowered(&trades(steps, "{topic: out}")).fingerprint;
    let base = of(CANDLES);
    assert_eq!(of(&CANDLES.replace("tumbling: 1m", "tumbling: 1m, grace: 5s")), base);
    let changes = of(&CANDLES.replace("tumbling: 1m", "tumbling: 1m, emit: changes"));
    assert_ne!(changes, base);
    assert_eq!(of(&CANDLES.replace("tumbling: 1m", "tumbling: 1m, emit: {every: 5s}")), changes);
    assert_eq!(of(&CANDLES.replace("venue = 'XNAS'", "venue = 'X'")), base);
    assert_ne!(of(&CANDLES.replace("1m", "2m")), base);
    assert_ne!(of(&CANDLES.replace("max", "min")), base);
    assert_ne!(of(&CANDLES.replace("by: symbol", "by: venue")), base);
}

/// State of before it said how far windows are closed is never taken for state that does.
#[test]
fn state_without_its_closes_is_known_by_its_grace() {
    let of = |steps: &str| {
        let topology = lowered(&trades(steps, "{topic: out}"));
        (topology.fingerprint, topology.fingerprint_with_grace)
    };
    let graces = ["", ", grace: 5s", ", grace: 6s"].map(|grace| of(&CANDLES.replace(": 1m", &format!(": 1m{grace}"))));
    assert!(graces.iter().all(|(fingerprint, _)| *fingerprint == graces[0].0));
    let mut all = graces.map(|(_, with_grace)| with_grace).to_vec();
    all.push(graces[0].0);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
    let (fingerprint, with_grace) = of(&CANDLES.replace("tumbling: 1m", "count: 5"));
    assert_eq!(fingerprint, with_grace, "what closes by no time has no grace");
}

#[test]
fn every_node_has_its_own_name() {
    let steps = format!("{CANDLES}\n- filter: n > 1\n- filter: n > 2\n- drop: n");
    let topology = lowered(&trades(&steps, "{topic: out}"));
    let mut all =
        topology.subtopologies.iter().flat_map(|part| &part.plan.nodes).map(|node| &node.name).collect::<Vec<_>>();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn the_engine_builds_a_task_of_every_subtopology() {
    let graph = graph(
        "streams:\n  both:\n    steps:\n      - merge: [a, b]\n  split:\n    from: both\n    steps:\n      - branch: {few: v \
         < 3, otherwise: rest}\n  w:\n    from: few\n    steps:\n      - window: {id: w, by: k, tumbling: 5s, late: {to: \
         late}, aggregates: {s: sum(v), a: avg(v) filter (where v > 1)}}\n      - window: {id: v, by: [], hopping: {size: \
         1m, every: 10s}, aggregates: {s: max(s) + 1}}\nsinks:\n  - {from: w, topic: out}\n  - {from: rest, topic: \
         rest}\n",
    );
    for text in [trades(CANDLES, "{topic: out}"), graph] {
        let topology = lowered(&text);
        for (subtopology, part) in topology.subtopologies.iter().enumerate() {
            let wiring = Wiring::default();
            let id = TaskId { subtopology, partition: PartitionId(0) };
            Task::new(id, &part.plan, &wiring).unwrap();
            for node in &part.plan.nodes {
                for (input, _) in &node.inputs {
                    assert!(input.0 < part.plan.nodes.len());
                }
            }
        }
    }
}

/// Steps, and what is found in them.
const WRONG: &[(&str, &[&str])] = &[
    ("- filter: prise > 0", &["unknown-column prise"]),
    ("- filter: price", &["not-boolean price"]),
    ("- filter: price >", &["sql-syntax "]),
    ("- map: {a: price + symbol}\n- map: {b: a + 1}\n- filter: nope", &["sql-type ", "unknown-column nope"]),
    ("- map: {_key: symbol}", &["reserved-column _key"]),
    ("- map: {a: null}", &["untyped-column null"]),
    ("- select: [symbol, symbol]", &["duplicate-column symbol"]),
    ("- select: [_key]", &["reserved-column _key"]),
    ("- drop: [symbol, venue, price, qty, tags, ts]", &["no-columns "]),
    ("- rename: {symbol: venue}", &["column-clash venue"]),
    ("- rename: {symbl: s}", &["unknown-column symbl"]),
    ("- cast: {tags: int}", &["bad-cast int"]),
    ("- unnest: price", &["not-a-list price"]),
    ("- unnest: {column: tags, as: price}", &["column-clash price"]),
    ("- key_by: symbl", &["unknown-column symbl"]),
    ("- key_by: tags", &["key-type tags"]),
    ("- key_by: price", &["float-key price"]),
    ("- key_by: symbol\n- drop: symbol", &["key-lost out"]),
    ("- aggregate: {by: symbol, aggregates: {n: count(*)}}", &["missing-id "]),
    ("- aggregate: {id: a, aggregates: {n: count(*)}}", &["no-key "]),
    ("- aggregate: {id: A b, by: symbol, aggregates: {n: count(*)}}", &["bad-id A b"]),
    ("- aggregate: {id: a, by: symbol, emit: final, aggregates: {n: count(*)}}", &["emit-kind final"]),
    ("- aggregate: {id: a, by: symbol, aggregates: {symbol: count(*)}}", &["column-clash symbol"]),
    ("- aggregate: {id: a, by: symbol, aggregates: {s: sum(venue)}}", &["sql-type "]),
    ("- window: {id: a, by: symbol, aggregates: {n: count(*)}}", &["window-kind "]),
    ("- window: {id: a, by: symbol, tumbling: 1m, over: 1m, aggregates: {n: count(*)}}", &["window-kind 1m"]),
    ("- window: {id: a, by: symbol, tumbling: 0, aggregates: {n: count(*)}}", &["zero-span 0"]),
    ("- window: {id: a, by: symbol, tumbling: 9999999d, aggregates: {n: count(*)}}", &["long-span 9999999d"]),
    (
        "- window: {id: a, by: symbol, tumbling: {size: 1m, offset: 1m}, aggregates: {n: count(*)}}",
        &["window-offset 1m"],
    ),
    ("- window: {id: a, by: symbol, hopping: {size: 1m, every: 2m}, aggregates: {n: count(*)}}", &["hopping-gaps 2m"]),
    (
        "- window: {id: a, by: symbol, hopping: {size: 1d, every: 1ms}, aggregates: {n: count(*)}}",
        &["hopping-many 1ms"],
    ),
    ("- window: {id: a, by: symbol, count: 0, aggregates: {n: count(*)}}", &["zero-count 0"]),
    ("- window: {id: a, by: symbol, count: 2, grace: 1s, aggregates: {n: count(*)}}", &["count-grace 1s"]),
    ("- window: {id: a, by: symbol, tumbling: 1m, emit: arrival, aggregates: {n: count(*)}}", &["emit-kind arrival"]),
    ("- window: {id: a, by: symbol, over: 1m, emit: changes, aggregates: {n: count(*)}}", &["emit-kind changes"]),
    ("- window: {id: a, by: symbol, session: 1m, emit: changes, aggregates: {n: count(*)}}", &["changes-need-key out"]),
    ("- window: {id: a, by: symbol, tumbling: 1m, aggregates: {window_end: count(*)}}", &["column-clash window_end"]),
    ("- window: {id: a, by: symbol, tumbling: 1m, late: {to: out}, aggregates: {n: count(*)}}", &["topic-clash out"]),
    (
        "- window: {id: a, by: symbol, tumbling: 1m, late: {to: trades}, aggregates: {n: count(*)}}",
        &["topic-loop trades"],
    ),
    ("- branch: {a: price > 0}", &["branch-not-last "]),
    ("- filter: price > 0\n- merge: [trades]", &["merge-not-first "]),
];

#[test]
fn wrong_steps_are_found_once_each() {
    for (steps, expected) in WRONG {
        let found = found(&trades(steps, "{topic: out}"));
        let matches = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, expected)| match expected.ends_with(' ') {
                true => found.starts_with(expected),
                false => found == expected,
            });
        assert!(matches, "{steps}\nfound {found:#?}\nexpected {expected:#?}");
    }
}

#[test]
fn wrong_sinks_are_found() {
    for (sink, expected) in [
        ("{topic: trades}", "topic-loop trades"),
        ("{topic: a b}", "topic-name a b"),
        ("{topic: p-x-changelog}", "internal-topic p-x-changelog"),
        ("{topic: out, key: symbl}", "unknown-column symbl"),
        ("{topic: out, key: tags}", "key-type tags"),
        ("{topic: out, key: {columns: symbol, windowed: true}}", "key-not-windowed true"),
        ("{topic: out, format: csv}", "csv-nested csv"),
        ("{topic: out, format: raw}", "raw-columns raw"),
        ("{topic: out, from: trades}", "mixed-forms trades"),
    ] {
        assert_eq!(found(&trades("- filter: price > 0", sink)), [expected], "{sink}");
    }
}

#[test]
fn wrong_graphs_are_found() {
    let sinks = "sinks:\n  - {from: x, topic: out}\n  - {from: b, topic: outb}\n";
    for (rest, expected) in [
        ("streams:\n  x: {from: y}\n  y: {from: x}\n", vec!["cycle x"]),
        ("streams:\n  x: {from: aa}\n", vec!["unknown-stream aa"]),
        ("streams:\n  a: {from: b}\n  x: {from: a}\n", vec!["duplicate-name a"]),
        ("streams:\n  x: {steps: []}\n", vec!["no-from x"]),
        ("streams:\n  x: {from: a}\n  y: {from: a}\n", vec!["unused-stream y"]),
        ("streams:\n  x:\n    from: a\n    steps:\n      - branch: {y: v > 0}\n", vec!["branch-read x"]),
        (
            "streams:\n  x: {from: a}\n  z:\n    from: a\n    steps:\n      - branch: {y: v > 0}\n",
            vec!["unused-branch y"],
        ),
        ("streams:\n  z: {from: a, steps: [{branch: {x: v > 0}}, {filter: v > 1}]}\n", vec!["branch-not-last "]),
        ("streams:\n  x: {steps: [{merge: [a]}]}\n", vec!["empty "]),
        (
            "streams:\n  c: {from: a, steps: [{cast: {v: string}}]}\n  x: {steps: [{merge: [b, c]}]}\n",
            vec!["merge-columns c"],
        ),
    ] {
        let found = found(&graph(&format!("{rest}{sinks}")));
        let equal = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(found, expected)| found.starts_with(expected));
        assert!(equal, "{rest}\nfound {found:#?}\nexpected {expected:#?}");
    }
}

#[test]
fn headers_are_wanted_where_a_step_or_a_sink_or_a_dead_letter_reads_them() {
    let sink = "{topic: out}";
    let none = lowered(&trades("- filter: price > 0", sink));
    assert_eq!(Vec::from_iter(none.headerless_topics()), ["trades"]);
    let read = lowered(&trades("- filter: cardinality(_headers) > 0", sink));
    assert_eq!(Vec::from_iter(read.headerless_topics()), [""; 0]);
    for sink in ["{topic: out, headers: keep}", "{topic: out, headers: {trace: \"_headers['trace']\"}}"] {
        let written = lowered(&trades("- filter: price > 0", sink));
        assert_eq!(Vec::from_iter(written.headerless_topics()), [""; 0], "{sink}");
    }
    let set = lowered(&trades("- filter: price > 0", "{topic: out, headers: {by: \"'us'\"}}"));
    assert_eq!(Vec::from_iter(set.headerless_topics()), ["trades"]);
    let kept = lowered(&(trades("- filter: price > 0", sink) + "on_error: {dead_letter: dead}\n"));
    assert_eq!(Vec::from_iter(kept.headerless_topics()), [""; 0]);
}
