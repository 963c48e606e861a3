//! Rows that wait until every input has one, so that they can be processed in order of event time.
//!
//! Where a sender of a repartition has none it is not waited for if it has said that it has nothing more to send, or that
//! its time is further: what it will send then comes later in any case. So the order is that of all rows, however far each
//! sender happens to be.

use std::collections::VecDeque;

use crate::batch::Batch;
use crate::error::Rejected;
use crate::ids::{InputId, Offset};
use crate::operator::Signal;
use crate::size::bytes_of;
use crate::task::heard::{Heard, Stand};
use crate::task::{Chunk, FrameChunk, Position};
use crate::time::Watermark;

/// So many rows of senders wait at the most,
const MOST_WAITING: usize = 1 << 18;
/// and so many bytes of them: where senders are further apart, rows are processed without waiting for all.
const MOST_WAITING_BYTES: usize = 256 << 20;

/// What has been read and not yet processed, for each input in the order of ties.
#[derive(Debug)]
pub(super) struct Heads {
    queues: Vec<VecDeque<Head>>,
    /// For each input with which others its rows may go through the graph in one pass: those of the same number.
    groups: Vec<usize>,
    waiting_rows: usize,
    /// Of the frames of which some row waits.
    waiting_bytes: usize,
}

/// Rows that come before all else that waits, and go through the graph in one pass.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// What the rows are part of.
    pub(super) parts: Vec<Part>,
    /// (part, row), in order; none where a batch without rows stands alone.
    pub(super) picks: Vec<(usize, usize)>,
    /// What the last row's input says behind it.
    pub(super) behind: Option<Signal>,
}

/// What was read of one input in one go.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) input: InputId,
    pub(super) batch: Batch,
    /// Records among the rows that did not decode.
    pub(super) rejected: Vec<Rejected>,
    /// How many messages among the rows had no payload.
    pub(super) null_values: usize,
    /// How far the input has come behind the rows.
    pub(super) position: Position,
}

#[derive(Debug)]
struct Head {
    batch: Batch,
    times: Vec<i64>,
    /// The first row that still waits.
    from: usize,
    rejected: VecDeque<Rejected>,
    null_values: VecDeque<i64>,
    next: Position,
    frame: Option<FrameChunk>,
    /// Of a frame.
    bytes: usize,
    behind: Option<Signal>,
    /// Which of the batches that are being gathered this is.
    part: Option<usize>,
}

impl Heads {
    /// Of so many inputs as there are `groups`: rows of those with the same number may go through the graph in one pass.
    pub(super) fn new(groups: Vec<usize>) -> Heads {
        Heads { queues: groups.iter().map(|_| VecDeque::new()).collect(), groups, waiting_rows: 0, waiting_bytes: 0 }
    }

