//! A network that loses, delays and cuts, between the daemon and its broker; above all around the end of a transaction, where
//! an answer that is lost leaves it open whether the epoch is done.

use std::time::Duration;

use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::{Broker, Proxy, Result, ensure, suite, tests};

use crate::controls::seen;
use crate::scenario::{READY, SHORT_CYCLES, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![
        ends_of_transactions_are_lost,
        a_stranded_commit_does_not_end_the_next_transaction,
        without_retirement_a_stranded_commit_does,
        every_kind_of_request_is_lost_once,
        the_network_is_down_for_a_while,
        while_no_producer_is_given_the_daemon_is_not_ready,
    ]
}

/// A scenario whose daemons go through the proxy.
fn through(name: &str, broker: &Broker) -> Result<(Scenario, Proxy)> {
    Ok((Scenario::on(name, broker)?, Proxy::before(broker)?))
}

fn ends_of_transactions_are_lost() -> Result {
    let broker = Broker::start()?;
    let (mut scenario, proxy) = through("ends", &broker)?;
    let mut daemon = scenario.daemon_at("a", &proxy.bootstrap()).start()?;
    daemon.wait_until_ready(READY)?;
    let delay = Duration::from_secs(2);
    let actions =
        [Action::CutAnswer, Action::CutRequest, Action::DropAnswer, Action::DropRequest, Action::Delay(delay)];
    for action in actions {
        let load = scenario.begin_load(1000)?;
        std::thread::sleep(Duration::from_millis(300));
        proxy.clear();
        proxy.add(Rule::once(Api::EndTxn, action).after(3));
        proxy.wait_until_acted(1, Duration::from_secs(20))?;
        std::thread::sleep(Duration::from_millis(300));
        scenario.end_load(load)?;
        scenario.settle().map_err(|trouble| format!("after {action:?}: {trouble}"))?;
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

/// The commit of an epoch breaks off at the client; the broker gets it only when the next transaction has begun. The epoch
/// before it is told as done by the retry.
fn strand_commits(name: &str, failpoints: &str) -> Result {
    let broker = Broker::start()?;
    let (mut scenario, proxy) = through(name, &broker)?;
    let mut daemon =
        scenario.daemon_at("a", &proxy.bootstrap()).env("FAILPOINTS", format!("{SHORT_CYCLES}{failpoints}")).start()?;
    daemon.wait_until_ready(READY)?;
    for _ in 0..6 {
        let load = scenario.begin_load(2000)?;
        std::thread::sleep(Duration::from_millis(500));
        proxy.clear();
        proxy.add(Rule::once(Api::EndTxn, Action::Strand(Duration::from_secs(30))));
        proxy.wait_until_acted(1, Duration::from_secs(20))?;
        // Until the next transaction is well under way.
        let before = proxy.seen(Api::EndTxn);
        millstream_harness::wait::until("the retry", READY, || Ok(proxy.seen(Api::EndTxn)), |seen| *seen > before)?;
        std::thread::sleep(Duration::from_millis(60));
        proxy.release();
        std::thread::sleep(Duration::from_millis(500));
        scenario.end_load(load)?;
        scenario.settle_within(Duration::from_secs(40))?;
    }
    Ok(())
}

fn a_stranded_commit_does_not_end_the_next_transaction() -> Result {
    strand_commits("strand", "")
}

fn without_retirement_a_stranded_commit_does() -> Result {
    let control = "log.control.keep_producer";
    seen(control, strand_commits("control-strand", &format!(";{control}=return")))
}

fn every_kind_of_request_is_lost_once() -> Result {
    let broker = Broker::start()?;
    let (mut scenario, proxy) = through("requests", &broker)?;
    let apis = [
        Api::Produce,
        Api::Fetch,
        Api::AddPartitionsToTxn,
        Api::AddOffsetsToTxn,
        Api::TxnOffsetCommit,
        Api::Heartbeat,
        Api::OffsetFetch,
        Api::InitProducerId,
        Api::FindCoordinator,
        Api::JoinGroup,
        Api::SyncGroup,
    ];
    // Some come only at the start.
    for api in apis {
        for action in [Action::CutAnswer, Action::CutRequest] {
            proxy.clear();
            proxy.add(Rule::once(api, action));
            let load = scenario.begin_load(500)?;
            let mut daemon = scenario.daemon_at("a", &proxy.bootstrap()).start()?;
            proxy.wait_until_acted(1, Duration::from_secs(30)).map_err(|late| format!("{api:?} {action:?}: {late}"))?;
            std::thread::sleep(Duration::from_millis(500));
            scenario.end_load(load)?;
            scenario.settle().map_err(|trouble| format!("after {api:?} {action:?}: {trouble}"))?;
            let status = daemon.stop(Duration::from_secs(10))?;
            ensure!(status.success(), "{status}: {}", daemon.output.tail(20));
        }
    }
    Ok(())
}

fn the_network_is_down_for_a_while() -> Result {
    let broker = Broker::start()?;
    let (mut scenario, proxy) = through("down", &broker)?;
    let mut daemon = scenario.daemon_at("a", &proxy.bootstrap()).start()?;
    daemon.wait_until_ready(READY)?;
    // Shorter than the session time-out, longer than it, and longer than a transaction may last.
    for seconds in [1, 8, 14] {
        let load = scenario.begin_load(500)?;
        std::thread::sleep(Duration::from_millis(500));
        proxy.down();
        std::thread::sleep(Duration::from_secs(seconds));
        proxy.up();
        std::thread::sleep(Duration::from_millis(500));
        scenario.end_load(load)?;
        scenario.settle().map_err(|trouble| format!("after {seconds} s: {trouble}"))?;
    }
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}

/// An end of a transaction without an answer retires the producer, and the coordinator gives no other.
fn while_no_producer_is_given_the_daemon_is_not_ready() -> Result {
    let broker = Broker::start()?;
    let (mut scenario, proxy) = through("no-producer", &broker)?;
    let mut daemon = scenario.daemon_at("a", &proxy.bootstrap()).start()?;
    daemon.wait_until_ready(READY)?;
    let load = scenario.begin_load(500)?;
    std::thread::sleep(Duration::from_millis(500));
    proxy.add(Rule::always(Api::InitProducerId, Action::CutRequest));
    proxy.add(Rule::once(Api::EndTxn, Action::CutAnswer));
    let said = || Ok(daemon.get("/ready")?.body);
    let connecting = |body: &String| body.contains(r#""reason": "connecting""#);
    millstream_harness::wait::until("the daemon to look for its broker", READY, said, connecting)?;
    proxy.clear();
    daemon.wait_until_ready(READY)?;
    scenario.end_load(load)?;
    scenario.settle()?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    Ok(())
}
