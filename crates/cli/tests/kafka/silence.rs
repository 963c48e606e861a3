//! Sources that fall silent, and a daemon that only does not hear them.

use std::time::Duration;

use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::{Broker, Message, Proxy, Result, ensure, suite, tests, wait};

use crate::controls::seen;
use crate::scenario::{PARTITIONS, READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_sleep_is_not_taken_for_a_silence_of_the_sources,
        a_silence_that_is_trusted_unasked_is_seen,
        time_does_not_go_on_over_what_came_in_a_sleep,
    ]
}

/// Behind a repartition one task hears all partitions.
const COUNTS: &str = "\
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {key: string, ts: timestamp(ms)}
    event_time: ts
    watermark: {idle: 8s}
steps:
  - window: {id: w, by: key, tumbling: 10s, aggregates: {n: count(*)}}
sink: {topic: PREFIXcounts, format: json, key: key}
";

/// A time that is a multiple of ten seconds.
const BEGIN: i64 = 1_767_225_600_000;
/// Longer than `idle`, shorter than a session.
const SLEEP: Duration = Duration::from_secs(9);

/// A record comes in time, while the daemon sleeps: its window may be closed only behind it.
fn a_sleep_is_not_taken_for_a_silence_of_the_sources() -> Result {
    sleeps("asleep", "")
}

fn a_silence_that_is_trusted_unasked_is_seen() -> Result {
    let control = "worker.control.trust_silence";
    seen(control, sleeps("control-asleep", &format!("{control}=return")))
}

fn sleeps(name: &str, failpoints: &str) -> Result {
    let broker = Broker::start()?;
    let (scenario, proxy) = (Scenario::on(name, &broker)?, Proxy::before(&broker)?);
    scenario.set_pipeline(COUNTS)?;
    let (events, counts) = (scenario.topic("events"), scenario.topic("counts"));
    scenario.client.create_topic(&counts, 1)?;
    let at = |partition: u32, seconds: i64| {
        let time = BEGIN + seconds * 1000;
        let key = if partition == 0 { "slow" } else { "fast" };
        Message::value(format!(r#"{{"key":"{key}","ts":{time}}}"#)).to(partition).at(time)
    };
    let fast = |seconds: i64| (1..PARTITIONS).map(move |partition| at(partition, seconds));
    let mut daemon = scenario
        .daemon_at("a", &proxy.bootstrap())
        .env("FAILPOINTS", failpoints)
        .env("MILLSTREAM_KAFKA__SESSION_TIMEOUT_MS", "30000")
        .env("MILLSTREAM_TRANSACTION_TIMEOUT", "30s")
        .start()?;
    daemon.wait_until_ready(READY)?;
    // The slow one first: as long as it has not spoken it may count as idle.
    for messages in [vec![at(0, 1)], fast(60).collect()] {
        scenario.client.produce(&events, &messages)?;
        scenario.wait_for_input()?;
    }
    daemon.pause();
    // No request of the daemon's is at the broker any more that this could answer.
    std::thread::sleep(Duration::from_secs(1));
    scenario.client.produce(&events, &[at(0, 2)])?;
    std::thread::sleep(SLEEP);
    // It wakes, and does not hear at once what there is.
    proxy.add(Rule::always(Api::Fetch, Action::Delay(Duration::from_secs(2))));
    daemon.resume();
    std::thread::sleep(Duration::from_secs(3));
    proxy.clear();
    scenario.wait_for_input()?;
    scenario.client.produce(&events, &fast(90).chain([at(0, 90)]).collect::<Vec<_>>())?;
    let slow = || {
        let read = scenario.client.read(&counts)?;
        let rows = read.iter().map(millstream_harness::Read::json).collect::<Result<Vec<_>>>()?;
        Ok(rows.into_iter().find(|row| row["key"] == "slow"))
    };
    let row = wait::until("the window to close", READY, slow, Option::is_some)?.unwrap_or_default();
    ensure!(row["n"] == 2, "the oracle counts two records of the window, not {row}");
    Ok(())
}

/// As it goes on by the clock on the wall, time closes the window of one partition alone.
fn time_does_not_go_on_over_what_came_in_a_sleep() -> Result {
    let scenario = Scenario::new("overslept")?;
    let text = COUNTS.replace("watermark: {idle: 8s}", "key: key\n    watermark: {idle: 1s, idle_close: 1s}");
    scenario.set_pipeline(&text)?;
    let (events, counts) = (scenario.topic("events"), scenario.topic("counts"));
    scenario.client.create_topic(&counts, 1)?;
    let at = |seconds: i64| {
        let time = BEGIN + seconds * 1000;
        Message::value(format!(r#"{{"key":"k","ts":{time}}}"#)).to(0).at(time)
    };
    let mut daemon = scenario
        .daemon("a")
        .env("MILLSTREAM_KAFKA__SESSION_TIMEOUT_MS", "30000")
        .env("MILLSTREAM_TRANSACTION_TIMEOUT", "30s")
        .start()?;
    daemon.wait_until_ready(READY)?;
    scenario.client.produce(&events, &[at(0)])?;
    scenario.wait_for_input()?;
    daemon.pause();
    std::thread::sleep(Duration::from_secs(1));
    scenario.client.produce(&events, &[at(1)])?;
    // The window would be over.
    std::thread::sleep(Duration::from_secs(11));
    daemon.resume();
    let read = || scenario.client.read(&counts);
    let read = wait::until("the window to close", READY, read, |read| !read.is_empty())?;
    let row = read[0].json()?;
    ensure!(row["n"] == 2, "there are two records of the window, not {row}");
    Ok(())
}
