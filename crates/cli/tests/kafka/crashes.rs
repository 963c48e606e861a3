//! SIGKILL, at any time and at each named crash point: what was not committed is done again, what was is not.

use std::time::Duration;

use millstream_harness::process::{Signal, ended_by};
use millstream_harness::random::Random;
use millstream_harness::{Broker, Result, ensure, suite, tests};
use millstream_runtime::crash::{CRASH_POINTS, KAFKA_CRASH_POINTS};

use crate::scenario::{SHORT_CYCLES, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        what_is_written_comes_out_once,
        killed_at_any_time,
        at_least_once_nothing_is_missing,
        at_least_once_state_is_written_behind_results,
        killed_at_every_crash_point,
        a_stop_commits_and_leaves,
        killed_again_and_again_while_restoring,
    ]
}

fn what_is_written_comes_out_once() -> Result {
    let mut scenario = Scenario::new("plain")?;
    let _daemon = scenario.start("a")?;
    for _ in 0..2 {
        scenario.write(3000)?;
        let settled = scenario.settle()?;
        ensure!(settled.results > 3000 && settled.totals > 0, "{settled:?}");
    }
    Ok(())
}

fn killed_at_any_time() -> Result {
    let mut scenario = Scenario::new("killed")?;
    let mut random = Random::new(7);
    let load = scenario.begin_load(1000)?;
    for _ in 0..8 {
        let mut daemon = scenario.daemon("a").start()?;
        std::thread::sleep(Duration::from_millis(300 + random.below(2500)));
        daemon.kill();
    }
    scenario.end_load(load)?;
    let _daemon = scenario.start("a")?;
    scenario.settle().map(drop)
}

/// No transaction holds results, state and positions together: what was written before a kill is written again, and counted
/// again where state was further than positions. None may be missing.
fn at_least_once_nothing_is_missing() -> Result {
    let mut broker = Broker::start()?;
    let mut scenario = Scenario::on("at-least", &broker)?.at_least_once()?;
    let mut random = Random::new(11);
    let load = scenario.begin_load(1000)?;
    for kill in 0..5 {
        let mut daemon = scenario.start("a")?;
        std::thread::sleep(Duration::from_millis(300 + random.below(2500)));
        if kill == 2 {
            broker.restart()?;
            std::thread::sleep(Duration::from_millis(random.below(2000)));
        }
        daemon.kill();
    }
    scenario.end_load(load)?;
    let _daemon = scenario.start("a")?;
    let settled = scenario.settle()?;
    ensure!(settled.events > 3000 && settled.totals > 0, "{settled:?}");
    Ok(())
}

/// Windows close while their results are refused (by topics that take no batch of any size), and the daemon dies over it: if
/// state that knows nothing of these windows any more were written by then, nobody would ever write their results.
fn at_least_once_state_is_written_behind_results() -> Result {
    let mut scenario = Scenario::new("behind-results")?.at_least_once()?;
    let client = scenario.client.clone();
    let results = [scenario.topic("sums"), scenario.topic("visits"), scenario.topic("rolling")];
    let largest_batch =
        |bytes| results.iter().try_for_each(|topic| client.set_topic_config(topic, &[("max.message.bytes", bytes)]));
    let mut daemon = scenario.start("a")?;
    scenario.write(1000)?;
    scenario.wait_for_input()?;
    largest_batch("10")?;
    scenario.write(3000)?;
    // Time enough for whatever is not held back to be written.
    std::thread::sleep(Duration::from_secs(3));
    daemon.kill();
    largest_batch("1048588")?;
    let _daemon = scenario.start("a")?;
    scenario.settle().map(drop)
}

/// The points that a daemon on Kafka comes by; those of the embedded log have tests of their own.
fn points() -> impl Iterator<Item = &'static str> {
    CRASH_POINTS.iter().chain(KAFKA_CRASH_POINTS).copied().filter(|point| !point.starts_with("log."))
}

fn killed_at_every_crash_point() -> Result {
    let mut scenario = Scenario::new("points")?;
    let mut count = 0;
    for point in points() {
        for hit in [0, 5] {
            scenario.write(500)?;
            let failpoints = format!("{SHORT_CYCLES};{point}={hit}*off->1*return(kill)");
            let mut daemon = scenario.daemon("a").env("FAILPOINTS", failpoints).start()?;
            // Input that comes slowly makes many epochs.
            let load = scenario.begin_load(500)?;
            let status =
                daemon.process.wait(Duration::from_secs(60)).map_err(|late| format!("{point}, {hit}: {late}"))?;
            scenario.end_load(load)?;
            ensure!(ended_by(status, Signal::ABORT), "{point}, {hit}: {status}: {}", daemon.output.tail(20));
            count += 1;
        }
        let mut daemon = scenario.start("a")?;
        scenario.settle().map_err(|trouble| format!("after {point}: {trouble}"))?;
        daemon.stop(Duration::from_secs(5))?;
    }
    ensure!(count >= 10, "only {count} crash points were tried");
    Ok(())
}

fn a_stop_commits_and_leaves() -> Result {
    let mut scenario = Scenario::new("stopped")?;
    let load = scenario.begin_load(1000)?;
    for _ in 0..3 {
        let mut daemon = scenario.start("a")?;
        std::thread::sleep(Duration::from_millis(700));
        let status = daemon.stop(Duration::from_secs(5))?;
        ensure!(status.success(), "{status}: {}", daemon.output.tail(20));
        let group = scenario.client.group(&scenario.group())?;
        ensure!(group.members.is_empty(), "it did not leave its group: {group:?}");
        let open: Vec<_> = scenario
            .client
            .transactions()?
            .into_iter()
            .filter(|(id, state)| id.starts_with(&scenario.group()) && state == "Ongoing")
            .collect();
        ensure!(open.is_empty(), "transactions are left open: {open:?}");
    }
    scenario.end_load(load)?;
    let _daemon = scenario.start("a")?;
    scenario.settle().map(drop)
}

fn killed_again_and_again_while_restoring() -> Result {
    let mut scenario = Scenario::new("restoring")?;
    scenario.write(5000)?;
    let mut daemon = scenario.start("a")?;
    scenario.settle()?;
    daemon.kill();
    for millis in [100, 200, 300, 400, 500, 700] {
        let state = scenario.state("a");
        std::fs::remove_dir_all(&state).map_err(millstream_harness::Trouble::io(state.display()))?;
        scenario.write(100)?;
        let mut daemon = scenario.daemon("a").start()?;
        std::thread::sleep(Duration::from_millis(millis));
        daemon.kill();
        std::fs::create_dir_all(&state).map_err(millstream_harness::Trouble::io(state.display()))?;
    }
    let _daemon = scenario.start("a")?;
    scenario.settle().map(drop)
}
