//! The pipeline as one graph of checked steps, before columns are pruned and before it is cut into subtopologies.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use millstream_engine::plan::{Emit, Otherwise, WindowKind};
use millstream_engine::time::Millis;

use super::columns::Columns;

/// Index of a node; its inputs have smaller ones.
pub(crate) type NodeIndex = usize;

/// Where rows come from: one of the outputs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The node.
    pub(crate) node: NodeIndex,
    /// Which of its outputs: the arm of a branch, else 0.
    pub(crate) output: usize,
}

impl Edge {
    /// The only output of a node.
    pub(crate) fn of(node: NodeIndex) -> Edge {
        Edge { node, output: 0 }
    }
}

/// The graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Its nodes.
    pub(crate) nodes: Vec<Node>,
}

/// A step, or a part of one.
#[derive(Debug)]
pub(crate) struct Node {
    /// As messages and the ledger name it.
    pub(crate) name: String,
    /// What it reads.
    pub(crate) inputs: Vec<Edge>,
    /// What leaves it.
    pub(crate) columns: Columns,
    /// How many repartitions lie between it and the sources.
    pub(crate) level: usize,
    /// What it does.
    pub(crate) op: Op,
}

/// Text of an expression that has been checked, and the columns that it reads.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    /// The text.
    pub(crate) sql: String,
    /// The columns, by name.
    pub(crate) reads: BTreeSet<String>,
    /// The type of its values.
    pub(crate) data_type: DataType,
}

/// How a column of a projection is made.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// It is a column of the input.
    Column(String),
    /// It is computed.
    Computed(Checked),
    /// It is a column of the input, cast.
    Cast(String, DataType),
}

/// What a node does.
#[derive(Debug)]
pub(crate) enum Op {
    /// Reads a source.
    Source {
        /// Index of the source in the file.
        source: usize,
        /// The event time.
        event_time: Option<Checked>,
    },
    /// Keeps rows.
    Filter(Checked),
    /// Keeps rows in which none of these columns is null.
    KeyBy(Vec<String>),
    /// Replaces the visible columns; hidden ones pass.
    Project(Vec<(String, Value)>),
    /// One row for each element of a list column, under the name of the element.
    Unnest {
        /// The list.
        list: String,
        /// The element.
        element: String,
    },
    /// Splits rows by condition.
    Branch(Vec<Checked>, Otherwise),
    /// Rows of several streams.
    Merge,
    /// A repartition, both of its ends.
    Exchange {
        /// The step for which it is.
        step: String,
        /// The key columns; empty: to one partition.
        keys: Vec<String>,
    },
    /// Aggregates, by window or for ever.
    Group(Grouping),
    /// Leaves the topology.
    Sink {
        /// Index among all sinks.
        sink: usize,
        /// The timestamp of the records, where it is not the event time.
        timestamp: Option<Checked>,
        /// The headers that are set: name, value.
        headers: Vec<(String, Checked)>,
    },
}

/// A window step or an aggregate step.
#[derive(Debug)]
pub(crate) struct Grouping {
    /// The step's id.
    pub(crate) id: String,
    /// The group-by columns.
    pub(crate) keys: Vec<String>,
    /// The window; `None`: aggregates for ever.
    pub(crate) window: Option<Windowing>,
    /// When results leave.
    pub(crate) emit: Emit,
    /// The results: name, checked text.
    pub(crate) aggregates: Vec<(String, Checked)>,
}

/// What a window step has beyond an aggregate step.
#[derive(Debug)]
pub(crate) struct Windowing {
    /// Which windows.
    pub(crate) kind: WindowKind,
    /// How long a window stays open for late rows.
    pub(crate) grace: Millis,
    /// Index among all sinks of that of the late rows.
    pub(crate) late: Option<usize>,
}

impl Graph {
    /// Adds a node and gives its index.
    pub(crate) fn push(&mut self, node: Node) -> NodeIndex {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The columns that travel along an edge.
    pub(crate) fn columns(&self, edge: Edge) -> &Columns {
        &self.nodes[edge.node].columns
    }

    /// A step whose results come along an edge merged with other rows, where both are made behind a repartition.
    pub(crate) fn results_among_rows(&self, edge: Edge) -> Option<&str> {
        match &self.nodes[edge.node].op {
            Op::Group(_) | Op::Source { .. } => None,
            Op::Merge if self.nodes[edge.node].level > 0 => {
                let mut made_by = BTreeSet::new();
                self.nodes[edge.node].inputs.iter().for_each(|input| self.makers(*input, &mut made_by));
                let step = made_by.iter().find_map(|&node| match &self.nodes[node].op {
                    Op::Group(grouping) => Some(grouping.id.as_str()),
                    _ => None,
                });
                step.filter(|_| made_by.len() > 1).or_else(|| self.results_among_rows_before(edge.node))
            }
            _ => self.results_among_rows_before(edge.node),
        }
    }

    fn results_among_rows_before(&self, node: NodeIndex) -> Option<&str> {
        self.nodes[node].inputs.iter().find_map(|input| self.results_among_rows(*input))
    }

    /// The nodes that rows along an edge come from within their task.
    fn makers(&self, edge: Edge, into: &mut BTreeSet<NodeIndex>) {
        let node = &self.nodes[edge.node];
        let passes = match &node.op {
            Op::Source { .. } | Op::Exchange { .. } => false,
            Op::Group(grouping) => grouping.emit == Emit::Arrival,
            _ => true,
        };
        match passes {
            true => node.inputs.iter().for_each(|input| self.makers(*input, into)),
            false => {
                into.insert(edge.node);
            }
        }
    }

    /// Which nodes anything that leaves the topology depends on.
    pub(crate) fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let leaves = match &node.op {
                Op::Sink { .. } => true,
                Op::Group(grouping) => grouping.window.as_ref().is_some_and(|window| window.late.is_some()),
                _ => false,
            };
            used[index] |= leaves;
            if used[index] {
                for input in &node.inputs {
                    used[input.node] = true;
                }
            }
        }
        used
    }
}
