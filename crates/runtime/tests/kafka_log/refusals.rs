//! Brokers that are not there, do not know us, or do not let us: each has its own sentence, soon, and without a secret in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_harness::admin::Acl;
use millstream_harness::broker::{Access, BrokerOptions};
use millstream_harness::suite::Trial;
use millstream_harness::tls::Tls;
use millstream_harness::{Broker, Message, Result, ensure, ports, process, tests, wait};
use millstream_runtime::log::kafka::{KafkaLog, KafkaLogSettings};
use millstream_runtime::log::{FailureKind, Log, LogError, NewRecord, TopicSettings};

use super::common::{LONG, Told, append, init, ready, settings};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        nobody_listens,
        nobody_has_the_name,
        a_property_that_is_not_there_is_named,
        a_password_that_is_wrong,
        a_certificate_that_nobody_vouches_for,
        plain_words_to_a_listener_with_tls,
        each_right_that_is_missing_is_named,
        times_before_1970,
    ]
}

const CANARY: &str = "canary-4711";

fn refusal(settings: KafkaLogSettings) -> Result<(LogError, Duration)> {
    let began = Instant::now();
    let error = KafkaLog::connect(settings).err().ok_or("it connected")?;
    let took = began.elapsed();
    let text = error.to_string();
    ensure!(!text.contains(CANARY), "a secret is told: {text}");
    ensure!(took < Duration::from_secs(10), "it took {took:?} to say: {text}");
    Ok((error, took))
}

fn nobody_listens() -> Result {
    let port = ports::free();
    let (error, _) = refusal(settings(&format!("127.0.0.1:{port}"), "nobody"))?;
    let text = error.to_string();
    ensure!(error.kind() == FailureKind::Retriable && text.contains(&format!("127.0.0.1:{port}")), "{text}");
    ensure!(text.contains("refused") && text.contains("bootstrap.servers"), "{text}");
    Ok(())
}

fn nobody_has_the_name() -> Result {
    let (error, _) = refusal(settings("no-such-host.invalid:9092", "nobody"))?;
    let text = error.to_string();
    ensure!(error.kind() == FailureKind::Retriable && text.contains("no-such-host.invalid"), "{text}");
    Ok(())
}

fn a_property_that_is_not_there_is_named() -> Result {
    let mut with = settings("127.0.0.1:1", "property");
    with.properties.insert("sasl.passwort".to_owned(), CANARY.to_owned());
    let (error, took) = refusal(with)?;
    ensure!(error.kind() == FailureKind::Refused && error.to_string().contains("sasl.passwort"), "{error}");
    ensure!(took < Duration::from_secs(1), "{took:?}");
    Ok(())
}

fn with(mut settings: KafkaLogSettings, properties: &[(&str, &str)]) -> KafkaLogSettings {
    let owned = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.properties.extend(owned);
    settings
}

fn a_password_that_is_wrong() -> Result {
    let users = vec![("alice".to_owned(), "wonder".to_owned())];
    let broker = Broker::start_with(BrokerOptions { users, ..BrokerOptions::default() })?;
    broker.client().create_topic("secret", 1)?;
    let as_alice = |password: &str| {
        let sasl = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", password),
        ];
        with(settings(&broker.sasl_bootstrap(), "secret"), &sasl)
    };
    let (error, took) = refusal(as_alice(CANARY))?;
    let text = error.to_string();
    ensure!(error.kind() == FailureKind::Refused && text.contains("sasl.password"), "{text}");
    ensure!(took < Duration::from_secs(5), "{took:?}");
    let mut log = KafkaLog::connect(as_alice("wonder")).told()?;
    init(&mut log)?;
    append(&mut log, "secret", 0, &["told"])?;
    log.commit("secret", &BTreeMap::new()).told()?;
    Ok(())
}

fn tls_broker() -> Result<(Broker, Tls, Box<dyn std::any::Any>)> {
    let folder = process::temp_folder("tls")?;
    let tls = Tls::make(folder.path())?;
    let broker = Broker::start_with(BrokerOptions { tls: Some(tls.clone()), ..BrokerOptions::default() })?;
    Ok((broker, tls, Box::new(folder)))
}

fn a_certificate_that_nobody_vouches_for() -> Result {
    let (broker, tls, _folder) = tls_broker()?;
    let over_tls = |properties: &[(&str, &str)]| {
        let settings = with(settings(&broker.tls_bootstrap(), "tls"), &[("security.protocol", "ssl")]);
        with(settings, properties)
    };
    let (error, took) = refusal(over_tls(&[]))?;
    let text = error.to_string();
    ensure!(error.kind() == FailureKind::Refused && text.contains("certificate"), "{text}");
    ensure!(text.contains("ssl.ca.location") && took < Duration::from_secs(5), "{took:?}: {text}");
    let ca = tls.ca.display().to_string();
    let key = tls.client.display().to_string();
    let keystore =
        [("ssl.ca.location", ca.as_str()), ("ssl.keystore.location", &key), ("ssl.keystore.password", CANARY)];
    let (error, _) = refusal(over_tls(&keystore))?;
    ensure!(error.to_string().contains("ssl.keystore.location"), "{error}");
    let keystore = [keystore[0], keystore[1], ("ssl.keystore.password", millstream_harness::tls::PASSWORD)];
    KafkaLog::connect(over_tls(&keystore)).told()?;
    Ok(())
}

