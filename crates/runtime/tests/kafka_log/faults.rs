//! One fault each, and the one right outcome.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use millstream_engine::ids::PartitionId;
use millstream_harness::broker::BrokerOptions;
use millstream_harness::foreign::Isolation;
use millstream_harness::proxy::{Action, Api, Rule};
use millstream_harness::suite::Trial;
use millstream_harness::{Broker, Proxy, Result, Trouble, ensure, tests, wait};
use millstream_runtime::crash::KAFKA_CRASH_POINTS;
use millstream_runtime::log::kafka::{Guarantee, KafkaLog};
use millstream_runtime::log::{FailureKind, Log, LogError, ReadLimit, Records};

use super::common::{LONG, Told, append, init, offsets, place, read_until, ready, settings};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        the_later_of_two_producers_wins,
        a_lost_answer_retires_the_producer,
        a_late_end_ends_no_later_transaction,
        without_retirement_a_late_end_commits_what_is_open,
        open_offsets_are_waited_for,
        offsets_need_not_all_be_stable_at_once,
        a_crash_leaves_all_or_nothing,
        a_transaction_that_took_too_long_is_gone,
        a_wait_can_be_ended,
        a_refused_record_fails_the_epoch_and_says_why,
        a_topic_that_was_deleted_is_not_made_again,
        a_topic_that_is_deleted_while_it_is_read_apart_is_told,
    ]
}

fn values_of(topic: &str) -> Result<Vec<String>> {
    let read = Broker::shared()?.client().read_settled(topic)?;
    Ok(read
        .iter()
        .map(|read| String::from_utf8_lossy(read.value.as_deref().unwrap_or_default()).into_owned())
        .collect())
}

fn the_later_of_two_producers_wins() -> Result {
    Broker::shared()?.client().create_topic("fenced", 1)?;
    let mut first = ready("fenced")?;
    append(&mut first, "fenced", 0, &["from the first"])?;
    let mut second = ready("fenced")?;
    let error = first.commit("fenced", &offsets(&[("fenced", 0, 1, "")])).expect_err("it is fenced");
    ensure!(error.kind() == FailureKind::Fenced, "{:?}: {error}", error.kind());
    ensure!(error.to_string().contains("same transactional id"), "{error}");
    // It does not take the place back by itself.
    let error = append(&mut first, "fenced", 0, &["again"]).expect_err("it is fenced").to_string();
    ensure!(error.contains("Fenced"), "{error}");
    ensure!(first.counters().fences == 1, "{:?}", first.counters());
    append(&mut second, "fenced", 0, &["from the second"])?;
    second.commit("fenced", &BTreeMap::new()).told()?;
    ensure!(values_of("fenced")? == ["from the second"], "{:?}", values_of("fenced"));
    // Asked to, it does.
    init(&mut first)?;
    append(&mut first, "fenced", 0, &["back"])?;
    first.commit("fenced", &BTreeMap::new()).told()?;
    let error = second.commit("fenced", &offsets(&[("fenced", 0, 7, "")])).expect_err("it is fenced now");
    ensure!(error.kind() == FailureKind::Fenced, "{:?}: {error}", error.kind());
    ensure!(values_of("fenced")? == ["from the second", "back"], "{:?}", values_of("fenced"));
    Ok(())
}

/// A broker behind a proxy, a topic, and a log that goes through the proxy.
fn behind_proxy(name: &str) -> Result<(Broker, Proxy, KafkaLog)> {
    let broker = Broker::start()?;
    let proxy = Proxy::before(&broker)?;
    broker.client().create_topic(name, 1)?;
    let mut log = KafkaLog::connect(settings(&proxy.bootstrap(), name)).told()?;
    init(&mut log)?;
    Ok((broker, proxy, log))
}

