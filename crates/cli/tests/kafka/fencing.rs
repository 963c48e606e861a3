//! A process that sleeps while others take over its tasks, and wakes: whatever it had begun must come to nothing.

use std::time::Duration;

use millstream_harness::{Result, ensure, suite, tests, wait};

use crate::scenario::{READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_sleeper_is_fenced_when_it_wakes,
        at_least_once_a_sleeper_loses_nothing,
        a_sleeper_that_nobody_replaced_goes_on,
        two_with_one_state_folder_are_refused,
    ]
}

/// The session time-out of scenarios is 6 s.
pub(crate) const LONG_SLEEP: Duration = Duration::from_secs(9);

pub(crate) fn members(scenario: &Scenario) -> Result<usize> {
    scenario.client.group(&scenario.group()).map(|group| group.members.len())
}

fn a_sleeper_is_fenced_when_it_wakes() -> Result {
    replaced_in_its_sleep(Scenario::new("sleeper")?)
}

/// No transaction keeps what it writes when it wakes out of its successor's changelogs; whoever restores them passes that over.
/// What was counted from older state would be missing.
fn at_least_once_a_sleeper_loses_nothing() -> Result {
    replaced_in_its_sleep(Scenario::new("sleeper-at-least")?.at_least_once()?)
}

fn replaced_in_its_sleep(mut scenario: Scenario) -> Result {
    let load = scenario.begin_load(2000)?;
    let mut one = scenario.start("a")?;
    // At different moments of an epoch.
    for pause in [210, 333, 87] {
        std::thread::sleep(Duration::from_millis(pause));
        one.pause();
        let other = scenario.start("b")?;
        std::thread::sleep(LONG_SLEEP);
        let count = scenario.client.read(&scenario.topic("copied"))?.len();
        wait::until_true("the other to go on", READY, || {
            Ok(scenario.client.read(&scenario.topic("copied"))?.len() > count + 100)
        })?;
        one.resume();
        wait::until("both in the group", READY, || members(&scenario), |members| *members == 2)?;
        drop(other);
        one.wait_until_ready(READY)?;
    }
    scenario.end_load(load)?;
    scenario.settle().map(drop)
}

fn a_sleeper_that_nobody_replaced_goes_on() -> Result {
    let mut scenario = Scenario::new("dozer")?;
    let load = scenario.begin_load(1000)?;
    let mut one = scenario.start("a")?;
    std::thread::sleep(Duration::from_millis(500));
    one.pause();
    std::thread::sleep(LONG_SLEEP);
    one.resume();
    scenario.end_load(load)?;
    scenario.settle().map(drop)
}

fn two_with_one_state_folder_are_refused() -> Result {
    let mut scenario = Scenario::new("twins")?;
    let one = scenario.start("a")?;
    let (status, output) = scenario.daemon("a").run(Duration::from_secs(15))?;
    let said = output.text();
    ensure!(!status.success() && said.contains("in use by another process"), "{status}: {said}");
    scenario.write(500)?;
    scenario.settle()?;
    drop(one);
    Ok(())
}
