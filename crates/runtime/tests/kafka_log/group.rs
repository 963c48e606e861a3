//! The log as a member of its group: what it is given, what is taken, and that nobody who has lost his place commits.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use millstream_engine::ids::Offset;
use millstream_harness::suite::Trial;
use millstream_harness::{Broker, Message, Result, ensure, tests};
use millstream_runtime::log::kafka::{GroupEvent, KafkaLog};
use millstream_runtime::log::{FailureKind, Log, LogError, TopicPartition};

use super::common::{LONG, Told, append, init, next_event, offsets, place, read_until, ready, settings, values};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        two_members_share_and_hand_over,
        partitions_that_the_group_did_not_give_are_fetched_too,
        who_was_put_out_commits_nothing,
        who_does_not_poll_is_put_out_and_comes_back,
        new_partitions_are_given,
        assignments_may_follow_each_other_at_once,
        leaving_with_records_at_hand_is_orderly,
        a_topic_that_is_not_there_is_named,
        a_topic_that_goes_away_is_named,
        a_group_of_another_kind_is_named,
    ]
}

fn all(topic: &str, partitions: u32) -> Vec<TopicPartition> {
    (0..partitions).map(|partition| place(topic, partition)).collect()
}

fn at_start(partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, Offset> {
    partitions.iter().map(|partition| (partition.clone(), Offset(0))).collect()
}

/// Joins and answers until everything in `expected` is given.
fn join(log: &mut KafkaLog, topics: &[&str]) -> Result<Vec<TopicPartition>> {
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    log.subscribe(&topics).told()?;
    match next_event(log)? {
        GroupEvent::Assigned(partitions) => Ok(partitions),
        other => Err(format!("{other:?}").into()),
    }
}

/// Polls several members until each has been given partitions once more; everything that is asked back is given.
fn settle(logs: &mut [&mut KafkaLog]) -> Result<Vec<Vec<TopicPartition>>> {
    let mut given = vec![None; logs.len()];
    let until = Instant::now() + LONG;
    while given.iter().any(Option::is_none) {
        for (log, given) in logs.iter_mut().zip(&mut given) {
            match log.poll(Duration::from_millis(10)).told()? {
                Some(GroupEvent::Assigned(partitions)) => {
                    log.assign(&at_start(&partitions)).told()?;
                    *given = Some(partitions);
                }
                Some(GroupEvent::Revoked(_) | GroupEvent::Lost(_)) => {
                    log.release().told()?;
                    *given = None;
                }
                None => {}
            }
        }
        ensure!(Instant::now() < until, "the group did not settle: {given:?}");
    }
    Ok(given.into_iter().flatten().collect())
}

fn two_members_share_and_hand_over() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("shared", 4)?;
    let mut first = ready("shared")?;
    ensure!(join(&mut first, &["shared"])? == all("shared", 4), "the first is not given everything");
    first.assign(&at_start(&all("shared", 4))).told()?;
    let mut second = KafkaLog::connect({
        let mut settings = settings(&Broker::shared()?.bootstrap(), "shared");
        settings.transactional_id = "shared-1".to_owned();
        settings
    })
    .told()?;
    init(&mut second)?;
    second.subscribe(&["shared".to_owned()]).told()?;
    let event = next_event(&mut first)?;
    ensure!(event == GroupEvent::Revoked(all("shared", 4)), "{event:?}");
    // What is done is committed while it is still ours.
    append(&mut first, "shared", 0, &["done"])?;
    first.commit("shared", &offsets(&[("shared", 0, 1, "")])).told()?;
    first.release().told()?;
    let mut given = settle(&mut [&mut first, &mut second])?;
    ensure!(given.iter().all(|given| given.len() == 2), "{given:?}");
    let mut together = given.concat();
    together.sort();
    ensure!(together == all("shared", 4), "{given:?}");
    // The second has partition 0 or not; whoever has it reads what is there.
    let owner = given.iter().position(|given| given.contains(&place("shared", 0))).ok_or("nobody has it")?;
    let log = if owner == 0 { &mut first } else { &mut second };
    let (records, _) = read_until(log, "shared", 0, 0, |records, _| records.len() == 1)?;
    ensure!(values(&records) == ["done"], "{:?}", values(&records));
    let began = Instant::now();
    second.leave().told()?;
    ensure!(began.elapsed() < Duration::from_secs(2), "leaving took {:?}", began.elapsed());
    given = settle(&mut [&mut first])?;
    ensure!(given[0] == all("shared", 4), "{given:?}");
    ensure!(began.elapsed() < Duration::from_secs(4), "taking over took {:?}", began.elapsed());
    let counters = first.counters();
    ensure!(counters.losses == 0 && counters.rebalances == 5, "{counters:?}");
    Ok(())
}