fn a_lost_answer_retires_the_producer() -> Result {
    let (broker, proxy, mut log) = behind_proxy("lost")?;
    let mut expected = 0;
    for api in [Api::EndTxn, Api::TxnOffsetCommit, Api::AddOffsetsToTxn, Api::AddPartitionsToTxn] {
        for action in [Action::CutAnswer, Action::CutRequest] {
            let before = log.counters();
            proxy.clear();
            proxy.add(Rule::once(api, action));
            append(&mut log, "lost", 0, &["one"])?;
            expected += 1;
            log.commit("lost", &offsets(&[("lost", 0, expected, "")])).told()?;
            ensure!(proxy.acted() == 1, "{api:?} {action:?} did not act");
            let counters = log.counters();
            ensure!(counters.retirements == before.retirements + 1, "{api:?} {action:?}: {counters:?}");
            ensure!(!log.is_producer_ready(), "{api:?} {action:?}: the producer goes on");
            // The next one is made for the next record.
            append(&mut log, "lost", 0, &["two"])?;
            expected += 1;
            log.commit("lost", &offsets(&[("lost", 0, expected, "")])).told()?;
            ensure!(log.counters().retirements == counters.retirements, "it was retired without need");
        }
    }
    let read = broker.client().read_settled("lost")?;
    ensure!(read.len() as i64 == expected, "{} records, {expected} expected", read.len());
    ensure!(log.partitions("lost").told()? == Some(1), "the topic is gone");
    ensure!(log.committed("lost").told()?[&place("lost", 0)].offset.0 == expected, "{:?}", log.committed("lost"));
    Ok(())
}

/// The end of a transaction is sent, the connection breaks before it has arrived, and it is sent again. The first one arrives
/// when the next transaction is open. Returns what a reader then sees of that.
fn seen_of_the_open_transaction(name: &str) -> Result<usize> {
    let (broker, proxy, mut log) = behind_proxy(name)?;
    proxy.add(Rule::once(Api::EndTxn, Action::Strand(Duration::from_secs(60))));
    append(&mut log, name, 0, &["first"])?;
    log.commit(name, &BTreeMap::new()).told()?;
    ensure!(proxy.acted() == 1, "nothing was stranded");
    append(&mut log, name, 0, &["second, and not committed"])?;
    let client = broker.client();
    let uncommitted = || Ok(client.read_from(name, Isolation::Uncommitted, &BTreeMap::new())?.0.len());
    wait::until("the open record", Duration::from_secs(10), uncommitted, |count| *count == 2)?;
    proxy.release();
    thread::sleep(Duration::from_secs(1));
    let seen = client.read(name)?.len() - 1;
    log.abort();
    Ok(seen)
}

fn a_late_end_ends_no_later_transaction() -> Result {
    let seen = seen_of_the_open_transaction("late")?;
    ensure!(seen == 0, "{seen} records of an open transaction are readable");
    Ok(())
}

/// The control: the guard is what keeps the test above.
fn without_retirement_a_late_end_commits_what_is_open() -> Result {
    fail::cfg("log.control.keep_producer", "return").map_err(|error| error.clone())?;
    let seen = seen_of_the_open_transaction("kept");
    fail::remove("log.control.keep_producer");
    ensure!(seen? == 1, "the record of the open transaction is not readable: the guard is not what prevents it");
    Ok(())
}

