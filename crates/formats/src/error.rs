//! Why a format cannot serve a schema, or bytes are not a frame.

/// A schema that a format cannot read or write: the pipeline is wrong, not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A column that the format has no way to read or write.
    #[error("column {column}: {message}")]
    Column {
        /// The column's name.
        column: String,
        /// What does not fit, in lower case, without a final stop.
        message: String,
    },
    /// The columns as a whole do not fit: a raw value has one column.
    #[error("{0}")]
    Columns(String),
    /// A schema that is none, or that cannot be served.
    #[error("{0}")]
    Schema(String),
}
