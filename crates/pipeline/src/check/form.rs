//! A pipeline has either the linear form or the form of a graph, and reads and writes something.

use super::Findings;
use crate::codes;
use crate::spec::pipeline::Pipeline;
use crate::spec::steps::Step;

/// The two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One source, `steps`, `sink`.
    Linear,
    /// `streams`, `sinks`.
    Graph,
}

/// Which form the pipeline has.
pub(crate) fn check(pipeline: &Pipeline, findings: &mut Findings) -> Form {
    if pipeline.version.value != 1 {
        findings
            .error(
                codes::VERSION,
                pipeline.version.span,
                format!("version {} of the language is unknown", pipeline.version),
            )
            .help("Write `version: 1`.");
    }
    name(pipeline, findings);
    if pipeline.sources.is_empty() {
        findings
            .error(codes::NO_SOURCE, pipeline.pipeline.span, "the pipeline reads nothing")
            .help("Name at least one topic under `sources:`.");
    }
    match (linear(pipeline), graph(pipeline)) {
        (Some((linear, at)), Some((graph, _))) => {
            findings
                .error(codes::MIXED_FORMS, at, format!("`{linear}` and `{graph}` cannot stand in one pipeline"))
                .help("Write `steps` and `sink` for one stream, or `streams` and `sinks` for a graph.");
            Form::Graph
        }
        (None, Some(_)) => {
            if pipeline.sinks.is_empty() {
                findings
                    .error(codes::NO_SINK, pipeline.pipeline.span, "the pipeline writes nothing")
                    .help("Name at least one topic under `sinks:`.");
            }
            Form::Graph
        }
        (linear, None) => {
            if pipeline.sink.is_none() {
                let at = linear.map_or(pipeline.pipeline.span, |_| pipeline.pipeline.span);
                findings
                    .error(codes::NO_SINK, at, "the pipeline writes nothing")
                    .help("Add `sink: {topic: .., format: json}`.");
            }
            let first = pipeline.steps.as_ref().and_then(|steps| steps.first());
            let merges = matches!(first.map(|step| &step.value), Some(Step::Merge(_)));
            if let Some((second, _)) = pipeline.sources.0.get(1).filter(|_| !merges) {
                findings
                    .error(
                        codes::MANY_SOURCES,
                        second.span,
                        "a pipeline of `steps` has one source, but this is another",
                    )
                    .help("Begin with `- merge: [..]`, or name streams under `streams:` and write them to `sinks:`.");
            }
            Form::Linear
        }
    }
}

type Section = Option<(&'static str, crate::yaml::span::Span)>;

fn linear(pipeline: &Pipeline) -> Section {
    let steps = pipeline.steps.as_ref().map(|steps| ("steps", steps.span));
    steps.or_else(|| pipeline.sink.as_ref().map(|sink| ("sink", sink.span)))
}

fn graph(pipeline: &Pipeline) -> Section {
    let streams = (!pipeline.streams.is_empty()).then_some(("streams", pipeline.streams.span));
    streams.or_else(|| (!pipeline.sinks.is_empty()).then_some(("sinks", pipeline.sinks.span)))
}

fn name(pipeline: &Pipeline, findings: &mut Findings) {
    let name = &pipeline.pipeline;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let well = (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with(['.', '-', '_']);
    if !well {
        findings.error(codes::PIPELINE_NAME, name.span, format!("`{name}` cannot name a pipeline")).help(
            "Write lower-case letters, digits, `-`, `_` and `.`, at most 100 of them, the first a letter or digit.",
        );
    }
}