/// Commits until the crash point stops it, and forgets the log as a crash does.
fn crash_at(point: &str, log: &mut KafkaLog, topic: &str, value: &str, offset: i64) -> Result {
    fail::cfg(point, "return").map_err(|error| error.clone())?;
    let appended = append(log, topic, 0, &[value]);
    let crashed = match appended {
        Ok(()) => log.commit(topic, &offsets(&[(topic, 0, offset, "")])).map(drop).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    fail::remove(point);
    let error = crashed.err().unwrap_or_default();
    ensure!(error.contains(point), "it did not stop at {point}: {error:?}");
    Ok(())
}

/// The first offsets that a partition ever had are part of a transaction that its owner left open: whoever comes next must
/// not take the group for a new one.
fn open_offsets_are_waited_for() -> Result {
    Broker::shared()?.client().create_topic("unstable", 1)?;
    let mut owner = ready("unstable")?;
    crash_at("kafka.offsets_sent", &mut owner, "unstable", "1", 1)?;
    let mut other = settings(&Broker::shared()?.bootstrap(), "unstable");
    other.transactional_id = "unstable-1".to_owned();
    let mut heir = KafkaLog::connect(other).told()?;
    init(&mut heir)?;
    ensure!(heir.partitions("unstable").told()? == Some(1), "the topic is not there");
    let error = heir.committed("unstable").expect_err("they are open");
    ensure!(error.kind() == FailureKind::Retriable, "{:?}: {error}", error.kind());
    ensure!(error.to_string().contains("unstable partition 0"), "{error}");
    // As when the owner comes back: what it left open is aborted.
    std::mem::forget(owner);
    let mut again = ready("unstable")?;
    let committed = || heir.committed("unstable").told();
    let committed = wait::until("stable offsets", Duration::from_secs(10), committed, |_| true)?;
    ensure!(committed.is_empty(), "{committed:?}");
    ensure!(again.partitions("unstable").told()? == Some(1), "the topic is not there");
    again.commit("unstable", &offsets(&[("unstable", 0, 1, "")])).told()?;
    let committed = || heir.committed("unstable").told();
    wait::until("the next offsets", Duration::from_secs(10), committed, |committed| committed.len() == 1)?;
    Ok(())
}

/// A log of the group "busy" with a transactional id of its own.
fn of_busy_group(id: &str) -> Result<KafkaLog> {
    let mut settings = settings(&Broker::shared()?.bootstrap(), "busy");
    settings.transactional_id = format!("busy-{id}");
    let log = KafkaLog::connect(settings).told()?;
    ensure!(log.partitions("busy").told()? == Some(2), "the topic is not there");
    Ok(log)
}

/// Stops when the offset is sent, and leaves the transaction open: until another of its name is initialised.
fn leave_open(log: &mut KafkaLog, partition: u32) -> Result {
    fail::cfg("kafka.offsets_sent", "return").map_err(|error| error.clone())?;
    let committed = append(log, "busy", partition, &["open"])
        .and_then(|()| log.commit("busy", &offsets(&[("busy", partition, 1, "")])).map(drop).told());
    fail::remove("kafka.offsets_sent");
    ensure!(committed.is_err(), "it did not stop");
    Ok(())
}

/// Of two members each is in the middle of a commit in turn, and one of them always.
fn offsets_need_not_all_be_stable_at_once() -> Result {
    Broker::shared()?.client().create_topic("busy", 2)?;
    let reader = of_busy_group("reader")?;
    for round in 0..10 {
        let (mut one, mut other, mut next) = (of_busy_group("one")?, of_busy_group("other")?, of_busy_group("one")?);
        init(&mut one)?;
        init(&mut other)?;
        leave_open(&mut one, 0)?;
        let read = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(150));
                leave_open(&mut other, 1).and_then(|()| init(&mut next)).map_err(|trouble| trouble.to_string())
            });
            let read = reader.committed("busy");
            writing.join().map_err(|_| "the writers panicked")??;
            Ok::<_, Trouble>(read)
        })?;
        init(&mut of_busy_group("other")?)?;
        match read {
            Ok(_) => return Ok(()),
            // Where the other was too slow for the reader's patience.
            Err(error) => ensure!(round < 9, "{error}"),
        }
    }
    Ok(())
}

