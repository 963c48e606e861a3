//! The Kafka log: one consumer of a group and one transactional producer, for one worker thread.
//!
//! It says when the group gives and takes partitions and never answers by itself: what is fetched is what
//! [`KafkaLog::assign`] says. Nothing of a transaction that did not commit is ever handed over.
//!
//! # Reading
//! [`KafkaLog::poll`] takes what the consumer has into a buffer for each partition, and [`Log::read`] empties those: it neither
//! waits nor asks a broker. Partitions that are not assigned (changelogs, while state is restored) are read through a
//! consumer of their own, which is kept from call to call until [`KafkaLog::end_restore`]; a read of these waits a fifth of a
//! second at most and may bring nothing. [`Log::read_ahead`] says which they will be, so that all are fetched side by side.
//!
//! # Writing
//! A transaction begins with the first record. After an error the producer is dropped; [`KafkaLog::init_producer`] makes the
//! next, which settles what was left open. So the order of a take-over is: `init_producer`, then [`Log::committed`], then
//! [`Log::written_end`], then read up to there.
//!
//! # Times
//! librdkafka takes a timestamp of exactly 0 for "now", and there is no way to send it. That is right for records without a time
//! of their own, as brokers delete by these times; a result of the very first millisecond of 1970 gets a wrong one.

mod buffer;
mod cluster;
mod counters;
mod defaults;
mod error;
mod fetch;
mod inspect;
mod interrupt;
mod limits;
mod native;
mod pushes;
mod remarks;
mod restore;
mod sender;
mod settings;
mod transaction;
mod trial;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use self::defaults::{BatchLimits, TOPIC_MESSAGE_BYTES};
use self::error::{failed, unreachable};
use self::fetch::{Fetcher, Read};
use self::limits::TopicLimits;
use self::native::{Admin, AdminReply, Client, ClientError, Code, Consumer, Entry, List, NativeError, Rebalance};
use self::sender::{Sender, Topics};
use self::transaction::Writer;
use crate::clock;
use crate::log::{
    Committed, CommittedOffset, Extent, FailureKind, Log, LogError, NewRecord, ReadLimit, RecordLimits, Records,
    TopicInfo, TopicPartition, TopicSettings, UNTIMED,
};

pub use counters::{CommitTime, KafkaCounters, TrimFailures};
pub use inspect::{ClusterFacts, GroupFacts, Right, TopicFacts, TopicStanding};
pub use interrupt::Interrupt;
pub use native::{BrokerTimes, ClientKind};
pub use settings::{Guarantee, KafkaLogSettings, topic_config};
pub use trial::try_clients;

/// How long a connection may take before it is said that nobody answers.
const CONNECT_WAIT: Duration = Duration::from_secs(8);
/// How long leaving the group may take.
const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// How long a question may take that everything else waits for.
const AT_ONCE: Duration = Duration::from_secs(1);
/// One attempt to initialise a producer that is made without being asked for.
const INIT_STEP: Duration = Duration::from_secs(1);
/// All attempts: whoever waits for them does not poll meanwhile, and says nothing.
const ENSURE_PATIENCE: Duration = Duration::from_secs(10);
/// How long records outside a transaction may take.
const PRODUCE_WAIT: Duration = Duration::from_secs(60);

/// What the group wants of this member. It waits for the answer: [`KafkaLog::assign`] or [`KafkaLog::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// These partitions are this member's now, all of them (the protocol is eager). To be answered with `assign`.
    Assigned(Vec<TopicPartition>),
    /// All partitions are asked back: commit what is done, then `release`.
    Revoked(Vec<TopicPartition>),
    /// All partitions are another's already: commit nothing, then `release`.
    Lost(Vec<TopicPartition>),
}

