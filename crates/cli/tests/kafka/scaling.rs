//! Processes that come and go under load, with state: tasks move, results do not.

use std::time::Duration;

use millstream_harness::load::Shape;
use millstream_harness::{Result, ensure, suite, tests, wait};

use crate::scenario::{PARTITIONS, READY, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        from_one_to_four_and_back,
        from_one_to_four_and_back_by_kills,
        a_version_whose_tasks_go_by_another_topic_waits_for_its_predecessor,
    ]
}

fn members(scenario: &Scenario) -> Result<usize> {
    scenario.client.group(&scenario.group()).map(|group| group.members.len())
}

fn scale(name: &str, mut leave: impl FnMut(&mut millstream_harness::Daemon) -> Result) -> Result {
    let shape = Shape { keys: 2000, users: 20_000, users_at_once: 4000, step_ms: 2 };
    let mut scenario = Scenario::new(name)?.shape(4, shape);
    let load = scenario.begin_load(2000)?;
    let mut daemons = vec![scenario.start("a")?];
    for (count, instance) in (2..).zip(["b", "c", "d"]) {
        std::thread::sleep(Duration::from_secs(1));
        daemons.push(scenario.start(instance)?);
        wait::until("members of the group", READY, || members(&scenario), |members| *members == count)?;
    }
    for daemon in &mut daemons {
        daemon.wait_until_ready(READY)?;
    }
    let group = scenario.client.group(&scenario.group())?;
    let idle = group.members.iter().filter(|member| member.partitions.is_empty()).count();
    ensure!(idle == 0, "{idle} of 4 have nothing to do: {group:?}");
    while daemons.len() > 1 {
        std::thread::sleep(Duration::from_secs(1));
        let mut leaving = daemons.remove(0);
        leave(&mut leaving)?;
        wait::until("members of the group", READY, || members(&scenario), |members| *members == daemons.len())?;
    }
    daemons[0].wait_until_ready(READY)?;
    scenario.end_load(load)?;
    scenario.settle().map(drop)
}

fn from_one_to_four_and_back() -> Result {
    scale("scale", |daemon| {
        let status = daemon.stop(Duration::from_secs(5))?;
        ensure!(status.success(), "{status}: {}", daemon.output.tail(20));
        Ok(())
    })
}

fn from_one_to_four_and_back_by_kills() -> Result {
    scale("scale-kill", |daemon| {
        daemon.kill();
        Ok(())
    })
}

const ONE_SOURCE: &str = "\
version: 1
pipeline: PREFIXtorture
sources:
  events: {topic: PREFIXevents, format: json, schema: {id: bigint}}
sink: {topic: PREFIXcopied, format: json, create: {partitions: 1}}
";

/// The second topic has more partitions: tasks go by those.
const TWO_SOURCES: &str = "\
version: 1
pipeline: PREFIXtorture
sources:
  events: {topic: PREFIXevents, format: json, schema: {id: bigint}}
  wide: {topic: PREFIXwide, format: json, schema: {id: bigint}}
steps:
  - merge: [events, wide]
sink: {topic: PREFIXcopied, format: json, create: {partitions: 1}}
";

/// A group gives each topic's partitions out once: side by side the two would both have the tasks that read `events`.
fn a_version_whose_tasks_go_by_another_topic_waits_for_its_predecessor() -> Result {
    let mut scenario = Scenario::new("two-leads")?;
    scenario.client.create_topic(&scenario.topic("wide"), PARTITIONS * 2)?;
    scenario.set_pipeline(ONE_SOURCE)?;
    let mut old = scenario.start("a")?;
    scenario.write(100)?;
    scenario.wait_for_input()?;
    scenario.set_pipeline(TWO_SOURCES)?;
    let mut new = scenario.daemon("b").start()?;
    let (ours, theirs) = (scenario.topic("wide"), scenario.topic("events"));
    let words = [&format!("by the partitions of {theirs}")[..], &format!("by those of {ours}"), "stop that version"];
    told::wait_for_error(&mut new, &scenario.group(), &words, READY)?;
    scenario.write(100)?;
    scenario.wait_for_input()?;
    let status = old.stop(Duration::from_secs(5))?;
    ensure!(status.success(), "{status}");
    new.wait_until_ready(READY)?;
    scenario.write(100)?;
    // It has said by which topic it goes: another of its kind may join at once.
    scenario.start("c")?;
    scenario.wait_for_input()?;
    let read = scenario.client.read_settled(&scenario.topic("copied"))?;
    ensure!(read.len() == 300, "{} results for 300 records", read.len());
    Ok(())
}
