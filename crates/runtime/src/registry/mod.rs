//! A client of a schema registry: schemas by id and by subject, compatibility, registration, over the HTTP interface that
//! Confluent's registry has and others offer. It blocks, within time limits: never call it on a thread that feeds tasks.

mod cache;
mod error;
mod messages;
mod references;
mod schema;
mod settings;
mod transport;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_types)]
mod tests;

use millstream_formats::SchemaId;
use millstream_formats::avro::Level;
use serde_json::Value;

pub use cache::{CacheCounts, Lookup, SchemaCache};
pub use error::{Missing, RegistryError};
pub use schema::{NewSchema, Reference, RegisteredSchema, ResolvedReference, SchemaKind};
pub use settings::{RegistrySettings, WrongUrl, parse_urls};

use messages::{Id, Judgement, Known, LevelOf, Registered, of};
use transport::{Answer, Request, Retries, Transport};

/// The greatest id that a registry gives: they are signed there.
pub const GREATEST_ID: SchemaId = SchemaId(i32::MAX as u32);

/// Which version of a subject is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The one that was registered last.
    Latest,
    /// This one; they count from 1.
    Number(u32),
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Version::Latest => f.write_str("latest"),
            Version::Number(number) => number.fmt(f),
        }
    }
}

/// What a schema is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// One version, in the direction that the subject's level asks for.
    Version(Version),
    /// The versions that the subject's level asks for, just as a registration would be.
    Level,
}

/// Which versions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that were not deleted.
    Present,
    /// Those that were deleted too, but for those that were deleted for good. Registries that know no such thing have none.
    Ever,
}

impl Which {
    /// The question `request`, of these versions.
    fn of(self, request: Request) -> Request {
        match self {
            Which::Present => request,
            Which::Ever => request.with_query("deleted=true"),
        }
    }
}

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectVersion {
    /// The subject.
    pub subject: String,
    /// Its version, from 1.
    pub version: u32,
    /// The schema's id, by which messages name it.
    pub id: SchemaId,
    /// The schema.
    pub schema: RegisteredSchema,
}

/// Whether a schema may become a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compatibility {
    /// It may.
    Compatible,
    /// It may not, and why, as the registry says it.
    Incompatible {
        /// The registry's reasons; empty if it gives none.
        messages: Vec<String>,
    },
}

/// A schema registry, at one address or several.
pub struct Registry {
    transport: Transport,
}

impl Registry {
    /// A client of the registry that `settings` name. Nothing is asked yet.
    ///
    /// # Errors
    /// If no registry is named, or the file of certificates cannot be read.
    pub fn new(settings: &RegistrySettings) -> Result<Registry, RegistryError> {
        Ok(Registry { transport: Transport::new(settings, Retries::Some)? })
    }

