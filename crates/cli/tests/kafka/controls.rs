//! Guards taken away by a switch: each time the oracle must see what the guard keeps out, or that guard's own test proves
//! nothing. (That of producers without an answer is in `network`.)

use std::time::{Duration, Instant};

use millstream_harness::process::{Signal, ended_by};
use millstream_harness::{Daemon, Result, Trouble, ensure, suite, tests, wait};

use crate::fencing::{LONG_SLEEP, members};
use crate::scenario::{PARTITIONS, READY, SHORT_CYCLES, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        state_stored_before_its_commit_is_seen,
        offsets_apart_from_their_transaction_are_seen,
        reading_what_was_aborted_is_seen,
        offsets_of_nobody_are_seen,
        a_changelog_taken_as_it_is_found_is_seen,
    ]
}

/// How long the oracle may take to see what is wrong.
const SEEN: Duration = Duration::from_secs(30);

/// The oracle must complain.
pub(crate) fn seen(control: &str, settled: Result) -> Result {
    match settled {
        Err(Trouble::Wrong(report)) if report.contains("the oracle") => Ok(()),
        Err(other) => Err(other),
        Ok(()) => Err(format!("{control} was on, and the oracle saw nothing wrong").into()),
    }
}

/// With the guard gone, ends the daemon at a crash point a few times, and looks.
fn crash_without(control: &str, point: &str) -> Result {
    let mut scenario = Scenario::new(&format!("control-{}", control.rsplit('.').next().unwrap_or(control)))?;
    let unguarded = format!("{SHORT_CYCLES};{control}=return");
    for hit in [3, 6, 9] {
        let failpoints = format!("{unguarded};{point}={hit}*off->1*return(kill)");
        let mut daemon = scenario.daemon("a").env("FAILPOINTS", failpoints).start()?;
        // Input that comes slowly makes many epochs.
        let load = scenario.begin_load(500)?;
        let status = daemon.process.wait(READY)?;
        scenario.end_load(load)?;
        ensure!(ended_by(status, Signal::ABORT), "{status}: {}", daemon.output.tail(20));
    }
    let _daemon = scenario.daemon("a").env("FAILPOINTS", &unguarded).start()?;
    seen(control, scenario.settle_within(SEEN).map(drop))
}

fn state_stored_before_its_commit_is_seen() -> Result {
    crash_without("worker.control.state_before_commit", "worker.before_commit")
}

fn offsets_apart_from_their_transaction_are_seen() -> Result {
    crash_without("log.control.offsets_apart", "kafka.committed")
}

fn reading_what_was_aborted_is_seen() -> Result {
    crash_without("log.control.read_uncommitted", "kafka.offsets_sent")
}

/// How many records are committed to a topic.
fn committed(scenario: &Scenario) -> Result<usize> {
    Ok(scenario.client.read(&scenario.topic("copied"))?.len())
}

/// Waits until nothing more comes out: the daemon stands still, with a transaction of which no broker knows yet.
fn wait_for_a_stand(scenario: &Scenario, daemon: &Daemon) -> Result {
    let until = Instant::now() + READY;
    let (mut count, mut since) = (committed(scenario)?, Instant::now());
    while count == 0 || since.elapsed() < Duration::from_secs(2) {
        ensure!(Instant::now() < until, "it never stood still: {}", daemon.output.tail(20));
        std::thread::sleep(Duration::from_millis(200));
        let now = committed(scenario)?;
        if now != count {
            (count, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// A process falls asleep when it has read and not yet written, others take over and go on, and it wakes and goes on with what it had
/// read: exactly what the group's generation beside its offsets keeps out.
fn offsets_of_nobody_are_seen() -> Result {
    let mut scenario = Scenario::new("control-nobody")?;
    let load = scenario.begin_load(1000)?;
    let control = "log.control.without_generation";
    // The thread waits long enough, once, that the process can be stopped meanwhile.
    let failpoints = format!("{SHORT_CYCLES};{control}=return;kafka.begin=20*off->1*sleep(6000)");
    let mut sleeper = scenario.daemon("a").env("FAILPOINTS", failpoints).start()?;
    wait_for_a_stand(&scenario, &sleeper)?;
    sleeper.pause();
    let _other = scenario.start("b")?;
    std::thread::sleep(LONG_SLEEP);
    let before = committed(&scenario)?;
    wait::until_true("the other to go on", READY, || Ok(committed(&scenario)? > before + 100))?;
    sleeper.resume();
    wait::until("both in the group", READY, || members(&scenario), |members| *members == 2)?;
    scenario.end_load(load)?;
    seen(control, scenario.settle_within(SEEN).map(drop))
}

fn a_changelog_taken_as_it_is_found_is_seen() -> Result {
    let control = "worker.control.trust_changelog";
    let mut scenario = crate::state::with_state("control-trust")?;
    let topic = scenario.topic("torture-sums-changelog");
    for partition in 0..PARTITIONS {
        scenario.client.delete_records(&topic, partition, -1)?;
    }
    let state = scenario.state("a");
    std::fs::remove_dir_all(&state).map_err(Trouble::io(state.display()))?;
    let _daemon = scenario.daemon("a").env("FAILPOINTS", format!("{SHORT_CYCLES};{control}=return")).start()?;
    scenario.write(1000)?;
    seen(control, scenario.settle_within(SEEN).map(drop))
}
