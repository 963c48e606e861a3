//! Sources as the first nodes of the graph.

use std::collections::BTreeSet;

use super::builder::Builder;
use super::columns::{Columns, SystemColumns};
use super::graph::{Edge, Node, Op};
use super::spread::{RecordKey, Spread, Width};
use super::stream::{Keyed, Stream};
use crate::check::{expression, group_keys, source_schema, topics};
use crate::spec::names::Name;
use crate::spec::source::{Source, SourceKey};
use crate::topology::Start;

impl Builder<'_> {
    /// Adds a node for each source of the file, and a stream of its name.
    pub(crate) fn add_sources(&mut self) {
        let pipeline = self.pipeline;
        for (index, (name, source)) in pipeline.sources.iter().enumerate() {
            self.topics.check(source.topic.as_ref().unwrap_or(name), topics::Use::Source, &mut self.findings);
            let checked = source_schema::check(name, source, self.found, &mut self.findings);
            let stream = checked.as_ref().map(|given| {
                let columns = Columns::new(given.declared.clone(), SystemColumns::AtHand);
                self.add_source(index, name, source, columns)
            });
            self.sources.push(checked);
            self.streams.insert(name.as_str(), stream);
        }
    }

    fn add_source(&mut self, index: usize, name: &Name, source: &Source, columns: Columns) -> Stream {
        let event_time =
            source.event_time.as_ref().and_then(|time| expression::event_time(time, &columns, &mut self.findings));
        // Equal keys of another schema may have other bytes and so another partition: nothing is promised there.
        let key = source.key.as_ref().and_then(SourceKey::names);
        let key = key.and_then(|key| group_keys::check(key, &columns, &mut self.findings));
        let count = self.counts.get(topic(name, source));
        let spread = match (count, key) {
            (Some(1), _) => Spread::One,
            (_, Some(key)) if !key.is_empty() => Spread::By(BTreeSet::from_iter(key), Width::Source(count)),
            _ => Spread::Unknown,
        };
        let op = Op::Source { source: index, event_time };
        let node = Node { name: format!("sources.{name}"), inputs: Vec::new(), columns, level: 0, op };
        Stream {
            edge: Edge::of(self.graph.push(node)),
            key: RecordKey::Source,
            keyed: Keyed::Source,
            spread,
            window: None,
            changes: None,
        }
    }
}

/// The topic of a source.
pub(crate) fn topic<'s>(name: &'s Name, source: &'s Source) -> &'s str {
    source.topic.as_ref().unwrap_or(name)
}

/// Where a source begins.
pub(crate) fn start(source: &Source) -> Start {
    match source.start.as_ref().map(|start| start.value).unwrap_or_default() {
        crate::spec::start::Start::Earliest => Start::Earliest,
        crate::spec::start::Start::Latest => Start::Latest,
        crate::spec::start::Start::At(time) => Start::Time(time),
    }
}
