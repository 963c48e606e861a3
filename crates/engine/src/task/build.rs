//! Builds a task from its subtopology's plan.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;

use super::heads::Heads;
use super::heard::Heard;
use super::senders::{Repartition, Senders};
use super::{Input, InputKind, Node, Position, Task};
use crate::clock::Clock;
use crate::error::TaskError;
use crate::ids::{ExchangeId, InputId, NodeId, PartitionId, Port, TaskId};
use crate::ledger::Ledger;
use crate::operator::Operator;
use crate::operators::branch::Branch;
use crate::operators::exchange::{Exchange, ExchangeSource};
use crate::operators::filter::Filter;
use crate::operators::key_by::KeyBy;
use crate::operators::merge::Merge;
use crate::operators::project::Project;
use crate::operators::sink::Sink;
use crate::operators::source::Source;
use crate::operators::unnest::Unnest;
use crate::plan::{NodeKind, NodePlan, Reading, SubtopologyPlan, WindowKind};
use crate::time::Millis;

/// What a task must know of the world around it.
#[derive(Debug, Clone, Default)]
pub struct Wiring {
    /// How many partitions the topic of each source has, by the source's index in the topology. The task has an input
    /// only of those that have its partition.
    pub source_partitions: BTreeMap<usize, u32>,
    /// How many tasks send into each repartition, and how many partitions its topic has.
    pub exchanges: BTreeMap<ExchangeId, ExchangeWiring>,
}

/// The two ends of a repartition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeWiring {
    /// Tasks that send.
    pub senders: u32,
    /// Partitions of the topic: tasks that receive.
    pub partitions: u32,
    /// How often, by the clock on the wall, a sender may tell them of time alone; 0: with each commit.
    pub tell_every: Millis,
    /// Whether it tells them, too, when it has processed all that there is.
    pub ends: Ends,
}

/// Whether tasks tell those behind a repartition when they have processed all that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// They do: those behind read by event time, and would wait.
    Told,
    /// Nobody needs to know.
    Untold,
}

impl Task {
    /// Builds the task `id` of `plan`, with empty state, at the beginning of its inputs.
    ///
    /// # Errors
    /// If a stateful step cannot keep state for its columns.
    pub fn new(id: TaskId, plan: &SubtopologyPlan, wiring: &Wiring) -> Result<Task, TaskError> {
        let mut inputs = inputs_of(id, plan, wiring);
        let mut builder = Builder {
            id,
            plan,
            wiring,
            flowing: Vec::new(),
            next_virtual: inputs.len() as u32,
            repartitions: Vec::new(),
        };
        // An unnest behind another has to know which rows were made of one.
        let unnests = plan.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Unnest(_))).count();
        let keeps_positions = has_merge(plan) || unnests > 1;
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for (index, node) in plan.nodes.iter().enumerate() {
            let operator = builder.operator(index, node, &inputs)?;
            nodes.push(Node {
                name: node.name.clone(),
                operator,
                sees_inputs: builder.sees_inputs(node, inputs.len()),
                successors: successors(plan, NodeId(index)),
                ledger: Ledger::default(),
                numbered: 0,
            });
        }
        for input in &mut inputs {
            if let NodeKind::Source(source) = &plan.nodes[input.node.0].kind {
                input.event_time.clone_from(&source.event_time);
            }
        }
        let waited_for = match plan.reading {
            Reading::AsItComes => Vec::new(),
            Reading::ByEventTime | Reading::RowByRow => senders(&inputs, plan),
        };
        let heads = Heads::new(groups(&inputs, plan));
        let senders = Senders::new(Heard::new(inputs.len(), waited_for), builder.repartitions);
        let inbox = nodes.iter().map(|_| Vec::new()).collect();
        Ok(Task {
            id,
            nodes,
            inputs,
            reading: plan.reading,
            on_error: plan.on_error,
            heads,
            senders,
            keeps_positions,
            effects: Vec::new(),
            judged: 0,
            inbox,
            processed_rows: 0,
        })
    }
}

/// An input under the name by which state remembers it.
type Labelled = (InputId, String);

