//! `millstream schema`: the JSON Schema of pipeline files, for editors.

use clap::Args;

use crate::exit::{Exit, Failure};

/// Prints the JSON Schema of pipeline files, for editors.
///
/// Point an editor to it with a first line such as
/// `# yaml-language-server: $schema=../millstream.schema.json`.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self) -> crate::Outcome {
        let schema = serde_json::to_string_pretty(&millstream_pipeline::schema::json_schema())
            .map_err(|error| Failure::run(error.to_string()))?;
        outln!("{schema}");
        Ok(Exit::Well)
    }
}
