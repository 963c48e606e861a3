//! Processes that come and go under load, with state: tasks move, results do not.

use std::time::Duration;

use millstream_harness::load::Shape;
use millstream_harness::{Result, ensure, suite, tests, wait};

use crate::scenario::{READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![from_one_to_four_and_back, from_one_to_four_and_back_by_kills]
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
