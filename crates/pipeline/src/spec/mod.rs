//! A pipeline as it is written: the types behind the YAML. Their doc comments are the reference for operators.
//!
//! Types only say what can be written; whether it makes sense is checked elsewhere.

pub mod create;
pub mod duration;
pub mod entries;
pub mod format;
pub mod guarantee;
pub mod names;
pub mod on_error;
pub mod pipeline;
pub mod schema;
pub mod sink;
pub mod size;
pub mod source;
pub mod start;
pub mod steps;
pub mod text;
pub mod types;

pub use create::{Cleanup, Create};
pub use duration::Duration;
pub use entries::Entries;
pub use format::{
    AvroOptions, CsvOptions, Format, FormatOptions, FormatWord, JsonOptions, JsonSchemaOptions, ProtobufOptions,
    RawOptions,
};
pub use guarantee::Guarantee;
pub use names::{Name, Names};
pub use on_error::{DeadLetter, FailAbove, OnError, OnErrorWord};
pub use pipeline::{Pipeline, Stream};
pub use schema::{Framing, SchemaSpec, SubjectNaming, Version};
pub use sink::{Key, KeyColumns, Sink};
pub use size::Size;
pub use source::{KeyFormat, Source, SourceKey, Watermark};
pub use start::Start;
pub use steps::Step;
pub use text::{Expression, Sql, Text};
pub use types::ColumnType;
