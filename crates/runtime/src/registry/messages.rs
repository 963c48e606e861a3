//! What a registry's answers look like. Members that are not known are passed over: registries add some.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RegistryError;
use super::schema::Reference;
use super::transport::Answer;

/// A schema, as it stands behind an id.
#[derive(Deserialize)]
pub(super) struct Schema {
    pub(super) schema: String,
    #[serde(rename = "schemaType")]
    pub(super) kind: Option<String>,
    pub(super) references: Option<Vec<Reference>>,
}

/// A version of a subject.
#[derive(Deserialize)]
pub(super) struct Registered {
    pub(super) subject: String,
    pub(super) version: u32,
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) schema: Schema,
}

/// Where a schema that was looked up is.
#[derive(Deserialize)]
pub(super) struct Known {
    pub(super) id: u32,
    pub(super) version: u32,
}

/// What a registration answers.
#[derive(Deserialize)]
pub(super) struct Id {
    pub(super) id: u32,
}

/// The level of a subject, or of all.
#[derive(Deserialize)]
pub(super) struct LevelOf {
    #[serde(rename = "compatibilityLevel", alias = "compatibility")]
    pub(super) level: String,
}

/// Whether a schema is compatible.
#[derive(Deserialize)]
pub(super) struct Judgement {
    pub(super) is_compatible: bool,
    #[serde(default)]
    pub(super) messages: Vec<String>,
}

/// What an error says.
#[derive(Deserialize)]
pub(super) struct Complaint {
    pub(super) error_code: i64,
    #[serde(default)]
    pub(super) message: String,
}

/// An answer as what it should be.
pub(super) fn of<T: DeserializeOwned>(answer: &Answer<Value>) -> Result<T, RegistryError> {
    T::deserialize(&answer.body).map_err(|error| answer.garbage(format!("an answer of another form: {error}")))
}
