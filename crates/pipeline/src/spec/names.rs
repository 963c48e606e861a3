//! Names of columns, streams and topics, and lists of them that may be written as one name.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::yaml::spanned::Spanned;

/// A name of a column, stream, source, topic or step, with its place.
pub type Name = Spanned<String>;

/// One name, or a list of names.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Names", untagged)]
pub enum Names {
    /// One name.
    #[serde(rename = "scalar")]
    One(Name),
    /// A list of names.
    #[serde(rename = "list")]
    Many(Vec<Name>),
}

impl Names {
    /// The names, in order.
    pub fn as_slice(&self) -> &[Name] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        }
    }

    /// The names, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Name> {
        self.as_slice().iter()
    }
}