    /// Whether more rows wait than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_rows > MOST_WAITING || self.waiting_bytes > MOST_WAITING_BYTES
    }

    /// Whether no row waits.
    pub(super) fn are_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    pub(super) fn is_empty(&self, input: InputId) -> bool {
        self.queues[input.0 as usize].is_empty()
    }

    /// Keeps what was read of `input`; `times` are the event times of its rows.
    pub(super) fn push(&mut self, input: InputId, chunk: Chunk, times: Vec<i64>) {
        assert_eq!(times.len(), chunk.batch.len(), "one time a row");
        let (rows, bytes) = chunk.frame.as_ref().map_or((0, 0), |_| (times.len(), bytes_of_rows(&chunk.batch)));
        self.waiting_rows += rows;
        self.waiting_bytes += bytes;
        if chunk.batch.is_empty() && self.says_behind(input, &chunk) {
            return;
        }
        self.queues[input.0 as usize].push_back(Head {
            batch: chunk.batch,
            times,
            from: 0,
            rejected: chunk.rejected.into(),
            null_values: chunk.null_values.into(),
            next: chunk.next,
            frame: chunk.frame,
            bytes,
            behind: None,
            part: None,
        });
    }

    /// Adds a frame without rows to what waits of its sender, if anything does. One that waits for long is told of time alone
    /// again and again.
    fn says_behind(&mut self, input: InputId, chunk: &Chunk) -> bool {
        let Some(last) = self.queues[input.0 as usize].back_mut().filter(|last| last.behind.is_none()) else {
            return false;
        };
        let (Some(frame), Some(more)) = (&mut last.frame, chunk.frame) else { return false };
        (frame.end, frame.idle, last.next) = (more.end, more.idle, chunk.next);
        let clock = &mut last.batch.meta.clock;
        clock.after = clock.after.max(chunk.batch.meta.clock.after);
        true
    }

    /// Keeps `signal` behind everything that waits of `input`; gives it back where nothing does.
    pub(super) fn put_behind(&mut self, input: InputId, signal: Signal) -> Option<Signal> {
        match self.queues[input.0 as usize].back_mut() {
            Some(head) => {
                head.behind = Some(signal);
                None
            }
            None => Some(signal),
        }
    }

    /// The next rows in order of (time, input), no more than `most_rows`; nothing while they have to wait for an input without a
    /// row that is not `at_end`.
    pub(super) fn next(
        &mut self,
        heard: &mut Heard,
        most_rows: usize,
        at_end: &dyn Fn(InputId) -> bool,
    ) -> Option<Gathered> {
        let (mut index, mut rows) = self.least(heard, at_end)?;
        let group = self.groups[index];
        let mut gathered = Gathered::default();
        loop {
            self.pick(index, rows.min(most_rows - gathered.picks.len()), &mut gathered, heard);
            // What says only how time stands, or stands behind its rows, goes through the graph before all else.
            if rows == 0 || gathered.behind.is_some() || gathered.picks.len() == most_rows {
                break;
            }
            match self.least(heard, at_end) {
                Some((next, more)) if more > 0 && self.groups[next] == group => (index, rows) = (next, more),
                _ => break,
            }
        }
        self.queues.iter_mut().filter_map(VecDeque::front_mut).for_each(|head| head.leave(&mut gathered));
        Some(gathered)
    }

    /// Adds the next rows of an input.
    fn pick(&mut self, index: usize, rows: usize, to: &mut Gathered, heard: &mut Heard) {
        let input = InputId(index as u32);
        let Some(head) = self.queues[index].front_mut() else { return };
        let part = *head.part.get_or_insert_with(|| {
            let (batch, position) = (head.batch.clone(), head.next);
            to.parts.push(Part { input, batch, rejected: Vec::new(), null_values: 0, position });
            to.parts.len() - 1
        });
        to.picks.extend((head.from..head.from + rows).map(|row| (part, row)));
        head.from += rows;
        if let Some(frame) = &mut head.frame {
            self.waiting_rows -= rows;
            frame.first.rows += rows as u32;
        }
        if head.from < head.times.len() {
            return;
        }
        let Some(head) = self.queues[index].pop_front() else { return };
        self.waiting_bytes -= head.bytes;
        if let Some(frame) = head.frame {
            heard.note(input, head.batch.meta.clock.after, Stand::of(frame.end, frame.idle));
        }
        let part = &mut to.parts[part];
        (part.rejected, part.null_values) = (head.rejected.into(), head.null_values.len());
        to.behind = head.behind;
    }

    /// The input of the next row, and how many of its rows come before those of every other; none of an input whose head has no
    /// rows, which comes first.
    fn least(&self, heard: &Heard, at_end: &dyn Fn(InputId) -> bool) -> Option<(usize, usize)> {
        let (mut least, mut bound) = (None, (i64::MAX, usize::MAX));
        for (index, queue) in self.queues.iter().enumerate() {
            let Some(head) = queue.front() else {
                bound = bound.min(self.unknown(index, heard, at_end).unwrap_or(bound));
                continue;
            };
            let Some(&time) = head.times.get(head.from) else { return Some((index, 0)) };
            // The one that is not the least bounds it.
            let key = (time, index);
            bound = bound.min(least.map_or(bound, |least| key.max(least)));
            least = Some(least.map_or(key, |least| key.min(least)));
        }
        let (_, least) = least?;
        let head = self.queues[least].front()?;
        let rows = head.times[head.from..].iter().take_while(|&&time| (time, least) < bound).count();
        (rows > 0).then_some((least, rows))
    }

    /// What an input without rows will not be before, if it may get one.
    fn unknown(&self, index: usize, heard: &Heard, at_end: &dyn Fn(InputId) -> bool) -> Option<(i64, usize)> {
        let input = InputId(index as u32);
        match heard.of(input) {
            None => (!at_end(input)).then_some((i64::MIN, 0)),
            Some((_, Stand::Idle)) => None,
            Some(_) if self.is_full() => None,
            Some((_, Stand::AtEnd)) if at_end(input) => None,
            Some((w, Stand::Ahead | Stand::AtEnd)) => Some((w.0, index)),
        }
    }
}

impl Head {
    /// Notes in what has been gathered how far the input has come, where only some of these rows are part of it.
    fn leave(&mut self, gathered: &mut Gathered) {
        let Some(part) = self.part.take() else { return };
        let part = &mut gathered.parts[part];
        part.position = match self.frame {
            Some(frame) => frame.first,
            None => Position { offset: Offset(self.batch.meta.offset.value(self.from)), rows: 0 },
        };
        let offset = part.position.offset;
        part.rejected = take_while(&mut self.rejected, |record| record.offset < offset);
        part.null_values = take_while(&mut self.null_values, |&null| Offset(null) < offset).len();
        part.batch.meta.clock.after = Watermark::UNKNOWN;
    }
}

fn take_while<T>(queue: &mut VecDeque<T>, before: impl Fn(&T) -> bool) -> Vec<T> {
    let count = queue.iter().take_while(|item| before(item)).count();
    queue.drain(..count).collect()
}

fn bytes_of_rows(batch: &Batch) -> usize {
    batch.rows.columns().iter().map(|column| bytes_of(column.as_ref(), 0..batch.len())).sum()
}

#[cfg(test)]
mod tests;
