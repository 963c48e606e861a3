//! Stops while brokers do not answer, or others have to be waited for: within the time that is promised.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use millstream_harness::process::{Signal, ended_by};
use millstream_harness::{Broker, Daemon, Result, ensure, suite, tests};

use crate::scenario::{READY, SHORT_CYCLES, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_stop_ends_in_time_where_no_broker_is,
        a_stop_ends_in_time_where_the_broker_hangs,
        a_stop_while_a_transaction_is_waited_for_is_no_failure,
    ]
}

/// What is promised.
const STOPPED: Duration = Duration::from_secs(5);
/// How a stop ends that was not waited for.
const CUT_SHORT: Option<i32> = Some(130);

/// Asks it to stop, and measures.
fn stop(daemon: &mut Daemon) -> Result<(ExitStatus, Duration)> {
    let began = Instant::now();
    daemon.process.signal(Signal::TERM);
    let status = daemon.process.wait(2 * STOPPED)?;
    Ok((status, began.elapsed()))
}

fn a_stop_ends_in_time_where_no_broker_is() -> Result {
    let mut broker = Broker::start()?;
    let scenario = Scenario::on("stop-absent", &broker)?;
    broker.stop()?;
    let mut daemon = scenario.daemon("a").start()?;
    daemon.wait_until_it_says("running ", READY)?;
    let (status, took) = stop(&mut daemon)?;
    ensure!(took < STOPPED, "it took {took:?}: {}", daemon.output.tail(20));
    ensure!(status.code() == CUT_SHORT, "{status}: {}", daemon.output.tail(20));
    let is_told = |line: &serde_json::Value| {
        line["level"] == "warn" && line["message"].as_str().is_some_and(|said| said.contains("nothing is lost"))
    };
    ensure!(told::lines(&daemon).iter().any(is_told), "it does not say so: {}", daemon.output.tail(20));

    // Who is in a hurry need not wait so long.
    let mut daemon = scenario.daemon("a").start()?;
    daemon.wait_until_it_says("running ", READY)?;
    daemon.process.signal(Signal::TERM);
    daemon.wait_until_it_says("asked to stop", STOPPED)?;
    let (status, took) = stop(&mut daemon)?;
    ensure!(took < Duration::from_secs(1) && status.code() == CUT_SHORT, "{status} after {took:?}");
    Ok(())
}

fn a_stop_ends_in_time_where_the_broker_hangs() -> Result {
    let mut broker = Broker::start()?;
    let mut scenario = Scenario::on("stop-frozen", &broker)?;
    for guarantee in ["exactly_once", "at_least_once"] {
        let load = scenario.begin_load(1000)?;
        let mut daemon = scenario.daemon("a").env("MILLSTREAM_GUARANTEE", guarantee).start()?;
        daemon.wait_until_ready(READY)?;
        std::thread::sleep(Duration::from_millis(700));
        broker.pause();
        // Into a commit.
        std::thread::sleep(Duration::from_millis(300));
        let stopped = stop(&mut daemon);
        broker.resume();
        let (status, took) = stopped?;
        ensure!(took < STOPPED, "{guarantee}: it took {took:?}: {}", daemon.output.tail(20));
        ensure!(status.success() || status.code() == CUT_SHORT, "{status}: {}", daemon.output.tail(20));
        scenario.end_load(load)?;
        // At least once doubles what was written and not committed.
        if guarantee == "exactly_once" {
            let _daemon = scenario.start("a")?;
            scenario.settle()?;
        }
    }
    Ok(())
}

/// One ends in the middle of a commit, and another that waits until that has timed out is stopped.
fn a_stop_while_a_transaction_is_waited_for_is_no_failure() -> Result {
    let mut scenario = Scenario::new("stop-waiting")?;
    let point = "kafka.offsets_sent=5*off->1*return(kill)";
    let mut first = scenario.daemon("a").env("FAILPOINTS", format!("{SHORT_CYCLES};{point}")).start()?;
    let load = scenario.begin_load(500)?;
    let status = first.process.wait(READY)?;
    ensure!(ended_by(status, Signal::ABORT), "{status}: {}", first.output.tail(20));
    let mut next = scenario.daemon("b").start()?;
    next.wait_until_it_says("running ", READY)?;
    std::thread::sleep(Duration::from_secs(3));
    let (status, took) = stop(&mut next)?;
    ensure!(took < STOPPED && status.success(), "{status} after {took:?}: {}", next.output.tail(20));
    let failed = told::lines(&next).into_iter().find(|line| line["level"] == "error");
    ensure!(failed.is_none(), "it takes the wait for a failure: {failed:?}");
    let _daemon = scenario.start("b")?;
    scenario.end_load(load)?;
    scenario.settle().map(drop)
}
