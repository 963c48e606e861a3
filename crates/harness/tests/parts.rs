//! The parts themselves: a broker that stops and comes back, a foreign client, a proxy that loses what it is told to lose.

#![allow(clippy::disallowed_methods)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use millstream_harness::admin::Which;
use millstream_harness::broker::BrokerOptions;
use millstream_harness::foreign::{Isolation, Positions};
use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::tls::{PASSWORD, Tls};
use millstream_harness::{Broker, Cluster, Message, Proxy, Result, ensure, process, suite, tests};

fn main() -> ExitCode {
    suite::main(
        2,
        tests![
            what_is_written_is_read,
            java_partitions_by_key,
            an_answer_that_is_lost_is_asked_for_again,
            a_stranded_request_arrives_late,
            a_broker_comes_back_with_its_data,
            a_frozen_broker_goes_on,
            tls_and_sasl_are_served,
            a_cluster_survives_its_leader,
        ],
    )
}

fn what_is_written_is_read() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic_with("written", 2, &[("retention.ms", "123456789")])?;
    let headers = vec![("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), None)];
    let message = Message { headers: headers.clone(), ..Message::keyed("k", [0, 255, 10]).to(1).at(77) };
    let places = client.produce("written", &[message, Message { value: None, ..Message::keyed("k", "") }.to(1)])?;
    ensure!(places == [(1, 0), (1, 1)], "{places:?}");
    let read = client.read("written")?;
    ensure!(read.len() == 2 && read[1].value.is_none(), "{read:?}");
    let first = &read[0];
    ensure!(first.key.as_deref() == Some(b"k") && first.value.as_deref() == Some(&[0, 255, 10]), "{first:?}");
    ensure!(first.timestamp == 77 && first.headers == headers, "{first:?}");

    let (rest, positions) = client.read_from("written", Isolation::Committed, &Positions::from([(1, 1)]))?;
    ensure!(rest.len() == 1 && positions == Positions::from([(0, 0), (1, 2)]), "{rest:?} {positions:?}");
    client.delete_records("written", 1, 1)?;
    ensure!(client.offsets("written", Which::Earliest)?[&1] == 1, "the record was not deleted");
    ensure!(client.topic_config("written")?["retention.ms"] == "123456789", "the setting was not set");
    client.add_partitions("written", 3)?;
    ensure!(client.describe_topic("written")?.len() == 3, "no partition was added");
    let error = client.create_topic("written", 1).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("TopicExistsException"), "{error}");
    Ok(())
}

fn java_partitions_by_key() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("by_key", 4)?;
    let keys = ["a", "b", "c", "AAPL", "MSFT", ""];
    let messages: Vec<Message> = keys.iter().map(|key| Message::keyed(*key, "v")).collect();
    let places: Vec<u32> = client.produce("by_key", &messages)?.iter().map(|(partition, _)| *partition).collect();
    let again: Vec<u32> = client.produce("by_key", &messages)?.iter().map(|(partition, _)| *partition).collect();
    ensure!(places == again && places.iter().any(|partition| *partition != places[0]), "{places:?} {again:?}");
    Ok(())
}

fn an_answer_that_is_lost_is_asked_for_again() -> Result {
    let broker = Broker::start()?;
    let proxy = Proxy::before(&broker)?;
    let client = proxy.client().with("linger.ms", "0");
    client.create_topic("lost", 1)?;
    for (times, action) in (0..).zip([Action::CutAnswer, Action::CutRequest, Action::Delay(Duration::from_millis(300))])
    {
        proxy.clear();
        proxy.add(Rule::once(Api::Produce, action));
        client.produce("lost", &[Message::value(format!("{times}"))])?;
        ensure!(proxy.acted() == 1, "{action:?} did not act");
        let read = broker.client().read("lost")?;
        ensure!(read.len() == times + 1, "after {action:?}: {read:?}");
    }
    proxy.down();
    let later = client.produce_later("lost", &[Message::value("down")])?;
    std::thread::sleep(Duration::from_millis(300));
    proxy.up();
    later.wait()?;
    ensure!(broker.client().read("lost")?.len() == 4, "what was written while the proxy was down is not there");
    Ok(())
}

