//! Reading what is not assigned, through a consumer of its own: changelogs, while state is restored. Those of all tasks are
//! fetched side by side; what is taken of the consumer waits in the buffers of their partitions, and nothing more is taken while
//! any of it is not read. So no more is in memory than the library's queue holds, twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};

use super::error::{self, failed};
use super::fetch::{Fetcher, Read};
use super::native::{ClientError, Code, Consumer, NativeError};
use super::{KafkaLog, cluster, defaults, out_of_range};
use crate::log::{FailureKind, Log, LogError, ReadLimit, Records, TopicPartition};

/// How long a read waits for something.
const RESTORE_WAIT: Duration = Duration::from_millis(200);

impl KafkaLog {
    /// Drops the connection over which partitions that are not assigned were read.
    pub fn end_restore(&mut self) {
        self.restore = None;
        self.probe = None;
    }

    /// Fetches stretches of partitions that are not assigned, side by side.
    pub(super) fn fetch_apart(&mut self, stretches: &BTreeMap<TopicPartition, Range<Offset>>) -> Result<(), LogError> {
        if stretches.is_empty() {
            return self.restore.as_mut().map_or(Ok(()), Fetcher::release);
        }
        let mut restore = self.take_restore()?;
        let assigned = restore.assign_stretches(stretches);
        self.restore = Some(restore);
        assigned
    }

    fn take_restore(&mut self) -> Result<Fetcher, LogError> {
        if let Some(restore) = self.restore.take() {
            return Ok(restore);
        }
        let made = Consumer::new(&defaults::restore(&self.settings));
        let made = made.map_err(|error| failed("make a consumer", &error))?;
        Ok(Fetcher::new(made, self.settings.headerless_topics.clone()))
    }

    /// Reads a partition that is not assigned.
    pub(super) fn read_apart(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let mut restore = self.take_restore()?;
        let next = self.read_through(&mut restore, topic, partition, from, limit, into);
        self.restore = Some(restore);
        next
    }

    fn read_through(
        &mut self,
        restore: &mut Fetcher,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let was_at_end = restore.is_at_end(topic, partition);
        let until = Instant::now() + RESTORE_WAIT;
        loop {
            match restore.read(topic, partition, from, limit, into)? {
                Read::To(next) if next > from => return Ok(next),
                Read::To(_) if restore.is_at_end(topic, partition) && !was_at_end => return Ok(from),
                // What has come of others is to be read first.
                Read::To(_) if restore.has_any() => return Ok(from),
                Read::To(_) => {}
                Read::Elsewhere => restore.assign(&BTreeMap::from([((topic.to_owned(), partition), from)]))?,
                Read::Faulty(fault) => {
                    restore.release()?;
                    let error = NativeError::new(fault.code, fault.text);
                    if error.code != Code::AUTO_OFFSET_RESET {
                        return Err(cluster::failed_partition("read", topic, partition, &error));
                    }
                    let extent = self.written_extent(topic, partition)?;
                    return Err(out_of_range(topic, partition, from, extent));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(from);
            }
            for remark in restore.take(left) {
                self.hear(remark)?;
            }
            restore.pause_done()?;
            for error in self.hear_errors(restore.consumer().client())? {
                restore.topics().try_for_each(|topic| check_topic(topic, &error))?;
            }
        }
    }
}

/// A topic that is gone, or may not be read any more, is told as an error of the client: nothing more comes of it.
fn check_topic(topic: &str, error: &ClientError) -> Result<(), LogError> {
    let about_it = error.text.strip_prefix(topic).and_then(|rest| rest.strip_prefix(" ["));
    let Some(partition) = about_it.and_then(|rest| rest.split(']').next()?.parse().ok()) else { return Ok(()) };
    let error = NativeError::new(error.code, error.text.clone());
    let is_final = error.code == Code::UNKNOWN_PARTITION || error::kind_of(&error) == FailureKind::Refused;
    if is_final { Err(cluster::failed_partition("read", topic, PartitionId(partition), &error)) } else { Ok(()) }
}