struct Builder<'a> {
    id: TaskId,
    plan: &'a SubtopologyPlan,
    wiring: &'a Wiring,
    /// For each node so far, the inputs whose batches flow out of it.
    flowing: Vec<Vec<Labelled>>,
    next_virtual: u32,
    repartitions: Vec<Repartition>,
}

impl Builder<'_> {
    fn operator(&mut self, index: usize, node: &NodePlan, inputs: &[Input]) -> Result<Box<dyn Operator>, TaskError> {
        let upstream = self.upstream(node);
        let mut flowing = upstream.clone();
        let operator: Box<dyn Operator> = match &node.kind {
            NodeKind::Source(source) => {
                flowing = self.entering(index, node, inputs);
                Box::new(Source::new(source.clone()))
            }
            NodeKind::ExchangeSource(_) => {
                flowing = self.repartition(index, node, inputs);
                Box::new(ExchangeSource)
            }
            NodeKind::Filter(expr) => Box::new(Filter::new(expr.clone())),
            NodeKind::KeyBy(columns) => Box::new(KeyBy::new(columns.clone())),
            NodeKind::Project(exprs) => Box::new(Project::new(exprs.clone(), node.schema.clone())),
            NodeKind::Unnest(unnest) => Box::new(Unnest::new(*unnest, node.schema.clone())),
            NodeKind::Branch(branch) => Box::new(Branch::new(branch.clone())),
            NodeKind::Merge => Box::new(Merge::new(node.inputs.len())),
            NodeKind::Sink(plan) => Box::new(Sink::new(plan.clone())),
            NodeKind::Exchange(plan) => {
                let alone = ExchangeWiring { senders: 1, partitions: 1, tell_every: Millis(0), ends: Ends::Untold };
                let wiring = self.wiring.exchanges.get(&plan.exchange).copied().unwrap_or(alone);
                Box::new(Exchange::new(plan.clone(), self.input_schema(node), wiring, upstream))
            }
            NodeKind::Window(plan) => {
                let output = self.virtual_input();
                if !matches!(plan.kind, WindowKind::Over(_)) || plan.emit == crate::plan::Emit::Final {
                    flowing = result_of(node, output, &upstream);
                }
                crate::windows::build(plan, self.input_schema(node), node.schema.clone(), upstream, output)?
            }
            NodeKind::Aggregate(plan) => {
                let output = self.virtual_input();
                flowing = result_of(node, output, &upstream);
                crate::operators::aggregate::build(
                    plan,
                    self.input_schema(node),
                    node.schema.clone(),
                    upstream,
                    output,
                )?
            }
        };
        self.flowing.push(flowing);
        Ok(operator)
    }

    /// The inputs whose batches reach a node, each once, in order.
    fn upstream(&self, node: &NodePlan) -> Vec<Labelled> {
        let mut upstream: Vec<Labelled> =
            node.inputs.iter().flat_map(|(before, _)| self.flowing[before.0].iter().cloned()).collect();
        upstream.sort();
        upstream.dedup();
        upstream
    }

    /// Whether what reaches a node is of the task's inputs, and nothing the results of a window.
    fn sees_inputs(&self, node: &NodePlan, inputs: usize) -> bool {
        let upstream = self.upstream(node);
        let is_entry = |input: InputId| {
            (input.0 as usize) < inputs || self.repartitions.iter().any(|repartition| repartition.output == input)
        };
        !upstream.is_empty() && upstream.iter().all(|(input, _)| is_entry(*input))
    }

    fn entering(&self, index: usize, node: &NodePlan, inputs: &[Input]) -> Vec<Labelled> {
        inputs
            .iter()
            .filter(|input| input.node == NodeId(index))
            .map(|input| (input.id, label(node, input, self.id.partition)))
            .collect()
    }

    /// The lanes of a repartition as one input; none where nobody sends to this task.
    fn repartition(&mut self, index: usize, node: &NodePlan, inputs: &[Input]) -> Vec<Labelled> {
        let lanes = self.entering(index, node, inputs);
        if lanes.is_empty() {
            return lanes;
        }
        let output = self.virtual_input();
        self.repartitions.push(Repartition {
            node: NodeId(index),
            output,
            schema: node.schema.clone(),
            lanes: lanes.iter().map(|(lane, _)| *lane).collect(),
            clock: Clock::new(lanes),
        });
        vec![(output, format!("{}/senders", node.name))]
    }

    fn input_schema(&self, node: &NodePlan) -> SchemaRef {
        self.plan.nodes[node.inputs[0].0.0].schema.clone()
    }

    fn virtual_input(&mut self) -> InputId {
        let input = InputId(self.next_virtual);
        self.next_virtual += 1;
        input
    }
}

