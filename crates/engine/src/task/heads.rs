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
use crate::task::heard::{Heard, Stand};
use crate::task::{Chunk, FrameChunk, Position};

/// So many rows of senders wait at the most: where these are further apart, rows are processed without waiting for all.
const MOST_WAITING: usize = 1 << 18;

/// What has been read and not yet processed, for each input in the order of ties.
#[derive(Debug)]
pub(super) struct Heads {
    queues: Vec<VecDeque<Head>>,
    heard: Heard,
    waiting_rows: usize,
}

/// Rows of one input that come before the head of every other.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) input: InputId,
    pub(super) batch: Batch,
    pub(super) rejected: Vec<Rejected>,
    pub(super) null_values: usize,
    /// How far the input has come behind this run.
    pub(super) position: Position,
    /// What the input says behind this run.
    pub(super) behind: Option<Signal>,
}

#[derive(Debug)]
struct Head {
    batch: Batch,
    times: VecDeque<i64>,
    rejected: VecDeque<Rejected>,
    null_values: VecDeque<i64>,
    next: Position,
    frame: Option<FrameChunk>,
    behind: Option<Signal>,
}

impl Heads {
    /// Of so many inputs; `senders` are those among them, each with the name that state knows it by.
    pub(super) fn new(inputs: usize, senders: Vec<(InputId, String)>) -> Heads {
        let queues = (0..inputs).map(|_| VecDeque::new()).collect();
        Heads { queues, heard: Heard::new(inputs, senders), waiting_rows: 0 }
    }

    /// What the senders have said, as state.
    pub(super) fn state(&mut self) -> &mut Heard {
        &mut self.heard
    }

    /// Whether more rows wait than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_rows > MOST_WAITING
    }

    /// Whether no row waits, and no sender has more.
    pub(super) fn are_at_end(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty) && self.heard.all_at_end()
    }

    pub(super) fn is_empty(&self, input: InputId) -> bool {
        self.queues[input.0 as usize].is_empty()
    }

    /// Keeps what was read of `input`; `times` are the event times of its rows.
    pub(super) fn push(&mut self, input: InputId, chunk: Chunk, times: Vec<i64>) {
        assert_eq!(times.len(), chunk.batch.len(), "one time a row");
        if chunk.frame.is_some() {
            self.waiting_rows += times.len();
        }
        if chunk.batch.is_empty() && self.says_behind(input, &chunk) {
            return;
        }
        self.queues[input.0 as usize].push_back(Head {
            batch: chunk.batch,
            times: times.into(),
            rejected: chunk.rejected.into(),
            null_values: chunk.null_values.into(),
            next: chunk.next,
            frame: chunk.frame,
            behind: None,
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

    /// The next rows in order of (time, input), or nothing while they have to wait for an input without a row that is not
    /// `at_end`.
    pub(super) fn next_run(&mut self, at_end: &dyn Fn(InputId) -> bool) -> Option<Run> {
        if let Some(rowless) = self.queues.iter().position(|queue| queue.front().is_some_and(|h| h.times.is_empty())) {
            return self.take(rowless, 0);
        }
        let (_, least) = self.heads().min()?;
        let unknown = self.unknown(at_end);
        let bound = self.heads().filter(|&(_, index)| index != least).chain(unknown).min();
        let rows = self.queues[least].front().map_or(0, |head| {
            head.times.iter().take_while(|&&time| bound.is_none_or(|bound| (time, least) < bound)).count()
        });
        if rows == 0 { None } else { self.take(least, rows) }
    }

    /// For each input that has no row, but may get one: what that will not be before.
    fn unknown(&self, at_end: &dyn Fn(InputId) -> bool) -> impl Iterator<Item = (i64, usize)> {
        let rowless = (0..self.queues.len()).filter(|&index| self.queues[index].is_empty());
        rowless.filter_map(move |index| {
            let input = InputId(index as u32);
            match self.heard.of(input) {
                None => (!at_end(input)).then_some((i64::MIN, 0)),
                Some((_, Stand::Idle)) => None,
                Some(_) if self.is_full() => None,
                Some((_, Stand::AtEnd)) if at_end(input) => None,
                Some((w, Stand::Ahead | Stand::AtEnd)) => Some((w.0, index)),
            }
        })
    }

    /// (event time, input) of the first row of each input.
    fn heads(&self) -> impl Iterator<Item = (i64, usize)> {
        self.queues
            .iter()
            .enumerate()
            .filter_map(|(index, queue)| queue.front().and_then(|head| head.times.front()).map(|&time| (time, index)))
    }

    fn take(&mut self, index: usize, rows: usize) -> Option<Run> {
        let queue = &mut self.queues[index];
        let mut head = queue.pop_front()?;
        let input = InputId(index as u32);
        if head.frame.is_some() {
            self.waiting_rows -= rows;
        }
        if rows == head.times.len() {
            if let Some(frame) = head.frame {
                self.heard.note(input, head.batch.meta.clock.after, Stand::of(frame.end, frame.idle));
            }
            return Some(Run {
                input,
                batch: head.batch,
                rejected: head.rejected.into(),
                null_values: head.null_values.len(),
                position: head.next,
                behind: head.behind,
            });
        }
        let (batch, rest) = head.batch.split_at(rows);
        head.times.drain(..rows);
        head.batch = rest;
        let position = match &mut head.frame {
            Some(frame) => {
                frame.first.rows += rows as u32;
                frame.first
            }
            None => Position { offset: Offset(head.batch.meta.offset.value(0)), rows: 0 },
        };
        let rejected = take_while(&mut head.rejected, |record| record.offset < position.offset);
        let null_values = take_while(&mut head.null_values, |&offset| Offset(offset) < position.offset).len();
        queue.push_front(head);
        Some(Run { input, batch, rejected, null_values, position, behind: None })
    }
}

fn take_while<T>(queue: &mut VecDeque<T>, before: impl Fn(&T) -> bool) -> Vec<T> {
    let count = queue.iter().take_while(|item| before(item)).count();
    queue.drain(..count).collect()
}

#[cfg(test)]
mod tests;
