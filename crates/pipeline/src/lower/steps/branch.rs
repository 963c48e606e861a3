//! branch: the arms of a stream, each a stream of its own.

use crate::codes;
use millstream_engine::plan::Otherwise;

use super::Place;
use crate::check::expression;
use crate::check::form::Form;
use crate::lower::builder::Builder;
use crate::lower::graph::{Edge, Op};
use crate::lower::stream::Stream;
use crate::spec::steps::Branch;

impl<'a> Builder<'a> {
    /// Adds the streams that a branch names.
    pub(crate) fn branch(&mut self, branch: &'a Branch, stream: Option<Stream>, place: &Place) {
        if branch.arms.is_empty() {
            self.findings
                .error(codes::EMPTY, place.span, "this branch has no arms")
                .help("Name at least one stream and its condition, as in `cheap: price < 10`.");
        }
        let names = branch.arms.names().chain(&branch.otherwise);
        let Some(stream) = stream else {
            self.streams.extend(names.map(|name| (name.as_str(), None)));
            return;
        };
        let columns = self.columns(&stream);
        let conditions = branch.arms.iter().map(|(_, sql)| expression::condition(sql, &columns, &mut self.findings));
        // An arm whose condition is wrong has been reported; the columns of the arms are known all the same.
        let arms = conditions.collect::<Vec<_>>().into_iter().flatten().collect();
        let otherwise = branch.otherwise.as_ref().map_or(Otherwise::Drop, |_| Otherwise::LastOutput);
        let node = self.append(place.name.clone(), stream.edge, columns, Op::Branch(arms, otherwise)).node;
        for (output, name) in names.enumerate() {
            self.streams.insert(name.as_str(), Some(Stream { edge: Edge { node, output }, ..stream.clone() }));
        }
    }

    /// Reports a branch that is not the last step of a stream.
    pub(crate) fn misplaced_branch(&mut self, form: Form, place: &Place) {
        let finding =
            self.findings.error(codes::BRANCH_NOT_LAST, place.span, "`branch` is the last step of a named stream");
        match form {
            Form::Linear => finding.help("Write `streams:` and `sinks:` instead of `steps:` and `sink:`."),
            Form::Graph => finding.help("Move what follows into the streams that it names."),
        };
    }
}
