//! Results that change from commit to commit: which topics and which dead letters depend on when commits fell.

use std::collections::BTreeSet;

use millstream_engine::plan::{Emit, NodeKind};
use millstream_pipeline::topology::{SinkRole, Topology};

/// The steps whose results change, and those that such results come through.
pub(super) struct Changes<'a> {
    topology: &'a Topology,
    /// Subtopology and node of each.
    nodes: BTreeSet<(usize, usize)>,
}

impl<'a> Changes<'a> {
    /// Those of a topology.
    pub(super) fn of(topology: &'a Topology) -> Changes<'a> {
        let mut nodes = BTreeSet::new();
        // Behind a repartition are more of them: until there are no more.
        loop {
            let before = nodes.len();
            for (part, subtopology) in topology.subtopologies.iter().enumerate() {
                for (index, node) in subtopology.plan.nodes.iter().enumerate() {
                    let changes = match &node.kind {
                        NodeKind::Window(plan) => emits_changes(plan.emit),
                        NodeKind::Aggregate(plan) => emits_changes(plan.emit),
                        NodeKind::ExchangeSource(id) => {
                            let exchange = &topology.exchanges[id.0];
                            nodes.contains(&(exchange.from, exchange.from_node.0))
                        }
                        _ => false,
                    };
                    if changes || node.inputs.iter().any(|(input, _)| nodes.contains(&(part, input.0))) {
                        nodes.insert((part, index));
                    }
                }
            }
            if nodes.len() == before {
                return Changes { topology, nodes };
            }
        }
    }

    /// Whether what a sink writes to a topic depends on when commits fell.
    pub(super) fn reach(&self, topic: &str) -> bool {
        let sinks = self.topology.sinks.iter().filter(|sink| sink.topic == topic && sink.role == SinkRole::User);
        sinks.map(|sink| (sink.subtopology, sink.node.0)).any(|node| self.nodes.contains(&node))
    }

    /// Whether a topic has dead letters that do.
    pub(super) fn are_among_dead_letters(&self, topic: &str) -> bool {
        self.topology.on_error.dead_letters() == Some(topic) && !self.nodes.is_empty()
    }

    /// Whether a step of this name is one of them.
    pub(super) fn come_through(&self, step: &str) -> bool {
        self.nodes.iter().any(|&(part, index)| self.topology.subtopologies[part].plan.nodes[index].name == step)
    }
}

fn emits_changes(emit: Emit) -> bool {
    matches!(emit, Emit::Changes | Emit::Every(_))
}