fn partitions_that_the_group_did_not_give_are_fetched_too() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("led", 1)?;
    client.create_topic("coread", 1)?;
    client.produce("coread", &[Message::value("1"), Message::value("2")])?;
    let mut log = ready("coreading")?;
    let given = join(&mut log, &["led"])?;
    ensure!(given == all("led", 1), "{given:?}");
    log.assign(&BTreeMap::from([(place("led", 0), Offset(0)), (place("coread", 0), Offset(1))])).told()?;
    let (records, _) = read_until(&mut log, "coread", 0, 1, |_, next| next == Offset(2))?;
    ensure!(values(&records) == ["2"], "{:?}", values(&records));
    log.commit("coreading", &offsets(&[("led", 0, 0, ""), ("coread", 0, 2, "x")])).told()?;
    for topic in ["led", "coread"] {
        ensure!(log.partitions(topic).told()? == Some(1), "{topic} is not there");
    }
    let committed = log.committed("coreading").told()?;
    ensure!(committed == offsets(&[("led", 0, 0, ""), ("coread", 0, 2, "x")]), "{committed:?}");
    Ok(())
}

/// Two members; one stops polling until the group goes on without it, and then tries to commit what it has.
fn put_out(name: &str) -> Result<(KafkaLog, KafkaLog)> {
    let impatient = |thread: u32| {
        let mut settings = settings(&Broker::shared()?.bootstrap(), name);
        settings.transactional_id = format!("{name}-{thread}");
        for (name, value) in
            [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000"), ("heartbeat.interval.ms", "500")]
        {
            settings.properties.insert(name.to_owned(), value.to_owned());
        }
        let mut log = KafkaLog::connect(settings).told()?;
        init(&mut log)?;
        Ok::<_, millstream_harness::Trouble>(log)
    };
    Broker::shared()?.client().create_topic(name, 2)?;
    let mut zombie = impatient(0)?;
    let given = join(&mut zombie, &[name])?;
    zombie.assign(&at_start(&given)).told()?;
    let mut heir = impatient(1)?;
    heir.subscribe(&[name.to_owned()]).told()?;
    let until = Instant::now() + LONG;
    loop {
        match heir.poll(Duration::from_millis(20)).told()? {
            Some(GroupEvent::Assigned(given)) if given == all(name, 2) => {
                heir.assign(&at_start(&given)).told()?;
                return Ok((zombie, heir));
            }
            Some(GroupEvent::Assigned(given)) => heir.assign(&at_start(&given)).told()?,
            Some(_) => heir.release().told()?,
            None => {}
        }
        ensure!(Instant::now() < until, "the heir was given nothing");
    }
}

fn who_was_put_out_commits_nothing() -> Result {
    let (mut zombie, mut heir) = put_out("zombie")?;
    append(&mut zombie, "zombie", 0, &["from the grave"])?;
    let error = zombie.commit("zombie", &offsets(&[("zombie", 0, 9, "")])).expect_err("it was put out");
    ensure!(error.kind() == FailureKind::Aborted, "{:?}: {error}", error.kind());
    // So that what it left open is ended, and readers get past it.
    init(&mut zombie)?;
    ensure!(heir.partitions("zombie").told()? == Some(2), "the topic is not there");
    ensure!(heir.committed("zombie").told()?.is_empty(), "{:?}", heir.committed("zombie"));
    append(&mut heir, "zombie", 0, &["alive"])?;
    heir.commit("zombie", &offsets(&[("zombie", 0, 1, "")])).told()?;
    let read = Broker::shared()?.client().read_settled("zombie")?;
    ensure!(read.len() == 1 && read[0].value.as_deref() == Some(b"alive"), "{read:?}");
    Ok(())
}

fn who_does_not_poll_is_put_out_and_comes_back() -> Result {
    let (mut zombie, mut heir) = put_out("absent")?;
    // It was asked for them in vain before they were taken.
    let event = next_event(&mut zombie)?;
    ensure!(matches!(&event, GroupEvent::Revoked(given) | GroupEvent::Lost(given) if given.len() == 2), "{event:?}");
    zombie.release().told()?;
    let given = settle(&mut [&mut zombie, &mut heir])?;
    ensure!(given.iter().all(|given| given.len() == 1), "{given:?}");
    // It is a member like any other again.
    append(&mut zombie, "absent", 0, &["back"])?;
    let (topic, partition) = &given[0][0];
    zombie.commit("absent", &offsets(&[(topic, partition.0, 0, "")])).told()?;
    // Alone, it is not asked: the group takes them.
    heir.leave().told()?;
    settle(&mut [&mut zombie])?;
    thread::sleep(Duration::from_secs(8));
    let event = next_event(&mut zombie)?;
    ensure!(matches!(&event, GroupEvent::Lost(lost) if lost.len() == 2), "{event:?}");
    ensure!(zombie.counters().losses == 1, "{:?}", zombie.counters());
    let error = zombie.commit("absent", &offsets(&[("absent", 0, 5, "")])).expect_err("it has no place");
    ensure!(error.kind() == FailureKind::Aborted, "{error}");
    zombie.release().told()?;
    settle(&mut [&mut zombie])?;
    Ok(())
}

fn new_partitions_are_given() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("growing", 1)?;
    let mut with = settings(&Broker::shared()?.bootstrap(), "growing");
    with.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let mut log = KafkaLog::connect(with).told()?;
    let given = join(&mut log, &["growing"])?;
    log.assign(&at_start(&given)).told()?;
    client.add_partitions("growing", 3)?;
    let given = settle(&mut [&mut log])?;
    ensure!(given[0] == all("growing", 3), "{given:?}");
    Ok(())
}