/// A log of Kafka topics, for one worker thread.
pub struct KafkaLog {
    settings: KafkaLogSettings,
    interrupt: Interrupt,
    counters: KafkaCounters,
    /// What each topic takes, as far as that was asked.
    limits: RefCell<BTreeMap<String, TopicLimits>>,
    /// Topics that this log was asked about, and how many partitions they have: those whose committed offsets matter.
    topics: RefCell<BTreeMap<String, u32>>,
    /// What went wrong last at the clients, of no particular call.
    last_error: RefCell<Option<(Instant, ClientError)>>,
    has_left: Cell<bool>,
    writer: Writer,
    /// For records outside any transaction.
    plain: Option<Sender>,
    /// Answers to trims. Dropped before the client that they come through.
    trims: Admin,
    control: Client,
    restore: Option<Fetcher>,
    probe: Option<Client>,
    /// For questions to the group's coordinator. After one without an answer it is made anew: the library goes on asking a
    /// coordinator that has died, and was another's when it came back (librdkafka's issue 5511).
    coordinator: RefCell<Option<Client>>,
    fetcher: Fetcher,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog")
            .field("settings", &self.settings)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// What a sender asks of the cluster, through the consumer's client.
struct ClusterTopics<'a> {
    client: &'a Client,
    limits: &'a RefCell<BTreeMap<String, TopicLimits>>,
}

impl Topics for ClusterTopics<'_> {
    fn partitions(&self, topic: &str) -> Result<u32, LogError> {
        cluster::partitions(self.client, topic)?.ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })
    }

    fn message_bytes(&self, topic: &str) -> usize {
        self.limits(topic).message_bytes
    }
}

impl ClusterTopics<'_> {
    fn limits(&self, topic: &str) -> TopicLimits {
        let known = self.limits.borrow().get(topic).copied();
        known.unwrap_or_else(|| self.ask(topic))
    }

    /// Asks what a topic takes. Who gets no answer goes on with what was known; where nothing was, or it may not be asked, it is
    /// not asked again before the next producer is made, as this is looked up for every batch.
    fn ask(&self, topic: &str) -> TopicLimits {
        let known = self.limits.borrow().get(topic).copied();
        let limits = match cluster::limits(self.client, topic) {
            Ok(told) => told.unwrap_or(TopicLimits::UNKNOWN),
            Err(error) => {
                tracing::debug!(topic, %error, "nobody says what the topic takes");
                known.unwrap_or(TopicLimits::UNKNOWN)
            }
        };
        self.limits.borrow_mut().insert(topic.to_owned(), limits);
        limits
    }
}

impl KafkaLog {
    /// Connects: makes the consumer, finds a broker, asks how large records of the output topics may be.
    ///
    /// # Errors
    /// Within 10 seconds if no broker answers, or if one refuses who we are.
    pub fn connect(settings: KafkaLogSettings) -> Result<KafkaLog, LogError> {
        let made = Consumer::new(&defaults::member(&settings));
        let mut consumer = made.map_err(|error| failed("make a consumer", &error))?;
        find_broker(&mut consumer, &settings)?;
        let interrupt = Interrupt::default();
        let control = Client::new(ClientKind::Consumer, &defaults::control(&settings));
        let control = control.map_err(|error| failed("make a client", &error))?;
        let log = KafkaLog {
            interrupt: interrupt.clone(),
            counters: KafkaCounters::default(),
            limits: RefCell::default(),
            topics: RefCell::default(),
            last_error: RefCell::default(),
            has_left: Cell::new(false),
            writer: Writer::new(&settings, interrupt),
            plain: None,
            trims: Admin::new(&control),
            control,
            restore: None,
            probe: None,
            coordinator: RefCell::default(),
            fetcher: Fetcher::new(consumer, settings.headerless_topics.clone()),
            settings,
        };
        for topic in &log.settings.output_topics {
            log.cluster_topics().ask(topic);
        }
        Ok(log)
    }

    /// Ends the waits of this log from another thread, for good.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Joins the group for these topics. What it gives comes from [`poll`](Self::poll).
    ///
    /// # Errors
    /// If the library refuses the names.
    pub fn subscribe(&mut self, topics: &[String]) -> Result<(), LogError> {
        let doing = format!("join group {}", self.settings.group);
        // What the library had to say about the group before, it will say again if it is still so.
        self.fetcher.take(Duration::ZERO);
        self.fetcher.consumer_mut().subscribe(topics).map_err(|error| failed(&doing, &error))
    }

