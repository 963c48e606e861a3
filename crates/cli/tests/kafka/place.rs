//! Topics of one test on a broker: what a worker is given over Kafka reads as a log in memory does, and its topics have a
//! prefix that the worker does not see. Input is written and output read by the foreign client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_harness::admin::Which;
use millstream_harness::{Client, Message};
use millstream_pipeline::topology::Topology;
use millstream_runtime::case::{self, Place};
use millstream_runtime::log::kafka::{Guarantee, KafkaLog, KafkaLogSettings};
use millstream_runtime::log::{
    Committed, CommittedOffset, Extent, FailureKind, Log, LogError, NewRecord, ReadLimit, RecordLimits, Records,
    TopicInfo, TopicPartition, TopicSettings,
};

/// How long anything on the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The topics of one test on a broker; deleted when dropped.
pub(crate) struct OnBroker {
    client: Client,
    bootstrap: String,
    prefix: String,
}

impl OnBroker {
    pub(crate) fn new(client: Client, bootstrap: &str) -> OnBroker {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("case{}-", COUNT.fetch_add(1, Ordering::Relaxed));
        OnBroker { client, bootstrap: bootstrap.to_owned(), prefix }
    }
}

impl Drop for OnBroker {
    fn drop(&mut self) {
        // Left behind, they go with the broker.
        let _ = self.client.delete_topics(&self.prefix);
    }
}

impl Place for OnBroker {
    type Log = Prefixed;

