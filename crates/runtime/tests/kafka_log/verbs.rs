//! Each verb of the log on a healthy broker.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_harness::suite::Trial;
use millstream_harness::{Broker, Message, Result, ensure, tests, wait};
use millstream_runtime::log::kafka::{Guarantee, KafkaLog};
use millstream_runtime::log::{Extent, Header, Log, LogError, NewRecord, ReadLimit, Records, TopicSettings};

use super::common::{LONG, Told, append, init, offsets, place, read_until, ready, settings, values};

pub(crate) fn tests() -> Vec<Trial> {
    tests![
        what_is_committed_is_read_whole,
        nothing_of_an_abort_is_read,
        ends_lie_behind_markers,
        offsets_come_back_with_what_stands_beside_them,
        topics_are_made_as_asked,
        internal_topics_have_their_settings,
        trimmed_records_are_out_of_range,
        times_are_found,
        records_that_are_too_large_leave_the_transaction_whole,
        a_full_buffer_loses_nothing,
        at_least_once_writes_and_commits,
        records_outside_transactions_are_there_at_once,
        a_place_may_be_read_again,
        a_written_end_counts_open_transactions,
        stretches_are_fetched_side_by_side,
    ]
}

fn what_is_committed_is_read_whole() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("whole", 2)?;
    let mut log = ready("whole")?;
    let headers = [Header { name: "a", value: Some(b"1") }, Header { name: "a", value: None }];
    let (key, value): (&[u8], &[u8]) = (b"k", &[0, 255, 10]);
    let record = NewRecord { key: Some(key), value: Some(value), timestamp: Millis(77), headers: &headers };
    log.append("whole", PartitionId(1), record).told()?;
    let empty = NewRecord { key: Some(b""), value: Some(b""), timestamp: Millis(78), headers: &[] };
    log.append("whole", PartitionId(1), empty).told()?;
    let nothing = NewRecord { key: None, value: None, timestamp: Millis(1_700_000_000_000), headers: &[] };
    log.append("whole", PartitionId(1), nothing).told()?;
    ensure!(log.open_bytes() == 7, "{} bytes are open", log.open_bytes());
    let committed = log.commit("whole", &offsets(&[("whole", 0, 0, "x")])).told()?;
    ensure!(committed.positions == BTreeMap::from([(place("whole", 1), Offset(3))]), "{committed:?}");
    ensure!(log.open_bytes() == 0, "{} bytes are open behind the commit", log.open_bytes());

    let witness = client.read_settled("whole")?;
    ensure!(witness.len() == 3 && witness.iter().all(|read| read.partition == 1), "{witness:?}");
    ensure!(witness[0].headers == [("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), None)], "{witness:?}");
    ensure!(witness[1].key.as_deref() == Some(b"") && witness[1].value.as_deref() == Some(b""), "{witness:?}");
    ensure!(witness[2].key.is_none() && witness[2].value.is_none(), "{witness:?}");
    let (records, next) = read_until(&mut log, "whole", 1, 0, |records, _| records.len() == 3)?;
    ensure!(next == Offset(3) || next == Offset(4), "{next:?}");
    for (ours, theirs) in records.iter().zip(&witness) {
        ensure!(ours.offset.0 == theirs.offset && ours.timestamp.0 == theirs.timestamp, "{ours:?} {theirs:?}");
        ensure!(ours.key == theirs.key.as_deref() && ours.value == theirs.value.as_deref(), "{ours:?} {theirs:?}");
        let headers: Vec<_> = ours.headers.map(|h| (h.name.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
        ensure!(headers == theirs.headers, "{headers:?} {theirs:?}");
    }
    Ok(())
}

fn nothing_of_an_abort_is_read() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("aborted", 1)?;
    let mut log = ready("aborted")?;
    append(&mut log, "aborted", 0, &["one"])?;
    log.commit("aborted", &BTreeMap::new()).told()?;
    append(&mut log, "aborted", 0, &["never", "never"])?;
    // So that it has reached the broker, whatever the producer waits for.
    std::thread::sleep(Duration::from_millis(100));
    log.abort();
    ensure!(log.is_producer_ready(), "the producer is gone: {:?}", log.counters());
    append(&mut log, "aborted", 0, &["two"])?;
    log.commit("aborted", &BTreeMap::new()).told()?;
    let (records, _) = read_until(&mut log, "aborted", 0, 0, |records, _| records.len() == 2)?;
    ensure!(values(&records) == ["one", "two"], "{:?}", values(&records));
    ensure!(client.read_settled("aborted")?.len() == 2, "the foreign client sees something else");
    let counters = log.counters();
    ensure!((counters.commits, counters.aborts, counters.producers) == (2, 1, 1), "{counters:?}");
    ensure!(counters.retirements == 0, "{counters:?}");
    Ok(())
}

/// Behind the last record stands the marker; reading passes it.
fn ends_lie_behind_markers() -> Result {
    Broker::shared()?.client().create_topic("ends", 1)?;
    let mut log = ready("ends")?;
    append(&mut log, "ends", 0, &["one"])?;
    log.commit("ends", &BTreeMap::new()).told()?;
    append(&mut log, "ends", 0, &["never"])?;
    std::thread::sleep(Duration::from_millis(100));
    log.abort();
    // One record and its marker, one aborted record and its marker.
    let extent = wait::until(
        "the markers",
        Duration::from_secs(10),
        || log.extent("ends", PartitionId(0)).told(),
        |extent| extent.end == Offset(4),
    )?;
    ensure!(extent.earliest == Offset(0), "{extent:?}");
    ensure!(log.written_end("ends", PartitionId(0)).told()? == Offset(4), "the written end is another");
    // Apart, and over an assignment.
    read_until(&mut log, "ends", 0, 0, |_, next| next == Offset(4))?;
    log.end_restore();
    log.assign(&BTreeMap::from([(place("ends", 0), Offset(0))])).told()?;
    let (records, _) = read_until(&mut log, "ends", 0, 0, |_, next| next == Offset(4))?;
    ensure!(values(&records) == ["one"], "{:?}", values(&records));
    ensure!(log.extent("ends", PartitionId(0)).told()?.end == Offset(4), "the end is another when it is fetched");
    // What comes next is read on.
    append(&mut log, "ends", 0, &["two"])?;
    log.commit("ends", &BTreeMap::new()).told()?;
    let (records, _) = read_until(&mut log, "ends", 0, 4, |_, next| next == Offset(6))?;
    ensure!(values(&records) == ["two"], "{:?}", values(&records));
    Ok(())
}

fn offsets_come_back_with_what_stands_beside_them() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("beside", 3)?;
    let mut log = ready("beside")?;
    ensure!(log.partitions("beside").told()? == Some(3), "the topic is not there");
    ensure!(log.committed("beside").told()?.is_empty(), "a new group has offsets");
    let first = offsets(&[("beside", 0, 5, r#"{"changelog":7}"#), ("beside", 2, 1, "")]);
    log.commit("beside", &first).told()?;
    ensure!(log.committed("beside").told()? == first, "{:?}", log.committed("beside"));
    let second = offsets(&[("beside", 0, 6, &"m".repeat(3_000))]);
    log.commit("beside", &second).told()?;
    let now = log.committed("beside").told()?;
    ensure!(now[&place("beside", 0)] == second[&place("beside", 0)], "{now:?}");
    ensure!(now[&place("beside", 2)] == first[&place("beside", 2)], "{now:?}");
    ensure!(client.group_offsets("beside")?["beside"] == BTreeMap::from([(0, 6), (2, 1)]), "the witness disagrees");
    ensure!(log.commit("another", &first).is_err(), "the offsets of another group were committed");
    Ok(())
}

fn topics_are_made_as_asked() -> Result {
    let client = Broker::shared()?.client();
    let mut log = ready("made")?;
    ensure!(log.partitions("made").told()?.is_none(), "it is there already");
    log.create_topic("made", TopicSettings::user(3)).told()?;
    ensure!(log.partitions("made").told()? == Some(3), "it is not there");
    let error = log.create_topic("made", TopicSettings::user(3)).expect_err("it is there");
    ensure!(matches!(error, LogError::TopicExists { .. }), "{error}");
    log.grow_topic("made", 5).told()?;
    ensure!(log.partitions("made").told()? == Some(5), "it has not grown");
    let error = log.create_topic("made2", TopicSettings { replication: Some(9), ..TopicSettings::user(1) });
    let error = error.expect_err("there are no nine brokers").to_string();
    ensure!(error.contains("made2") && error.contains("lower the replication"), "{error}");
    client.create_topic("made3", 1)?;
    ensure!(log.partitions("made3").told()? == Some(1), "a topic made a moment ago is not seen");
    let topics: Vec<String> = log.topics().told()?.into_iter().map(|topic| topic.name).collect();
    ensure!(topics.contains(&"made".to_owned()) && topics.contains(&"made3".to_owned()), "{topics:?}");
    let extent = log.extent("nowhere", PartitionId(0));
    ensure!(matches!(extent, Err(LogError::UnknownTopic { .. })), "{extent:?}");
    let extent = log.extent("made", PartitionId(9));
    ensure!(matches!(extent, Err(LogError::UnknownPartition { .. } | LogError::UnknownTopic { .. })), "{extent:?}");
    Ok(())
}

fn internal_topics_have_their_settings() -> Result {
    let client = Broker::shared()?.client();
    let mut log = ready("internals")?;
    log.create_topic("internals-0-changelog", TopicSettings::internal(2)).told()?;
    let config = client.topic_config("internals-0-changelog")?;
    for (name, value) in millstream_runtime::log::kafka::topic_config(&TopicSettings::internal(2)) {
        ensure!(config.get(&name) == Some(&value), "{name} is {:?}, not {value}", config.get(&name));
    }
    let limits = log.record_limits("internals-0-changelog");
    ensure!(limits.bytes > Some(8 << 19), "{limits:?}");
    Ok(())
}

fn trimmed_records_are_out_of_range() -> Result {
    Broker::shared()?.client().create_topic("trimmed", 1)?;
    let mut log = ready("trimmed")?;
    append(&mut log, "trimmed", 0, &["0", "1", "2", "3"])?;
    log.commit("trimmed", &BTreeMap::new()).told()?;
    log.trim("trimmed", PartitionId(0), Offset(2)).told()?;
    wait::until(
        "the trim",
        Duration::from_secs(10),
        || log.extent("trimmed", PartitionId(0)).told(),
        |extent| extent.earliest == Offset(2),
    )?;
    let mut records = Records::new();
    for _ in 0..2 {
        let error = loop {
            match log.read("trimmed", PartitionId(0), Offset(0), ReadLimit::default(), &mut records) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let LogError::OffsetOutOfRange { earliest, end, .. } = error else { return Err(error.to_string().into()) };
        ensure!((earliest, end) == (Offset(2), Offset(5)), "{earliest:?} {end:?}");
    }
    // The same over an assignment, and behind the end.
    for offset in [0, 100] {
        log.assign(&BTreeMap::from([(place("trimmed", 0), Offset(offset))])).told()?;
        let read = read_until(&mut log, "trimmed", 0, offset, |_, _| false);
        let error = read.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(error.contains(&format!("has no offset {offset}: its records are 2 to 5")), "{error}");
    }
    log.assign(&BTreeMap::from([(place("trimmed", 0), Offset(2))])).told()?;
    let (records, _) = read_until(&mut log, "trimmed", 0, 2, |records, _| records.len() == 2)?;
    ensure!(values(&records) == ["2", "3"], "{:?}", values(&records));
    ensure!(log.counters().trims_failed.total() + log.counters().trims_refused == 0, "{:?}", log.counters());
    // What a topic's settings forbid is told as that.
    Broker::shared()?.client().create_topic_with("kept", 1, &[("cleanup.policy", "compact")])?;
    log.trim("kept", PartitionId(0), Offset(0)).told()?;
    let counted = || {
        log.poll(Duration::from_millis(20)).ok();
        Ok(log.counters().trims_failed)
    };
    wait::until("the failed trim", LONG, counted, |failed| failed.policy == 1 && failed.total() == 1)?;
    Ok(())
}

fn times_are_found() -> Result {
    Broker::shared()?.client().create_topic("times", 1)?;
    let mut log = ready("times")?;
    for time in [1_000, 2_000, 2_000, 5_000] {
        let record = NewRecord { key: None, value: Some(b"v"), timestamp: Millis(time), headers: &[] };
        log.append("times", PartitionId(0), record).told()?;
    }
    log.commit("times", &BTreeMap::new()).told()?;
    let extent = || log.extent("times", PartitionId(0)).told();
    wait::until("the marker", Duration::from_secs(10), extent, |extent| extent.end == Offset(5))?;
    // The marker of the transaction stands at 4, and it has a time too: now.
    let behind = log.offset_at("times", PartitionId(0), Millis(5_001)).told()?;
    ensure!(behind == Offset(4), "{behind:?}");
    let future = log.offset_at("times", PartitionId(0), Millis(i64::MAX / 2)).told()?;
    ensure!(future == Offset(5), "{future:?}");
    for (time, expected) in [(0, 0), (1_000, 0), (1_001, 1), (2_000, 1), (4_000, 3), (5_000, 3)] {
        let found = log.offset_at("times", PartitionId(0), Millis(time)).told()?;
        ensure!(found == Offset(expected), "time {time} is at {found:?}, not {expected}");
    }
    Ok(())
}

/// The topic takes 2,000 bytes: many small records fit however they are batched, one large record is refused alone.
fn records_that_are_too_large_leave_the_transaction_whole() -> Result {
    let broker = Broker::shared()?;
    broker.client().create_topic_with("narrow", 1, &[("max.message.bytes", "2000")])?;
    broker.client().create_topic("wide", 1)?;
    let mut with_topics = settings(&broker.bootstrap(), "narrow");
    with_topics.output_topics = vec!["narrow".to_owned(), "wide".to_owned()];
    let mut log = KafkaLog::connect(with_topics).told()?;
    init(&mut log)?;
    let limit = log.record_limits("narrow").bytes.ok_or("no limit")?;
    ensure!(limit < 2_000 && limit > 1_500, "{limit}");
    let large = "x".repeat(2_000);
    let record = NewRecord { key: None, value: Some(large.as_bytes()), timestamp: Millis(1), headers: &[] };
    for _ in 0..1_000 {
        append(&mut log, "narrow", 0, &["a value of some bytes"])?;
    }
    let error = log.append("narrow", PartitionId(0), record).expect_err("it is too large");
    ensure!(matches!(error, LogError::RecordTooLarge { bytes: 2_000, .. }), "{error}");
    log.append("wide", PartitionId(0), record).told()?;
    let fitting = "x".repeat(limit);
    append(&mut log, "narrow", 0, &[&fitting])?;
    let headers = [Header { name: "name", value: Some(b"value") }; 7];
    let bare = NewRecord { key: None, value: Some(b""), timestamp: Millis(1), headers: &headers };
    let value = "x".repeat(limit - bare.size() + 1);
    let record = NewRecord { value: Some(&value.as_bytes()[1..]), ..bare };
    log.append("narrow", PartitionId(0), record).map_err(|error| format!("with headers: {error}"))?;
    let record = NewRecord { value: Some(value.as_bytes()), ..bare };
    let error = log.append("narrow", PartitionId(0), record).expect_err("it is one byte too large");
    ensure!(matches!(error, LogError::RecordTooLarge { bytes, .. } if bytes == record.size()), "{error}");
    log.commit("narrow", &BTreeMap::new()).told()?;
    let witness = broker.client().read_settled("narrow")?;
    ensure!(witness.len() == 1_002, "{} records are there", witness.len());
    Ok(())
}

/// Two partitions, of which one is not read while the other is: its buffer fills, fetching stops, and goes on later.
fn a_full_buffer_loses_nothing() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("full", 2)?;
    let mut log = ready("full")?;
    let value = "v".repeat(1_000);
    for partition in 0..2 {
        for batch in 0..5 {
            for number in 0..8_000 {
                let key = format!("{}", batch * 8_000 + number);
                let record = NewRecord {
                    key: Some(key.as_bytes()),
                    value: Some(value.as_bytes()),
                    timestamp: Millis(1),
                    headers: &[],
                };
                log.append("full", PartitionId(partition), record).told()?;
            }
            log.commit("full", &BTreeMap::new()).told()?;
        }
    }
    log.assign(&BTreeMap::from([(place("full", 0), Offset(0)), (place("full", 1), Offset(0))])).told()?;
    let keys = |records: &Records| -> Vec<i64> {
        let key = |key: &[u8]| String::from_utf8_lossy(key).parse().unwrap_or(-1);
        records.iter().map(|record| key(record.key.unwrap_or_default())).collect()
    };
    let expected: Vec<i64> = (0..40_000).collect();
    let (records, _) = read_until(&mut log, "full", 0, 0, |records, _| records.len() == 40_000)?;
    ensure!(keys(&records) == expected, "partition 0 is not whole");
    for _ in 0..200 {
        log.poll(Duration::from_millis(10)).told()?;
    }
    let buffered = log.counters().buffered_bytes;
    ensure!((8 << 20..30 << 20).contains(&buffered), "{buffered} bytes are buffered");
    let (records, _) = read_until(&mut log, "full", 1, 0, |records, _| records.len() == 40_000)?;
    ensure!(keys(&records) == expected, "partition 1 is not whole");
    read_until(&mut log, "full", 1, 40_005, |_, next| next == Offset(40_005))?;
    Ok(())
}

fn at_least_once_writes_and_commits() -> Result {
    let broker = Broker::shared()?;
    broker.client().create_topic("atleast", 1)?;
    let mut with = settings(&broker.bootstrap(), "atleast");
    with.guarantee = Guarantee::AtLeastOnce;
    let mut log = KafkaLog::connect(with).told()?;
    init(&mut log)?;
    ensure!(log.offsets_per_commit() == 0, "there are no markers");
    append(&mut log, "atleast", 0, &["one", "two"])?;
    let at = offsets(&[("atleast", 0, 7, "beside")]);
    let committed = log.commit("atleast", &at).told()?;
    ensure!(committed.positions[&place("atleast", 0)] == Offset(2), "{committed:?}");
    ensure!(log.committed("atleast").told()? == at, "{:?}", log.committed("atleast"));
    let (records, next) = read_until(&mut log, "atleast", 0, 0, |records, _| records.len() == 2)?;
    ensure!(values(&records) == ["one", "two"] && next == Offset(2), "{next:?}");
    append(&mut log, "atleast", 0, &["three"])?;
    log.abort();
    append(&mut log, "atleast", 0, &["four"])?;
    let committed = log.commit("atleast", &BTreeMap::new()).told()?;
    ensure!(committed.positions[&place("atleast", 0)] == Offset(4), "{committed:?}");
    Ok(())
}

fn records_outside_transactions_are_there_at_once() -> Result {
    Broker::shared()?.client().create_topic("plain", 1)?;
    let mut log = ready("plain")?;
    append(&mut log, "plain", 0, &["open"])?;
    std::thread::sleep(Duration::from_millis(100));
    let mut records = Records::new();
    for value in ["a", "b"] {
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: Millis(5), headers: &[] };
        records.push(Offset(0), record);
    }
    ensure!(log.produce("plain", PartitionId(0), &records).told()? == Offset(3), "another end");
    ensure!(log.extent("plain", PartitionId(0)).told()?.end == Offset(0), "the open transaction is passed over");
    log.commit("plain", &BTreeMap::new()).told()?;
    let (read, _) = read_until(&mut log, "plain", 0, 0, |records, _| records.len() == 3)?;
    ensure!(values(&read) == ["open", "a", "b"], "{:?}", values(&read));
    Ok(())
}

fn a_place_may_be_read_again() -> Result {
    let client = Broker::shared()?.client();
    client.create_topic("again", 1)?;
    let messages: Vec<Message> = (0..100).map(|number| Message::value(number.to_string())).collect();
    client.produce("again", &messages)?;
    let mut log = ready("again")?;
    for is_assigned in [false, true] {
        if is_assigned {
            log.assign(&BTreeMap::from([(place("again", 0), Offset(0))])).told()?;
        }
        for from in [0, 50, 10, 99, 0] {
            let (records, _) = read_until(&mut log, "again", 0, from, |_, next| next == Offset(100))?;
            let expected: Vec<String> = (from..100).map(|number| number.to_string()).collect();
            ensure!(values(&records) == expected, "from {from}, assigned {is_assigned}: {:?}", values(&records));
        }
    }
    // Assigned anew in the middle of what is buffered: what is kept and what is fetched again fit together.
    log.assign(&BTreeMap::from([(place("again", 0), Offset(0))])).told()?;
    let mut records = Records::new();
    let limit = ReadLimit { records: 7, bytes: 1 << 20 };
    let mut next = Offset(0);
    while next < Offset(100) {
        log.poll(Duration::from_millis(5)).told()?;
        next = log.read("again", PartitionId(0), next, limit, &mut records).told()?;
        log.assign(&BTreeMap::from([(place("again", 0), next)])).told()?;
    }
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    ensure!(values(&records) == expected, "{:?}", values(&records));
    Ok(())
}

/// All that was asked for comes, and nothing of what is behind it, though the first partition has nothing for now: as a worker does,
/// whichever has something at hand is read.
fn stretches_are_fetched_side_by_side() -> Result {
    Broker::shared()?.client().create_topic("stretches", 4)?;
    let mut log = ready("stretches")?;
    for partition in 1..4 {
        append(&mut log, "stretches", partition, &["one", "two", "three"])?;
    }
    log.commit("stretches", &BTreeMap::new()).told()?;
    // Offset 3 has the marker.
    let ends = [1, 4, 2, 4];
    let mut next = [0, 0, 1, 0];
    let stretches = (0..4).map(|at| (place("stretches", at as u32), Offset(next[at])..Offset(ends[at])));
    log.read_ahead(&stretches.collect()).told()?;
    let mut found = [(); 4].map(|()| Records::new());
    let mut waits = 0;
    while (1..4).any(|at| next[at] < ends[at]) {
        let mut left = (0..4).filter(|&at| next[at] < ends[at]);
        let partition = |at: usize| PartitionId(at as u32);
        let at_hand = left.find(|&at| log.is_at_hand("stretches", partition(at), Offset(next[at])));
        waits += usize::from(at_hand.is_none());
        ensure!(waits < 100, "nothing comes any more: {next:?}");
        let at = at_hand.unwrap_or(0);
        let limit = ReadLimit::default();
        next[at] = log.read("stretches", partition(at), Offset(next[at]), limit, &mut found[at]).told()?.0;
    }
    let found = found.each_ref().map(values);
    ensure!(found[0].is_empty() && found[2] == ["two"], "{found:?}");
    ensure!(found[1] == ["one", "two", "three"] && found[3] == found[1], "{found:?}");
    // What comes behind a stretch is not taken, and holds nobody up.
    append(&mut log, "stretches", 2, &["later"])?;
    append(&mut log, "stretches", 0, &["first"])?;
    log.commit("stretches", &BTreeMap::new()).told()?;
    let (records, _) = read_until(&mut log, "stretches", 0, 0, |_, next| next >= Offset(1))?;
    ensure!(values(&records) == ["first"], "{:?}", values(&records));
    // Who asks for it all the same gets it.
    let (records, _) = read_until(&mut log, "stretches", 2, 4, |records, _| records.len() == 1)?;
    ensure!(values(&records) == ["later"], "{:?}", values(&records));
    Ok(())
}

fn a_written_end_counts_open_transactions() -> Result {
    let broker = Broker::shared()?;
    broker.client().create_topic("open", 1)?;
    let mut writer = ready("open-writer")?;
    append(&mut writer, "open", 0, &["one"])?;
    writer.commit("open-writer", &BTreeMap::new()).told()?;
    append(&mut writer, "open", 0, &["two", "three"])?;
    std::thread::sleep(Duration::from_millis(100));
    let mut reader = ready("open-reader")?;
    ensure!(
        reader.written_end("open", PartitionId(0)).told()? == Offset(4),
        "{:?}",
        reader.written_end("open", PartitionId(0))
    );
    let extent = reader.extent("open", PartitionId(0)).told()?;
    ensure!(extent == Extent { earliest: Offset(0), end: Offset(2) }, "{extent:?}");
    let (records, _) = read_until(&mut reader, "open", 0, 0, |_, next| next == Offset(2))?;
    ensure!(values(&records) == ["one"], "{:?}", values(&records));
    writer.commit("open-writer", &BTreeMap::new()).told()?;
    let (records, _) = read_until(&mut reader, "open", 0, 2, |_, next| next == Offset(5))?;
    ensure!(values(&records) == ["two", "three"], "{:?}", values(&records));
    Ok(())
}
