//! Which nodes run together: those that are connected without a repartition between them.

use super::graph::{Graph, Op};

/// For each node that is used its subtopology, numbered so that every repartition leads from a smaller number to a greater
/// one; a repartition belongs to its receiver.
pub(crate) fn of(graph: &Graph, used: &[bool]) -> Vec<Option<usize>> {
    let mut leader = (0..graph.nodes.len()).collect::<Vec<_>>();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| used[*index]) {
        if !matches!(node.op, Op::Exchange { .. }) {
            for input in &node.inputs {
                join(&mut leader, input.node, index);
            }
        }
    }
    let mut leaders = Vec::new();
    for index in (0..graph.nodes.len()).filter(|&index| used[index]) {
        let leader = find(&leader, index);
        if !leaders.contains(&leader) {
            leaders.push(leader);
        }
    }
    // Nodes that run together have the same number of repartitions behind them, and a repartition adds one.
    leaders.sort_by_key(|&leader| (graph.nodes[leader].level, leader));
    let part = |index: usize| leaders.iter().position(|&other| other == find(&leader, index));
    (0..graph.nodes.len()).map(|index| if used[index] { part(index) } else { None }).collect()
}

fn find(leader: &[usize], mut index: usize) -> usize {
    while leader[index] != index {
        index = leader[index];
    }
    index
}

fn join(leader: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(leader, a), find(leader, b));
    leader[a.max(b)] = a.min(b);
}