fn a_stranded_request_arrives_late() -> Result {
    let broker = Broker::start()?;
    let proxy = Proxy::before(&broker)?;
    // Without a producer id the broker cannot know a request that comes twice.
    let client = proxy.client().with("enable.idempotence", "false").with("linger.ms", "0");
    client.create_topic("late", 1)?;
    proxy.add(Rule::once(Api::Produce, Action::Strand(Duration::from_secs(60))));
    client.produce("late", &[Message::value("twice")])?;
    ensure!(broker.client().read("late")?.len() == 1, "it arrived already");
    proxy.release();
    let read = || broker.client().read("late").map(|read| read.len());
    millstream_harness::wait::until("the late request", Duration::from_secs(10), read, |count| *count == 2)?;
    Ok(())
}

fn a_broker_comes_back_with_its_data() -> Result {
    let mut broker = Broker::start()?;
    let client = broker.client();
    client.create_topic("kept", 1)?;
    client.produce("kept", &[Message::value("1")])?;
    broker.kill();
    ensure!(!broker.is_running(), "it runs on");
    broker.restart()?;
    client.produce("kept", &[Message::value("2")])?;
    broker.stop()?;
    broker.restart()?;
    let read = client.read("kept")?;
    ensure!(read.len() == 2, "{read:?}");
    Ok(())
}

fn a_frozen_broker_goes_on() -> Result {
    let broker = &mut Broker::start()?;
    let client = broker.client();
    client.create_topic("frozen", 1)?;
    client.produce("frozen", &[Message::value("1")])?;
    let began = Instant::now();
    broker.pause();
    let later = client.produce_later("frozen", &[Message::value("2")])?;
    std::thread::sleep(Duration::from_secs(1));
    broker.resume();
    later.wait()?;
    ensure!(began.elapsed() >= Duration::from_secs(1), "it was not frozen");
    Ok(())
}

fn tls_and_sasl_are_served() -> Result {
    let folder = process::temp_folder("tls")?;
    let tls = Tls::make(folder.path())?;
    let users = vec![("alice".to_owned(), "wonder".to_owned())];
    let options = BrokerOptions { tls: Some(tls.clone()), users, ..BrokerOptions::default() };
    let broker = Broker::start_with(options)?;
    broker.client().create_topic("safe", 1)?;
    broker.client().set_scram_user("bob", "builder", "SCRAM-SHA-256")?;
    let login = |module: &str, name: &str, word: &str| {
        format!("org.apache.kafka.common.security.{module} required username=\"{name}\" password=\"{word}\";")
    };
    let over_tls = |client: millstream_harness::Client| {
        client.with("ssl.truststore.type", "PEM").with("ssl.truststore.location", &tls.ca.display().to_string())
    };
    let mutual = over_tls(millstream_harness::Client::new(&broker.tls_bootstrap()))
        .with("security.protocol", "SSL")
        .with("ssl.keystore.type", "PKCS12")
        .with("ssl.keystore.location", &tls.client.display().to_string())
        .with("ssl.keystore.password", PASSWORD);
    let plain = millstream_harness::Client::new(&broker.sasl_bootstrap())
        .with("security.protocol", "SASL_PLAINTEXT")
        .with("sasl.mechanism", "PLAIN");
    let alice = plain.clone().with("sasl.jaas.config", &login("plain.PlainLoginModule", "alice", "wonder"));
    let stranger = plain.with("sasl.jaas.config", &login("plain.PlainLoginModule", "alice", "under"));
    let bob = over_tls(millstream_harness::Client::new(&broker.sasl_tls_bootstrap()))
        .with("security.protocol", "SASL_SSL")
        .with("sasl.mechanism", "SCRAM-SHA-256")
        .with("sasl.jaas.config", &login("scram.ScramLoginModule", "bob", "builder"));
    for (client, count) in [(mutual, 1), (alice, 2), (bob, 3)] {
        client.produce("safe", &[Message::value("x")])?;
        let read = client.read("safe")?;
        ensure!(read.len() == count, "{read:?}");
    }
    let refused = stranger.topics().err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("SaslAuthenticationException"), "{refused}");
    Ok(())
}

fn a_cluster_survives_its_leader() -> Result {
    let mut cluster = Cluster::start()?;
    let client = cluster.client();
    client.create_topic("safe", 3)?;
    client.produce("safe", &[Message::value("1").to(0)])?;
    let leader = cluster.leader_of("safe", 0)?.ok_or("nobody leads")?;
    cluster.kill(leader);
    client.produce("safe", &[Message::value("2").to(0)])?;
    ensure!(cluster.leader_of("safe", 0)? != Some(leader), "a dead node leads");
    cluster.restart(leader)?;
    cluster.wait_for_replicas(&["safe"])?;
    let read = client.read("safe")?;
    ensure!(read.len() == 2, "{read:?}");
    Ok(())
}
