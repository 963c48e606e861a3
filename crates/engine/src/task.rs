//! A task: one subtopology over one partition, run as a single forward loop over its nodes.

mod build;
mod flow;
mod heads;
mod heard;
mod senders;
mod together;

use std::collections::BTreeMap;

use arrow::array::UInt32Array;

use crate::batch::Batch;
use crate::clock::Clock;
use crate::context::{Context, Effect, Item, OnError};
use crate::error::{Rejected, TaskError};
use crate::expr::Expr;
use crate::ids::{ExchangeId, InputId, NodeId, Offset, PartitionId, Port, TaskId};
use crate::ledger::Ledger;
use crate::operator::{End, Operator, Signal};
use crate::operators::source;
use crate::plan::Reading;
use crate::state::StateHandle;
use crate::time::{Millis, Watermark};

pub use build::{Ends, ExchangeWiring, Wiring};
use flow::Flow;
use heads::Heads;
use senders::Senders;

/// So many rows of several inputs go through the graph together at the most.
const MOST_GATHERED: usize = 8192;

/// One of a task's inputs, as the world outside names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputKind {
    /// The task's partition of a source topic, by the source's index in the topology.
    Source(usize),
    /// What one upstream task sends through a repartition.
    Sender(ExchangeId, PartitionId),
}

/// How far a task has come on one of its inputs: what a commit stores and a restart begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The next record to read.
    pub offset: Offset,
    /// How many rows of that record (a frame) have been processed already; 0 but behind a repartition.
    pub rows: u32,
}

/// What was read from one input in one go.
#[derive(Debug)]
pub struct Chunk {
    /// The rows, with record timestamps as event time where the input is a source.
    pub batch: Batch,
    /// Records that did not decode, in order of their offsets.
    pub rejected: Vec<Rejected>,
    /// Offsets of the messages without a payload, in order.
    pub null_values: Vec<i64>,
    /// The position behind everything that was read.
    pub next: Position,
    /// What is known of a frame of a repartition.
    pub frame: Option<FrameChunk>,
}

/// What a chunk that is a frame of a repartition, or the rest of one, has beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameChunk {
    /// The position of its first row here: rows are counted within the frame.
    pub first: Position,
    /// How the sender stood, behind these rows, to what there was for it to read.
    pub end: End,
    /// Whether all its inputs had been silent for long.
    pub idle: bool,
}

/// A running subtopology over one partition.
pub struct Task {
    id: TaskId,
    nodes: Vec<Node>,
    inputs: Vec<Input>,
    reading: Reading,
    on_error: OnError,
    heads: Heads,
    senders: Senders,
    /// Whether rows must remember their place in the pass: a merge restores it, or rows made of one are told by it.
    keeps_positions: bool,
    effects: Vec<Effect>,
    /// How many of them have been looked through for records that stop the task.
    judged: usize,
    inbox: Vec<Vec<(Port, Item)>>,
    processed_rows: u64,
}

struct Node {
    name: String,
    operator: Box<dyn Operator>,
    /// Whether nothing that reaches it is a window's result.
    sees_inputs: bool,
    /// (output, node, port), in order of the nodes.
    successors: Vec<(usize, NodeId, Port)>,
    ledger: Ledger,
    /// How many of its rows have been given a place.
    numbered: u32,
}

struct Input {
    id: InputId,
    kind: InputKind,
    /// The node that the input's batches enter by.
    node: NodeId,
    position: Position,
    /// W_i, where the input is a source that has brought rows.
    watermark: Option<Watermark>,
    /// Whether the source has been silent for long.
    is_idle: bool,
    /// The source's event time, for those who must know it before the source has run.
    event_time: Option<Expr>,
}

impl Task {
    /// Which task it is.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The inputs, in the order in which ties of event time are read.
    pub fn inputs(&self) -> impl Iterator<Item = (InputId, &InputKind)> {
        self.inputs.iter().map(|input| (input.id, &input.kind))
    }

    /// How far the task has come on an input. Rows that wait for the heads of other inputs are not behind it.
    pub fn position(&self, input: InputId) -> Position {
        self.inputs[input.0 as usize].position
    }

