//! A task's changelog: deltas as records, whole pages now and then, and how far both have come; [`replay`](super::replay) reads
//! them back.
//!
//! One topic holds the changes of all stateful steps of a subtopology, one partition those of one task. The key of a
//! record says what it is: `scalars:<term>:<step>`, `drop:…`, `rows:…` or `page:…`; the value is a frame, of a version
//! that is this program's or is refused.
//!
//! The term is that of the task's owner, by the generation of the group in which it got the task. A record of an earlier term behind
//! one of a later is of an owner who had lost the task and did not know it yet, and is passed over. In a transaction nobody could have
//! written it; at least once there is none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arrow::array::RecordBatch;
use millstream_engine::ids::{NodeId, Offset, PartitionId};
use millstream_engine::state::{Delta, PageId, PageImage};
use millstream_engine::task::Task;
use millstream_formats::frame;

use super::WorkerError;
use crate::crash;
use crate::log::{Log, NewRecord, UNTIMED};
use crate::store::shared::SharedStore;
use crate::store::{Position, StateStore, StoreBatch, StoreKey};
use crate::term::Term;

/// Below this many bytes a changelog is not worth rewriting.
const CYCLE_MIN_BYTES: u64 = 64 << 20;
/// How many whole pages a commit writes while a cycle runs.
const CYCLE_PAGES_PER_COMMIT: usize = 16;
/// How many pages one batch of the store holds.
pub(super) const PAGES_PER_BATCH: usize = 32;

/// The changelog of one task.
pub(super) struct Changelog {
    pub(super) topic: String,
    pub(super) partition: PartitionId,
    /// The id under which each stateful node's state is kept.
    pub(super) steps: BTreeMap<NodeId, String>,
    /// The owner's term.
    pub(super) term: Term,
    /// The greatest term of a record before `next`.
    pub(super) term_written: Option<Term>,
    /// Behind the last committed record.
    pub(super) next: Offset,
    /// Records appended in the open epoch.
    pub(super) open_records: i64,
    open_bytes: u64,
    /// Bytes committed since the task was taken.
    pub(super) written_bytes: u64,
    /// Bytes written since the last cycle began.
    pub(super) bytes_since_cycle: u64,
    due: Due,
    /// Bytes of the largest row that was written, where it is more than half of what a record may have.
    pub(super) largest_row: u64,
    /// Steps of which it was told that a row comes near what a record may have.
    told_large: BTreeSet<String>,
    cycle: Option<Cycle>,
    /// Where the last cycle that ended began: what is before it is dead, what is behind it makes up the state.
    pub(super) since: Offset,
}

/// Which part of a changelog makes up the state that goes with committed offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Where it begins, for whoever has nothing stored.
    pub(super) since: Offset,
    /// Behind its last record.
    pub(super) end: Offset,
}

/// What rows of a record are.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Rows that changed.
    Rows,
    /// A whole page.
    Page(PageId),
}

/// A rewrite of all pages, after which everything before its start is dead.
struct Cycle {
    start: Offset,
    /// Bytes from the last cycle's begin up to this one's: they are dead when it ends.
    bytes_before: u64,
    pages: VecDeque<(NodeId, PageId)>,
    /// Everything has been appended to the open epoch: its commit ends the cycle.
    done: bool,
}

/// When dead records outweigh the live state.
struct Due {
    /// Of so many bytes it is asked how large the state is: to add that up takes a look at all of it.
    look_at: u64,
}

impl Default for Due {
    fn default() -> Due {
        Due { look_at: CYCLE_MIN_BYTES }
    }
}

impl Due {
    /// Whether a rewrite is due when so many bytes have been written since the last one.
    fn of(&mut self, written: u64, live: impl FnOnce() -> u64) -> bool {
        if written <= self.look_at {
            return false;
        }
        let live = live();
        // What a look costs goes with how large the state is, so before the next more is written by a part of that.
        self.look_at = written + live / 8;
        written > 2 * live
    }
}

impl Changelog {
    pub(super) fn new(topic: String, partition: PartitionId, steps: BTreeMap<NodeId, String>) -> Changelog {
        Changelog {
            topic,
            partition,
            steps,
            term: Term::default(),
            term_written: None,
            next: Offset(0),
            open_records: 0,
            open_bytes: 0,
            written_bytes: 0,
            bytes_since_cycle: 0,
            due: Due::default(),
            largest_row: 0,
            told_large: BTreeSet::new(),
            cycle: None,
            since: Offset(0),
        }
    }

