//! Where a repartition is due: before a step that groups, unless rows of one group are sure to be in one partition.

use std::collections::BTreeSet;

use super::builder::Builder;
use super::graph::{Edge, Node, Op};
use super::spread::{RecordKey, Spread, Width};
use super::stream::{Keyed, Stream};

impl Builder<'_> {
    /// The stream with all rows of a group in one partition.
    pub(crate) fn repartition_for(&mut self, stream: Stream, step: &str, by: &[String]) -> Stream {
        if stream.spread.holds_for(by) {
            return stream;
        }
        // A key that the pipeline names is worth more than that of this one step: later steps may group by it too.
        let named = match (&stream.key, stream.keyed) {
            (RecordKey::Columns(key), Keyed::KeyBy) if !key.is_empty() => Some(key),
            _ => None,
        };
        let keys = match named {
            Some(key) if key.iter().all(|column| by.contains(column)) => key.clone(),
            _ => by.to_vec(),
        };
        self.repartition(stream, step, keys)
    }

    /// The stream behind a repartition by `keys`, or into one partition if there are none.
    pub(crate) fn repartition(&mut self, stream: Stream, step: &str, keys: Vec<String>) -> Stream {
        let columns = self.columns(&stream);
        let spread = match keys.is_empty() {
            true => Spread::One,
            false => Spread::By(BTreeSet::from_iter(keys.iter().cloned()), Width::Exchange),
        };
        let level = self.graph.nodes[stream.edge.node].level + 1;
        let op = Op::Exchange { step: step.to_owned(), keys };
        let node = Node { name: format!("{step}.repartition"), inputs: vec![stream.edge], columns, level, op };
        Stream { edge: Edge::of(self.graph.push(node)), spread, ..stream }
    }
}