    /// Takes what the consumer has, waiting for the first of it no longer than `wait`; [`read`](Log::read) then serves it. What the
    /// group wants is said as soon as it is seen. To be called often, also when nothing is to be read: a member that does
    /// not poll for five minutes is put out of its group.
    ///
    /// # Errors
    /// If a topic is not there, or if the group cannot be joined.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<GroupEvent>, LogError> {
        if let Some(event) = self.next_event() {
            return Ok(Some(event));
        }
        let wait = self.writer.push(wait);
        let remarks = self.fetcher.take(wait);
        self.fetcher.pause_full()?;
        self.count_trims();
        self.counters.buffered_bytes = self.fetcher.buffered_bytes() as u64;
        for remark in remarks {
            self.hear(remark)?;
        }
        self.hear_errors(self.fetcher.consumer().client())?;
        Ok(self.next_event())
    }

    fn next_event(&mut self) -> Option<GroupEvent> {
        let rebalance = self.fetcher.consumer().next_rebalance()?;
        self.counters.rebalances += 1;
        Some(match rebalance {
            Rebalance::Assign(entries) => GroupEvent::Assigned(partitions_of(entries)),
            Rebalance::Revoke(entries) => GroupEvent::Revoked(partitions_of(entries)),
            Rebalance::Lost(entries) => {
                self.counters.losses += 1;
                GroupEvent::Lost(partitions_of(entries))
            }
        })
    }

    /// Fetches exactly these partitions, each from its offset, from now on. Answers [`GroupEvent::Assigned`]; may also be
    /// called later, and may name partitions that the group did not give.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn assign(&mut self, at: &BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
        self.fetcher.assign(at)
    }

    /// Fetches nothing any more and forgets what was fetched. Answers [`GroupEvent::Revoked`] and [`GroupEvent::Lost`].
    ///
    /// # Errors
    /// If the library refuses.
    pub fn release(&mut self) -> Result<(), LogError> {
        if let Some(restore) = &mut self.restore {
            restore.release()?;
        }
        self.fetcher.release()
    }

    /// Whether there is a producer that can begin a transaction.
    pub fn is_producer_ready(&self) -> bool {
        self.writer.is_ready()
    }

    /// Makes a producer and initialises it, if there is none: whatever an earlier one of the same transactional id left
    /// open is aborted, and that one is fenced. Also takes the place back after a fence.
    ///
    /// # Errors
    /// Retriable if it takes longer than `wait`: call again, it goes on where it was.
    pub fn init_producer(&mut self, wait: Duration) -> Result<(), LogError> {
        self.writer.forget_fence();
        self.init(wait)
    }

    fn init(&mut self, wait: Duration) -> Result<(), LogError> {
        let topics = ClusterTopics { client: &self.control, limits: &self.limits };
        let limits = || {
            // They may have changed, and the last producer may have failed for it, or for a topic that was not foreseen.
            let known: BTreeSet<String> = self.limits.borrow().keys().cloned().collect();
            let names: BTreeSet<String> =
                known.into_iter().chain(self.settings.output_topics.iter().cloned()).collect();
            for name in &names {
                topics.ask(name);
            }
            Ok(batch_limits(&topics, names.iter().map(String::as_str)))
        };
        self.writer.init(&self.settings, limits, wait, &mut self.counters)
    }

    /// A producer that was retired or dropped is replaced at the next record; one that was fenced is not. While no coordinator
    /// answers the epoch is given up, so that its worker tells of it, polls, and waits with [`init_producer`](Self::init_producer).
    fn ensure_producer(&mut self) -> Result<(), LogError> {
        let until = Instant::now() + ENSURE_PATIENCE;
        while !self.writer.is_ready() {
            match self.init(INIT_STEP) {
                Err(error) if error.kind() == FailureKind::Retriable => {
                    sender::check(&self.interrupt, "initialise a producer")?;
                    if Instant::now() >= until {
                        let seconds = ENSURE_PATIENCE.as_secs();
                        let message = format!("{error}; no transaction coordinator was ready within {seconds} s");
                        return Err(LogError::Kafka { kind: FailureKind::Aborted, message });
                    }
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// What has been done so far.
    pub fn counters(&self) -> KafkaCounters {
        self.counters
    }

    /// How brokers have answered the group's member and the producer since somebody asked last.
    pub fn take_broker_times(&self) -> [(ClientKind, BrokerTimes); 2] {
        let consumer = self.fetcher.consumer().client().take_times();
        [(ClientKind::Consumer, consumer), (ClientKind::Producer, self.writer.take_times())]
    }

    /// Aborts what is open and leaves the group, so that others take over at once. Nothing may be done with the log afterwards
    /// but asking for its counters.
    ///
    /// # Errors
    /// If the group could not be told within two seconds; the log is closed all the same.
    pub fn leave(&mut self) -> Result<(), LogError> {
        if self.has_left.replace(true) {
            return Ok(());
        }
        self.end_restore();
        self.writer.close(&mut self.counters);
        let doing = format!("leave group {}", self.settings.group);
        match self.fetcher.consumer_mut().close(LEAVE_WAIT) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let error = NativeError::new(Code::TIMED_OUT, "the coordinator has not answered");
                Err(failed(&doing, &error))
            }
            Err(error) => Err(failed(&doing, &error)),
        }
    }

    fn cluster_topics(&self) -> ClusterTopics<'_> {
        ClusterTopics { client: self.client(), limits: &self.limits }
    }

    /// For questions to the cluster. Not the consumer: its connections are held up by fetches that wait for records.
    fn client(&self) -> &Client {
        &self.control
    }

    fn count_trims(&mut self) {
        while let Some(reply) = self.trims.next_reply(Duration::ZERO) {
            let AdminReply::Deleted(entries) = reply else { continue };
            for entry in entries {
                match entry.code {
                    Code::NONE => {}
                    Code::TOPIC_AUTHORIZATION_FAILED | Code::CLUSTER_AUTHORIZATION_FAILED => {
                        self.counters.trims_refused += 1;
                    }
                    code => {
                        *self.counters.trims_failed.of(code) += 1;
                        tracing::debug!(topic = entry.topic, partition = entry.partition, ?code, "a trim failed");
                    }
                }
            }
        }
    }

    /// Why a partition that is fetched brings nothing more.
    fn faulty(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        fault: &buffer::Fault,
    ) -> Result<Offset, LogError> {
        let error = NativeError::new(fault.code, fault.text.clone());
        if !matches!(fault.code, Code::AUTO_OFFSET_RESET | Code::OFFSET_OUT_OF_RANGE | Code::NO_OFFSET) {
            return Err(cluster::failed_partition("read", topic, partition, &error));
        }
        if fault.is_truncation() {
            return Err(cut_off(topic, partition, from));
        }
        let extent = self.written_extent(topic, partition)?;
        if (extent.earliest..=extent.end).contains(&from) {
            // It was said of an earlier place, before a seek.
            self.fetcher.fetch_from(topic, partition, from)?;
            return Ok(from);
        }
        Err(out_of_range(topic, partition, from, extent))
    }
}

