//! The way of batches through a task's graph: each node's output goes to the nodes behind it, all at once or bit by bit.

use arrow::array::UInt32Array;
use arrow::compute;

use super::{Input, InputKind, Node};
use crate::batch::{Batch, RowOrigin};
use crate::context::{Behind, Context, Effect, Item, OnError};
use crate::error::TaskError;
use crate::ids::{NodeId, Origin, PartitionId, Port};
use crate::operator::End;
use crate::time::Millis;

/// The nodes of a task from one of them on, and what waits for them.
pub(super) struct Flow<'t> {
    /// The number of the first of `nodes`.
    pub(super) first: usize,
    pub(super) nodes: &'t mut [Node],
    /// What waits for each of `nodes`.
    pub(super) inbox: &'t mut [Vec<(Port, Item)>],
    pub(super) inputs: &'t mut [Input],
    pub(super) on_error: OnError,
    pub(super) keeps_positions: bool,
    pub(super) partition: PartitionId,
}

/// What follows when a node has taken what waits for it.
#[derive(Clone, Copy)]
enum Then {
    /// More may come within this pass.
    More,
    /// That was all of this pass.
    PassEnds,
    /// That was all before a commit.
    Commit(Millis, End),
}

/// What is behind a node: only what it emits, and nodes of greater numbers.
struct Rest<'t> {
    node: NodeId,
    successors: &'t [(usize, NodeId, Port)],
    numbered: &'t mut u32,
    flow: Flow<'t>,
}

impl Flow<'_> {
    /// Runs every node over what waits for it, once.
    ///
    /// # Errors
    /// What stops the task.
    pub(super) fn pass(&mut self, effects: &mut Vec<Effect>) -> Result<(), TaskError> {
        (0..self.nodes.len()).try_for_each(|at| self.run(at, Then::PassEnds, effects))
    }

    /// Lets every node emit what is emitted by commit.
    ///
    /// # Errors
    /// What stops the task.
    pub(super) fn commit(&mut self, now: Millis, end: End, effects: &mut Vec<Effect>) -> Result<(), TaskError> {
        (0..self.nodes.len()).try_for_each(|at| self.run(at, Then::Commit(now, end), effects))
    }

    /// Runs one node over what waits for it, and puts what it emits where it waits for those behind.
    fn run(&mut self, at: usize, then: Then, effects: &mut Vec<Effect>) -> Result<(), TaskError> {
        let (nodes, inbox) = (&mut self.nodes[at..], &mut self.inbox[at..]);
        let (Some((node, nodes)), Some((waiting, inbox))) = (nodes.split_first_mut(), inbox.split_first_mut()) else {
            return Ok(());
        };
        let Node { name, operator, successors, ledger, numbered, .. } = node;
        let first = self.first + at;
        let flow = Flow { first: first + 1, nodes, inbox, inputs: &mut *self.inputs, ..*self };
        let mut rest = Rest { node: NodeId(first), successors, numbered, flow };
        let mut items = std::mem::take(waiting);
        let mut outbox = Vec::new();
        for (port, item) in items.drain(..) {
            if let Item::Batch(batch) = &item {
                ledger.rows_in += batch.len() as u64;
            }
            let mut cx = Context::new(name, self.on_error, ledger, &mut outbox, effects);
            cx.behind = Some(&mut rest);
            match item {
                Item::Batch(batch) => operator.process(port, batch, &mut cx)?,
                Item::Signal(signal) => operator.on_signal(signal, &mut cx)?,
            }
        }
        *waiting = items;
        let mut cx = Context::new(name, self.on_error, ledger, &mut outbox, effects);
        cx.behind = Some(&mut rest);
        match then {
            Then::More => {}
            Then::PassEnds => operator.end_pass(&mut cx)?,
            Then::Commit(now, end) => {
                operator.end_pass(&mut cx)?;
                operator.on_end(end);
                operator.before_commit(now, &mut cx)?;
            }
        }
        rest.deliver(&mut outbox);
        Ok(())
    }
}

impl Behind for Rest<'_> {
    fn run(&mut self, outbox: &mut Vec<(usize, Item)>, effects: &mut Vec<Effect>) -> Result<(), TaskError> {
        self.deliver(outbox);
        for at in 0..self.flow.nodes.len() {
            if !self.flow.inbox[at].is_empty() {
                self.flow.run(at, Then::More, effects)?;
            }
        }
        Ok(())
    }
}

