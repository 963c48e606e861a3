//! Schemas as contracts between pipelines and everybody else: those that a pipeline wants are found, those that it writes are
//! held against what is registered, and both against every version that may still matter. Never asked for a record.

mod breach;
mod find;
mod history;
mod judge;
mod own;
mod refers;
mod sinks;
mod verdict;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use breach::Breach;
pub use find::{Searched, find};
pub use history::{Direction, Entry, history};
pub use sinks::{Act, Judge, Outcome, SinkReport, diagnostics, settle};
pub use verdict::Verdict;

use millstream_formats::avro::Level;
use millstream_pipeline::spec;

use crate::registry::{
    Against, Compatibility, NewSchema, Reference, RegistryError, SchemaKind, SubjectVersion, Version, Which,
};

/// What is asked of a registry.
///
/// A trait only so that tests need no server: [`crate::registry::Registry`] is the one that pipelines use.
pub trait Subjects {
    /// A version of a subject, among these.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is none.
    fn version(&self, subject: &str, version: Version, which: Which) -> Result<SubjectVersion, RegistryError>;

    /// The versions of a subject, ascending.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is no such subject.
    fn versions(&self, subject: &str, which: Which) -> Result<Vec<u32>, RegistryError>;

    /// The level by which new versions of a subject are judged.
    ///
    /// # Errors
    /// If the registry does not say.
    fn level(&self, subject: &str) -> Result<Level, RegistryError>;

    /// Whether `schema` could become the next version of a subject that there is and has this level, as the registry judges it.
    ///
    /// # Errors
    /// If the registry does not answer, or not as one.
    fn against_level(&self, subject: &str, level: Level, schema: &NewSchema) -> Result<Judged, RegistryError>;

    /// Makes `schema` a version of a subject, unless it is one.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] if the subject's level forbids it.
    fn register(&self, subject: &str, schema: &NewSchema) -> Result<millstream_formats::SchemaId, RegistryError>;

    /// The id and version of `schema` in a subject, if it is there.
    ///
    /// # Errors
    /// If the registry does not say.
    fn lookup(
        &self,
        subject: &str,
        schema: &NewSchema,
    ) -> Result<Option<(millstream_formats::SchemaId, u32)>, RegistryError>;
}

/// What a registry says of a schema that may become a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It may become one.
    Compatible,
    /// It may not: the registry's reasons, if it gives any.
    Incompatible(Vec<String>),
    /// Nothing: this registry does not judge.
    Not,
}

impl Subjects for crate::registry::Registry {
    fn version(&self, subject: &str, version: Version, which: Which) -> Result<SubjectVersion, RegistryError> {
        self.version_of(subject, version, which)
    }

    fn versions(&self, subject: &str, which: Which) -> Result<Vec<u32>, RegistryError> {
        self.versions(subject, which)
    }

    fn level(&self, subject: &str) -> Result<Level, RegistryError> {
        self.compatibility_level(subject)
    }

    fn against_level(&self, subject: &str, level: Level, schema: &NewSchema) -> Result<Judged, RegistryError> {
        // Asked for no version, some registries compare with all, whatever the level; and old ones do not know the question.
        let against = match level {
            Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive => Against::Level,
            Level::None | Level::Backward | Level::Forward | Level::Full => Against::Version(Version::Latest),
        };
        match self.check_compatible(subject, against, schema) {
            Ok(Compatibility::Compatible) => Ok(Judged::Compatible),
            Ok(Compatibility::Incompatible { messages }) => Ok(Judged::Incompatible(messages)),
            // The subject is there: what is not is the question.
            Err(RegistryError::NotFound { .. }) => Ok(Judged::Not),
            Err(error) => Err(error),
        }
    }

    fn register(&self, subject: &str, schema: &NewSchema) -> Result<millstream_formats::SchemaId, RegistryError> {
        self.register(subject, schema)
    }

    fn lookup(
        &self,
        subject: &str,
        schema: &NewSchema,
    ) -> Result<Option<(millstream_formats::SchemaId, u32)>, RegistryError> {
        self.lookup(subject, schema)
    }
}

/// The versions of a subject; none if there is no such subject.
fn versions(registry: &dyn Subjects, subject: &str, which: Which) -> Result<Vec<u32>, RegistryError> {
    match registry.versions(subject, which) {
        Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
        answer => answer,
    }
}

/// What the latest version of a subject refers to, and where that stands; nothing if there is no such subject. `latest` asks.
fn references(
    latest: &dyn Fn(&str) -> Result<SubjectVersion, RegistryError>,
    subject: &str,
) -> Result<Vec<Reference>, RegistryError> {
    match latest(subject) {
        Ok(version) => Ok(version.schema.references.into_iter().map(|resolved| resolved.reference).collect()),
        Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A version as the client names it.
fn version(version: spec::Version) -> Version {
    match version {
        spec::Version::Latest => Version::Latest,
        spec::Version::Number(number) => Version::Number(number),
    }
}

/// What a sink's schema is written in.
fn kind(format: &millstream_pipeline::topology::SinkFormat) -> SchemaKind {
    use millstream_pipeline::topology::SinkFormat;
    match format {
        SinkFormat::Protobuf(_) => SchemaKind::Protobuf,
        SinkFormat::JsonSchema(_) => SchemaKind::JsonSchema,
        SinkFormat::Avro(_) | SinkFormat::Json | SinkFormat::Csv(_) | SinkFormat::Raw { .. } => SchemaKind::Avro,
    }
}
