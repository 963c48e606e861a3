//! Topics that are missing, deleted or grow under a running pipeline: each has its own sentence, and other pipelines in the
//! process go on.

use std::time::Duration;

use millstream_harness::{Broker, Message, Result, ensure, suite, tests, wait};

use crate::scenario::{PARTITIONS, READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_deleted_source_stops_its_pipeline_alone,
        a_missing_source_is_waited_for,
        partitions_are_added_where_no_key_moves,
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
    wait::until("unreadiness", READY, || Ok(daemon.get("/ready")?.status), |status| *status == 503)?;
    wait::until("the reason in /status", READY, || Ok(daemon.get("/status")?.body), |body| body.contains(&topic))?;
    other.end_load(load)?;
    other.settle()?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn a_missing_source_is_waited_for() -> Result {
    let mut scenario = Scenario::new("missing")?;
    let text = std::fs::read_to_string(crate::scenario::repository().join("tests/kafka/torture.yaml"))
        .map_err(millstream_harness::Trouble::io("torture.yaml"))?;
    scenario.set_pipeline(&text.replace("topic: PREFIXevents", "topic: PREFIXevnets"))?;
    let mut daemon = scenario.daemon("a").start()?;
    let wrong = scenario.topic("evnets");
    daemon.wait_until_it_says(&wrong, Duration::from_secs(12))?;
    ensure!(daemon.get("/ready")?.status == 503, "it says that it is ready");
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
    let mut scenario = Scenario::new("grown")?;
    scenario.set_pipeline(COPY)?;
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
    wait::until("unreadiness", READY, || Ok(daemon.get("/ready")?.status), |status| *status == 503)?;
    wait::until(
        "the reason in /status",
        READY,
        || Ok(daemon.get("/status")?.body),
        |body| body.contains("partitions"),
    )?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn a_group_of_another_program_is_refused() -> Result {
    let scenario = Scenario::new("foreign-group")?;
    scenario.client.produce(&scenario.topic("events"), &[Message::value("{}").to(0)])?;
    scenario.client.set_group_offset(&scenario.group(), &scenario.topic("events"), 0, 1)?;
    let mut daemon = scenario.daemon("a").start()?;
    daemon.wait_until_it_says(&scenario.group(), READY)?;
    wait::until("unreadiness", READY, || Ok(daemon.get("/ready")?.status), |status| *status == 503)?;
    let offsets = scenario.client.group_offsets(&scenario.group())?;
    ensure!(offsets[&scenario.topic("events")][&0] == 1, "the group was moved: {offsets:?}");
    let said = daemon.output.text();
    ensure!(said.contains("offsets") || said.contains("group"), "it does not say why: {said}");
    let _ = Broker::shared()?;
    Ok(())
}
