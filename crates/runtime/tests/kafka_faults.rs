//! The Kafka log on bad days: producers that fence each other, answers that are lost, requests that arrive late, brokers that
//! stop. One test at a time, as crash points are of the whole process.

// Tests wait for brokers and look at clocks.
#![allow(clippy::disallowed_methods)]

#[path = "kafka_log/chaos.rs"]
mod chaos;
#[path = "kafka_log/common.rs"]
mod common;
#[path = "kafka_log/faults.rs"]
mod faults;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut tests = faults::tests();
    tests.extend(chaos::tests());
    millstream_harness::suite::main(1, tests)
}