impl Rest<'_> {
    /// Moves what the node emitted to where it waits for the nodes behind it.
    fn deliver(&mut self, outbox: &mut Vec<(usize, Item)>) {
        let flow = &mut self.flow;
        for (output, mut item) in outbox.drain(..) {
            if let Item::Batch(batch) = &mut item {
                place_results(batch, flow.partition);
                note_watermark(flow.inputs, self.node, batch);
                if flow.keeps_positions && batch.meta.position.is_none() {
                    number(batch, self.numbered);
                }
            }
            let mut targets = self
                .successors
                .iter()
                .filter(|(from, ..)| *from == output || matches!(item, Item::Signal(_)))
                .map(|&(_, node, port)| (node, port))
                .peekable();
            while let Some((node, port)) = targets.next() {
                let waiting = &mut flow.inbox[node.0 - flow.first];
                if targets.peek().is_none() {
                    waiting.push((port, item));
                    break;
                }
                waiting.push((port, item.clone()));
            }
        }
    }
}

/// Results of several tasks are told apart by the tasks' partitions.
fn place_results(batch: &mut Batch, partition: PartitionId) {
    if let RowOrigin::One(origin) = &mut batch.meta.origin
        && *origin == Origin::RESULTS
    {
        *origin = Origin::new(Origin::RESULTS.topic_rank(), partition);
    }
}

/// Gives results of a window places of their own, so that a merge behind it can restore their order. Only places of one
/// node are compared, so they may go on from pass to pass, and begin again where the numbers end.
fn number(batch: &mut Batch, next: &mut u32) {
    let rows = batch.len() as u32;
    let first = if next.checked_add(rows).is_none() { 0 } else { *next };
    *next = first + rows;
    batch.meta.position = Some(UInt32Array::from_iter_values(first..*next));
}

/// Keeps W_i of a source for people to look at, from what its node emits.
fn note_watermark(inputs: &mut [Input], node: NodeId, batch: &Batch) {
    let Some(input) = inputs.iter_mut().find(|input| input.node == node) else { return };
    let Some(greatest) = compute::max(&batch.meta.event_time) else { return };
    let watermark = batch.meta.own().of(greatest);
    if matches!(input.kind, InputKind::Source(_)) && watermark.is_known() {
        input.watermark = Some(input.watermark.unwrap_or(watermark).max(watermark));
        input.is_idle = false;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;

    use super::*;
    use crate::error::{RecordError, RecordErrorKind, Rejected};
    use crate::ids::{InputId, Offset};
    use crate::ledger::Ledger;
    use crate::operator::Operator;
    use crate::time::Watermark;

    /// Emits each batch three times, and lets those behind take each at once.
    struct Thrice;

    impl Operator for Thrice {
        fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
            for times in 1..=3 {
                cx.emit(batch.clone());
                cx.flush()?;
                assert_eq!(cx.effects.len(), times, "it has been taken");
            }
            Ok(())
        }
    }

    /// Says of each batch that it came, and of each pass how many did.
    struct Tell {
        came: i64,
    }

    fn tell(number: i64, cx: &mut Context<'_>) {
        let error = RecordError { kind: RecordErrorKind::Decode, message: String::new() };
        let (origin, offset) = (Origin::default(), Offset(number));
        cx.effect(Effect::DeadLetter(Rejected { step: cx.step().to_owned(), error, origin, offset, row: None }));
    }

    impl Operator for Tell {
        fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
            self.came += 1;
            tell(0, cx);
            cx.emit(batch);
            Ok(())
        }

        fn end_pass(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
            tell(std::mem::take(&mut self.came), cx);
            Ok(())
        }
    }

    #[test]
    fn what_is_flushed_is_taken_at_once_and_a_pass_ends_once() {
        let node = |operator: Box<dyn Operator>, successors| Node {
            name: "step".into(),
            operator,
            sees_inputs: true,
            successors,
            ledger: Ledger::default(),
            numbered: 0,
        };
        let mut nodes =
            [node(Box::new(Thrice), vec![(0, NodeId(1), Port(0))]), node(Box::new(Tell { came: 0 }), Vec::new())];
        let batch = Batch::time_only(Arc::new(Schema::empty()), InputId(0), Watermark(5));
        let mut inbox = [vec![(Port(0), Item::Batch(batch))], Vec::new()];
        let mut effects = Vec::new();
        let mut flow = Flow {
            first: 0,
            nodes: &mut nodes,
            inbox: &mut inbox,
            inputs: &mut [],
            on_error: OnError::Fail,
            keeps_positions: false,
            partition: PartitionId(0),
        };
        flow.pass(&mut effects).unwrap();
        let told = effects.iter().map(|effect| match effect {
            Effect::DeadLetter(rejected) => rejected.offset.0,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), [0, 0, 0, 3]);
        assert!(inbox.iter().all(Vec::is_empty));
    }
}