fn a_crash_leaves_all_or_nothing() -> Result {
    Broker::shared()?.client().create_topic("crashed", 1)?;
    let mut expected: Vec<String> = Vec::new();
    let mut offset = 0;
    for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
        for point in KAFKA_CRASH_POINTS {
            let with = || -> Result<KafkaLog> {
                let mut settings = settings(&Broker::shared()?.bootstrap(), "crashed");
                settings.guarantee = guarantee;
                let mut log = KafkaLog::connect(settings).told()?;
                init(&mut log)?;
                log.partitions("crashed").told()?;
                Ok(log)
            };
            let mut log = with()?;
            let value = format!("{guarantee:?} {point}");
            crash_at(point, &mut log, "crashed", &value, offset + 1)?;
            // Neither committed, nor aborted, nor left: as a process that is killed.
            std::mem::forget(log);
            let heir = with()?;
            let committed = || heir.committed("crashed").told();
            let committed = wait::until("stable offsets", Duration::from_secs(10), committed, |_| true)?;
            let is_committed = committed.get(&place("crashed", 0)).is_some_and(|at| at.offset.0 == offset + 1);
            let is_late = matches!(*point, "kafka.committed");
            match guarantee {
                Guarantee::ExactlyOnce => ensure!(is_committed == is_late, "{value}: {committed:?}"),
                Guarantee::AtLeastOnce => {
                    let sent = matches!(*point, "kafka.offsets_sent" | "kafka.committed");
                    ensure!(is_committed == sent, "{value}: {committed:?}");
                }
            }
            let is_readable = match guarantee {
                Guarantee::ExactlyOnce => is_late,
                Guarantee::AtLeastOnce => *point != "kafka.begin",
            };
            offset += i64::from(is_committed);
            if is_readable {
                expected.push(value);
            }
            ensure!(values_of("crashed")? == expected, "{:?}, not {expected:?}", values_of("crashed"));
        }
    }
    Ok(())
}

fn a_transaction_that_took_too_long_is_gone() -> Result {
    let properties =
        BTreeMap::from([("transaction.abort.timed.out.transaction.cleanup.interval.ms".to_owned(), "200".to_owned())]);
    let broker = Broker::start_with(BrokerOptions { properties, ..BrokerOptions::default() })?;
    broker.client().create_topic("slow", 1)?;
    let mut with = settings(&broker.bootstrap(), "slow");
    with.properties.insert("transaction.timeout.ms".to_owned(), "1000".to_owned());
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    append(&mut log, "slow", 0, &["late"])?;
    thread::sleep(Duration::from_secs(3));
    let error = log.commit("slow", &offsets(&[("slow", 0, 1, "")])).expect_err("its time is over");
    ensure!(matches!(error.kind(), FailureKind::Fenced | FailureKind::Aborted), "{:?}: {error}", error.kind());
    ensure!(error.to_string().contains("transaction.timeout.ms"), "{error}");
    init(&mut log)?;
    append(&mut log, "slow", 0, &["in time"])?;
    log.commit("slow", &offsets(&[("slow", 0, 1, "")])).told()?;
    let read = broker.client().read_settled("slow")?;
    ensure!(read.len() == 1 && read[0].value.as_deref() == Some(b"in time"), "{read:?}");
    Ok(())
}

fn a_wait_can_be_ended() -> Result {
    let mut broker = Broker::start()?;
    broker.client().create_topic("waited", 1)?;
    let mut log = KafkaLog::connect(settings(&broker.bootstrap(), "waited")).told()?;
    init(&mut log)?;
    append(&mut log, "waited", 0, &["one"])?;
    log.commit("waited", &BTreeMap::new()).told()?;
    append(&mut log, "waited", 0, &["two"])?;
    broker.pause();
    let interrupt = log.interrupt();
    let ender = thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        interrupt.set();
    });
    let began = Instant::now();
    let error = log.commit("waited", &BTreeMap::new()).expect_err("nobody answers");
    ensure!(error.kind() == FailureKind::Aborted, "{:?}: {error}", error.kind());
    ensure!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    let began = Instant::now();
    drop(log);
    ensure!(began.elapsed() < Duration::from_secs(4), "the end took {:?}", began.elapsed());
    ender.join().map_err(|_| "the thread failed")?;
    broker.resume();
    Ok(())
}