    /// The same, but it asks each address once and leaves it to the caller when to ask again.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn without_retries(settings: &RegistrySettings) -> Result<Registry, RegistryError> {
        Ok(Registry { transport: Transport::new(settings, Retries::None)? })
    }

    /// Where it is, for messages: without credentials.
    pub fn address(&self) -> String {
        self.transport.address()
    }

    /// Whether it answers at all.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn answers(&self) -> Result<(), RegistryError> {
        match self.found(Request::get(&["config"]), Missing::Level) {
            Ok(_) | Err(RegistryError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The schema of an id, with all that it refers to.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is no such schema; else as every question.
    pub fn by_id(&self, id: SchemaId) -> Result<RegisteredSchema, RegistryError> {
        let missing = Missing::Schema(id);
        if id > GREATEST_ID {
            return Err(RegistryError::NotFound { url: self.address(), missing });
        }
        let answer = self.found(Request::get(&["schemas", "ids", &id.to_string()]), missing)?;
        let found: messages::Schema = of(&answer)?;
        self.whole(found, None, Which::Present, &answer)
    }

    /// A version of a subject.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is no such subject or version; else as every question.
    pub fn version(&self, subject: &str, version: Version) -> Result<SubjectVersion, RegistryError> {
        self.version_of(subject, version, Which::Present)
    }

    /// The same, of these versions; what it refers to may be among them too.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub fn version_of(&self, subject: &str, version: Version, which: Which) -> Result<SubjectVersion, RegistryError> {
        let missing = Missing::Version { subject: subject.to_owned(), version };
        let request = Request::get(&["subjects", subject, "versions", &version.to_string()]);
        let answer = self.found(which.of(request), missing)?;
        let found: Registered = of(&answer)?;
        let schema = self.whole(found.schema, Some((&found.subject, found.version)), which, &answer)?;
        Ok(SubjectVersion { subject: found.subject, version: found.version, id: SchemaId(found.id), schema })
    }

    /// The versions of a subject, ascending.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is no such subject; else as every question.
    pub fn versions(&self, subject: &str, which: Which) -> Result<Vec<u32>, RegistryError> {
        let missing = Missing::Subject(subject.to_owned());
        let request = which.of(Request::get(&["subjects", subject, "versions"]));
        let mut versions: Vec<u32> = of(&self.found(request, missing)?)?;
        versions.sort_unstable();
        Ok(versions)
    }

    /// The level by which new versions of a subject are judged: its own, else the registry's.
    ///
    /// # Errors
    /// As every question.
    pub fn compatibility_level(&self, subject: &str) -> Result<Level, RegistryError> {
        let missing = Missing::Subject(subject.to_owned());
        let answer = match self.found(Request::get(&["config", subject]), missing) {
            Err(RegistryError::NotFound { .. }) => self.found(Request::get(&["config"]), Missing::Level)?,
            answer => answer?,
        };
        let named: LevelOf = of(&answer)?;
        Level::named(&named.level).ok_or_else(|| answer.garbage(format!("a compatibility level {:?}", named.level)))
    }

    /// Whether `schema` could become a version of a subject.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] if there is no such subject or version, [`RegistryError::Rejected`] if it is no valid
    /// schema; else as every question.
    pub fn check_compatible(
        &self,
        subject: &str,
        against: Against,
        schema: &NewSchema,
    ) -> Result<Compatibility, RegistryError> {
        let body = schema.body();
        let (missing, request) = match against {
            Against::Version(version) => (
                Missing::Version { subject: subject.to_owned(), version },
                Request::post(&["compatibility", "subjects", subject, "versions", &version.to_string()], &body),
            ),
            Against::Level => (
                Missing::Subject(subject.to_owned()),
                Request::post(&["compatibility", "subjects", subject, "versions"], &body),
            ),
        };
        let answer = self.found(request.with_query("verbose=true"), missing)?;
        let judged: Judgement = of(&answer)?;
        Ok(match judged.is_compatible {
            true => Compatibility::Compatible,
            false => Compatibility::Incompatible { messages: judged.messages },
        })
    }

    /// Makes `schema` a version of a subject, unless it is one, and says its id.
    ///
    /// # Errors
    /// [`RegistryError::Incompatible`] if the subject's level forbids it, [`RegistryError::Rejected`] if it is no valid
    /// schema; else as every question.
    pub fn register(&self, subject: &str, schema: &NewSchema) -> Result<SchemaId, RegistryError> {
        let missing = Missing::Subject(subject.to_owned());
        let answer = self.found(Request::post(&["subjects", subject, "versions"], &schema.body()), missing)?;
        Ok(SchemaId(of::<Id>(&answer)?.id))
    }

    /// The id and version that `schema` has in a subject, if it is registered there.
    ///
    /// # Errors
    /// [`RegistryError::Rejected`] if it is no valid schema; else as every question.
    pub fn lookup(&self, subject: &str, schema: &NewSchema) -> Result<Option<(SchemaId, u32)>, RegistryError> {
        let missing = Missing::Subject(subject.to_owned());
        match self.found(Request::post(&["subjects", subject], &schema.body()), missing) {
            Err(RegistryError::NotFound { .. }) => Ok(None),
            answer => {
                let known: Known = of(&answer?)?;
                Ok(Some((SchemaId(known.id), known.version)))
            }
        }
    }

    fn found(&self, request: Request, missing: Missing) -> Result<Answer<Value>, RegistryError> {
        self.transport.ask(&request, missing)
    }
}