/// The brokers have lost records that were read. Whether others stand in their place by now does not matter.
fn cut_off(topic: &str, partition: PartitionId, from: Offset) -> LogError {
    LogError::Kafka {
        kind: FailureKind::Refused,
        message: format!(
            "the brokers have lost records of topic {topic} partition {partition} that were read already: its log was cut off \
             before offset {from} (an unclean leader election, or a disk), and what came in their place is passed over; \
             results that were made of them stay, to make all anew use `millstream reset FILE --to earliest`"
        ),
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::debug!(group = self.settings.group, %error, "dropping a log");
        }
    }
}

/// Waits until a broker answers.
fn find_broker(consumer: &mut Consumer, settings: &KafkaLogSettings) -> Result<(), LogError> {
    let until = Instant::now() + CONNECT_WAIT;
    let mut errors = Vec::new();
    loop {
        if consumer.client().ping(Duration::from_millis(500)).is_ok() {
            return Ok(());
        }
        // No record can come before anything is assigned.
        consumer.take(Duration::ZERO, |_| {});
        errors.extend(consumer.client().take_errors());
        let is_refused = errors.iter().any(|error| matches!(error.code, Code::AUTHENTICATION | Code::SSL));
        if is_refused || Instant::now() >= until {
            let brokers = settings.properties.get("bootstrap.servers").map_or("(none)", String::as_str);
            return Err(unreachable(brokers, &errors));
        }
    }
}

fn batch_limits<'a>(topics: &ClusterTopics<'_>, names: impl Iterator<Item = &'a str>) -> BatchLimits {
    let mut limits = BatchLimits { least: TOPIC_MESSAGE_BYTES, most: TOPIC_MESSAGE_BYTES };
    for bytes in names.map(|name| topics.message_bytes(name)) {
        limits.least = limits.least.min(bytes);
        limits.most = limits.most.max(bytes);
    }
    limits
}

