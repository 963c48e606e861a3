//! A producer and what it knows of the topics that it writes to; it never sends to a partition that is not there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use super::defaults::{self, BatchLimits, Properties, RECORD_OVERHEAD};
use super::error::{failed, failed_as, failed_producer, failed_topic};
use super::interrupt::Interrupt;
use super::native::{AckedEnd, BrokerTimes, Code, FailedDelivery, NativeError, Outgoing, Producer, TopicHandle};
use super::pushes::Pushes;
use crate::log::{FailureKind, LogError, NewRecord, TopicPartition, UNTIMED};

/// How long one push waits for the brokers to have everything. A longer one would be the least that a commit takes.
const PUSH: Duration = Duration::from_millis(1);
/// Between pushes one looks so often whether answers have come.
const LOOK: Duration = Duration::from_micros(250);

/// Behind the time-out of a record.
const SLACK: Duration = Duration::from_secs(2);

/// Knows how many partitions topics have and how large their records may be.
pub(super) trait Topics {
    /// How many partitions a topic has.
    fn partitions(&self, topic: &str) -> Result<u32, LogError>;

    /// How large a batch it takes.
    fn message_bytes(&self, topic: &str) -> usize;
}

/// A producer and its topics.
pub(super) struct Sender {
    producer: Producer,
    topics: Vec<Topic>,
    by_name: BTreeMap<String, usize>,
    /// The topic of the last record: mostly also of the next.
    last: usize,
    limits: BatchLimits,
    bytes: usize,
    records: u64,
    pushes: Pushes,
    /// By then the library has said of each record what has become of it; if not, it has lost sight of a broker.
    patience: Duration,
}

struct Topic {
    name: String,
    handle: TopicHandle,
    partitions: u32,
    message_bytes: usize,
    ends: BTreeMap<u32, End>,
}

struct End {
    end: AckedEnd,
    /// Whether it has been written to since the last [`Sender::begin`].
    is_touched: bool,
}

impl Sender {
    pub(super) fn new(properties: &Properties, limits: BatchLimits) -> Result<Sender, LogError> {
        let producer = Producer::new(properties).map_err(|error| failed("make a producer", &error))?;
        let patience = defaults::message_timeout(properties) + SLACK;
        let (topics, by_name) = (Vec::new(), BTreeMap::new());
        let pushes = Pushes::none();
        Ok(Sender { producer, topics, by_name, last: 0, limits, bytes: 0, records: 0, pushes, patience })
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    /// How brokers have answered since somebody asked last.
    pub(super) fn take_times(&self) -> BrokerTimes {
        self.producer.client().take_times()
    }

    /// Bytes given since [`begin`](Self::begin).
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records given since [`begin`](Self::begin).
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Forgets what was written. To be called when nothing is on its way.
    pub(super) fn begin(&mut self) {
        self.bytes = 0;
        self.records = 0;
        // Records that an abort has purged have failed too.
        self.producer.take_failed();
        for topic in &mut self.topics {
            for end in topic.ends.values_mut().filter(|end| end.is_touched) {
                end.is_touched = false;
                self.producer.forget_end(end.end);
            }
        }
    }

    /// For every partition written to since [`begin`](Self::begin): the offset behind its last record, where it is known.
    pub(super) fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let mut positions = BTreeMap::new();
        for topic in &self.topics {
            for (&partition, end) in topic.ends.iter().filter(|(_, end)| end.is_touched) {
                if let Some(behind) = self.producer.acked_end(end.end) {
                    positions.insert((topic.name.clone(), PartitionId(partition)), Offset(behind));
                }
            }
        }
        positions
    }

