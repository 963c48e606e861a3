//! The daemon on a real broker, judged by a foreign client and an oracle. Needs Java 17; says so where it is skipped.

// Tests wait, look at clocks and write files; the invariants of clippy.toml are the engine's.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod access;
mod brokers;
mod cases;
mod clients;
mod commands;
mod contracts;
mod controls;
mod crashes;
mod fencing;
mod keys;
mod latency;
mod network;
mod order;
mod panics;
mod place;
mod records;
mod registry;
mod scaling;
mod scenario;
mod silence;
mod soak;
mod state;
mod stops;
mod takeover;
mod told;
mod topics;
mod torture;

use std::process::ExitCode;

use millstream_harness::suite;

fn main() -> ExitCode {
    let themes = [
        crashes::tests(),
        fencing::tests(),
        network::tests(),
        controls::tests(),
        brokers::tests(),
        scaling::tests(),
        state::tests(),
        takeover::tests(),
        silence::tests(),
        order::tests(),
        stops::tests(),
        topics::tests(),
        panics::tests(),
        records::tests(),
        registry::tests(),
        keys::tests(),
        access::tests(),
        latency::tests(),
        commands::tests(),
        contracts::tests(),
        cases::tests(),
        clients::tests(),
        soak::tests(),
        torture::tests(),
    ];
    suite::main(2, themes.into_iter().flatten().collect())
}