    /// Bytes from which the state is made up, or since which it was last written whole.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes_since_cycle + self.cycle.as_ref().map_or(0, |cycle| cycle.bytes_before)
    }

    /// The task has come back to its owner, in a later generation of the group.
    pub(super) fn go_on_in(&mut self, generation: u32) {
        assert!(generation >= self.term.generation, "generations only grow");
        self.term.generation = generation;
    }

    /// What the state will be made up from when the open epoch has committed.
    pub(super) fn reach(&self) -> Reach {
        let ending = self.cycle.as_ref().filter(|cycle| cycle.done && self.open_records > 0);
        let since = ending.map_or(self.since, |cycle| cycle.start);
        Reach { since, end: Offset(self.next.0 + self.open_records) }
    }

    /// Appends what the epoch changed to the open transaction. The task's store has `stored_bytes`.
    pub(super) fn append<L: Log>(
        &mut self,
        task: &mut Task,
        stored_bytes: u64,
        log: &mut L,
    ) -> Result<(), WorkerError> {
        (self.open_records, self.open_bytes) = (0, 0);
        for (node, state) in task.states() {
            let step = self.step(node)?;
            let delta = state.take_delta().map_err(|error| WorkerError::internal(&error))?;
            self.append_delta(&step, delta, log)?;
        }
        self.continue_cycle(task, stored_bytes, log)
    }

    fn append_delta<L: Log>(&mut self, step: &str, delta: Delta, log: &mut L) -> Result<(), WorkerError> {
        if !delta.dropped_panes.is_empty() {
            let panes: Vec<u8> = delta.dropped_panes.iter().flat_map(|pane| pane.to_le_bytes()).collect();
            self.append_record("drop", step, &framed(&panes)?, log)?;
        }
        for rows in &delta.rows {
            self.append_rows(Content::Rows, step, rows, log)?;
        }
        if let Some(scalars) = &delta.scalars {
            self.append_record("scalars", step, &framed(scalars)?, log)?;
        }
        Ok(())
    }

    fn append_record<L: Log>(&mut self, kind: &str, step: &str, value: &[u8], log: &mut L) -> Result<(), WorkerError> {
        let key = format!("{kind}:{}:{step}", self.term);
        let record = NewRecord { key: Some(key.as_bytes()), value: Some(value), timestamp: UNTIMED, headers: &[] };
        log.append(&self.topic, self.partition, record)?;
        self.open_records += 1;
        self.open_bytes += (key.len() + value.len()) as u64;
        self.bytes_since_cycle += (key.len() + value.len()) as u64;
        Ok(())
    }

    /// Appends rows as one frame, or as several where one would be larger than half of what the topic takes: so a row that comes
    /// near that stands alone.
    fn append_rows<L: Log>(
        &mut self,
        content: Content,
        step: &str,
        rows: &RecordBatch,
        log: &mut L,
    ) -> Result<(), WorkerError> {
        let limit = log.record_limits(&self.topic).bytes.unwrap_or(usize::MAX);
        self.append_within(limit, content, step, rows, log)
    }

    fn append_within<L: Log>(
        &mut self,
        limit: usize,
        content: Content,
        step: &str,
        rows: &RecordBatch,
        log: &mut L,
    ) -> Result<(), WorkerError> {
        let (kind, value) = match content {
            Content::Rows => ("rows", frame::encode(rows)),
            Content::Page(id) => ("page", frame::encode_page(id, rows)),
        };
        let value = value.map_err(|error| WorkerError::internal(&error))?;
        let is_large = value.len() + kind.len() + Term::MAX_TEXT + 1 + step.len() >= limit / 2;
        if is_large && rows.num_rows() == 1 {
            self.tell_large(step, value.len(), limit);
        }
        if !is_large || rows.num_rows() < 2 {
            return self.append_record(kind, step, &value, log);
        }
        let half = rows.num_rows() / 2;
        self.append_within(limit, content, step, &rows.slice(0, half), log)?;
        self.append_within(limit, content, step, &rows.slice(half, rows.num_rows() - half), log)
    }

    /// Says, once for each step, that its state may grow beyond what the changelog takes.
    fn tell_large(&mut self, step: &str, bytes: usize, limit: usize) {
        self.largest_row = self.largest_row.max(bytes as u64);
        if !self.told_large.insert(step.to_owned()) {
            return;
        }
        tracing::warn!(
            topic = self.topic,
            partition = self.partition.0,
            step,
            "a row of the state of this step has {bytes} bytes, more than half of the {limit} that its changelog takes: when it has \
             outgrown them, the pipeline stops. Raise max.message.bytes of the topic, or keep less in one row: fewer values in a list, \
             a finer key or shorter windows."
        );
    }

    /// Whether dead records outweigh the live state.
    fn is_cycle_due(&mut self, task: &mut Task, stored_bytes: u64) -> bool {
        if crash::control("worker.control.short_cycles") {
            return self.bytes_since_cycle > 0;
        }
        self.due.of(self.bytes_since_cycle, || live_bytes(task, stored_bytes))
    }

    /// Begins a cycle when dead records outweigh the live state, and writes a few more whole pages while one runs.
    fn continue_cycle<L: Log>(&mut self, task: &mut Task, stored_bytes: u64, log: &mut L) -> Result<(), WorkerError> {
        if self.open_records == 0 {
            return Ok(());
        }
        if self.cycle.is_none() && self.is_cycle_due(task, stored_bytes) {
            self.due = Due::default();
            let pages = task
                .states()
                .flat_map(|(node, state)| state.page_ids().into_iter().map(move |page| (node, page)))
                .collect();
            let bytes_before = std::mem::take(&mut self.bytes_since_cycle);
            self.cycle = Some(Cycle { start: self.next, bytes_before, pages, done: false });
        }
        let Some(cycle) = &mut self.cycle else { return Ok(()) };
        let due: Vec<_> = (0..CYCLE_PAGES_PER_COMMIT).map_while(|_| cycle.pages.pop_front()).collect();
        cycle.done = cycle.pages.is_empty();
        let done = cycle.done;
        for (node, state) in task.states() {
            let step = self.step(node)?;
            for (_, page) in due.iter().filter(|(of, _)| *of == node) {
                let image = state.page(*page).map_err(|error| WorkerError::internal(&error))?;
                let Some(rows) = image.rows else { continue };
                self.append_rows(Content::Page(*page), &step, &rows, log)?;
            }
            if done {
                self.append_record("scalars", &step, &framed(&state.scalars())?, log)?;
            }
        }
        Ok(())
    }

    /// The epoch has committed.
    pub(super) fn committed<L: Log>(&mut self, log: &mut L) -> Result<(), WorkerError> {
        if self.open_records > 0 {
            // Counted, not asked for: what the broker would say may hold what another owner has written since.
            self.next = Offset(self.next.0 + self.open_records + log.offsets_per_commit());
            self.written_bytes += std::mem::take(&mut self.open_bytes);
            self.term_written = Some(self.term);
        }
        self.open_records = 0;
        if self.cycle.as_ref().is_some_and(|cycle| cycle.done)
            && let Some(cycle) = self.cycle.take()
        {
            self.since = cycle.start;
            log.trim(&self.topic, self.partition, cycle.start)?;
        }
        Ok(())
    }

    /// Writes what changed since the last call into the store, with the position that it is good for. To be called
    /// right after a commit only. Each step then keeps about `step_budget` bytes of what is stored in memory.
    pub(super) fn checkpoint(
        &self,
        task: &mut Task,
        store: &mut SharedStore,
        step_budget: usize,
    ) -> Result<(), WorkerError> {
        // Whoever goes on from here begins a cycle no later than this task would.
        let position = self.position(self.next, self.bytes());
        self.store(task, store, position)?;
        self.evict(task, store, step_budget)
    }

    /// What the store is good for when it has everything before `next`.
    pub(super) fn position(&self, next: Offset, bytes: u64) -> Position {
        Position { changelog: next, changelog_bytes: bytes, term: self.term_written, inputs: BTreeMap::new() }
    }

    /// Writes what changed since the last call into the store, batch by batch, so that no more than one of them stands in
    /// memory a second time.
    pub(super) fn store(
        &self,
        task: &mut Task,
        store: &mut SharedStore,
        position: Position,
    ) -> Result<(), WorkerError> {
        let mut scalars = Vec::new();
        for (node, state) in task.states() {
            let step = self.step(node)?;
            loop {
                let images = state.take_dirty_pages(PAGES_PER_BATCH).map_err(|error| WorkerError::internal(&error))?;
                if images.is_empty() {
                    break;
                }
                let page = |PageImage { id, rows }: PageImage| {
                    let rows = rows.as_ref().map(frame::encode).transpose();
                    let key = StoreKey::Page { step: step.clone(), page: id };
                    rows.map(|rows| (key, rows)).map_err(|error| WorkerError::internal(&error))
                };
                let writes = images.into_iter().map(page).collect::<Result<_, _>>()?;
                store.apply(StoreBatch { writes, position: None })?;
            }
            scalars.push((StoreKey::Scalars { step }, Some(framed(&state.scalars())?)));
        }
        Ok(store.apply(StoreBatch { writes: scalars, position: Some(position) })?)
    }

    pub(super) fn evict(&self, task: &mut Task, store: &SharedStore, step_budget: usize) -> Result<(), WorkerError> {
        for (node, state) in task.states() {
            state.evict(step_budget, &store.pages(&self.step(node)?));
        }
        Ok(())
    }

    /// Not all of it is there that makes up the state.
    pub(super) fn lost(&self) -> WorkerError {
        WorkerError::ChangelogLost { topic: self.topic.clone(), partition: self.partition.0 }
    }

    /// The name under which a node's state is kept.
    pub(super) fn step(&self, node: NodeId) -> Result<String, WorkerError> {
        self.steps
            .get(&node)
            .cloned()
            .ok_or_else(|| WorkerError::Internal(format!("node {node} keeps state under no name")))
    }
}

