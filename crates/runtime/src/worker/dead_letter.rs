//! Dead letters: what a step or a sink has refused, written as it was read, with headers that say why.

use millstream_engine::batch::Batch;
use millstream_engine::context::OnError;
use millstream_engine::error::{Rejected, RowFault, TaskError};
use millstream_engine::ids::{Offset, PartitionId};

use super::error::RecordPlace;
use super::lane::Lane;
use super::refused::{Letter, Refusals};
use super::{Worker, WorkerError, output};
use crate::log::{Header, KeyRule, Log, NewRecord, RecordView, Records, UNTIMED};

/// Where the message stands among the [`reasons`].
const MESSAGE_HEADER: usize = 3;

impl<L: Log> Worker<L> {
    /// Does what the pipeline says with a row of `batch` that could not be written.
    pub(super) fn refuse(
        &mut self,
        index: usize,
        step: &str,
        batch: &Batch,
        fault: RowFault,
        refusals: &mut Refusals,
    ) -> Result<(), WorkerError> {
        let rejected = Rejected {
            step: step.to_owned(),
            error: fault.error,
            origin: batch.meta.origin.at(fault.row),
            offset: Offset(batch.meta.offset.value(fault.row)),
            row: Some(batch.rows.slice(fault.row, 1)),
        };
        match self.topology.on_error.policy {
            OnError::Fail => Err(self.task_error(index, TaskError::RecordFailed(Box::new(rejected)))),
            OnError::Skip => Ok(()),
            OnError::DeadLetter => {
                self.add_refused(index, rejected, refusals);
                Ok(())
            }
        }
    }

    /// Puts what was refused with what was refused before.
    pub(super) fn add_refused(&self, index: usize, rejected: Rejected, refusals: &mut Refusals) {
        let lanes = &self.tasks[index].lanes;
        refusals
            .add(rejected, |rejected| self.place_of(rejected).is_some_and(|place| at_hand(lanes, &place).is_some()));
    }

    /// Writes what was refused to the dead-letter topic: the record as it came where the task has read it itself, else the row as
    /// JSON.
    pub(super) fn dead_letter(&mut self, index: usize, letter: &Letter) -> Result<(), WorkerError> {
        let Letter { rejected, rows } = letter;
        let place = self.place_of(rejected);
        if let Some(rate) = self.failure_rate(index) {
            rate.failed(in_words(place.as_ref(), rejected));
        }
        let Some(topic) = &self.topology.on_error.dead_letter else { return Ok(()) };
        self.dead_letters += 1;
        let running = &self.tasks[index];
        let read = place.as_ref().and_then(|place| at_hand(&running.lanes, place));
        let row = rejected.row.as_ref().filter(|_| read.is_none()).map(output::as_json);
        let (key, value, timestamp) = match &read {
            Some(record) => (record.key, record.value, record.timestamp),
            None => (None, row.as_deref(), self.log.no_time()),
        };
        let limits = self.log.record_limits(topic);
        // What the topic would refuse for its time is not lost for it.
        let timestamp = if limits.takes_time(timestamp) { timestamp } else { UNTIMED };
        let key = key.or((limits.keys == KeyRule::Needed).then_some(rejected.step.as_bytes()));
        let place = place.map(|place| (place.topic, place.partition.to_string(), place.offset.to_string()));
        let rows = (*rows > 1).then(|| rows.to_string());
        let mut why = reasons(&self.topology.name, rejected, place.as_ref(), rows.as_deref());
        let partition = PartitionId(running.task.id().partition.0 % self.dead_letter_partitions);
        // The last of a name counts: a dead letter that is read and refused again says why it is one now.
        let headers: Vec<Header<'_>> =
            read.iter().flat_map(|record| record.headers).chain(why.iter().copied()).collect();
        let record = NewRecord { key, value, timestamp, headers: &headers };
        let limit = limits.bytes.unwrap_or(usize::MAX);
        if record.size() <= limit {
            return Ok(self.log.append(topic, partition, record)?);
        }
        // Where it stands is enough to find it again; a commit that can never succeed would help nobody.
        why.push(text_header("millstream.error.payload", "left out: larger than this topic takes"));
        let key = (limits.keys == KeyRule::Needed).then_some(rejected.step.as_bytes());
        let without = NewRecord { key, value: None, timestamp, headers: &why }.size();
        // The message may tell of much that the record holds.
        let message = &rejected.error.message;
        let kept = message.len().saturating_sub(without.saturating_sub(limit));
        why[MESSAGE_HEADER] = text_header("millstream.error.message", beginning(message, kept));
        let record = NewRecord { key, value: None, timestamp, headers: &why };
        Ok(self.log.append(topic, partition, record)?)
    }

    /// Where a refused record was read; a result of many has no place.
    pub(super) fn place_of(&self, rejected: &Rejected) -> Option<RecordPlace> {
        let topic = self.topology.topics.get(rejected.origin.topic_rank() as usize)?.clone();
        let (partition, offset) = (rejected.origin.partition(), rejected.offset);
        (offset.0 >= 0).then_some(RecordPlace { topic, partition, offset })
    }
}

/// The headers that say why a record is a dead letter: of this pipeline, from (topic, partition, offset), for so many of its rows.
fn reasons<'r>(
    pipeline: &'r str,
    rejected: &'r Rejected,
    place: Option<&'r (String, String, String)>,
    rows: Option<&'r str>,
) -> Vec<Header<'r>> {
    let mut why = vec![
        text_header("millstream.error.pipeline", pipeline),
        text_header("millstream.error.step", &rejected.step),
        text_header("millstream.error.kind", rejected.error.kind.as_str()),
        text_header("millstream.error.message", &rejected.error.message),
    ];
    if let Some((topic, partition, offset)) = place {
        why.push(text_header("millstream.error.topic", topic));
        why.push(text_header("millstream.error.partition", partition));
        why.push(text_header("millstream.error.offset", offset));
    }
    why.extend(rows.map(|rows| text_header("millstream.error.rows", rows)));
    why
}

/// Which record failed, where and why; a result of many is in no place.
fn in_words(place: Option<&RecordPlace>, rejected: &Rejected) -> String {
    let place = place.map(|place| format!("{place}, ")).unwrap_or_default();
    format!("{place}step {}: {}: {}", rejected.step, rejected.error.kind.as_str(), rejected.error.message)
}

/// The record that stands at `place`, if a lane still has it: those of rows that are being processed, or wait for rows of other
/// inputs, are there, as a lane reads on only when none waits.
fn at_hand<'a>(lanes: &'a [Lane], place: &RecordPlace) -> Option<RecordView<'a>> {
    let reads = |lane: &&Lane| lane.topic == place.topic && lane.partition == place.partition;
    lanes.iter().filter(reads).find_map(|lane| find(&lane.records, place.offset))
}

/// The record at `offset`; offsets ascend.
fn find(records: &Records, offset: Offset) -> Option<RecordView<'_>> {
    let last = records.len().checked_sub(1)?;
    // Where there are no gaps, which is nearly always, it stands just where its offset says.
    let at = usize::try_from(offset.0 - records.get(0).offset.0).ok()?.min(last);
    (0..=at).rev().map(|index| records.get(index)).find(|record| record.offset <= offset).filter(|r| r.offset == offset)
}

/// As much of the beginning of a text as `bytes` hold.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn text_header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name, value: Some(value.as_bytes()) }
}