    fn create_topic(&mut self, topic: &str, partitions: u32) -> Result<(), String> {
        let name = format!("{}{topic}", self.prefix);
        self.client.create_topic(&name, partitions).map_err(|error| error.to_string())
    }

    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<(), String> {
        let messages = records.iter().map(|record| Message {
            partition: Some(partition.0),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp: Some(record.timestamp.0),
            headers: record.headers.map(|h| (h.name.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        });
        let messages: Vec<Message> = messages.collect();
        self.client.produce(&format!("{}{topic}", self.prefix), &messages).map(drop).map_err(|error| error.to_string())
    }

    fn connect(&mut self, topology: &Topology) -> Result<Prefixed, String> {
        let sinks = topology.sinks.iter().map(|sink| sink.topic.clone()).chain(topology.on_error.dead_letter.clone());
        let exchanges = topology.exchanges.iter().map(|exchange| exchange.topic.clone());
        let changelogs = (0..topology.subtopologies.len()).filter_map(|index| topology.changelog_topic(index));
        let settings = KafkaLogSettings {
            properties: BTreeMap::from([("bootstrap.servers".to_owned(), self.bootstrap.clone())]),
            group: self.prefix.clone(),
            transactional_id: self.prefix.clone(),
            client_id: self.prefix.clone(),
            guarantee: Guarantee::ExactlyOnce,
            output_topics: sinks.chain(exchanges).chain(changelogs).map(|topic| self.prefix.clone() + &topic).collect(),
            headerless_topics: topology
                .headerless_topics()
                .into_iter()
                .map(|topic| self.prefix.clone() + topic)
                .collect(),
        };
        let log = KafkaLog::connect(settings).map_err(|error| error.to_string())?;
        Ok(Prefixed { log, client: self.client.clone(), prefix: self.prefix.clone(), at: BTreeMap::new() })
    }

    fn read(&mut self, topic: &str) -> Result<Vec<case::Message>, String> {
        let name = format!("{}{topic}", self.prefix);
        if !self.client.topics().map_err(|error| error.to_string())?.contains(&name) {
            return Ok(Vec::new());
        }
        let read = self.client.read_settled(&name).map_err(|error| error.to_string())?;
        let messages = read.into_iter().map(|record| case::Message {
            partition: record.partition,
            key: record.key,
            value: record.value,
            timestamp: Millis(record.timestamp),
            headers: record.headers,
        });
        Ok(messages.collect())
    }
}

/// Again, for as long as the log says that it may pass.
fn patiently<T>(mut what: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match what() {
            Err(error) if error.kind() == FailureKind::Retriable && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

fn broken(message: String) -> LogError {
    LogError::Kafka { kind: FailureKind::Fatal, message }
}

/// A Kafka log whose topics have a prefix, and whose reads wait for what is committed already.
pub(crate) struct Prefixed {
    log: KafkaLog,
    /// Knows where partitions end now.
    client: Client,
    prefix: String,
    /// Where the input partitions that are fetched go on.
    at: BTreeMap<TopicPartition, Offset>,
}

impl Prefixed {
    fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn own(&self, place: TopicPartition) -> TopicPartition {
        (place.0.strip_prefix(&self.prefix).map_or(place.0.clone(), str::to_owned), place.1)
    }

    /// Where the committed records of a partition end, as the foreign client sees it.
    fn end(&self, (topic, partition): &TopicPartition) -> Result<Offset, LogError> {
        let ends = self.client.offsets(topic, Which::Committed).map_err(|error| broken(error.to_string()))?;
        ends.get(&partition.0).map(|end| Offset(*end)).ok_or_else(|| broken(format!("no end of {topic} {partition:?}")))
    }

    /// Waits until everybody can read what was committed: markers are written behind the answer to a commit.
    fn wait_for_markers(&self, committed: &Committed) -> Result<(), LogError> {
        let deadline = Instant::now() + PATIENCE;
        for (place, behind) in &committed.positions {
            while self.end(place)? < *behind {
                if Instant::now() >= deadline {
                    return Err(broken(format!("what was committed in {place:?} cannot be read")));
                }
            }
        }
        Ok(())
    }

    /// As late as a member of a group does: when the topics that it writes are there, and before state is restored.
    fn init_producer(&mut self) -> Result<(), LogError> {
        if self.log.is_producer_ready() {
            return Ok(());
        }
        patiently(|| self.log.init_producer(Duration::from_secs(1)))
    }

    /// Fetches this partition from here on, beside the others.
    fn fetch(&mut self, place: &TopicPartition, from: Offset) -> Result<(), LogError> {
        // What a task restores from is not among what a member of a group is given.
        if !place.0.ends_with("-changelog") && self.at.get(place) != Some(&from) {
            self.at.insert(place.clone(), from);
            self.log.assign(&self.at)?;
        }
        Ok(())
    }
}

impl Log for Prefixed {
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let all = self.log.topics()?.into_iter();
        Ok(all.filter(|info| info.name.starts_with(&self.prefix)).collect())
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        self.log.partitions(&self.name(topic))
    }

    fn create_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), LogError> {
        self.log.create_topic(&self.name(name), settings)
    }

    fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        let place = (self.name(topic), partition);
        let mut extent = self.log.extent(&place.0, partition)?;
        // What the consumer knows of the end may be older than what a test has written since.
        if self.at.get(&place).is_some_and(|at| *at >= extent.end) {
            extent.end = extent.end.max(self.end(&place)?);
        }
        Ok(extent)
    }

    fn written_extent(&mut self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        self.init_producer()?;
        self.log.written_extent(&self.name(topic), partition)
    }

    fn offsets_per_commit(&self) -> i64 {
        self.log.offsets_per_commit()
    }

    fn record_limits(&self, topic: &str) -> RecordLimits {
        self.log.record_limits(&self.name(topic))
    }

    /// Not the time of writing, as over Kafka: two runs of a case are compared.
    fn no_time(&self) -> Millis {
        Millis(0)
    }

    fn offset_at(&mut self, topic: &str, partition: PartitionId, time: Millis) -> Result<Offset, LogError> {
        self.log.offset_at(&self.name(topic), partition, time)
    }

    fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let place = (self.name(topic), partition);
        self.fetch(&place, from)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next = self.log.read(&place.0, partition, from, limit, into)?;
            if next > from {
                if let Some(at) = self.at.get_mut(&place) {
                    *at = next;
                }
                return Ok(next);
            }
            let end = self.end(&place)?;
            if from >= end {
                return Ok(from);
            }
            if Instant::now() >= deadline {
                return Err(broken(format!(
                    "{topic} {partition:?}: nothing comes from {from:?}, and it ends at {end:?}"
                )));
            }
            self.log.poll(Duration::from_millis(20))?;
        }
    }

    fn committed(&self, _group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        let committed = patiently(|| self.log.committed(&self.prefix))?;
        Ok(committed.into_iter().map(|(place, offset)| (self.own(place), offset)).collect())
    }

    fn append(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError> {
        self.init_producer()?;
        self.log.append(&self.name(topic), partition, record)
    }

    fn write_out(&mut self) -> Result<(), LogError> {
        self.log.write_out()
    }

    fn commit(
        &mut self,
        _group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        self.init_producer()?;
        let offsets = offsets.iter().map(|((topic, p), offset)| ((self.name(topic), *p), offset.clone())).collect();
        let committed = self.log.commit(&self.prefix, &offsets)?;
        self.wait_for_markers(&committed)?;
        Ok(Committed { positions: committed.positions.into_iter().map(|(p, offset)| (self.own(p), offset)).collect() })
    }

    fn abort(&mut self) {
        self.log.abort();
    }

    fn open_bytes(&self) -> usize {
        self.log.open_bytes()
    }

    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<Offset, LogError> {
        self.log.produce(&self.name(topic), partition, records)
    }

    fn trim(&mut self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError> {
        self.log.trim(&self.name(topic), partition, before)
    }
}
