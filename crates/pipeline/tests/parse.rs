//! A pipeline that uses most of the language is read as it is written, with every place in it.
#![allow(clippy::unwrap_used)]

use millstream_engine::time::Millis;
use millstream_pipeline::case::{Arrival, Input};
use millstream_pipeline::diagnostic::Style;
use millstream_pipeline::interpolate::{Asked, NoValue, no_lookup};
use millstream_pipeline::spec::steps::{Emit, EmitWord, Late, Step};
use millstream_pipeline::spec::{FormatOptions, Key, OnError, Pipeline, Start};
use millstream_pipeline::topology::PartitionCounts;
use millstream_pipeline::yaml::source_map::SourceMap;
use millstream_pipeline::yaml::span::Span;

const TRADES: &str = r#"
version: 1
pipeline: trades-ohlc
description: one-minute candles per symbol

sources:
  trades:
    topic: "trades-${env:STAGE:-test}"
    format: {csv: {delimiter: ";"}}
    schema:
      symbol: string
      venue: string
      price: double
      qty: bigint
      ts: timestamp(ms)
    event_time: ts
    watermark: {out_of_order: 5s, idle: 30s}
    start: 2026-01-01T00:00:00Z
    key: symbol

steps:
  - filter: |
      price > 0
      AND venue = 'XNAS'
  - map: {notional: price * qty, flag: true}
  - window:
      id: ohlc
      by: [symbol]
      tumbling: 1m
      grace: 10s
      emit: final
      late: {to: trades-late}
      aggregates:
        open: first(price)
        volume: sum(qty)

sink:
  topic: ohlc-1m
  key: {columns: symbol, windowed: true}

on_error: {dead_letter: trades-dlq, fail_above: 1%/5m}

tests:
  - name: a candle closes when the next minute has passed its grace
    in:
      trades:
        - {symbol: A, venue: XNAS, price: 10, qty: 1, ts: 2026-01-01T00:00:01Z}
        - {symbol: A, venue: XNAS, price: 11.5, qty: 1, ts: 2026-01-01T00:01:15Z, _partition: 1}
        - {_value: "half a line", _key: A}
    out:
      ohlc-1m:
        - {symbol: A, open: 10, volume: 1}
      trades-dlq: {rows: [{_value: "half a line"}], unordered: true}
    ledger:
      steps.0.filter: {rows_in: 2, passed: 2}
    crash_after: 1
  - name: one by one
    in:
      - trades: {symbol: A}
      - advance_clock: 30s
      - crash: true
    close: true
"#;

fn read(text: &str) -> (Pipeline, SourceMap) {
    millstream_pipeline::parse("trades.yaml", text, &no_lookup)
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(Style::Plain)))
}

fn at(span: Span) -> &'static str {
    &TRADES[span.start..span.end]
}

#[test]
fn sources_and_sinks_are_read() {
    let (pipeline, _) = read(TRADES);
    assert_eq!((pipeline.version.value, pipeline.pipeline.as_str()), (1, "trades-ohlc"));
    let source = pipeline.sources.get("trades").unwrap();
    assert_eq!(source.topic.as_ref().unwrap().as_str(), "trades-test");
    let FormatOptions::Csv(csv) = source.format.options() else { panic!("{:?}", source.format) };
    assert_eq!(csv.delimiter.unwrap().as_str(), ";");
    let schema = source.schema.as_ref().unwrap();
    assert_eq!(
        schema.columns.names().map(|name| name.as_str()).collect::<Vec<_>>(),
        ["symbol", "venue", "price", "qty", "ts"]
    );
    assert_eq!(schema.columns.get("ts").unwrap().to_string(), "timestamp(ms)");
    assert_eq!(source.watermark.as_ref().unwrap().out_of_order.as_ref().unwrap().millis(), Millis(5_000));
    assert_eq!(source.start.as_ref().unwrap().value, Start::At(Millis(1_767_225_600_000)));
    let sink = pipeline.sink.as_ref().unwrap();
    let Some(Key::Options(key)) = &sink.key else { panic!("{:?}", sink.key) };
    assert!(key.windowed.as_ref().unwrap().value && key.columns.iter().count() == 1);
    let Some(OnError::DeadLetter(to)) = pipeline.on_error.as_ref().map(|on_error| &on_error.value) else { panic!() };
    assert_eq!((to.dead_letter.as_str(), to.fail_above.as_ref().unwrap().percent), ("trades-dlq", 1.0));
}

