//! The topics of a pipeline: names that a log can hold, none read twice, none that feeds itself.

use crate::codes;
use std::collections::BTreeMap;

use super::Findings;
use crate::spec::names::Name;

/// What a topic is to the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is read.
    Source,
    /// It is written.
    Sink,
    /// Late rows go there.
    Late,
    /// Failed records go there.
    DeadLetter,
}

impl Use {
    fn phrase(self) -> &'static str {
        match self {
            Use::Source => "a source reads it",
            Use::Sink => "a sink writes it",
            Use::Late => "late rows go there",
            Use::DeadLetter => "failed records go there",
        }
    }
}

/// The topics seen so far.
#[derive(Debug)]
pub(crate) struct Topics<'a> {
    pipeline: &'a str,
    seen: BTreeMap<String, (Use, Name)>,
}

impl<'a> Topics<'a> {
    /// No topics yet, of the pipeline of that name.
    pub(crate) fn new(pipeline: &'a str) -> Topics<'a> {
        Topics { pipeline, seen: BTreeMap::new() }
    }

    /// Checks one more topic. Sources come first.
    pub(crate) fn check(&mut self, topic: &Name, used: Use, findings: &mut Findings) {
        if !is_topic(topic) {
            findings
                .error(codes::TOPIC_NAME, topic.span, format!("`{topic}` cannot name a topic"))
                .help("Write ASCII letters, digits, `.`, `_` and `-`, at most 249 of them.");
            return;
        }
        let internal = topic.strip_prefix(self.pipeline).and_then(|rest| rest.strip_prefix('-'));
        let internal = internal.is_some_and(|rest| rest.ends_with("-repartition") || rest.ends_with("-changelog"));
        if internal || topic.starts_with("__") {
            findings
                .error(codes::INTERNAL_TOPIC, topic.span, format!("`{topic}` is the name of an internal topic"))
                .help("Choose another name.");
        }
        let Some((first_use, first)) = self.seen.get(&topic.value) else {
            self.seen.insert(topic.value.clone(), (used, topic.clone()));
            return;
        };
        let first_span = first.span;
        let finding = match (*first_use, used) {
            // Several streams may be written to one topic, and late rows of several windows.
            (Use::Sink, Use::Sink) | (Use::Late, Use::Late) => return,
            (Use::Source, Use::Source) => findings
                .error(codes::TOPIC_READ_TWICE, topic.span, format!("two sources read the topic `{topic}`"))
                .help("Keep one source and let several streams read it."),
            (Use::Source, _) => findings
                .error(
                    codes::TOPIC_LOOP,
                    topic.span,
                    format!("`{topic}` is read by this pipeline, and would feed it for ever"),
                )
                .help("Write to another topic."),
            (first_use, _) => findings
                .error(codes::TOPIC_CLASH, topic.span, format!("`{topic}` is taken: {}", first_use.phrase()))
                .help("Choose another topic, so that its readers know what stands in it."),
        };
        finding.related(first_span, first_use.phrase());
    }
}

fn is_topic(topic: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&topic.len()) && topic.chars().all(allowed) && topic != "." && topic != ".."
}
