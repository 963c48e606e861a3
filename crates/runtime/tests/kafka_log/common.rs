//! What the tests of the Kafka log share.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_harness::{Broker, Result, Trouble};
use millstream_runtime::clock;
use millstream_runtime::log::kafka::{GroupEvent, Guarantee, KafkaLog, KafkaLogSettings};
use millstream_runtime::log::{
    CommittedOffset, FailureKind, Log, LogError, NewRecord, ReadLimit, Records, TopicPartition,
};

/// How long anything may take.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// An error of the log, as trouble.
pub(crate) trait Told<T> {
    fn told(self) -> Result<T>;
}

impl<T> Told<T> for std::result::Result<T, LogError> {
    fn told(self) -> Result<T> {
        self.map_err(|error| Trouble::Wrong(format!("{:?}: {error}", error.kind())))
    }
}

/// Settings of a log whose group and transactional id are called `name`.
pub(crate) fn settings(bootstrap: &str, name: &str) -> KafkaLogSettings {
    KafkaLogSettings {
        // Records go out before the commit, so that an abort finds them at the broker.
        properties: [("bootstrap.servers", bootstrap), ("linger.ms", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        group: name.to_owned(),
        transactional_id: format!("{name}-0"),
        client_id: "test".to_owned(),
        guarantee: Guarantee::ExactlyOnce,
        output_topics: Vec::new(),
        headerless_topics: Default::default(),
    }
}

/// A log on the shared broker, with a producer.
pub(crate) fn ready(name: &str) -> Result<KafkaLog> {
    let mut log = KafkaLog::connect(settings(&Broker::shared()?.bootstrap(), name)).told()?;
    init(&mut log)?;
    Ok(log)
}

/// Initialises a producer, however often it takes.
pub(crate) fn init(log: &mut KafkaLog) -> Result {
    let until = Instant::now() + LONG;
    loop {
        match log.init_producer(Duration::from_secs(1)) {
            Err(error) if error.kind() == FailureKind::Retriable && Instant::now() < until => {}
            other => return other.told(),
        }
    }
}

pub(crate) fn place(topic: &str, partition: u32) -> TopicPartition {
    (topic.to_owned(), PartitionId(partition))
}

/// Appends values to a partition.
pub(crate) fn append(log: &mut KafkaLog, topic: &str, partition: u32, values: &[&str]) -> Result {
    for value in values {
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: clock::wall(), headers: &[] };
        log.append(topic, PartitionId(partition), record).told()?;
    }
    Ok(())
}

/// Offsets to commit, with what stands beside them.
pub(crate) fn offsets(of: &[(&str, u32, i64, &str)]) -> BTreeMap<TopicPartition, CommittedOffset> {
    let one = |&(topic, partition, offset, metadata): &(&str, u32, i64, &str)| {
        (place(topic, partition), CommittedOffset { offset: Offset(offset), metadata: metadata.to_owned() })
    };
    of.iter().map(one).collect()
}

/// Reads until `done`, over an assignment (polling) or apart.
pub(crate) fn read_until(
    log: &mut KafkaLog,
    topic: &str,
    partition: u32,
    from: i64,
    done: impl Fn(&Records, Offset) -> bool,
) -> Result<(Records, Offset)> {
    let (mut records, mut next) = (Records::new(), Offset(from));
    let until = Instant::now() + LONG;
    loop {
        log.poll(Duration::from_millis(5)).told()?;
        next = log.read(topic, PartitionId(partition), next, ReadLimit::default(), &mut records).told()?;
        if done(&records, next) {
            return Ok((records, next));
        }
        if Instant::now() >= until {
            return Err(format!("read {} records of {topic} {partition}, up to {next:?}", records.len()).into());
        }
    }
}

/// The values of records.
pub(crate) fn values(records: &Records) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()).collect()
}
/// Polls until the group says something.
pub(crate) fn next_event(log: &mut KafkaLog) -> Result<GroupEvent> {
    let until = Instant::now() + LONG;
    loop {
        if let Some(event) = log.poll(Duration::from_millis(50)).told()? {
            return Ok(event);
        }
        if Instant::now() >= until {
            return Err(format!("the group said nothing; last error: {:?}", log.last_error()).into());
        }
    }
}

/// A number from the environment, for longer runs by hand.
pub(crate) fn number_from(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}