fn plain_words_to_a_listener_with_tls() -> Result {
    let (broker, _tls, _folder) = tls_broker()?;
    let (error, _) = refusal(settings(&broker.tls_bootstrap(), "plain"))?;
    ensure!(error.to_string().contains(&broker.tls_bootstrap()), "{error}");
    Ok(())
}

fn each_right_that_is_missing_is_named() -> Result {
    let users = vec![("alice".to_owned(), "wonder".to_owned())];
    let options = BrokerOptions { users, access: Access::Checked, ..BrokerOptions::default() };
    let broker = Broker::start_with(options)?;
    let admin = broker.client();
    admin.create_topic("in", 1)?;
    admin.create_topic("out", 1)?;
    admin.produce("in", &[Message::value("1")])?;
    let as_alice = || {
        let sasl = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", "wonder"),
        ];
        KafkaLog::connect(with(settings(&broker.sasl_bootstrap(), "rights"), &sasl)).told()
    };
    let mut log = as_alice()?;
    let refused = |error: LogError, words: &[&str]| -> Result {
        let text = error.to_string();
        ensure!(error.kind() == FailureKind::Refused, "{:?}: {text}", error.kind());
        ensure!(words.iter().all(|word| text.contains(word)), "{words:?} are not all in: {text}");
        Ok(())
    };
    let allow = |resource: &str, name: &str, operations: &[&str]| -> Result {
        for operation in operations {
            admin.allow(Acl { user: "alice", resource, name, operation })?;
        }
        Ok(())
    };

    // Without any right a topic is as if it were not there, but for its name: that is what brokers tell.
    let asked = log.partitions("in");
    ensure!(matches!(asked, Ok(None)) || asked.as_ref().is_err_and(|e| e.kind() == FailureKind::Refused), "{asked:?}");
    refused(log.committed("rights").expect_err("no right"), &["group rights", "READ on the group"])?;
    allow("group", "rights", &["read", "describe"])?;
    wait::until_true("the right on the group", LONG, || Ok(log.committed("rights").is_ok()))?;

    refused(log.init_producer(LONG).expect_err("no right"), &["rights-0", "transactional id"])?;
    allow("transactional_id", "rights-0", &["write", "describe"])?;
    wait::until_true("the right on the id", LONG, || Ok(log.init_producer(LONG).is_ok()))?;

    allow("topic", "in", &["describe"])?;
    wait::until_true("the right to see the topic", LONG, || Ok(log.partitions("in").is_ok_and(|p| p == Some(1))))?;
    log.subscribe(&["in".to_owned()]).told()?;
    let error = fetch_until_error(&mut log)?;
    refused(error, &["in", "READ for sources"])?;

    allow("topic", "out", &["describe"])?;
    wait::until_true("the right to see the topic", LONG, || Ok(log.partitions("out").is_ok_and(|p| p == Some(1))))?;
    let record = NewRecord { key: None, value: Some(b"1"), timestamp: Millis(1), headers: &[] };
    let written = log.append("out", PartitionId(0), record).and_then(|()| log.commit("rights", &BTreeMap::new()));
    refused(written.expect_err("no right"), &["out", "WRITE for outputs"])?;

    refused(log.create_topic("new", TopicSettings::user(1)).expect_err("no right"), &["topic new", "right"])?;
    log.trim("in", PartitionId(0), Offset(1)).told()?;
    let counted = || {
        log.poll(Duration::from_millis(20)).ok();
        Ok(log.counters().trims_refused)
    };
    wait::until("the refused trim", LONG, counted, |refused| *refused == 1)?;
    Ok(())
}

fn fetch_until_error(log: &mut KafkaLog) -> Result<LogError> {
    use millstream_runtime::log::kafka::GroupEvent;
    use millstream_runtime::log::{ReadLimit, Records};
    let until = Instant::now() + LONG;
    let mut records = Records::new();
    loop {
        match log.poll(Duration::from_millis(50)) {
            Err(error) => return Ok(error),
            Ok(Some(GroupEvent::Assigned(given))) => {
                let at = given.into_iter().map(|partition| (partition, Offset(0))).collect();
                log.assign(&at).told()?;
            }
            Ok(_) => {}
        }
        if let Err(error) = log.read("in", PartitionId(0), Offset(0), ReadLimit::default(), &mut records) {
            return Ok(error);
        }
        ensure!(Instant::now() < until && records.is_empty(), "there was no error, {} records", records.len());
    }
}

/// Times before 1970 are kept; only the first millisecond of that year cannot be said.
fn times_before_1970() -> Result {
    Broker::shared()?.client().create_topic("old", 1)?;
    let mut log = ready("old")?;
    let times = [-1_000_000_000_000, -1, 0, 1];
    for time in times {
        let record = NewRecord { key: None, value: Some(b"v"), timestamp: Millis(time), headers: &[] };
        log.append("old", PartitionId(0), record).told()?;
    }
    log.commit("old", &BTreeMap::new()).told()?;
    let read: Vec<i64> = Broker::shared()?.client().read_settled("old")?.iter().map(|read| read.timestamp).collect();
    // The client library takes 0 for "now", and a result must not depend on when it is written.
    ensure!(read == [times[0], times[1], 1, times[3]], "{read:?}");
    Ok(())
}
