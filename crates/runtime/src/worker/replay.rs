//! A task's state rebuilt: from what its store has, and the records of its changelog behind that.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::RecordBatch;
use millstream_engine::ids::{NodeId, Offset};
use millstream_engine::state::{Delta, StateHandle};
use millstream_engine::task::Task;
use millstream_formats::frame;

use super::WorkerError;
use super::changelog::{Changelog, PAGES_PER_BATCH};
use crate::crash;
use crate::log::{Extent, Log, LogError, ReadLimit, Records};
use crate::store::shared::SharedStore;
use crate::store::{StateStore, StoreKey};
use crate::term::{Succession, Term};

/// What is left to replay of a changelog.
pub(super) struct Replay {
    next: Offset,
    /// Behind the last record that anybody has written: state is whole when all that was committed before it is applied.
    end: Offset,
    /// Bytes of the changelog before what is replayed.
    bytes_before: u64,
    /// Bytes of rows that were replayed since the state went to the store last, as columns.
    unstored_bytes: usize,
    /// Whether anything was aggregated in what was loaded and replayed so far.
    pub(super) content: Held,
    pub(super) standing: RestoreProgress,
}

impl Replay {
    /// Which offsets of the changelog are left.
    pub(super) fn left(&self) -> Range<Offset> {
        self.next..self.end
    }
}

/// What restored state holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// No row: clocks at the most.
    Nothing,
    /// Rows, which input was folded into.
    Rows,
}

/// How a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreProgress {
    /// Changelog offsets passed so far: about as many records are applied.
    pub records: u64,
    /// Changelog offsets to pass in all.
    pub records_total: u64,
    /// Bytes read so far.
    pub bytes: u64,
}

impl RestoreProgress {
    /// Whether the state is whole.
    pub fn is_complete(&self) -> bool {
        self.records >= self.records_total
    }
}

impl Changelog {
    /// Begins to rebuild the task's state: loads what the store has, and says what is left to replay of the changelog,
    /// all that was `written`. It is to make up the state from `since` on. A store that cannot be trusted is cleared, and the
    /// whole changelog replayed.
    pub(super) fn begin_restore(
        &mut self,
        task: &mut Task,
        store: &mut SharedStore,
        written: Extent,
        since: Offset,
        step_budget: usize,
    ) -> Result<Replay, WorkerError> {
        let Extent { earliest, end } = written;
        (self.since, self.term_written) = (since, None);
        let (mut from, mut bytes_before, mut loaded) = (earliest, 0, None);
        if let Some(stored) = store.position().ok().flatten() {
            if (earliest..=end).contains(&stored.changelog) {
                loaded = self.load(task, store, step_budget)?;
            }
            if loaded.is_some() {
                (from, bytes_before) = (stored.changelog, stored.changelog_bytes);
                self.term_written = stored.term;
            }
        }
        // Also where there is no position, but pages that were written before the first one: of some of them this task will
        // never hear again.
        if loaded.is_none() && (!matches!(store.position(), Ok(None)) || store.stored_bytes() > 0) {
            store.clear()?;
        }
        if loaded.is_none() && earliest > since && !crash::control("worker.control.trust_changelog") {
            return Err(self.lost());
        }
        let records_total = (end.0 - from.0).max(0) as u64;
        let standing = RestoreProgress { records: 0, records_total, bytes: 0 };
        let content = loaded.unwrap_or(Held::Nothing);
        Ok(Replay { next: from, end, bytes_before, unstored_bytes: 0, content, standing })
    }

    /// Loads what the store has, page by page, as much as may stay in memory, and says what that was; `None`, with nothing
    /// loaded, if it cannot be trusted.
    fn load(&self, task: &mut Task, store: &SharedStore, step_budget: usize) -> Result<Option<Held>, WorkerError> {
        let (mut keys, mut whole) = (Vec::new(), true);
        let scanned = store.scan(&mut |key, value| {
            whole &= match key {
                StoreKey::Scalars { .. } => frame::decode_bytes(value).is_ok(),
                StoreKey::Page { .. } => frame::decode(value).is_ok(),
            };
            keys.push(key);
        });
        if scanned.is_err() || !whole {
            return Ok(None);
        }
        let has_pages = keys.iter().any(|key| matches!(key, StoreKey::Page { .. }));
        let nodes: BTreeMap<String, NodeId> = self.steps.iter().map(|(node, step)| (step.clone(), *node)).collect();
        for (at, key) in keys.into_iter().enumerate() {
            let Some(value) = store.get(&key)? else { continue };
            let (StoreKey::Scalars { step } | StoreKey::Page { step, .. }) = &key;
            let Some(state) = nodes.get(step).and_then(|node| state_of(task, *node)) else { continue };
            let loaded = match &key {
                StoreKey::Scalars { .. } => {
                    state.load_scalars(&frame::decode_bytes(&value).map_err(|error| WorkerError::internal(&error))?)
                }
                StoreKey::Page { page, .. } => {
                    state.load_page(*page, frame::decode(&value).map_err(|error| WorkerError::internal(&error))?)
                }
            };
            loaded.map_err(|error| WorkerError::internal(&error))?;
            if at % PAGES_PER_BATCH == PAGES_PER_BATCH - 1 {
                state.evict(step_budget, &store.pages(step));
            }
        }
        Ok(Some(if has_pages { Held::Rows } else { Held::Nothing }))
    }

