//! A pipeline as written, checked through its whole graph, to a topology. Every mistake is reported, all at once.

mod assemble;
mod builder;
pub(crate) mod columns;
pub(crate) mod graph;
mod liveness;
mod parts;
mod physical;
mod repartition;
mod shape;
mod sinks;
mod sources;
mod spread;
mod steps;
pub(crate) mod stream;

use crate::codes;
use builder::Builder;

use crate::check::Findings;
use crate::check::create::Keys;
use crate::check::form::{self, Form};
use crate::check::kafka_properties;
use crate::check::topics::Use;
use crate::diagnostic::Diagnostics;
use crate::found::Found;
use crate::resolve;
use crate::spec::on_error::OnError;
use crate::spec::pipeline::Pipeline;
use crate::topology::{PartitionCounts, Topology};
use crate::yaml::source_map::SourceMap;

/// Checks a pipeline and lowers it to a topology. `partitions` are the partitions of the topics as far as they are known:
/// where all rows are sure to be in one partition, no repartition is needed. Warnings are in the topology.
///
/// # Errors
/// All mistakes, and the warnings with them.
pub fn lower(pipeline: &Pipeline, map: &SourceMap, partitions: &PartitionCounts) -> Result<Topology, Diagnostics> {
    lower_with(pipeline, map, partitions, &Found::nothing())
}

/// As [`lower`], with what was found of the schemas that the pipeline wants ([`crate::found::wanted`]).
///
/// # Errors
/// As [`lower`].
pub fn lower_with(
    pipeline: &Pipeline,
    map: &SourceMap,
    partitions: &PartitionCounts,
    found: &Found,
) -> Result<Topology, Diagnostics> {
    let mut builder = Builder::new(pipeline, partitions, found);
    let form = form::check(pipeline, &mut builder.findings);
    builder.add_sources();
    let streams = match form {
        Form::Linear => resolve::linear(pipeline, &mut builder.findings),
        Form::Graph => resolve::graph(pipeline, &mut builder.findings),
    };
    for stream in &streams {
        builder.add_stream(stream, form);
    }
    builder.add_sinks(form);
    builder.kafka = kafka_properties::check(&pipeline.kafka, &mut builder.findings);
    if let Some(OnError::DeadLetter(to)) = pipeline.on_error.as_ref().map(|on_error| &on_error.value) {
        builder.topics.check(&to.dead_letter, Use::DeadLetter, &mut builder.findings);
        builder.creates.check(&to.dead_letter, to.create.as_ref(), Keys::OfFailed, &mut builder.findings);
    }
    let found = diagnostics(std::mem::take(&mut builder.findings), map);
    if found.has_errors() {
        return Err(found);
    }
    match builder.assemble() {
        Ok(topology) => Ok(Topology { warnings: found, ..topology }),
        Err(error) => {
            let mut findings = Findings::default();
            let what = format!("an expression that was checked does not compile: {}", error.message);
            findings
                .error(codes::INTERNAL, pipeline.pipeline.span, what)
                .help("This is a mistake of Millstream: please report it.");
            Err(diagnostics(findings, map))
        }
    }
}

/// Checks a pipeline, whatever partitions its topics have.
///
/// # Errors
/// As [`lower`].
pub fn check(pipeline: &Pipeline, map: &SourceMap) -> Result<Topology, Diagnostics> {
    lower(pipeline, map, &PartitionCounts::unknown())
}

fn diagnostics(findings: Findings, map: &SourceMap) -> Diagnostics {
    let mut diagnostics = Diagnostics::new(map.file().clone());
    diagnostics.extend(findings.all.into_iter().map(|finding| finding.diagnostic(map)));
    diagnostics.sort();
    diagnostics
}

#[cfg(test)]
mod tests;