    /// Sets where an input begins, after a restore.
    pub fn start_at(&mut self, input: InputId, position: Position) {
        self.inputs[input.0 as usize].position = position;
    }

    /// Whether the task waits for a head of this input before it can go on: it reads by event time and has no row of it.
    pub fn wants(&self, input: InputId) -> bool {
        match self.reading {
            Reading::AsItComes => true,
            Reading::ByEventTime | Reading::RowByRow => self.heads.is_empty(input),
        }
    }

    /// Whether rows of this input have been read that wait for the heads of others.
    pub fn waits(&self, input: InputId) -> bool {
        !self.heads.is_empty(input)
    }

    /// Rows processed since the task was built.
    pub fn processed_rows(&self) -> u64 {
        self.processed_rows
    }

    /// Takes what was read from `input`. Where inputs are read as they come it is processed at once; where they are
    /// read by event time it waits for [`advance`](Self::advance).
    ///
    /// # Errors
    /// What stops the task; it must then be dropped and rebuilt.
    pub fn push(&mut self, input: InputId, mut chunk: Chunk) -> Result<(), TaskError> {
        chunk.batch.meta.input = input;
        match self.reading {
            Reading::AsItComes => {
                self.count_null_values(input, chunk.null_values.len());
                self.reject_records(input, chunk.rejected);
                let batch = match self.inputs[input.0 as usize].kind {
                    InputKind::Source(_) => chunk.batch,
                    InputKind::Sender(..) => self.senders.enter(input, chunk.batch),
                };
                self.run(input, batch)?;
                self.inputs[input.0 as usize].position = chunk.next;
            }
            Reading::ByEventTime | Reading::RowByRow => {
                let times = self.times_of(input, &chunk.batch)?;
                self.heads.push(input, chunk, times);
            }
        }
        Ok(())
    }

    /// Processes rows that wait, in order of event time, as long as every input has a row, or `at_end` says that nothing more
    /// has been written for it and, of a sender, it has said that it has none either, or is further in time.
    ///
    /// # Errors
    /// What stops the task.
    pub fn advance(&mut self, at_end: &dyn Fn(InputId) -> bool) -> Result<(), TaskError> {
        let most_rows = match self.reading {
            Reading::RowByRow => 1,
            Reading::AsItComes | Reading::ByEventTime => MOST_GATHERED,
        };
        while let Some(gathered) = self.heads.next(self.senders.heard_mut(), most_rows, at_end) {
            if let Some(signal) = self.run_together(gathered)? {
                self.signal(signal)?;
            }
        }
        Ok(())
    }

    /// An input has fallen silent, behind everything that was pushed of it: the task hears of it when that is processed.
    ///
    /// # Errors
    /// What stops the task.
    pub fn falls_idle(&mut self, input: InputId) -> Result<(), TaskError> {
        match self.heads.put_behind(input, Signal::Idle(input)) {
            Some(signal) => self.signal(signal),
            None => Ok(()),
        }
    }

    /// Sends a signal in by the node of `input`, or, for those that name none, by every source.
    ///
    /// # Errors
    /// What stops the task.
    pub fn signal(&mut self, signal: Signal) -> Result<(), TaskError> {
        self.senders.on_signal(signal);
        let mut entries: Vec<NodeId> = match signal {
            Signal::Idle(input) if self.is_sender(input) => {
                let (node, time, idle) = self.senders.falls_idle(input);
                let said = [Item::Batch(time)].into_iter().chain(idle.map(Item::Signal));
                self.inbox[node.0].extend(said.map(|item| (Port(0), item)));
                return self.pass();
            }
            Signal::Idle(input) => {
                let input = &mut self.inputs[input.0 as usize];
                input.is_idle = true;
                vec![input.node]
            }
            Signal::Close | Signal::Elapsed(_) => self.inputs.iter().map(|input| input.node).collect(),
        };
        entries.dedup();
        for node in entries {
            self.inbox[node.0].push((Port(0), Item::Signal(signal)));
        }
        self.pass()
    }

    /// Whether so many rows wait for those of other inputs that the next [`advance`](Self::advance) does not wait: the order in
    /// which they are processed then is that in which they came.
    pub fn cannot_wait(&self) -> bool {
        self.heads.is_full()
    }

