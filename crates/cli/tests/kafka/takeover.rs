//! A take-over between the end of a transaction and its markers: its offsets can be read, and the changelog does not yet show what
//! goes with them; or the other way round. One node of a cluster is kept from hearing how the transaction ended, so that the moment
//! lasts.

use std::time::Duration;

use millstream_harness::admin::Which;
use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::{Cluster, Daemon, Proxy, Result, ensure, suite, tests, wait};

use crate::controls::seen;
use crate::scenario::{READY, SHORT_CYCLES, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        markers_of_the_changelog_are_waited_for,
        restoring_up_to_the_committed_end_is_seen,
        offsets_of_an_ended_transaction_are_waited_for,
        offsets_about_to_be_replaced_are_seen,
    ]
}

/// Restores up to the end of what is committed, instead of the end of what is written.
const COMMITTED_END: &str = "log.control.committed_end";
/// Takes offsets as they stand, also where a transaction is about to replace them.
const UNSTABLE: &str = "log.control.unstable_offsets";
/// Does not compare the changelog with what stands beside the offsets.
const TRUST: &str = "worker.control.trust_changelog";

/// That of the windows behind the repartition.
const CHANGELOG: &str = "torture-sums-changelog";

/// No test needs the markers to be held up for longer.
const HELD: Duration = Duration::from_secs(120);

/// Who has not heard how a transaction ended.
enum Unaware {
    /// A leader of the changelog; the group's coordinator has.
    Changelog,
    /// The group's coordinator.
    Group,
}

