//! Reading what is not assigned, through a consumer of its own: changelogs, while state is restored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};

use super::error::{self, failed};
use super::fetch::{Fetcher, Read};
use super::native::{ClientError, Code, Consumer, NativeError};
use super::{KafkaLog, cluster, defaults, out_of_range};
use crate::log::{FailureKind, LogError, ReadLimit, Records};

/// How long a read waits for something.
const RESTORE_WAIT: Duration = Duration::from_millis(200);

impl KafkaLog {
    /// Drops the connection over which partitions that are not assigned were read.
    pub fn end_restore(&mut self) {
        self.restore = None;
        self.probe = None;
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
        let mut restore = match self.restore.take() {
            Some(restore) => restore,
            None => {
                let made = Consumer::new(&defaults::restore(&self.settings));
                let made = made.map_err(|error| failed("make a consumer", &error))?;
                Fetcher::new(made, self.settings.headerless_topics.clone())
            }
        };
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
            for error in self.hear_errors(restore.consumer().client())? {
                check_topic(topic, partition, error)?;
            }
        }
    }
}

/// A topic that is gone, or may not be read any more, is told as an error of the client: nothing more comes of it.
fn check_topic(topic: &str, partition: PartitionId, error: ClientError) -> Result<(), LogError> {
    let is_about_it = error.text.strip_prefix(topic).is_some_and(|rest| rest.starts_with(" ["));
    let error = NativeError::new(error.code, error.text);
    let is_final = error.code == Code::UNKNOWN_PARTITION || error::kind_of(&error) == FailureKind::Refused;
    if is_about_it && is_final { Err(cluster::failed_partition("read", topic, partition, &error)) } else { Ok(()) }
}