    /// Replays some more of the changelog, `read` at the most; says whether the state is whole.
    pub(super) fn replay<L: Log>(
        &mut self,
        task: &mut Task,
        replay: &mut Replay,
        log: &mut L,
        read: ReadLimit,
    ) -> Result<bool, WorkerError> {
        if replay.next < replay.end {
            let mut records = Records::new();
            let next =
                log.read(&self.topic, self.partition, replay.next, read, &mut records).map_err(
                    |error| match error {
                        // It was there when the restore began.
                        LogError::UnknownTopic { .. } | LogError::UnknownPartition { .. } => self.lost(),
                        error => error.into(),
                    },
                )?;
            // What a successor has written behind the end is neither applied nor passed.
            let next = next.min(replay.end);
            replay.standing.records += (next.0 - replay.next.0).max(0) as u64;
            replay.next = next;
            for record in records.iter().filter(|record| record.offset < replay.end) {
                let frame_error = |message: String| WorkerError::Frame {
                    topic: self.topic.clone(),
                    partition: self.partition.0,
                    offset: record.offset.0,
                    message,
                };
                let key = record.key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
                let (kind, term, step) = parts_of(key)
                    .ok_or_else(|| frame_error(format!("a record with the key {key:?}, which is none of ours")))?;
                if Some(term) < self.term_written {
                    continue;
                }
                self.term_written = Some(term);
                let node = self.steps.iter().find(|(_, name)| name.as_str() == step).map(|(node, _)| *node);
                if let Some(state) = node.and_then(|node| state_of(task, node)) {
                    let bytes = apply(state, kind, record.value.unwrap_or_default()).map_err(frame_error)?;
                    replay.unstored_bytes += bytes;
                    if matches!(kind, "rows" | "page") {
                        replay.content = Held::Rows;
                    }
                }
            }
            replay.standing.bytes += records.byte_len() as u64;
        }
        if replay.next < replay.end {
            return Ok(false);
        }
        self.next = replay.end;
        self.term = match Term::behind(self.term_written, log.generation(), replay.end) {
            Succession::Owner(term) => term,
            Succession::Doubtful(term) => {
                log.confirm_membership()?;
                term
            }
        };
        self.bytes_since_cycle = replay.bytes_before + replay.standing.bytes;
        Ok(true)
    }

    /// Lets go of what is over the budget of each step while state is being replayed. What the store does not have yet goes
    /// there first, with the position that the replay has reached: all before it was committed, and who begins anew goes on
    /// from there. But not before some part of a budget has been replayed: where keys come in no order, each time writes all
    /// pages.
    pub(super) fn keep_to_budget(
        &self,
        task: &mut Task,
        store: &mut SharedStore,
        replay: &mut Replay,
        step_budget: usize,
    ) -> Result<(), WorkerError> {
        let is_due = replay.unstored_bytes >= step_budget / 4;
        if is_due && task.states().any(|(_, state)| state.exceeds(step_budget)) {
            let changelog_bytes = replay.bytes_before + replay.standing.bytes;
            self.store(task, store, self.position(replay.next, changelog_bytes))?;
            replay.unstored_bytes = 0;
        }
        self.evict(task, store, step_budget)
    }
}

/// What a record is, the term of who wrote it, and of which step it is.
fn parts_of(key: &str) -> Option<(&str, Term, &str)> {
    let (kind, rest) = key.split_once(':')?;
    let (term, step) = rest.split_once(':')?;
    Some((kind, term.parse().ok()?, step))
}

fn state_of(task: &mut Task, node: NodeId) -> Option<&mut dyn StateHandle> {
    task.states().find(|(of, _)| *of == node).map(|(_, state)| state)
}

/// Applies a record; says how many bytes its rows take as columns.
fn apply(state: &mut dyn StateHandle, kind: &str, value: &[u8]) -> Result<usize, String> {
    let mut delta = Delta::default();
    match kind {
        "scalars" => delta.scalars = Some(frame::decode_bytes(value).map_err(|error| error.to_string())?),
        "rows" => delta.rows.push(frame::decode(value).map_err(|error| error.to_string())?),
        "drop" => {
            let panes = frame::decode_bytes(value).map_err(|error| error.to_string())?;
            let (panes, []) = panes.as_chunks::<8>() else { return Err("half a pane's start".to_owned()) };
            delta.dropped_panes.extend(panes.iter().map(|pane| i64::from_le_bytes(*pane)));
        }
        "page" => {
            // As rows that changed, not as a page of the store: the store may not have it.
            delta.rows.push(frame::decode_page(value).map_err(|error| error.to_string())?.1);
        }
        other => return Err(format!("a record of kind {other:?}, which this version does not know")),
    }
    let columns = delta.rows.iter().flat_map(RecordBatch::columns);
    let bytes = columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    state.apply(delta).map_err(|error| error.to_string())?;
    Ok(bytes)
}