    /// Hands a record to the producer.
    ///
    /// # Errors
    /// [`LogError::RecordTooLarge`] and unknown places leave everything as it was.
    pub(super) fn send(
        &mut self,
        topics: &dyn Topics,
        topic: &str,
        partition: PartitionId,
        record: &NewRecord<'_>,
        interrupt: &Interrupt,
    ) -> Result<(), LogError> {
        let place = self.topic(topics, topic)?;
        let target = &mut self.topics[place];
        let (bytes, limit) = (record.size(), target.message_bytes.saturating_sub(RECORD_OVERHEAD));
        if bytes > limit {
            return Err(LogError::RecordTooLarge { topic: topic.to_owned(), bytes, limit });
        }
        if partition.0 >= target.partitions {
            target.partitions = topics.partitions(topic)?;
            if partition.0 >= target.partitions {
                return Err(LogError::UnknownPartition { topic: topic.to_owned(), partition });
            }
        }
        let producer = &mut self.producer;
        let end = target.ends.entry(partition.0).or_insert_with(|| End { end: producer.new_end(), is_touched: true });
        end.is_touched = true;
        let outgoing = Outgoing {
            topic: target.handle,
            partition: partition.0 as i32,
            end: end.end,
            key: record.key,
            value: record.value,
            timestamp: writable_time(record.timestamp),
            headers: record.headers,
        };
        let mut until = None;
        loop {
            match producer.send(&outgoing) {
                Ok(()) => break,
                Err(error) if error.code == Code::QUEUE_FULL => {
                    if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + self.patience) {
                        let message = format!(
                            "cannot write to topic {topic}: the producer's queue is full, and no record of it was taken or \
                             refused within {} s",
                            self.patience.as_secs()
                        );
                        return Err(LogError::Kafka { kind: FailureKind::Aborted, message });
                    }
                    // What lingers would stay: with many partitions none may have a whole batch.
                    step(producer, &mut self.pushes);
                    if let Some(error) = producer.client().fatal_error() {
                        return Err(failed_producer(&format!("write to topic {topic}"), &error));
                    }
                    check(interrupt, "write a record")?;
                }
                // The transaction has failed already, perhaps by what was written elsewhere.
                Err(error) if error.code == Code::STATE => return Err(self.why_failed()),
                Err(error) => return Err(undelivered(topic, partition.0 as i32, &error)),
            }
        }
        self.bytes += record.byte_len();
        self.records += 1;
        self.pushes.give();
        Ok(())
    }

    fn topic(&mut self, topics: &dyn Topics, name: &str) -> Result<usize, LogError> {
        if self.topics.get(self.last).is_some_and(|topic| topic.name == name) {
            return Ok(self.last);
        }
        self.last = match self.by_name.get(name) {
            Some(&place) => place,
            None => self.add_topic(topics, name)?,
        };
        Ok(self.last)
    }

    fn add_topic(&mut self, topics: &dyn Topics, name: &str) -> Result<usize, LogError> {
        let partitions = topics.partitions(name)?;
        let message_bytes = topics.message_bytes(name);
        // A topic that came later and takes less than the batches that are made: a broker would refuse them, for ever.
        if message_bytes < self.limits.least || message_bytes > self.limits.most {
            let text = format!("topic {name} takes {message_bytes} bytes, which the producer was not made for");
            let error = NativeError::new(Code::MESSAGE_TOO_LARGE, text);
            return Err(failed_as(FailureKind::Aborted, &format!("write to topic {name}"), &error));
        }
        let handle = self.producer.topic(name).map_err(|error| failed_topic("write to", name, &error))?;
        self.topics.push(Topic { name: name.to_owned(), handle, partitions, message_bytes, ends: BTreeMap::new() });
        self.by_name.insert(name.to_owned(), self.topics.len() - 1);
        Ok(self.topics.len() - 1)
    }

    /// Waits until the brokers have everything, or until one record has failed. Not for ever, though records have time-outs:
    /// those of a partition whose leader died, and was left out of the brokers' list meanwhile, have been seen to stay.
    pub(super) fn drain(&mut self, interrupt: &Interrupt) -> Result<(), LogError> {
        let until = Instant::now() + self.patience;
        while !step(&self.producer, &mut self.pushes) {
            self.check_delivery()?;
            check(interrupt, "wait until the brokers have all records")?;
            if Instant::now() >= until {
                let message = "cannot write: some records were neither taken nor refused in time".to_owned();
                return Err(LogError::Kafka { kind: FailureKind::Aborted, message });
            }
        }
        self.check_delivery()
    }

    fn check_delivery(&self) -> Result<(), LogError> {
        if let Some(error) = self.producer.client().fatal_error() {
            return Err(failed_producer("write", &error));
        }
        match self.producer.take_failed() {
            // Purged with all others, because of something that concerns the transaction.
            Some(FailedDelivery { code: Code::PURGED_IN_QUEUE | Code::PURGED_IN_FLIGHT, .. }) => Err(self.why_failed()),
            Some(FailedDelivery { topic, partition, code }) => {
                Err(undelivered(&topic, partition, &NativeError::new(code, code.text())))
            }
            None => Ok(()),
        }
    }

    /// What has failed the transaction: the library says so when another is asked for, which it would not begin anyway.
    fn why_failed(&self) -> LogError {
        let touched = |topic: &&Topic| topic.ends.values().any(|end| end.is_touched);
        let names: Vec<&str> = self.topics.iter().filter(touched).map(|topic| topic.name.as_str()).collect();
        let doing = format!("write to {} in a transaction", names.join(", "));
        match self.producer.begin_transaction() {
            Err(error) => failed_producer(&doing, &error),
            Ok(()) => failed_producer(&doing, &NativeError::new(Code::PURGED_IN_QUEUE, Code::PURGED_IN_QUEUE.text())),
        }
    }

    /// Waits until the brokers have everything, for no longer than `wait`.
    pub(super) fn drain_for(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !step(&self.producer, &mut self.pushes) {
            if Instant::now() >= until {
                return false;
            }
        }
        true
    }

    /// Sends what lingers, where one is about to wait for input for so long; says for how long that may be before this is called
    /// again. Without a wait it does so now and then.
    pub(super) fn push(&mut self, wait: Duration) -> Duration {
        let (mut queued, now) = (self.producer.queued(), Instant::now());
        let is_due = if wait.is_zero() { self.pushes.is_overdue(queued, now) } else { self.pushes.is_due(queued, now) };
        if is_due {
            queued = push(&self.producer, &mut self.pushes);
        }
        if queued == 0 { wait } else { wait.min(self.pushes.until_next(Instant::now())) }
    }
}

