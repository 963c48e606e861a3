//! Brokers that stop, die, freeze and come back under a running pipeline.

use std::time::Duration;

use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::{Broker, Cluster, Proxy, Result, ensure, suite, tests};

use crate::scenario::{READY, Scenario};
use crate::told;

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        a_broker_restarts_dies_and_freezes,
        a_broker_that_starts_again_knows_what_it_took_and_could_not_say,
        a_broker_that_is_not_there_is_said,
        a_cluster_loses_its_leaders,
    ]
}

fn a_broker_restarts_dies_and_freezes() -> Result {
    let mut broker = Broker::start()?;
    let mut scenario = Scenario::on("restarts", &broker)?;
    let mut daemon = scenario.start("a")?;
    for fault in ["restart", "kill", "short freeze", "long freeze", "kill"] {
        let load = scenario.begin_load(1000)?;
        std::thread::sleep(Duration::from_millis(700));
        match fault {
            "restart" => broker.restart()?,
            "kill" => {
                broker.kill();
                std::thread::sleep(Duration::from_secs(1));
                broker.restart()?;
            }
            freeze => {
                broker.pause();
                std::thread::sleep(Duration::from_secs(if freeze == "long freeze" { 15 } else { 2 }));
                broker.resume();
            }
        }
        std::thread::sleep(Duration::from_millis(500));
        scenario.end_load(load)?;
        scenario.settle().map_err(|trouble| {
            format!("after {fault}: {trouble}\n{}\n{}", state_of(&scenario), daemon.output.tail(40))
        })?;
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

/// The results' times are long ago, and of a producer whose records are so a broker remembers nothing when it starts again, but for
/// a transaction that is open: what is sent again is known there.
fn a_broker_that_starts_again_knows_what_it_took_and_could_not_say() -> Result {
    let mut broker = Broker::start()?;
    let proxy = Proxy::before(&broker)?;
    let mut scenario = Scenario::on("unsaid", &broker)?;
    let mut daemon = scenario.daemon_at("a", &proxy.bootstrap()).start()?;
    daemon.wait_until_ready(READY)?;
    for fault in ["restart", "kill", "restart", "kill"] {
        let load = scenario.begin_load(500)?;
        std::thread::sleep(Duration::from_millis(700));
        let acted = proxy.acted();
        proxy.add(Rule::once(Api::Produce, Action::DropAnswer));
        proxy.wait_until_acted(acted + 1, Duration::from_secs(20))?;
        std::thread::sleep(Duration::from_millis(200));
        if fault == "kill" {
            broker.kill();
        }
        broker.restart()?;
        scenario.end_load(load)?;
        scenario.settle().map_err(|trouble| format!("after {fault}: {trouble}\n{}", daemon.output.tail(40)))?;
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

fn a_broker_that_is_not_there_is_said() -> Result {
    let mut broker = Broker::start()?;
    let mut scenario = Scenario::on("absent", &broker)?;
    broker.stop()?;
    let mut daemon = scenario.daemon("a").start()?;
    let what = format!("the brokers at {} do not answer: ", broker.bootstrap());
    let way_out = "check bootstrap.servers and that the brokers are up";
    told::wait_for_error(&mut daemon, &scenario.group(), &[&what, way_out], Duration::from_secs(10))?;
    ensure!(daemon.get("/live")?.status == 200, "it is not alive");
    // What the client's library says of it is of the same pipeline.
    let of_library: Vec<_> = told::lines(&daemon).into_iter().filter(|line| line["target"] == "librdkafka").collect();
    let is_whole = |line: &serde_json::Value| line["pipeline"] == scenario.group().as_str() && line["thread"] == 0;
    ensure!(!of_library.is_empty() && of_library.iter().all(is_whole), "{of_library:#?}");
    broker.restart()?;
    daemon.wait_until_ready(READY)?;
    scenario.write(500)?;
    scenario.settle().map(drop)
}

/// How the cluster stands, for who has to find out why nothing comes.
fn state_of(scenario: &Scenario) -> String {
    let client = &scenario.client;
    let topics = client.topics().unwrap_or_default();
    let lacking = topics.iter().filter_map(|topic| {
        let partitions = client.describe_topic(topic).ok()?;
        let lacks = partitions.iter().any(|info| info.leader.is_none() || info.in_sync < info.replicas);
        lacks.then(|| format!("{topic}: {partitions:?}"))
    });
    let lacking: Vec<String> = lacking.collect();
    let offsets = client.group_offsets(&scenario.group());
    format!("lacking replicas: {lacking:#?}; transactions: {:?}; offsets: {offsets:?}", client.transactions())
}

fn a_cluster_loses_its_leaders() -> Result {
    let mut cluster = Cluster::start()?;
    let mut scenario = Scenario::on_cluster("leaders", &cluster)?;
    let mut daemon = scenario.start("a")?;
    let topics: Vec<String> =
        ["events", "copied", "torture-rolling-changelog"].iter().map(|topic| scenario.topic(topic)).collect();
    for topic in topics.iter().map(String::as_str).chain(["__transaction_state", "__consumer_offsets"]) {
        let load = scenario.begin_load(1000)?;
        std::thread::sleep(Duration::from_millis(700));
        let leader = cluster.leader_of(topic, 0)?.ok_or_else(|| format!("nobody leads {topic}"))?;
        cluster.kill(leader);
        std::thread::sleep(Duration::from_secs(2));
        cluster.restart(leader)?;
        scenario.end_load(load)?;
        scenario.settle().map_err(|trouble| {
            let cluster = state_of(&scenario);
            format!("after the leader of {topic} was killed: {trouble}\n{cluster}\n{}", daemon.output.tail(20))
        })?;
        cluster.wait_for_replicas(&[topic])?;
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}
