//! merge: several streams as one, with a repartition for those that would reach it sooner than the others.

use super::Place;
use crate::check::merge_columns;
use crate::codes;
use crate::lower::builder::Builder;
use crate::lower::columns::{Columns, SystemColumns};
use crate::lower::graph::{Edge, Node, Op};
use crate::lower::spread::{RecordKey, Spread};
use crate::lower::stream::{Keyed, Stream};
use crate::resolve::StreamPlan;

impl Builder<'_> {
    /// The rows of several streams.
    pub(crate) fn merge(&mut self, plan: &StreamPlan<'_>, place: &Place) -> Option<Stream> {
        if plan.inputs.len() < 2 {
            self.findings
                .error(codes::EMPTY, place.span, "`merge` names fewer than two streams")
                .help("Name at least two, or read the one by `from`.");
        }
        for (index, name) in plan.inputs.iter().enumerate() {
            if plan.inputs[..index].iter().any(|before| before.value == name.value) {
                let what = format!("`{name}` stands twice: each of its rows would be read twice");
                self.findings.error(codes::DUPLICATE_NAME, name.span, what).help("Remove one.");
            }
        }
        let read = |name: &&crate::spec::names::Name| self.streams.get(name.as_str()).cloned().flatten();
        let streams = plan.inputs.iter().map(read).collect::<Option<Vec<_>>>()?;
        let all = streams.iter().map(|stream| self.columns(stream)).collect::<Vec<_>>();
        let mut equal = true;
        for (name, columns) in plan.inputs.iter().zip(&all).skip(1) {
            equal &= merge_columns::check((plan.inputs[0], &all[0]), (name, columns), &mut self.findings);
        }
        if !equal {
            return None;
        }
        let streams = self.on_one_level(streams, place);
        let system = match all.iter().all(|columns| columns.system == SystemColumns::AtHand) {
            true => SystemColumns::AtHand,
            false => SystemColumns::Gone,
        };
        let columns = Columns { visible: all.into_iter().next()?.visible, system };
        let inputs = streams.iter().map(|stream| stream.edge).collect::<Vec<_>>();
        let level = self.graph.nodes[inputs.first()?.node].level;
        let node = Node { name: place.name.clone(), inputs, columns, level, op: Op::Merge };
        let edge = Edge::of(self.graph.push(node));
        Some(merged(edge, &streams))
    }

    /// Streams that a task of one subtopology can read: those with fewer repartitions behind them than others get more. They
    /// go into one partition: a repartition by columns would leave out rows in which one is null.
    fn on_one_level(&mut self, streams: Vec<Stream>, place: &Place) -> Vec<Stream> {
        let level = |builder: &Self, stream: &Stream| builder.graph.nodes[stream.edge.node].level;
        let deepest = streams.iter().map(|stream| level(self, stream)).max().unwrap_or_default();
        let mut levelled = Vec::new();
        for (index, mut stream) in streams.into_iter().enumerate() {
            for lower in level(self, &stream)..deepest {
                stream = self.repartition(stream, &format!("{}.{index}.{lower}", place.name), Vec::new());
            }
            levelled.push(stream);
        }
        levelled
    }

    /// Reports a merge that is not the first step of a stream.
    pub(crate) fn misplaced_merge(&mut self, place: &Place) {
        self.findings
            .error(codes::MERGE_NOT_FIRST, place.span, "`merge` is the first step of a stream")
            .help("Move the steps before it into a stream of their own under `streams:`, and name that.");
    }
}

/// What is known of the rows of several streams.
fn merged(edge: Edge, streams: &[Stream]) -> Stream {
    let first = &streams[0];
    let equal_window = streams.iter().all(|stream| stream.window == first.window);
    let equal_origin = streams.iter().all(|stream| stream.keyed == first.keyed);
    Stream {
        edge,
        key: RecordKey::merged(&streams.iter().map(|stream| &stream.key).collect::<Vec<_>>()),
        keyed: if equal_origin { first.keyed } else { Keyed::Grouping },
        spread: Spread::merged(&streams.iter().map(|stream| &stream.spread).collect::<Vec<_>>()),
        window: first.window.clone().filter(|_| equal_window),
        changes: streams.iter().find_map(|stream| stream.changes.clone()),
    }
}
