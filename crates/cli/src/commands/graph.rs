//! `millstream graph`: a pipeline as a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use millstream_pipeline::explain;

use crate::exit::Exit;
use crate::load;
use crate::settings::RegistryArguments;

/// Prints a pipeline's graph as Mermaid or DOT.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// The pipeline file.
    path: PathBuf,
    /// The language of the picture.
    #[arg(long, value_enum, default_value_t = Language::Mermaid)]
    format: Language,
    #[command(flatten)]
    registry: RegistryArguments,
}

/// A language for graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// For Markdown pages.
    Mermaid,
    /// For Graphviz.
    Dot,
}

impl Graph {
    pub(crate) fn run(self) -> crate::Outcome {
        let loaded = load::load_one(&self.path, &self.registry.schemas()?)?;
        let picture = match self.format {
            Language::Mermaid => explain::mermaid(&loaded.topology),
            Language::Dot => explain::dot(&loaded.topology),
        };
        out!("{picture}");
        Ok(Exit::Well)
    }
}
