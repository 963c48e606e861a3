//! The tasks that send to this one: their lanes become one input for each repartition, with W at each row.
//!
//! What stands behind a repartition so has one clock to keep, however many tasks send, and rows of different senders can travel
//! together. Lateness is not W's affair: each row says what it is late by, W_i of its lane.

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::heard::Heard;
use crate::batch::{Batch, OwnTime, RowClock};
use crate::clock::Clock;
use crate::error::TaskError;
use crate::ids::{InputId, NodeId};
use crate::interleave::interleave;
use crate::operator::Signal;
use crate::state::{Delta, StateHandle, scalars};
use crate::time::Watermark;

/// What it is called in errors.
const STEP: &str = "senders";

/// W behind rows, by their numbers, of those behind which a lane has said how far it is.
pub(super) type HeardBehind = Vec<(usize, Watermark)>;

/// All senders of a task.
#[derive(Debug)]
pub(super) struct Senders {
    heard: Heard,
    repartitions: Vec<Repartition>,
    changed: bool,
}

/// The lanes of one repartition.
#[derive(Debug)]
pub(super) struct Repartition {
    /// The node that its rows enter by.
    pub(super) node: NodeId,
    /// The input that they are for the nodes behind.
    pub(super) output: InputId,
    pub(super) schema: SchemaRef,
    /// Of its lanes.
    pub(super) clock: Clock,
    pub(super) lanes: Vec<InputId>,
}

impl Senders {
    /// `heard` knows the lanes of all `repartitions`.
    pub(super) fn new(heard: Heard, repartitions: Vec<Repartition>) -> Senders {
        Senders { heard, repartitions, changed: false }
    }

    /// What the senders have said of themselves.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The same, to note what they say.
    pub(super) fn heard_mut(&mut self) -> &mut Heard {
        &mut self.heard
    }

    /// The node by which what is known of senders is kept as state; none where nobody sends.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.repartitions.first().map(|repartition| repartition.node)
    }

    /// What one lane brought, as rows of its repartition.
    pub(super) fn enter(&mut self, lane: InputId, batch: Batch) -> Batch {
        self.changed = true;
        let repartition = self.repartition(lane);
        let rows = (0..batch.len()).map(|row| (lane, &batch, row));
        let (clock, _) = repartition.walk(rows, [(lane, &batch)].into_iter());
        repartition.said(batch, clock)
    }

    /// The rows `picks`, (batch, row), of several lanes of one repartition, as its rows; and how far time has come behind rows
    /// where a lane has said so.
    ///
    /// # Errors
    /// If the lanes' columns differ.
    pub(super) fn enter_together(
        &mut self,
        batches: &[(InputId, &Batch)],
        picks: &[(usize, usize)],
    ) -> Result<(Batch, HeardBehind), ArrowError> {
        self.changed = true;
        let repartition = self.repartition(batches[0].0);
        let rows = picks.iter().map(|&(part, row)| (batches[part].0, batches[part].1, row));
        let (clock, heard) = repartition.walk(rows, batches.iter().copied());
        let batch = match (batches, picks.first()) {
            ([(_, only)], Some(&(_, first))) => only.slice(first, picks.len()),
            ([(_, only)], None) => Batch::clone(only),
            _ => interleave(&batches.iter().map(|(_, batch)| *batch).collect::<Vec<_>>(), picks)?,
        };
        Ok((repartition.said(batch, clock), heard))
    }

    /// A lane has fallen silent. Returns what the nodes behind hear: how far time has come without it and, where it was the
    /// last to speak, that nobody does.
    pub(super) fn falls_idle(&mut self, lane: InputId) -> (NodeId, Batch, Option<Signal>) {
        self.changed = true;
        let repartition = self.repartition(lane);
        repartition.clock.on_idle(lane);
        let w = repartition.clock.refresh();
        let idle = repartition.clock.all_idle().then_some(Signal::Idle(repartition.output));
        (repartition.node, Batch::time_only(repartition.schema.clone(), repartition.output, w), idle)
    }

    /// Takes a signal that names no input.
    pub(super) fn on_signal(&mut self, signal: Signal) {
        if let Signal::Elapsed(_) = signal {
            self.changed |= !self.repartitions.is_empty();
            self.repartitions.iter_mut().for_each(|repartition| repartition.clock.on_silence(signal));
        }
    }

    /// The clock of each repartition.
    pub(super) fn clocks(&self) -> impl Iterator<Item = &Clock> {
        self.repartitions.iter().map(|repartition| &repartition.clock)
    }

    fn repartition(&mut self, lane: InputId) -> &mut Repartition {
        let found = self.repartitions.iter().position(|repartition| repartition.lanes.contains(&lane));
        assert!(found.is_some(), "input {lane} is no sender's");
        &mut self.repartitions[found.unwrap_or_default()]
    }
}

impl Repartition {
    /// How far time has come at each of `rows`: (lane, batch, row). Behind the last row of a batch stands what its sender says
    /// after it, which is returned too, and behind all of them what is said by those of `batches` that have no rows.
    fn walk<'a>(
        &mut self,
        rows: impl ExactSizeIterator<Item = (InputId, &'a Batch, usize)>,
        batches: impl Iterator<Item = (InputId, &'a Batch)>,
    ) -> (RowClock, HeardBehind) {
        let (mut before, mut late_by) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut heard = HeardBehind::new();
        for (lane, batch, row) in rows {
            let clock = &batch.meta.clock;
            let w_i = self.clock.pass(lane, clock.before(row));
            before.push(self.clock.w().0);
            late_by.push(w_i.max(clock.late_by(row)).0);
            if row + 1 == batch.len() {
                self.hear(lane, clock.after);
                heard.push((before.len() - 1, self.clock.w()));
            }
        }
        for (lane, batch) in batches.filter(|(_, batch)| batch.is_empty()) {
            self.hear(lane, batch.meta.clock.after);
        }
        let clock = RowClock {
            late_by: (late_by != before).then(|| Int64Array::from(late_by)),
            before: Some(Int64Array::from(before)),
            own: OwnTime::Silent,
            after: self.clock.w(),
        };
        (clock, heard)
    }

    fn hear(&mut self, lane: InputId, after: Watermark) {
        self.clock.advance(lane, after);
        self.clock.refresh();
    }

    fn said(&self, mut batch: Batch, clock: RowClock) -> Batch {
        batch.meta.input = self.output;
        batch.meta.clock = clock;
        batch
    }
}

impl StateHandle for Senders {
    fn take_delta(&mut self) -> Result<Delta, TaskError> {
        let changed = std::mem::take(&mut self.changed) | self.heard.take_changed();
        Ok(Delta { scalars: changed.then(|| self.scalars()), ..Delta::default() })
    }

    /// The clock of each repartition, then what senders have said.
    fn scalars(&self) -> Vec<u8> {
        let mut scalars = scalars::begin();
        for repartition in &self.repartitions {
            scalars.extend(repartition.clock.save());
        }
        self.heard.save(&mut scalars);
        scalars
    }

    fn load_scalars(&mut self, scalars: &[u8]) -> Result<(), TaskError> {
        let mut rest = scalars::open(STEP, scalars)?;
        for repartition in &mut self.repartitions {
            rest = &rest[repartition.clock.load(rest)?..];
        }
        self.heard.load(rest).ok_or_else(|| TaskError::State {
            step: STEP.to_owned(),
            message: "what senders have said cannot be read".to_owned(),
        })
    }
}