    /// Whether every row that was pushed has been processed and, where senders say so, none has more.
    pub fn is_at_end(&self) -> bool {
        self.heads.are_empty() && self.senders.heard().all_at_end()
    }

    /// Lets operators emit what is emitted by commit, knowing how the task stands to what there is.
    ///
    /// # Errors
    /// What stops the task.
    pub fn before_commit(&mut self, now: Millis, end: End) -> Result<(), TaskError> {
        let (mut flow, effects) = self.flow();
        flow.commit(now, end, effects)?;
        self.fail_if_told()
    }

    /// When, by the clock on the wall, a commit is due though no input comes. To be asked right after
    /// [`before_commit`](Self::before_commit).
    pub fn due_at(&self) -> Option<Millis> {
        self.nodes.iter().filter_map(|node| node.operator.due_at()).min()
    }

    /// What has left the task since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.judged = 0;
        std::mem::take(&mut self.effects)
    }

    /// The stateful nodes and their state. What is known of senders goes by the node of the first that is a repartition's.
    pub fn states(&mut self) -> impl Iterator<Item = (NodeId, &mut dyn StateHandle)> {
        let senders = self.senders.node().map(|node| (node, &mut self.senders as &mut dyn StateHandle));
        let nodes = self.nodes.iter_mut().enumerate();
        let states = nodes.filter_map(|(index, node)| node.operator.state().map(|state| (NodeId(index), state)));
        states.chain(senders)
    }

    /// State has been restored: what it holds is where the ledger begins.
    pub fn restored(&mut self) {
        for node in &mut self.nodes {
            if let Some(state) = node.operator.state() {
                node.ledger.restored = state.held_rows();
                node.ledger.held = state.held_rows();
            }
        }
    }

    /// The ledger of each node by its name, in the order of the nodes.
    pub fn ledgers(&mut self) -> Vec<(String, Ledger)> {
        self.nodes
            .iter_mut()
            .map(|node| {
                if let Some(state) = node.operator.state() {
                    node.ledger.held = state.held_rows();
                }
                (node.name.clone(), node.ledger)
            })
            .collect()
    }

    /// How far event time has come in the task: the least W of the steps with a clock that see rows of its inputs (a step behind a
    /// window of the same task sees that one's results, and has less). Without such a step what is known of the senders and of
    /// the sources that are not idle. For people to look at.
    pub fn watermark(&self) -> Option<Watermark> {
        let seeing = self.nodes.iter().filter(|node| node.sees_inputs).filter_map(|node| node.operator.clock());
        if let Some(least) = seeing.map(Clock::w).min() {
            return Some(least).filter(|w| w.is_known());
        }
        let speaking = self.inputs.iter().filter(|input| !input.is_idle).filter_map(|input| input.watermark);
        let senders = self.senders.clocks().map(Clock::w).filter(|w| w.is_known());
        let all_idle = || self.inputs.iter().filter_map(|input| input.watermark).max();
        speaking.chain(senders).min().or_else(all_idle)
    }

    /// Behind a repartition: how far the furthest sender is ahead of the slowest, which holds event time back.
    pub fn held_back(&self) -> Option<Millis> {
        self.senders.clocks().filter_map(Clock::held_back).max()
    }

    /// The least W_i of the source partitions that have brought rows since the task was built; for people to look at.
    pub fn source_watermark(&self) -> Option<Watermark> {
        self.inputs.iter().filter_map(|input| input.watermark).min()
    }

    /// W_i of a source partition, once it has brought rows; for people to look at.
    pub fn input_watermark(&self, input: InputId) -> Option<Watermark> {
        self.inputs[input.0 as usize].watermark
    }

    /// Rows that the sink or the repartition at `node` has taken and that could not be written: they are errors, not passed.
    pub fn count_unwritten(&mut self, node: NodeId, rows: u64) {
        let ledger = &mut self.nodes[node.0].ledger;
        let moved = rows.min(ledger.passed);
        ledger.passed -= moved;
        ledger.errors += moved;
    }

    fn count_null_values(&mut self, input: InputId, count: usize) {
        let node = self.inputs[input.0 as usize].node;
        let ledger = &mut self.nodes[node.0].ledger;
        ledger.rows_in += count as u64;
        ledger.null_value += count as u64;
    }

    fn reject_records(&mut self, input: InputId, rejected: Vec<Rejected>) {
        let node = &mut self.nodes[self.inputs[input.0 as usize].node.0];
        node.ledger.rows_in += rejected.len() as u64;
        let mut outbox = Vec::new();
        let mut cx = Context::new(&node.name, self.on_error, &mut node.ledger, &mut outbox, &mut self.effects);
        for record in rejected {
            cx.reject_record(record);
        }
    }

    /// The times by which the rows of a chunk are put in order: those that they will have. Rows whose time is in error get the
    /// least time there is: they are read, and refused, at once. A sender's rows count as no earlier than what they are late
    /// by, which is no less than its W, so that who knows W need not wait for them.
    fn times_of(&self, input: InputId, batch: &Batch) -> Result<Vec<i64>, TaskError> {
        let input = &self.inputs[input.0 as usize];
        if let InputKind::Sender(..) = input.kind {
            let times = batch.meta.event_time.values().iter().enumerate();
            let clock = &batch.meta.clock;
            return Ok(times.map(|(row, &time)| time.max(clock.before(row).0).max(clock.late_by(row).0)).collect());
        }
        let (times, faults) = source::event_times(input.event_time.as_ref(), batch)
            .map_err(|message| TaskError::Kernel { step: self.nodes[input.node.0].name.clone(), message })?;
        let mut times = times.values().to_vec();
        for fault in faults {
            times[fault.row] = i64::MIN;
        }
        Ok(times)
    }

    fn is_sender(&self, input: InputId) -> bool {
        matches!(self.inputs[input.0 as usize].kind, InputKind::Sender(..))
    }

    fn run(&mut self, input: InputId, mut batch: Batch) -> Result<(), TaskError> {
        if self.keeps_positions {
            batch.meta.position = Some(UInt32Array::from_iter_values(0..batch.len() as u32));
        }
        self.processed_rows += batch.len() as u64;
        let node = self.inputs[input.0 as usize].node;
        self.inbox[node.0].push((Port(0), Item::Batch(batch)));
        self.pass()
    }

    fn pass(&mut self) -> Result<(), TaskError> {
        let (mut flow, effects) = self.flow();
        flow.pass(effects)?;
        self.fail_if_told()
    }

    /// With `on_error: fail`, the first record that failed of those that were processed since this was asked, by whichever step.
    fn fail_if_told(&mut self) -> Result<(), TaskError> {
        if self.on_error != OnError::Fail {
            return Ok(());
        }
        let refused = self.effects.iter().enumerate().skip(self.judged).filter_map(|(index, effect)| match effect {
            Effect::DeadLetter(rejected) => Some((rejected.origin, rejected.offset, index)),
            _ => None,
        });
        let first = refused.min().map(|(_, _, index)| self.effects.swap_remove(index));
        self.judged = self.effects.len();
        match first {
            Some(Effect::DeadLetter(rejected)) => Err(TaskError::RecordFailed(Box::new(rejected))),
            _ => Ok(()),
        }
    }

    fn flow(&mut self) -> (Flow<'_>, &mut Vec<Effect>) {
        let flow = Flow {
            first: 0,
            nodes: &mut self.nodes,
            inbox: &mut self.inbox,
            inputs: &mut self.inputs,
            on_error: self.on_error,
            keeps_positions: self.keeps_positions,
            partition: self.id.partition,
        };
        (flow, &mut self.effects)
    }
}

/// The ledgers of several tasks, added up by node name, in the order of first appearance.
pub fn add_up(ledgers: impl IntoIterator<Item = (String, Ledger)>) -> Vec<(String, Ledger)> {
    let mut order = Vec::new();
    let mut sums: BTreeMap<String, Ledger> = BTreeMap::new();
    for (name, ledger) in ledgers {
        match sums.get_mut(&name) {
            Some(sum) => *sum += ledger,
            None => {
                order.push(name.clone());
                sums.insert(name, ledger);
            }
        }
    }
    order.into_iter().map(|name| (name.clone(), sums[&name])).collect()
}