/// About so many bytes make up the state of a task, in memory or, where that is larger than memory, in its store.
pub(super) fn live_bytes(task: &mut Task, stored_bytes: u64) -> u64 {
    let in_memory: usize = task.states().map(|(_, state)| state.memory_bytes()).sum();
    stored_bytes.max(in_memory as u64)
}

/// Bytes as the value of a record.
fn framed(bytes: &[u8]) -> Result<Vec<u8>, WorkerError> {
    frame::encode_bytes(bytes).map_err(|error| WorkerError::internal(&error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;
    use crate::log::memory::MemoryLog;
    use crate::log::{Log, TopicSettings};

    /// So many letters that do not become fewer when they are compressed.
    fn noise(length: usize) -> String {
        let mut state = 7_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + (state >> 58) as u8)
        };
        (0..length).map(|_| letter()).collect()
    }

    /// How many records rows of these lengths become, and what is told of the largest.
    fn written(lengths: &[usize], limit: usize) -> (i64, u64) {
        let mut log = MemoryLog::new();
        log.create_topic("c", TopicSettings::user(1)).unwrap();
        let mut changelog = Changelog::new("c".to_owned(), PartitionId(0), BTreeMap::new());
        let values: StringArray = lengths.iter().map(|&length| Some(noise(length))).collect();
        let rows = RecordBatch::try_from_iter([("v", Arc::new(values) as _)]).unwrap();
        changelog.append_within(limit, Content::Rows, "w", &rows, &mut log).unwrap();
        assert_eq!(changelog.told_large.len(), usize::from(changelog.largest_row > 0));
        (changelog.open_records, changelog.largest_row)
    }

    #[test]
    fn how_large_the_state_is_is_asked_seldom() {
        const MIB: u64 = 1 << 20;
        let (mut due, mut looks) = (Due::default(), 0);
        let mut is_due = |written: u64, live: u64| {
            due.of(written * MIB, || {
                looks += 1;
                live * MIB
            })
        };
        assert!((0..=64).all(|written| !is_due(written, 1)), "it is not worth it");
        let begins = (65..).find(|&written| is_due(written, 400)).unwrap();
        assert!((801..=850).contains(&begins), "at {begins} MiB");
        assert!(looks < 20, "{looks} looks");
        assert!(Due::default().of(65 * MIB, || 32 * MIB));
    }

    #[test]
    fn a_row_that_comes_near_the_limit_is_told_before_it_is_beyond_it() {
        assert_eq!(written(&[4_000], 10_000), (1, 0));
        assert_eq!(written(&[100, 100, 100], 10_000), (1, 0));
        let (records, largest) = written(&[100, 6_000, 100], 10_000);
        assert!(records > 1 && (6_000..7_000).contains(&largest), "{records} records, {largest} bytes");
    }
}