/// Polls until it is an error.
/// A library that is told to stop a partition twice, before it has done so once, ends the process.
fn assignments_may_follow_each_other_at_once() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("at-once", 4)?;
    client.produce("at-once", &[Message::value("a").to(0)])?;
    let mut log = ready("at-once")?;
    let partitions = join(&mut log, &["at-once"])?;
    for _ in 0..20 {
        for few in 1..=partitions.len() {
            log.assign(&at_start(&partitions[..few])).told()?;
        }
    }
    let (records, _) = read_until(&mut log, "at-once", 0, 0, |records, _| !records.is_empty())?;
    ensure!(values(&records) == ["a"], "{:?}", values(&records));
    log.leave().told()
}

/// What the library has fetched and nobody has read stands in the queue that leaving serves.
fn leaving_with_records_at_hand_is_orderly() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("at-hand", 2)?;
    let many: Vec<Message> = (0..20_000).map(|index| Message::value("x".repeat(100)).to(index % 2)).collect();
    client.produce("at-hand", &many)?;
    for round in 0..5 {
        let mut log = ready(&format!("at-hand-{round}"))?;
        let partitions = join(&mut log, &["at-hand"])?;
        log.assign(&at_start(&partitions)).told()?;
        // Long enough for the library to fetch, and nothing of it is taken.
        thread::sleep(Duration::from_millis(300));
        log.leave().told()?;
    }
    Ok(())
}

fn poll_until_error(log: &mut KafkaLog) -> Result<LogError> {
    let until = Instant::now() + LONG;
    loop {
        match log.poll(Duration::from_millis(50)) {
            Err(error) => return Ok(error),
            Ok(Some(GroupEvent::Assigned(given))) => log.assign(&at_start(&given)).told()?,
            Ok(Some(_)) => log.release().told()?,
            Ok(None) => {}
        }
        ensure!(Instant::now() < until, "there was no error");
    }
}

fn a_topic_that_is_not_there_is_named() -> Result {
    let mut log = ready("nobody")?;
    log.subscribe(&["not-there".to_owned()]).told()?;
    let error = poll_until_error(&mut log)?;
    ensure!(matches!(&error, LogError::UnknownTopic { topic } if topic == "not-there"), "{error}");
    ensure!(log.partitions("not-there").told()?.is_none(), "it was made");
    Ok(())
}

fn a_topic_that_goes_away_is_named() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("going", 1)?;
    client.produce("going", &[Message::value("1")])?;
    let mut with = settings(&Broker::shared()?.bootstrap(), "going");
    with.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    let given = join(&mut log, &["going"])?;
    log.assign(&at_start(&given)).told()?;
    read_until(&mut log, "going", 0, 0, |records, _| records.len() == 1)?;
    append(&mut log, "going", 0, &["2"])?;
    log.commit("going", &BTreeMap::new()).told()?;
    client.delete_topic("going")?;
    let error = poll_until_error(&mut log)?;
    ensure!(error.to_string().contains("going") && error.kind() == FailureKind::Refused, "{error}");
    // Writing to it does not make it again.
    let written = append(&mut log, "going", 0, &["3"]);
    let committed = written.and_then(|()| log.commit("going", &BTreeMap::new()).told().map(drop));
    let error = committed.expect_err("the topic is gone").to_string();
    ensure!(error.contains("going"), "{error}");
    ensure!(log.partitions("going").told()?.is_none(), "it was made again");
    Ok(())
}

fn a_group_of_another_kind_is_named() -> Result {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let broker = Broker::shared()?;
    broker.client().create_topic("foreign", 1)?;
    let foreign: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "foreign")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .create()
        .map_err(|error| error.to_string())?;
    foreign.subscribe(&["foreign"]).map_err(|error| error.to_string())?;
    let polling = thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            drop(foreign.poll(Duration::from_millis(50)));
        }
    });
    thread::sleep(Duration::from_secs(1));
    let mut log = ready("foreign")?;
    log.subscribe(&["foreign".to_owned()]).told()?;
    let error = poll_until_error(&mut log)?;
    let text = error.to_string();
    ensure!(error.kind() == FailureKind::Refused && text.contains("group foreign"), "{text}");
    ensure!(text.contains("another name"), "{text}");
    polling.join().map_err(|_| "the foreign member failed")?;
    Ok(())
}