/// Sends what lingers if that is due, else waits a little; says whether the brokers have everything.
fn step(producer: &Producer, pushes: &mut Pushes) -> bool {
    let queued = producer.queued();
    if queued == 0 {
        return true;
    }
    if pushes.is_due(queued, Instant::now()) {
        return push(producer, pushes) == 0;
    }
    std::thread::sleep(LOOK);
    producer.queued() == 0
}

/// Sends what lingers; returns how many records are not answered yet.
fn push(producer: &Producer, pushes: &mut Pushes) -> u64 {
    producer.flush(PUSH);
    let queued = producer.queued();
    pushes.pushed(queued, Instant::now());
    queued
}

/// A record was not taken, by the producer or by a broker.
fn undelivered(topic: &str, partition: i32, error: &NativeError) -> LogError {
    match error.code {
        Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC => LogError::UnknownTopic { topic: topic.to_owned() },
        _ => failed_producer(&format!("write to topic {topic} partition {partition}"), error),
    }
}

/// Whether somebody has ended the wait.
pub(super) fn check(interrupt: &Interrupt, doing: &str) -> Result<(), LogError> {
    if interrupt.is_set() {
        let message = format!("cannot {doing}: stopped while waiting for a broker");
        return Err(LogError::Kafka { kind: FailureKind::Aborted, message });
    }
    Ok(())
}

/// To the library 0 means "now": as a result must not depend on when it is written, the first millisecond of 1970 is written
/// as the second.
fn writable_time(timestamp: Millis) -> i64 {
    match timestamp {
        UNTIMED => 0,
        Millis(0) => 1,
        Millis(time) => time,
    }
}