/// The inputs that are senders, each with the name by which state remembers it.
fn senders(inputs: &[Input], plan: &SubtopologyPlan) -> Vec<(InputId, String)> {
    let senders = inputs.iter().filter_map(|input| match input.kind {
        InputKind::Source(_) => None,
        InputKind::Sender(_, partition) => Some((input.id, label(&plan.nodes[input.node.0], input, partition))),
    });
    senders.collect()
}

/// For each input a number: rows of those with the same may go through the graph in one pass. Those that enter by different
/// nodes may where a merge puts them in order; where each row goes alone there is nothing to put in order.
fn groups(inputs: &[Input], plan: &SubtopologyPlan) -> Vec<usize> {
    let all_in_one = plan.reading == Reading::ByEventTime && has_merge(plan);
    inputs.iter().map(|input| if all_in_one { 0 } else { input.node.0 }).collect()
}

fn has_merge(plan: &SubtopologyPlan) -> bool {
    plan.nodes.iter().any(|node| matches!(node.kind, NodeKind::Merge))
}

/// The name by which state remembers an input that enters by `node`.
fn label(node: &NodePlan, input: &Input, partition: PartitionId) -> String {
    let lane = match input.kind {
        InputKind::Source(_) => partition,
        InputKind::Sender(_, sender) => sender,
    };
    format!("{}/{lane}", node.name)
}

/// The results of a step as an input of what stands behind it; none where nothing reaches the step in this task: such an input
/// would never speak, and time would wait for it for ever.
fn result_of(node: &NodePlan, output: InputId, upstream: &[Labelled]) -> Vec<Labelled> {
    if upstream.is_empty() { Vec::new() } else { vec![(output, node.name.clone())] }
}

/// The task's inputs: nodes in order, and within a repartition the senders in order.
fn inputs_of(id: TaskId, plan: &SubtopologyPlan, wiring: &Wiring) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    let mut add = |node: usize, kind: InputKind| {
        inputs.push(Input {
            id: InputId(inputs.len() as u32),
            kind,
            node: NodeId(node),
            position: Position::default(),
            watermark: None,
            is_idle: false,
            event_time: None,
        });
    };
    for (index, node) in plan.nodes.iter().enumerate() {
        match &node.kind {
            NodeKind::Source(source) => {
                let partitions = wiring.source_partitions.get(&source.source).copied().unwrap_or(1);
                if id.partition.0 < partitions {
                    add(index, InputKind::Source(source.source));
                }
            }
            NodeKind::ExchangeSource(exchange) => {
                let senders = match wiring.exchanges.get(exchange) {
                    Some(wiring) if id.partition.0 < wiring.partitions => wiring.senders,
                    // A task beyond the partitions of this repartition hears nothing of it.
                    Some(_) => 0,
                    None => 1,
                };
                (0..senders).for_each(|sender| add(index, InputKind::Sender(*exchange, PartitionId(sender))));
            }
            _ => {}
        }
    }
    inputs
}

fn successors(plan: &SubtopologyPlan, of: NodeId) -> Vec<(usize, NodeId, Port)> {
    let mut successors = Vec::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        for (port, &(before, output)) in node.inputs.iter().enumerate() {
            if before == of {
                assert!(before.0 < index, "a node's inputs have smaller numbers than itself");
                successors.push((output, NodeId(index), Port(port)));
            }
        }
    }
    successors
}
