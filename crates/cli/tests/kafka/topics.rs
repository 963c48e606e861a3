//! Topics that are missing, deleted or grow under a running pipeline: each has its own sentence, and other pipelines in the
//! process go on.

use std::time::Duration;

use millstream_harness::{Message, Result, Trouble, ensure, suite, tests, wait};

use crate::scenario::{PARTITIONS, READY, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_deleted_source_stops_its_pipeline_alone,
        records_that_were_deleted_too_early_are_passed_over,
        a_missing_source_is_waited_for,
        partitions_are_added_where_no_key_moves,
        partitions_are_added_to_a_source_that_starts_at_its_end,
        partitions_are_refused_where_a_key_would_move,
        a_group_of_another_program_is_refused,
    ]
}

fn a_deleted_source_stops_its_pipeline_alone() -> Result {
    let (mut one, mut other) = (Scenario::new("deleted")?, Scenario::new("bystander")?);
    let both = one.daemon("a").args([other.pipeline().display().to_string()]);
    let mut daemon = both.start()?;
    daemon.wait_until_ready(READY)?;
    one.write(1000)?;
    one.settle()?;
    let load = other.begin_load(500)?;
    let topic = one.topic("events");
    one.client.delete_topic(&topic)?;
    let create = format!("topic {topic} does not exist: create it with `millstream topic create {topic}`");
    told::wait_for_error(&mut daemon, &one.group(), &[&create], READY)?;
    other.end_load(load)?;
    other.settle()?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

/// Retention overtakes a pipeline that runs, once at the end of its input and once behind it.
fn records_that_were_deleted_too_early_are_passed_over() -> Result {
    let mut scenario = Scenario::new("overtaken")?;
    scenario.set_pipeline(COPY)?;
    let mut daemon = scenario.start("a")?;
    let (topic, copied) = (scenario.topic("events"), scenario.topic("copied"));
    let value = r#"{"id":-1,"key":"k","user":"u","amount":1,"ts":1767225600000}"#;
    let mut written = 0;
    for round in 1..=2 {
        scenario.write(500)?;
        if round == 1 {
            scenario.wait_for_input()?;
        }
        daemon.pause();
        scenario.write(500)?;
        for partition in 0..PARTITIONS {
            scenario.client.delete_records(&topic, partition, -1)?;
        }
        daemon.resume();
        let later: Vec<_> =
            (0..PARTITIONS).map(|partition| Message::value(value).to(partition).at(1_767_225_600_000)).collect();
        scenario.client.produce(&topic, &later)?;
        written += 1000 + later.len();
        let from_later = || {
            let read = scenario.client.read(&copied)?;
            Ok(read.iter().filter(|record| record.json().is_ok_and(|value| value["id"] == -1)).count())
        };
        wait::until("records behind those that are gone", READY, from_later, |count| *count == round * later.len())?;
    }
    let group = scenario.group();
    let metric = |name: &str| {
        let value = daemon.metric(&format!("millstream_{name}_records_total{{pipeline=\"{group}\"}}"))?;
        Ok::<_, Trouble>(value.unwrap_or_default() as usize)
    };
    // What a broker had answered before the sleep was read, though it is deleted.
    let counts = || Ok((metric("input")?, metric("source_deleted")?));
    let all = |(read, deleted): &(usize, usize)| read + deleted == written && *deleted > 500;
    wait::until("every record to be read or counted as deleted", Duration::from_secs(10), counts, all)?;
    let status = daemon.status()?;
    ensure!(status["pipelines"][0]["last_error"].is_null(), "the pipeline failed: {status}");
    Ok(())
}

fn a_missing_source_is_waited_for() -> Result {
    let mut scenario = Scenario::new("missing")?;
    let text = std::fs::read_to_string(millstream_harness::repository().join("tests/kafka/torture.yaml"))
        .map_err(millstream_harness::Trouble::io("torture.yaml"))?;
    scenario.set_pipeline(&text.replace("topic: PREFIXevents", "topic: PREFIXevnets"))?;
    let mut daemon = scenario.daemon("a").start()?;
    let wrong = scenario.topic("evnets");
    let create = format!("topic {wrong} does not exist: create it with `millstream topic create {wrong}`");
    told::wait_for_error(&mut daemon, &scenario.group(), &[&create], Duration::from_secs(10))?;
    daemon.stop(Duration::from_secs(5))?;
    scenario.set_pipeline(&text)?;
    let _daemon = scenario.start("a")?;
    scenario.write(500)?;
    scenario.settle().map(drop)
}

/// Only what keeps no state by key.
const COPY: &str = "\
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {id: bigint, key: string, user: string, amount: bigint, ts: timestamp(ms)}
    event_time: ts
steps:
  - filter: amount % 10 <> 0
sink: {topic: PREFIXcopied, format: json, key: key}
";

fn partitions_are_added_where_no_key_moves() -> Result {
    partitions_are_added("grown", COPY)
}

/// What is written to a new partition before anybody has noticed it came after the start, and is read.
fn partitions_are_added_to_a_source_that_starts_at_its_end() -> Result {
    partitions_are_added(
        "grown-latest",
        &COPY.replace("format: json\n    schema", "format: json\n    start: latest\n    schema"),
    )
}

fn partitions_are_added(name: &str, pipeline: &str) -> Result {
    let mut scenario = Scenario::new(name)?;
    scenario.set_pipeline(pipeline)?;
    let mut daemon = scenario.start("a")?;
    scenario.write(500)?;
    let topic = scenario.topic("events");
    scenario.client.add_partitions(&topic, PARTITIONS + 2)?;
    let value = r#"{"id":-1,"key":"k","user":"u","amount":1,"ts":1767225600000}"#;
    for partition in PARTITIONS..PARTITIONS + 2 {
        scenario.client.produce(&topic, &[Message::value(value).to(partition).at(1_767_225_600_000)])?;
    }
    let copied = scenario.topic("copied");
    let from_new = || {
        let read = scenario.client.read(&copied)?;
        Ok(read.iter().filter(|record| record.json().is_ok_and(|value| value["id"] == -1)).count())
    };
    wait::until("records of the new partitions", READY, from_new, |count| *count == 2)?;
    // Nothing has failed: nobody is to be woken for it.
    let status = daemon.status()?;
    ensure!(status["pipelines"][0]["last_error"].is_null(), "growth is told as a failure: {status}");
    let configuration = format!("{{pipeline=\"{}\",kind=\"configuration\"}}", scenario.group());
    let failures = daemon.metric(&format!("millstream_pipeline_failures_total{configuration}"))?;
    ensure!(failures == Some(0.0), "growth is counted as a failure: {failures:?}");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn partitions_are_refused_where_a_key_would_move() -> Result {
    let mut scenario = Scenario::new("moved")?;
    let mut daemon = scenario.start("a")?;
    scenario.write(500)?;
    scenario.settle()?;
    let topic = scenario.topic("events");
    scenario.client.add_partitions(&topic, PARTITIONS + 1)?;
    let changelog = scenario.topic("torture-rolling-changelog");
    let what = format!("topic {changelog} has {PARTITIONS} partitions, but the pipeline needs {}", PARTITIONS + 1);
    let ways_out = ["Give the source its partitions back", "group behind a `key_by`", "`millstream reset "];
    let words = [&[what.as_str()], &ways_out[..]].concat();
    told::wait_for_error(&mut daemon, &scenario.group(), &words, READY).map(drop)
}

fn a_group_of_another_program_is_refused() -> Result {
    let scenario = Scenario::new("foreign-group")?;
    scenario.client.produce(&scenario.topic("events"), &[Message::value("{}").to(0)])?;
    scenario.client.set_group_offset(&scenario.group(), &scenario.topic("events"), 0, 1)?;
    let mut daemon = scenario.daemon("a").start()?;
    let group = scenario.group();
    let what =
        format!("the group {group} has offsets that another program has committed: give the pipeline another name");
    told::wait_for_error(&mut daemon, &group, &[&what, "`millstream reset "], READY)?;
    let offsets = scenario.client.group_offsets(&scenario.group())?;
    ensure!(offsets[&scenario.topic("events")][&0] == 1, "the group was moved: {offsets:?}");
    Ok(())
}