fn partitions_of(entries: Vec<Entry>) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> =
        entries.into_iter().map(|entry| (entry.topic, PartitionId(entry.partition as u32))).collect();
    partitions.sort();
    partitions
}

fn out_of_range(topic: &str, partition: PartitionId, offset: Offset, extent: Extent) -> LogError {
    LogError::OffsetOutOfRange {
        topic: topic.to_owned(),
        partition,
        offset,
        earliest: extent.earliest,
        end: extent.end,
    }
}

fn offsets_list(offsets: &BTreeMap<TopicPartition, CommittedOffset>) -> Result<Option<List>, LogError> {
    if offsets.is_empty() {
        return Ok(None);
    }
    let mut list = List::new();
    for ((topic, partition), committed) in offsets {
        list.add_with(topic, partition.0 as i32, committed.offset.0, &committed.metadata)
            .map_err(|error| failed("commit offsets", &error))?;
    }
    Ok(Some(list))
}

impl Log for KafkaLog {
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        cluster::topics(self.client())
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        let partitions = cluster::partitions(self.client(), topic)?;
        self.topics.borrow_mut().insert(topic.to_owned(), partitions.unwrap_or(0));
        Ok(partitions)
    }

    fn create_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), LogError> {
        cluster::create_topic(self.client(), name, &settings)
    }

    fn grow_topic(&mut self, name: &str, partitions: u32) -> Result<(), LogError> {
        cluster::grow_topic(self.client(), name, partitions)
    }

    fn is_atomic(&self) -> bool {
        self.settings.guarantee == Guarantee::ExactlyOnce
    }

    fn generation(&self) -> u32 {
        self.fetcher.consumer().membership().map_or(0, |(generation, _)| generation)
    }

    fn confirm_membership(&self) -> Result<(), LogError> {
        let group = &self.settings.group;
        let found = self.group_facts(group)?;
        if self.fetcher.consumer().membership().is_some_and(|(_, member)| found.member_ids.contains(&member)) {
            return Ok(());
        }
        let message = format!("the group {group} does not count this member in any more: others have its tasks");
        Err(LogError::Kafka { kind: FailureKind::Retriable, message })
    }

    fn offsets_per_commit(&self) -> i64 {
        match self.settings.guarantee {
            // The marker of the transaction.
            Guarantee::ExactlyOnce => 1,
            Guarantee::AtLeastOnce => 0,
        }
    }

    /// For a partition that is fetched: as it was when it was fetched last, without asking a broker. Before the first
    /// answer its end is not known, and is said to be one record ahead; it may also lie behind records of open
    /// transactions, until those are reached.
    fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        if let Some((low, high)) = self.fetcher.extent(topic, partition) {
            return Ok(Extent { earliest: Offset(low), end: Offset(high) });
        }
        match self.fetcher.next(topic, partition) {
            Some(next) => Ok(Extent { earliest: next, end: Offset(next.0 + 1) }),
            None => cluster::extent(self.client(), topic, partition),
        }
    }

    fn end_now(&mut self, topic: &str, partition: PartitionId) -> Result<Offset, LogError> {
        Ok(cluster::extent_within(self.client(), topic, partition, AT_ONCE)?.end)
    }

    fn written_extent(&mut self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        let probe = match &mut self.probe {
            Some(probe) => probe,
            probe @ None => {
                let made = Client::new(ClientKind::Consumer, &defaults::probe(&self.settings));
                probe.insert(made.map_err(|error| failed("make a client", &error))?)
            }
        };
        cluster::extent(probe, topic, partition)
    }

    fn record_limits(&self, topic: &str) -> RecordLimits {
        self.cluster_topics().limits(topic).at(clock::wall())
    }

    fn no_time(&self) -> Millis {
        UNTIMED
    }

    fn offset_at(&mut self, topic: &str, partition: PartitionId, time: Millis) -> Result<Offset, LogError> {
        // The end is asked for first: what comes in between has the time or is behind it.
        let end = cluster::extent(self.client(), topic, partition)?.end;
        Ok(cluster::offset_at(self.client(), topic, partition, time)?.unwrap_or(end))
    }

    fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let (records_before, bytes_before) = (into.len(), into.byte_len());
        let next = match self.fetcher.read(topic, partition, from, limit, into)? {
            Read::To(next) => next,
            Read::Faulty(fault) => self.faulty(topic, partition, from, &fault)?,
            Read::Elsewhere if self.fetcher.has(topic, partition) => {
                self.fetcher.fetch_from(topic, partition, from)?;
                from
            }
            Read::Elsewhere => self.read_apart(topic, partition, from, limit, into)?,
        };
        self.counters.records_read += (into.len() - records_before) as u64;
        self.counters.bytes_read += (into.byte_len() - bytes_before) as u64;
        Ok(next)
    }

    fn read_ahead(&mut self, stretches: &BTreeMap<TopicPartition, Range<Offset>>) -> Result<(), LogError> {
        self.fetch_apart(stretches)
    }

    fn is_at_hand(&self, topic: &str, partition: PartitionId, from: Offset) -> bool {
        let mut fetchers = [Some(&self.fetcher), self.restore.as_ref()].into_iter().flatten();
        fetchers.any(|fetcher| fetcher.has_beyond(topic, partition, from))
    }

    /// Offsets that are part of an open transaction are waited for, for a second; then the error is retriable. So that none is
    /// overlooked, every topic with offsets must have been asked about before (with [`partitions`](Log::partitions)).
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        let mut coordinator = self.coordinator.borrow_mut();
        let client = match coordinator.take() {
            Some(client) => client,
            None => Client::new(ClientKind::Consumer, &defaults::control(&self.settings))
                .map_err(|error| failed("make a client", &error))?,
        };
        let committed = cluster::committed(&client, group, &self.topics.borrow());
        if committed.is_ok() {
            *coordinator = Some(client);
        }
        committed
    }

    fn append(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError> {
        if !self.writer.is_ready() {
            self.ensure_producer()?;
        }
        let topics = ClusterTopics { client: &self.control, limits: &self.limits };
        self.writer.append(&topics, topic, partition, &record, &mut self.counters)
    }

    fn write_out(&mut self) -> Result<(), LogError> {
        self.writer.write_out(&mut self.counters)
    }

    /// The group must be the log's own: its offsets go with the generation of this member.
    fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        if group != self.settings.group {
            let message = format!("cannot commit offsets of group {group} as a member of {}", self.settings.group);
            return Err(LogError::Kafka { kind: FailureKind::Refused, message });
        }
        let list = offsets_list(offsets)?;
        if list.is_some() {
            self.ensure_producer()?;
        }
        self.writer.commit(self.fetcher.consumer(), list.as_ref(), &mut self.counters)
    }

    fn abort(&mut self) {
        self.writer.abort(&mut self.counters);
    }

    fn open_bytes(&self) -> usize {
        self.writer.open_bytes()
    }

    /// Not all or none: records before one that fails may be there.
    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<Offset, LogError> {
        let topics = ClusterTopics { client: &self.control, limits: &self.limits };
        let sender = match &mut self.plain {
            Some(sender) => sender,
            plain @ None => {
                let limits = batch_limits(&topics, std::iter::once(topic));
                plain.insert(Sender::new(&defaults::plain_producer(&self.settings, limits), limits)?)
            }
        };
        sender.begin();
        let produced = produce(sender, &topics, topic, partition, records, &self.interrupt);
        let position = match produced {
            Ok(()) => sender.positions().into_values().next(),
            Err(error) => {
                self.plain = None;
                return Err(error);
            }
        };
        position.map_or_else(|| Ok(cluster::extent(self.client(), topic, partition)?.end), Ok)
    }

    /// Asks the brokers, and does not wait: what comes of it is counted.
    fn trim(&mut self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError> {
        self.count_trims();
        cluster::delete_records(self.client(), &self.trims, topic, partition, before)
    }
}

fn produce(
    sender: &mut Sender,
    topics: &dyn Topics,
    topic: &str,
    partition: PartitionId,
    records: &Records,
    interrupt: &Interrupt,
) -> Result<(), LogError> {
    let mut headers = Vec::new();
    for record in records.iter() {
        headers.clear();
        headers.extend(record.headers);
        let record = NewRecord { key: record.key, value: record.value, timestamp: record.timestamp, headers: &headers };
        sender.send(topics, topic, partition, &record, interrupt)?;
    }
    let until = Instant::now() + PRODUCE_WAIT;
    while !sender.drain_for(Duration::from_millis(100)) {
        sender::check(interrupt, "produce")?;
        if Instant::now() >= until {
            break;
        }
    }
    sender.drain(interrupt)
}
