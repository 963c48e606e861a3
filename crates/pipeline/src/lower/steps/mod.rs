//! The steps of a stream, one file each: what they check, and the nodes that they become.

mod branch;
mod group;
mod key_by;
mod merge;
mod project;
mod unnest;

use super::builder::Builder;
use super::graph::Op;
use super::stream::Stream;
use crate::check::expression;
use crate::check::form::Form;
use crate::resolve::StreamPlan;
use crate::spec::steps::Step;
use crate::yaml::spanned::Spanned;

/// A step and how messages name it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name: `<stream>.<index>.<kind>`.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) span: crate::yaml::span::Span,
}

impl<'a> Builder<'a> {
    /// Adds the nodes of a stream, and the stream under its name; of a branch, those that it names.
    pub(crate) fn add_stream(&mut self, plan: &StreamPlan<'a>, form: Form) {
        let mut steps = plan.steps.iter().enumerate().peekable();
        let mut stream = match steps.next_if(|(_, step)| matches!(step.value, Step::Merge(_))) {
            Some((index, step)) => self.merge(plan, &place(plan, index, step)),
            None => plan.inputs.first().and_then(|input| self.streams.get(input.as_str()).cloned().flatten()),
        };
        while let Some((index, step)) = steps.next() {
            let place = place(plan, index, step);
            match &step.value {
                Step::Branch(branch) if form == Form::Graph && steps.peek().is_none() => {
                    self.branch(branch, stream, &place);
                    return;
                }
                Step::Branch(_) => {
                    self.misplaced_branch(form, &place);
                    stream = None;
                }
                Step::Merge(_) => {
                    self.misplaced_merge(&place);
                    stream = None;
                }
                other => stream = stream.and_then(|stream| self.step(stream, other, &place)),
            }
        }
        self.streams.insert(plan.name, stream);
    }

    fn step(&mut self, stream: Stream, step: &Step, place: &Place) -> Option<Stream> {
        match step {
            Step::Filter(filter) => {
                let columns = self.columns(&stream);
                let Some(condition) = expression::condition(&filter.0, &columns, &mut self.findings) else {
                    return Some(stream);
                };
                let node = Op::Filter(condition);
                Some(Stream { edge: self.append(place.name.clone(), stream.edge, columns, node), ..stream })
            }
            Step::Map(map) => Some(self.map(stream, map, place)),
            Step::Select(select) => Some(self.select(stream, select, place)),
            Step::Drop(drop) => Some(self.drop_columns(stream, drop, place)),
            Step::Rename(rename) => Some(self.rename(stream, rename, place)),
            Step::Cast(cast) => Some(self.cast(stream, cast, place)),
            Step::Unnest(unnest) => self.unnest(stream, unnest, place),
            Step::KeyBy(key_by) => Some(self.key_by(stream, key_by, place)),
            Step::Window(window) => Some(self.window(stream, window, place)),
            Step::Aggregate(aggregate) => Some(self.aggregate(stream, aggregate, place)),
            Step::Branch(_) | Step::Merge(_) => None,
        }
    }
}

fn place(plan: &StreamPlan<'_>, index: usize, step: &Spanned<Step>) -> Place {
    Place { name: format!("{}.{index}.{}", plan.name, step.value.name()), span: step.span }
}
