//! What a registry may answer instead of what was asked for, in words for operators. Never with credentials.

use std::time::Duration;

use millstream_formats::SchemaId;

use super::Version;

/// Why a registry did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It answers, and there is no such thing.
    #[error("the schema registry at {url} has no {missing}")]
    NotFound {
        /// Who answered.
        url: String,
        /// What is not there.
        missing: Missing,
    },
    /// It does not let us in. Asking again does not help.
    #[error(
        "the schema registry at {url} refuses access (status {status}): check `schema_registry.username` and \
         `schema_registry.password`, or `schema_registry.token`, and what they may do there"
    )]
    Refused {
        /// Who answered.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// A new version breaks the rule of its subject.
    #[error("the schema registry at {url} refuses the schema as a version of its subject: {message}")]
    Incompatible {
        /// Who answered.
        url: String,
        /// Its reasons.
        message: String,
    },
    /// What was sent is no schema, or none that the registry takes.
    #[error("the schema registry at {url} does not take what was sent (status {status}): {message}")]
    Rejected {
        /// Who answered.
        url: String,
        /// 400 or 422.
        status: u16,
        /// Its reasons.
        message: String,
    },
    /// Nobody answers, or not now. Asking again later may help.
    #[error(
        "the schema registry does not answer: {reasons}; check that it runs and that `schema_registry.urls` is right"
    )]
    Unavailable {
        /// Each address with what became of it.
        reasons: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Something answers that is no registry, or a broken one.
    #[error("what answers at {url} is not a schema registry: {reason}; check `schema_registry.urls`, its path too")]
    Garbage {
        /// Who answered.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The settings name no registry that could be asked.
    #[error("{message}")]
    Settings {
        /// What is wrong, and what to do.
        message: String,
    },
}

impl RegistryError {
    /// Whether the same question may be answered another time without anything being changed here: nobody answers, or
    /// something that stands before a registry which is away.
    pub fn may_pass(&self) -> bool {
        matches!(self, RegistryError::Unavailable { .. } | RegistryError::Garbage { .. })
    }

    /// Whether it lets nobody in: somebody has to mend that, here or there.
    pub fn is_refusal(&self) -> bool {
        matches!(self, RegistryError::Refused { .. })
    }
}

/// What a registry does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A schema.
    Schema(SchemaId),
    /// A subject.
    Subject(String),
    /// A subject, or that version of it.
    Version {
        /// The subject.
        subject: String,
        /// The version.
        version: Version,
    },
    /// A level for all subjects.
    Level,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::Schema(id) => write!(f, "schema with the id {id}"),
            Missing::Subject(subject) => write!(f, "subject {subject}"),
            Missing::Version { subject, version: Version::Latest } => write!(f, "subject {subject}"),
            Missing::Version { subject, version } => write!(f, "subject {subject} with a version {version}"),
            Missing::Level => f.write_str("compatibility level"),
        }
    }
}
