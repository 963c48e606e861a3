//! Random verbs, given to a log in memory and to the Kafka log: what can be read, and how far the group has come, is the same.

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_harness::random::Random;
use millstream_harness::suite::Trial;
use millstream_harness::{Broker, Result, ensure, tests, wait};
use millstream_runtime::log::kafka::{Guarantee, KafkaLog};
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Header, Log, NewRecord, ReadLimit, Records, TopicSettings};

use super::common::{LONG, Told, init, number_from, offsets, read_until, settings};

pub(crate) fn tests() -> Vec<Trial> {
    tests![exactly_once_as_in_memory, at_least_once_as_in_memory]
}

const PARTITIONS: u32 = 3;
const STEPS: usize = 150;

/// A record's key, value, timestamp and headers.
type Shown = (Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(String, Option<Vec<u8>>)>);

fn shown(records: &Records) -> Vec<Shown> {
    let one = |record: millstream_runtime::log::RecordView<'_>| {
        let headers = record.headers.map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)));
        (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp.0, headers.collect())
    };
    records.iter().map(one).collect()
}

struct Pair {
    memory: MemoryLog,
    kafka: KafkaLog,
    topic: String,
    random: Random,
    written: i64,
}

impl Pair {
    fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.random.below(5) {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some((0..self.random.below(200)).map(|byte| byte as u8).collect()),
        }
    }

    /// Two logs, the same records.
    fn append(&mut self, most: u64) -> Result {
        for _ in 0..=self.random.below(most) {
            self.written += 1;
            let partition = PartitionId(self.random.below(u64::from(PARTITIONS)) as u32);
            let (key, value, held) = (self.bytes(), self.bytes(), self.bytes());
            let headers = [Header { name: "h", value: held.as_deref() }, Header { name: "", value: None }];
            let headers = &headers[..self.random.below(3) as usize];
            let (key, value) = (key.as_deref(), value.as_deref());
            let record = NewRecord { key, value, timestamp: Millis(1_700_000_000_000 + self.written), headers };
            self.memory.append(&self.topic, partition, record).told()?;
            self.kafka.append(&self.topic, partition, record).told()?;
        }
        ensure!(self.memory.open_bytes() == self.kafka.open_bytes(), "other bytes are open");
        Ok(())
    }

    fn commit(&mut self) -> Result {
        let mut of = Vec::new();
        for partition in 0..PARTITIONS {
            if self.random.below(2) == 0 {
                of.push((partition, self.random.below(1_000) as i64, format!("beside {}", self.written)));
            }
        }
        let of: Vec<_> =
            of.iter().map(|(p, offset, beside)| (self.topic.as_str(), *p, *offset, beside.as_str())).collect();
        let of = offsets(&of);
        let topic = self.topic.clone();
        let memory = self.memory.commit(&topic, &of).told()?;
        let kafka = self.kafka.commit(&topic, &of).told()?;
        // Offsets differ by the markers; what was written to does not.
        ensure!(
            memory.positions.keys().eq(kafka.positions.keys()),
            "{:?}, not {:?}",
            kafka.positions.keys(),
            memory.positions.keys()
        );
        ensure!(self.memory.committed(&topic).told()? == self.kafka.committed(&topic).told()?, "other offsets");
        Ok(())
    }

    fn produce(&mut self) -> Result {
        let partition = PartitionId(self.random.below(u64::from(PARTITIONS)) as u32);
        let mut records = Records::new();
        for _ in 0..=self.random.below(5) {
            self.written += 1;
            let (key, value) = (self.bytes(), self.bytes());
            let timestamp = Millis(1_700_000_000_000 + self.written);
            let record = NewRecord { key: key.as_deref(), value: value.as_deref(), timestamp, headers: &[] };
            records.push(Offset(0), record);
        }
        self.memory.produce(&self.topic, partition, &records).told()?;
        self.kafka.produce(&self.topic, partition, &records).told()?;
        Ok(())
    }

    /// Only when nothing is open: what a log in memory holds back, a broker puts before what is produced meanwhile.
    fn compare(&mut self) -> Result {
        for partition in 0..PARTITIONS {
            let id = PartitionId(partition);
            let mut expected = Records::new();
            let mut next = self.memory.extent(&self.topic, id).told()?.earliest;
            while next < self.memory.extent(&self.topic, id).told()?.end {
                next = self.memory.read(&self.topic, id, next, ReadLimit::default(), &mut expected).told()?;
            }
            // Both each time: a marker may be written between two questions.
            let ends =
                || Ok((self.kafka.extent(&self.topic, id).told()?, self.kafka.written_end(&self.topic, id).told()?));
            let (extent, end) = wait::until("the markers", LONG, ends, |(extent, end)| extent.end == *end)?;
            let (found, _) =
                read_until(&mut self.kafka, &self.topic, partition, extent.earliest.0, |_, next| next >= end)?;
            let (found, expected) = (shown(&found), shown(&expected));
            ensure!(found == expected, "partition {partition}: {} records, {} expected", found.len(), expected.len());
        }
        Ok(())
    }
}

fn same(guarantee: Guarantee, topic: &str) -> Result {
    let seed = number_from("SEED", 3);
    let mut with = settings(&Broker::shared()?.bootstrap(), topic);
    with.guarantee = guarantee;
    with.output_topics = vec![topic.to_owned()];
    let mut pair = Pair {
        memory: MemoryLog::new(),
        kafka: KafkaLog::connect(with).told()?,
        topic: topic.to_owned(),
        random: Random::new(seed),
        written: 0,
    };
    pair.memory.create_topic(topic, TopicSettings::user(PARTITIONS)).told()?;
    pair.kafka.create_topic(topic, TopicSettings::user(PARTITIONS)).told()?;
    ensure!(pair.kafka.partitions(topic).told()? == Some(PARTITIONS), "the topic is not there");
    init(&mut pair.kafka)?;
    let mut is_open = false;
    for step in 0..STEPS {
        let what = pair.random.below(10);
        let done = match what {
            0..=4 => {
                is_open = true;
                pair.append(20)
            }
            // Without transactions, what was sent was sent.
            5 if guarantee == Guarantee::ExactlyOnce => {
                is_open = false;
                pair.memory.abort();
                pair.kafka.abort();
                Ok(())
            }
            5..=7 => {
                is_open = false;
                pair.commit()
            }
            8 if !is_open => pair.produce(),
            _ if !is_open => pair.compare(),
            _ => Ok(()),
        };
        done.map_err(|trouble| format!("seed {seed}, step {step}, {what}: {trouble}"))?;
    }
    pair.commit()?;
    pair.compare()?;
    let counters = pair.kafka.counters();
    ensure!(counters.retirements == 0 && counters.producers == 1, "{counters:?}");
    ensure!(pair.written > 300, "only {} records", pair.written);
    Ok(())
}

fn exactly_once_as_in_memory() -> Result {
    same(Guarantee::ExactlyOnce, "model")
}

fn at_least_once_as_in_memory() -> Result {
    same(Guarantee::AtLeastOnce, "model-at-least")
}