struct World {
    scenario: Scenario,
    _cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl World {
    fn new(name: &str) -> Result<World> {
        let (cluster, proxies) = Cluster::start_behind_proxies()?;
        Ok(World { scenario: Scenario::on_cluster(name, &cluster)?, _cluster: cluster, proxies })
    }

    /// Kills a daemon with a commit behind it of which `unaware` has not heard; then starts an heir, which has nothing stored.
    fn take_over(&mut self, mut owner: Daemon, unaware: Unaware, heir: &str, failpoints: &str) -> Result<Daemon> {
        let load = self.scenario.begin_load(1000)?;
        match unaware {
            Unaware::Changelog => self.hide_a_commit_from_the_changelog()?,
            Unaware::Group => self.hide_a_commit_from_the_group()?,
        }
        owner.kill();
        self.scenario.end_load(load)?;
        let failpoints = format!("{SHORT_CYCLES}{failpoints}");
        self.scenario.daemon(heir).env("FAILPOINTS", failpoints).start()
    }

    /// Returns when a commit's offsets are still those of an open transaction.
    fn hide_a_commit_from_the_group(&self) -> Result {
        // Of the first commit of all, a group without offsets would tell.
        wait::until("results", READY, || self.copied(), |count| *count > 0)?;
        let coordinator = self.scenario.client.group(&self.scenario.group())?.coordinator;
        let proxy = &self.proxies[coordinator as usize - 1];
        proxy.add(Rule::always(Api::WriteTxnMarkers, Action::Hold(HELD)));
        proxy.wait_until_acted(1, READY)?;
        // The other nodes are told meanwhile.
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    /// Returns when a commit is half told.
    fn hide_a_commit_from_the_changelog(&self) -> Result {
        let client = &self.scenario.client;
        let changelog = self.scenario.topic(CHANGELOG);
        let coordinator = client.group(&self.scenario.group())?.coordinator;
        let partitions = client.describe_topic(&changelog)?;
        let held = partitions.iter().find(|info| info.leader.is_some_and(|leader| leader != coordinator));
        let (partition, node) =
            held.and_then(|info| Some((info.partition, info.leader?))).ok_or("nobody else leads")?;
        let proxy = &self.proxies[node as usize - 1];
        for _ in 0..30 {
            proxy.add(Rule::always(Api::WriteTxnMarkers, Action::Hold(HELD)));
            proxy.wait_until_acted(1, READY)?;
            // The other nodes are told meanwhile.
            std::thread::sleep(Duration::from_millis(500));
            let end = |which| client.offsets(&changelog, which).map(|ends| ends.get(&partition).copied().unwrap_or(0));
            let (committed, written) = (end(Which::Committed)?, end(Which::Latest)?);
            if committed > 0 && committed < written {
                return Ok(());
            }
            // Of what that transaction wrote, something else was there.
            proxy.clear();
            std::thread::sleep(Duration::from_millis(300));
        }
        Err("no transaction was caught that wrote to the changelog".into())
    }

    fn release(&self) {
        self.proxies.iter().for_each(Proxy::clear);
    }

    fn copied(&self) -> Result<usize> {
        Ok(self.scenario.client.read(&self.scenario.topic("copied"))?.len())
    }
}

fn markers_of_the_changelog_are_waited_for() -> Result {
    let mut world = World::new("markers")?;
    let first = world.scenario.start("a")?;
    // By itself: without what stands beside the offsets.
    let mut second = world.take_over(first, Unaware::Changelog, "b", &format!(";{TRUST}=return"))?;
    second.wait_until_it_says("assigned", READY)?;
    std::thread::sleep(Duration::from_secs(3));
    ensure!(second.get("/ready")?.status == 503, "it says that it is ready: {}", second.output.tail(20));
    world.release();
    second.wait_until_ready(READY)?;
    world.scenario.settle()?;
    // Without it, what stands beside the offsets is a second guard: it says that a part of the changelog is missing.
    let before = world.copied()?;
    let mut third = world.take_over(second, Unaware::Changelog, "c", &format!(";{COMMITTED_END}=return"))?;
    third.wait_until_it_says("is missing or cut off", READY)?;
    ensure!(third.get("/ready")?.status == 503, "it says that it is ready: {}", third.output.tail(20));
    world.release();
    third.wait_until_ready(READY)?;
    world.scenario.settle()?;
    wait::until("results", READY, || world.copied(), |count| *count > before).map(drop)
}

fn restoring_up_to_the_committed_end_is_seen() -> Result {
    let mut world = World::new("control-markers")?;
    let first = world.scenario.start("a")?;
    let failpoints = format!(";{COMMITTED_END}=return;{TRUST}=return");
    let mut second = world.take_over(first, Unaware::Changelog, "b", &failpoints)?;
    // Where each changelog ends has been asked before the first is read.
    second.wait_until_it_says("restored", READY)?;
    world.release();
    second.wait_until_ready(READY)?;
    seen(COMMITTED_END, world.scenario.settle_within(Duration::from_secs(30)).map(drop))
}

fn offsets_of_an_ended_transaction_are_waited_for() -> Result {
    let mut world = World::new("unstable")?;
    let first = world.scenario.start("a")?;
    let mut second = world.take_over(first, Unaware::Group, "b", "")?;
    second.wait_until_it_says("is part of a transaction that has not ended", READY)?;
    ensure!(second.get("/ready")?.status == 503, "it says that it is ready: {}", second.output.tail(20));
    world.release();
    second.wait_until_ready(READY)?;
    // A wait that a start knows is nothing to be warned of.
    let of_wait = |line: &&serde_json::Value| line.to_string().contains("UNSTABLE_OFFSET_COMMIT");
    let lines = told::lines(&second);
    ensure!(lines.iter().filter(of_wait).all(|line| line["level"] == "info"), "{lines:#?}");
    world.scenario.settle().map(drop)
}

fn offsets_about_to_be_replaced_are_seen() -> Result {
    let mut world = World::new("control-unstable")?;
    let first = world.scenario.start("a")?;
    // What stands beside older offsets is an older changelog, of which some may have been cut off meanwhile: a second guard.
    let mut second = world.take_over(first, Unaware::Group, "b", &format!(";{UNSTABLE}=return;{TRUST}=return"))?;
    // Offsets are read before the first changelog.
    second.wait_until_it_says("restored", READY)?;
    world.release();
    second.wait_until_ready(READY)?;
    seen(UNSTABLE, world.scenario.settle_within(Duration::from_secs(30)).map(drop))
}
