//! YAML text in, a checked topology or diagnostics with positions out; never reads a file, never opens a socket.

pub mod case;
mod check;
pub mod codes;
pub mod diagnostic;
pub mod explain;
pub mod found;
pub mod interpolate;
pub mod kafka;
pub mod literal;
pub mod lower;
pub mod reference;
mod resolve;
pub mod schema;
pub mod spec;
pub mod structure;
pub mod suggest;
pub mod topology;
pub mod yaml;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::case::{CaseFile, TestSpec};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::found::{Found, Wanted};
use crate::interpolate::Lookup;
use crate::spec::Pipeline;
use crate::topology::{PartitionCounts, Topology};
use crate::yaml::node::Node;
use crate::yaml::source_map::{SourceFile, SourceMap};
use crate::yaml::spanned::Spanned;

/// Reads a pipeline from the text of a file. What it says is well-formed; whether it makes sense is checked later.
///
/// # Errors
/// Everything that is wrong with the text or its structure, in the order of the file.
pub fn parse(file_name: &str, text: &str, lookup: Lookup<'_>) -> Result<(Pipeline, SourceMap), Diagnostics> {
    read(file_name, text, lookup, &schema::PIPELINE)
}

/// Reads a case file.
///
/// # Errors
/// As [`parse`].
pub fn parse_case(file_name: &str, text: &str, lookup: Lookup<'_>) -> Result<(CaseFile, SourceMap), Diagnostics> {
    read(file_name, text, lookup, &schema::CASE)
}

/// A pipeline that can run.
#[derive(Debug, Clone)]
pub struct Checked {
    /// As it was written.
    pub pipeline: Pipeline,
    /// Where in the file things stand.
    pub sources: SourceMap,
    /// What is to be run. Its warnings are worth showing.
    pub topology: Topology,
}

/// Reads a pipeline from the text of a file and checks it through its whole graph, its tests included.
///
/// # Errors
/// Everything that is wrong, in the order of the file. What makes sense is looked at only once the structure is right.
pub fn check(
    file_name: &str,
    text: &str,
    lookup: Lookup<'_>,
    partitions: &PartitionCounts,
) -> Result<Checked, Diagnostics> {
    check_with(file_name, text, lookup, partitions, &mut |_| Found::nothing())
}

/// As [`check`], for a pipeline that may need schemas from outside its text: `find` is told which, and says what it found.
///
/// # Errors
/// As [`check`].
pub fn check_with(
    file_name: &str,
    text: &str,
    lookup: Lookup<'_>,
    partitions: &PartitionCounts,
    find: &mut dyn FnMut(&[Wanted]) -> Found,
) -> Result<Checked, Diagnostics> {
    let (pipeline, sources) = parse(file_name, text, lookup)?;
    let found = find(&found::wanted(&pipeline));
    let topology = lower::lower_with(&pipeline, &sources, partitions, &found)?;
    let diagnostics = check_tests(&pipeline.tests, &pipeline, &topology, &sources);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(Checked { pipeline, sources, topology }) }
}

/// Checks tests against the pipeline that they are of: whether sources, topics, columns and the names in the ledger are
/// there. `sources` is the map of the file that holds the tests.
pub fn check_tests(
    tests: &[Spanned<TestSpec>],
    pipeline: &Pipeline,
    topology: &Topology,
    sources: &SourceMap,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new(sources.file().clone());
    check::test_section::check(tests, pipeline, topology, &mut diagnostics);
    diagnostics.sort();
    diagnostics
}

fn read<T: DeserializeOwned>(
    file_name: &str,
    text: &str,
    lookup: Lookup<'_>,
    schema: &Value,
) -> Result<(T, SourceMap), Diagnostics> {
    let (root, sources, mut diagnostics) = read_tree(file_name, text, lookup)?;
    structure::check(&root, schema, &mut diagnostics);
    diagnostics.sort();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    match yaml::de::from_node(&root) {
        Ok(value) => Ok((value, sources)),
        Err(error) => {
            diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, error.span.unwrap_or(root.span), error.message));
            Err(diagnostics)
        }
    }
}

/// Reads a YAML file of any kind and puts in what its placeholders stand for. Its structure is still to be checked
/// ([`structure::check`]); what is wrong so far comes with it.
///
/// # Errors
/// If it is no YAML that can be gone through.
pub fn read_tree(
    file_name: &str,
    text: &str,
    lookup: Lookup<'_>,
) -> Result<(Node, SourceMap, Diagnostics), Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = Arc::new(SourceFile::new(file_name, text));
    let mut diagnostics = Diagnostics::new(file.clone());
    let mut sources = SourceMap::new(file);
    let Some(mut root) = yaml::parse::parse(&mut sources, &mut diagnostics) else {
        diagnostics.hide_what_sounds_secret();
        diagnostics.sort();
        return Err(diagnostics);
    };
    sources.hide_secrets(&root);
    diagnostics.show(sources.file().clone());
    interpolate::interpolate(&mut root, lookup, &mut sources, &mut diagnostics);
    Ok((root, sources, diagnostics))
}
