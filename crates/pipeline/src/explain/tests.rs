//! Plans and graphs of two small pipelines, as they are printed.
#![allow(clippy::unwrap_used)]

use super::{dot, mermaid, plan};
use crate::interpolate::no_lookup;
use crate::lower::lower;
use crate::topology::{PartitionCounts, Topology};

const CANDLES: &str = "
version: 1
pipeline: trades-ohlc
description: one-minute candles per symbol
sources:
  trades:
    format: json
    schema: {symbol: string, venue: string, price: double, qty: bigint, note: string, ts: timestamp(ms)}
    event_time: ts
    watermark: {out_of_order: 5s}
steps:
  - filter: price > 0 AND venue = 'XNAS'
  - map: {notional: price * qty}
  - window:
      id: ohlc
      by: symbol
      tumbling: 1m
      grace: 10s
      aggregates: {high: max(price), turnover: sum(notional), trades: count(*)}
sink: {topic: ohlc-1m, key: {columns: symbol, windowed: true}}
on_error: {dead_letter: trades-dlq}
";

const GRAPH: &str = "
version: 1
pipeline: feed
sources:
  feed: {format: raw, schema: {line: string}}
streams:
  parts:
    from: feed
    steps:
      - map: {fields: \"string_to_array(line, ',')\"}
      - unnest: {column: fields, as: field}
  sorted:
    from: parts
    steps:
      - branch: {short: length(field) < 3, otherwise: long}
  recent:
    from: short
    steps:
      - window: {id: recent, by: field, over: 10m, late: {to: feed-late}, aggregates: {n: count(*)}}
sinks:
  - {from: recent, topic: recent}
  - {from: long, topic: long, format: csv, key: none, headers: keep}
  - {from: short, topic: short, headers: {feed: length('abc'), field: field}, timestamp: _offset}
";

fn lowered(text: &str, counts: &PartitionCounts) -> Topology {
    let (pipeline, map) = crate::parse("p.yaml", text, &no_lookup).unwrap();
    lower(&pipeline, &map, counts).unwrap_or_else(|found| panic!("{}", found.render(crate::diagnostic::Style::Plain)))
}

#[test]
fn a_plan_of_a_linear_pipeline() {
    let counts = [("trades", 4)].into_iter().collect();
    insta::assert_snapshot!(plan(&lowered(CANDLES, &counts), &counts).to_string());
}

#[test]
fn a_plan_of_a_graph() {
    let counts = PartitionCounts::unknown();
    insta::assert_snapshot!(plan(&lowered(GRAPH, &counts), &counts).to_string());
}

#[test]
fn a_plan_as_json() {
    let counts = PartitionCounts::unknown();
    let plan = plan(&lowered(CANDLES, &counts), &counts);
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
}

#[test]
fn graphs() {
    let topology = lowered(GRAPH, &PartitionCounts::unknown());
    insta::assert_snapshot!("mermaid", mermaid(&topology));
    insta::assert_snapshot!("dot", dot(&topology));
}
