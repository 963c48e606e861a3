//! The workloads: pipelines over Nexmark's events.

use super::events::{EventFormat, EventKeys, Shape};
use crate::nexmark::Event;

/// A pipeline over Nexmark's events.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The events that it reads.
    pub event: Event,
    /// Its steps, as YAML.
    steps: &'static str,
}

impl Workload {
    /// The pipeline, as YAML. It reads the topic `events` and writes `results`.
    pub fn pipeline(&self, format: EventFormat) -> String {
        let shape = Shape { format, keys: EventKeys::None };
        self.pipeline_over(&format!("bench-{}", self.name), "events", "results", shape)
    }

    /// The pipeline under a name, over these topics, as YAML. It writes in the format that it reads.
    pub(super) fn pipeline_over(&self, name: &str, input: &str, output: &str, shape: Shape) -> String {
        let (format, schema) = match shape.format {
            EventFormat::Json => ("format: json", self.event.json_columns().to_owned()),
            EventFormat::Avro => ("format: avro, framing: none", format!("{{text: {:?}}}", self.event.avro_schema())),
        };
        let key = match shape.keys {
            EventKeys::None => String::new(),
            EventKeys::Group => format!(", key: {}", self.event.group()),
        };
        format!(
            "version: 1\npipeline: {name}\nsources:\n  events: {{topic: {input}, {format}, schema: {schema}, \
             event_time: date_time{key}}}\nsteps:\n{}\nsink: {{topic: {output}, {format}}}\n",
            self.steps
        )
    }
}

const fn bids(name: &'static str, about: &'static str, steps: &'static str) -> Workload {
    Workload { name, about, event: Event::Bid, steps }
}

/// All workloads, in the order in which they run.
pub const WORKLOADS: &[Workload] = &[
    bids("same", "decode and encode the same", "  - select: [auction, bidder, price, channel, url, date_time, extra]"),
    bids(
        "project",
        "projection and arithmetic",
        "  - select: {auction: auction, bidder: bidder, price: price * 0.908}",
    ),
    bids("filter", "keep 1 in 123", "  - filter: auction % 123 = 0\n  - select: [auction, price]"),
    bids("tumbling", "10 s, count and sum per auction", WINDOW_TUMBLING_10S),
    bids("tumbling-60s", "60 s, count and sum per auction", WINDOW_TUMBLING_60S),
    bids("hopping", "10 s every 2 s", WINDOW_HOPPING_10S),
    bids("hopping-60s", "60 s every 1 s", WINDOW_HOPPING_60S),
    bids("session", "gap 10 s, per auction", WINDOW_SESSION),
    bids("over", "rolling over 10 s, per auction", WINDOW_OVER),
    Workload {
        name: "auctions",
        about: "auctions: average reserve per category, 10 s",
        event: Event::Auction,
        steps: "  - window: {id: w, by: [category], tumbling: 10s, aggregates: {n: count(*), reserve: avg(reserve)}}",
    },
    Workload {
        name: "persons",
        about: "persons: how many registered per city, 10 s",
        event: Event::Person,
        steps: "  - window: {id: w, by: [city], tumbling: 10s, aggregates: {n: count(*)}}",
    },
];

const WINDOW_TUMBLING_10S: &str =
    "  - window: {id: w, by: [auction], tumbling: 10s, aggregates: {n: count(*), total: sum(price)}}";
const WINDOW_TUMBLING_60S: &str =
    "  - window: {id: w, by: [auction], tumbling: 60s, aggregates: {n: count(*), total: sum(price)}}";
const WINDOW_HOPPING_10S: &str =
    "  - window: {id: w, by: [auction], hopping: {size: 10s, every: 2s}, aggregates: {n: count(*), total: sum(price)}}";
const WINDOW_HOPPING_60S: &str =
    "  - window: {id: w, by: [auction], hopping: {size: 60s, every: 1s}, aggregates: {n: count(*), total: sum(price)}}";
const WINDOW_SESSION: &str =
    "  - window: {id: w, by: [auction], session: 10s, aggregates: {n: count(*), total: sum(price)}}";
const WINDOW_OVER: &str = "  - window: {id: w, by: [auction], over: 10s, aggregates: {n: count(*), total: sum(price)}}";
