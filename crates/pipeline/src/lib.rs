//! YAML text in, a checked topology or diagnostics with positions out; never reads a file, never opens a socket.

pub mod case;
mod check;
pub mod codes;
pub mod diagnostic;
pub mod explain;
pub mod interpolate;
pub mod lower;
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

use crate::case::CaseFile;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::interpolate::Lookup;
use crate::spec::Pipeline;
use crate::yaml::source_map::{SourceFile, SourceMap};

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

fn read<T: DeserializeOwned>(
    file_name: &str,
    text: &str,
    lookup: Lookup<'_>,
    schema: &Value,
) -> Result<(T, SourceMap), Diagnostics> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = Arc::new(SourceFile::new(file_name, text));
    let mut diagnostics = Diagnostics::new(file.clone());
    let mut sources = SourceMap::new(file);
    let Some(mut root) = yaml::parse::parse(&mut sources, &mut diagnostics) else {
        diagnostics.sort();
        return Err(diagnostics);
    };
    interpolate::interpolate(&mut root, lookup, &mut sources, &mut diagnostics);
    structure::check(&root, schema, &mut diagnostics);
    diagnostics.sort();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    yaml::de::from_node(&root).map(|value| (value, sources)).map_err(|error| {
        diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, error.span.unwrap_or(root.span), error.message));
        diagnostics
    })
}