/// The topic's limit becomes smaller while the producer believes the old one.
fn a_refused_record_fails_the_epoch_and_says_why() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("narrower", 1)?;
    let mut log = ready("narrower")?;
    append(&mut log, "narrower", 0, &["one"])?;
    log.commit("narrower", &BTreeMap::new()).told()?;
    client.set_topic_config("narrower", &[("max.message.bytes", "1000")])?;
    thread::sleep(Duration::from_millis(500));
    let large = "x".repeat(5_000);
    append(&mut log, "narrower", 0, &[&large])?;
    let error = log.commit("narrower", &BTreeMap::new()).expect_err("it does not fit");
    let text = error.to_string();
    ensure!(text.contains("topic narrower partition 0") && text.contains("max.message.bytes"), "{text}");
    // The next producer knows better, so that it is the record that fails and not every epoch.
    init(&mut log)?;
    let error = append(&mut log, "narrower", 0, &[&large]).expect_err("it does not fit").to_string();
    ensure!(error.contains("does not fit topic narrower"), "{error}");
    append(&mut log, "narrower", 0, &["two"])?;
    log.commit("narrower", &BTreeMap::new()).told()?;
    ensure!(values_of("narrower")? == ["one", "two"], "{:?}", values_of("narrower"));
    Ok(())
}

fn a_topic_that_was_deleted_is_not_made_again() -> Result {
    let properties = BTreeMap::from([("auto.create.topics.enable".to_owned(), "true".to_owned())]);
    let broker = Broker::start_with(BrokerOptions { properties, ..BrokerOptions::default() })?;
    let client = broker.client();
    client.create_topic("deleted", 1)?;
    let mut with = settings(&broker.bootstrap(), "deleted");
    with.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    append(&mut log, "deleted", 0, &["one"])?;
    log.commit("deleted", &BTreeMap::new()).told()?;
    client.delete_topic("deleted")?;
    let error = append(&mut log, "deleted", 0, &["two"])
        .and_then(|()| log.commit("deleted", &BTreeMap::new()).told().map(drop))
        .expect_err("the topic is gone");
    ensure!(error.to_string().contains("deleted"), "{error}");
    ensure!(log.partitions("deleted").told()?.is_none(), "asking made it again");
    let error = log.extent("deleted", PartitionId(0)).expect_err("the topic is gone");
    ensure!(matches!(error, LogError::UnknownTopic { .. }), "{error}");
    thread::sleep(Duration::from_secs(2));
    ensure!(!client.topics()?.contains(&"deleted".to_owned()), "it was made again");
    Ok(())
}

/// As a changelog that is deleted while it is read: who waited for the rest of it would wait for ever.
fn a_topic_that_is_deleted_while_it_is_read_apart_is_told() -> Result {
    let broker = Broker::start()?;
    let client = broker.client();
    client.create_topic("apart", 1)?;
    let mut with = settings(&broker.bootstrap(), "apart");
    // So soon it asks again, and believes that a topic is not there that it has just heard of.
    for property in ["topic.metadata.refresh.interval.ms", "topic.metadata.propagation.max.ms"] {
        with.properties.insert(property.to_owned(), "500".to_owned());
    }
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    append(&mut log, "apart", 0, &["one"])?;
    log.commit("apart", &BTreeMap::new()).told()?;
    let (_, next) = read_until(&mut log, "apart", 0, 0, |records, _| records.len() == 1)?;
    client.delete_topic("apart")?;
    let until = Instant::now() + LONG;
    let mut records = Records::new();
    let error = loop {
        match log.read("apart", PartitionId(0), next, ReadLimit::default(), &mut records) {
            Err(error) => break error,
            Ok(_) => ensure!(Instant::now() < until, "nobody says that the topic is gone"),
        }
    };
    ensure!(matches!(&error, LogError::UnknownTopic { .. } | LogError::UnknownPartition { .. }), "{error}");
    Ok(())
}
