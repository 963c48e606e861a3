//! The Kafka log against a real broker, with a foreign client as the witness of what is readable.

// Tests wait for brokers and look at clocks.
#![allow(clippy::disallowed_methods)]

#[path = "kafka_log/common.rs"]
mod common;
#[path = "kafka_log/group.rs"]
mod group;
#[path = "kafka_log/model.rs"]
mod model;
#[path = "kafka_log/refusals.rs"]
mod refusals;
#[path = "kafka_log/verbs.rs"]
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut tests = verbs::tests();
    tests.extend(group::tests());
    tests.extend(refusals::tests());
    tests.extend(model::tests());
    millstream_harness::suite::main(2, tests)
}