#[test]
fn steps_are_read_with_their_places() {
    let (pipeline, sources) = read(TRADES);
    let steps = pipeline.steps.unwrap().value;
    let Step::Filter(filter) = &steps[0].value else { panic!() };
    assert_eq!(filter.0.as_str(), "price > 0\nAND venue = 'XNAS'\n");
    let venue = filter.0.as_str().find("venue").unwrap();
    let place = sources.within(filter.0.span, venue..venue + 5);
    assert_eq!((at(place), place.line, place.column), ("venue", 24, 11));
    let Step::Map(map) = &steps[1].value else { panic!() };
    assert_eq!(map.0.get("flag").unwrap().as_str(), "true");
    assert_eq!(at(map.0.get("notional").unwrap().span), "price * qty");
    let Step::Window(window) = &steps[2].value else { panic!() };
    assert_eq!(at(steps[2].span).lines().next(), Some("window:"));
    assert_eq!(window.shapes().len(), 1);
    assert_eq!(at(window.shapes()[0].span()), "1m");
    assert_eq!(window.emit.as_ref().unwrap().value, Emit::Word(EmitWord::Final));
    assert!(matches!(&window.late.as_ref().unwrap().value, Late::To(to) if to.to.as_str() == "trades-late"));
    assert_eq!(window.aggregates.names().map(|name| at(name.span)).collect::<Vec<_>>(), ["open", "volume"]);
}

#[test]
fn tests_are_read() {
    let (pipeline, _) = read(TRADES);
    let [first, second] = pipeline.tests.as_slice() else { panic!() };
    let Input::BySource(sources) = &first.input.value else { panic!() };
    let rows = sources.get("trades").unwrap();
    assert_eq!(rows[0].get("price").unwrap().value.to_string(), "10");
    assert_eq!(rows[1].get("price").unwrap().value.to_string(), "11.5");
    assert_eq!(rows[1].get("_partition").unwrap().value.to_string(), "1");
    assert_eq!((rows[1].columns().count(), rows[2].columns().count()), (5, 0));
    let dlq = first.out.get("trades-dlq").unwrap();
    assert!(dlq.is_unordered() && !dlq.is_exact() && dlq.rows().len() == 1);
    assert_eq!(first.ledger.get("steps.0.filter").unwrap().get("passed").unwrap().value, 2);
    let Input::OneByOne(arrivals) = &second.input.value else { panic!() };
    assert!(matches!(&arrivals[0].value, Arrival::Row(source, _) if source.as_str() == "trades"));
    assert!(matches!(&arrivals[1].value, Arrival::AdvanceClock(span) if span.millis() == Millis(30_000)));
    assert_eq!(arrivals[2].value, Arrival::Crash);
}

#[test]
fn it_can_run() {
    let partitions = PartitionCounts::unknown();
    let checked = millstream_pipeline::check("trades.yaml", TRADES, &no_lookup, &partitions)
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(Style::Plain)));
    assert!(checked.topology.warnings.is_empty(), "{}", checked.topology.warnings.render(Style::Plain));
}

#[test]
fn placeholders_are_looked_up() {
    let lookup = |asked, name: &str| match (asked, name) {
        (Asked::Env, "STAGE") => Ok("prod".to_owned()),
        _ => Err(NoValue::NotSet),
    };
    let (pipeline, _) = millstream_pipeline::parse("trades.yaml", TRADES, &lookup).unwrap();
    assert_eq!(pipeline.sources.get("trades").unwrap().topic.as_ref().unwrap().as_str(), "trades-prod");
}
