//! Which columns of each node anything behind it reads: sources decode only those.

use std::collections::BTreeSet;

use super::graph::{Graph, Node, NodeIndex, Op, Value};
use crate::topology::is_hidden;

/// For each node, the columns of its output that are read.
#[derive(Debug)]
pub(crate) struct Liveness {
    live: Vec<BTreeSet<String>>,
}

impl Liveness {
    /// Walks the graph backwards. `sink_reads` are the columns that each sink writes or takes its key from.
    pub(crate) fn of(graph: &Graph, used: &[bool], sink_reads: &[BTreeSet<String>]) -> Liveness {
        let mut live = vec![BTreeSet::new(); graph.nodes.len()];
        for index in (0..graph.nodes.len()).rev().filter(|&index| used[index]) {
            let node = &graph.nodes[index];
            let reads = reads(node, &live[index], sink_reads);
            if let Op::Source { .. } = node.op {
                live[index] = reads;
                continue;
            }
            for input in &node.inputs {
                live[input.node].extend(reads.iter().cloned());
            }
        }
        Liveness { live }
    }

    /// The columns of a node that are read, in the order of its columns, hidden ones last.
    pub(crate) fn columns(&self, graph: &Graph, node: NodeIndex) -> Vec<String> {
        let columns = &graph.nodes[node].columns;
        let live = &self.live[node];
        let names = columns.names().chain(columns.hidden().iter().copied());
        names.filter(|name| live.contains(*name)).map(str::to_owned).collect()
    }

    /// Whether a column of a node is read.
    pub(crate) fn is_read(&self, node: NodeIndex, column: &str) -> bool {
        self.live[node].contains(column)
    }
}

/// The columns of its inputs that a node reads when `live` is read of it.
fn reads(node: &Node, live: &BTreeSet<String>, sink_reads: &[BTreeSet<String>]) -> BTreeSet<String> {
    let mut reads = BTreeSet::new();
    match &node.op {
        Op::Source { event_time, .. } => {
            reads.extend(live.iter().cloned());
            reads.extend(event_time.iter().flat_map(|time| time.reads.iter().cloned()));
        }
        Op::Filter(condition) => {
            reads.extend(live.iter().cloned());
            reads.extend(condition.reads.iter().cloned());
        }
        Op::KeyBy(key) => {
            reads.extend(live.iter().cloned());
            reads.extend(key.iter().cloned());
        }
        Op::Project(outputs) => {
            reads.extend(live.iter().filter(|name| is_hidden(name)).cloned());
            for (_, value) in outputs.iter().filter(|(name, _)| live.contains(name)) {
                match value {
                    Value::Column(column) | Value::Cast(column, _) => reads.extend([column.clone()]),
                    Value::Computed(checked) => reads.extend(checked.reads.iter().cloned()),
                }
            }
        }
        Op::Unnest { list, element } => {
            reads.extend(live.iter().filter(|name| *name != element).cloned());
            reads.insert(list.clone());
        }
        Op::Branch(arms, _) => {
            reads.extend(live.iter().cloned());
            reads.extend(arms.iter().flat_map(|arm| arm.reads.iter().cloned()));
        }
        Op::Merge => reads.extend(live.iter().cloned()),
        Op::Exchange { keys, .. } => {
            reads.extend(live.iter().cloned());
            reads.extend(keys.iter().cloned());
        }
        Op::Group(grouping) => {
            reads.extend(grouping.keys.iter().cloned());
            reads.extend(grouping.aggregates.iter().flat_map(|(_, checked)| checked.reads.iter().cloned()));
            let late = grouping.window.as_ref().and_then(|window| window.late);
            reads.extend(late.iter().flat_map(|&sink| sink_reads[sink].iter().cloned()));
        }
        Op::Sink { sink, timestamp, headers } => {
            reads.extend(sink_reads[*sink].iter().cloned());
            let computed = timestamp.iter().chain(headers.iter().map(|(_, value)| value));
            reads.extend(computed.flat_map(|checked| checked.reads.iter().cloned()));
        }
    }
    reads
}
