//! Where a test's topics are: in memory, or anywhere that can make topics and serve a log of them. A place never knows what a
//! test expects.

use millstream_engine::ids::PartitionId;
use millstream_pipeline::topology::Topology;

use super::message::Message;
use crate::log::memory::MemoryLog;
use crate::log::{Log, Records, TopicSettings};

/// The topics of one test, empty at its beginning, and nobody else's.
///
/// Errors are texts for whoever wrote the place: no test passes after one.
pub trait Place {
    /// What a worker runs over. Its reads find all that is committed at once, as those of a log in memory do.
    type Log: Log;

    /// Makes a topic that keeps everything.
    ///
    /// # Errors
    /// If it cannot be made.
    fn create_topic(&mut self, topic: &str, partitions: u32) -> Result<(), String>;

    /// Writes input.
    ///
    /// # Errors
    /// If it cannot be written.
    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<(), String>;

    /// A log for a worker that starts now to run this. The log of the worker before it has been dropped.
    ///
    /// # Errors
    /// If there is none to be had.
    fn connect(&mut self, topology: &Topology) -> Result<Self::Log, String>;

    /// The committed records of a topic, by partition and in order; none if there is no such topic.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&mut self, topic: &str) -> Result<Vec<Message>, String>;
}

/// In memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    log: MemoryLog,
}

impl Place for Memory {
    type Log = MemoryLog;

    fn create_topic(&mut self, topic: &str, partitions: u32) -> Result<(), String> {
        self.log.create_topic(topic, TopicSettings::user(partitions)).map_err(|error| error.to_string())
    }

    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<(), String> {
        self.log.produce(topic, partition, records).map(drop).map_err(|error| error.to_string())
    }

    fn connect(&mut self, _topology: &Topology) -> Result<MemoryLog, String> {
        Ok(self.log.clone())
    }

    fn read(&mut self, topic: &str) -> Result<Vec<Message>, String> {
        let partitions = self.log.partitions(topic).map_err(|error| error.to_string())?.unwrap_or(0);
        let mut messages = Vec::new();
        for partition in (0..partitions).map(PartitionId) {
            let extent = self.log.extent(topic, partition).map_err(|error| error.to_string())?;
            let mut next = extent.earliest;
            let mut records = Records::new();
            while next < extent.end {
                records.clear();
                next = self
                    .log
                    .read(topic, partition, next, Default::default(), &mut records)
                    .map_err(|error| error.to_string())?;
                messages.extend(records.iter().map(|record| Message {
                    partition: partition.0,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp,
                    headers: record.headers.map(|h| (h.name.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
                }));
            }
        }
        Ok(messages)
    }
}
