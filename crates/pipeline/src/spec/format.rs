//! How the bytes of a message are read and written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::yaml::spanned::Spanned;

/// How the bytes of a message are read and written: the name of a format, or the name with options.
///
/// ```yaml
/// format: json
/// format: {csv: {delimiter: ";"}}
/// ```
///
/// - `json`: one JSON object a message. A field that is missing is null; a field that the schema does not name is
///   ignored. Timestamps are text (`2026-01-01T00:00:00Z`) or numbers in the column's own unit since 1970.
/// - `csv`: one line a message, its fields in the order of the schema. An empty field that is not quoted is null.
/// - `raw`: the bytes as they are, in the schema's only column (`string` or `bytes`); without a schema in `value: bytes`.
/// - `avro`, `protobuf`, `json_schema`: messages of a schema in a registry, or of one in a file (see `schema`).
///
/// Each message holds exactly one document. One that cannot be read harms only itself: it goes where `on_error` says.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Format", untagged)]
pub enum Format {
    /// The name of a format, with its defaults.
    #[serde(rename = "scalar")]
    Word(Spanned<FormatWord>),
    /// The name of a format and its options.
    #[serde(rename = "map")]
    Options(Spanned<FormatOptions>),
}

impl Format {
    /// The format and all its options, defaults filled in.
    pub fn options(&self) -> FormatOptions {
        match self {
            Format::Word(word) => match word.value {
                FormatWord::Json => FormatOptions::Json(JsonOptions::default()),
                FormatWord::Csv => FormatOptions::Csv(CsvOptions::default()),
                FormatWord::Raw => FormatOptions::Raw(RawOptions::default()),
                FormatWord::Avro => FormatOptions::Avro(AvroOptions::default()),
                FormatWord::Protobuf => FormatOptions::Protobuf(ProtobufOptions::default()),
                FormatWord::JsonSchema => FormatOptions::JsonSchema(JsonSchemaOptions::default()),
            },
            Format::Options(options) => options.value.clone(),
        }
    }

    /// Where the format is written.
    pub fn span(&self) -> crate::yaml::span::Span {
        match self {
            Format::Word(word) => word.span,
            Format::Options(options) => options.span,
        }
    }
}

/// The name of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatWord {
    /// One JSON object a message.
    Json,
    /// One line of separated fields a message.
    Csv,
    /// The bytes as they are.
    Raw,
    /// One Avro value a message.
    Avro,
    /// One Protobuf message a message.
    Protobuf,
    /// One JSON object a message, of a JSON Schema.
    JsonSchema,
}

/// A format with its options.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatOptions {
    /// One JSON object a message.
    Json(JsonOptions),
    /// One line of separated fields a message.
    Csv(CsvOptions),
    /// The bytes as they are.
    Raw(RawOptions),
    /// One Avro value a message.
    Avro(AvroOptions),
    /// One Protobuf message a message.
    Protobuf(ProtobufOptions),
    /// One JSON object a message, of a JSON Schema.
    JsonSchema(JsonSchemaOptions),
}

impl FormatOptions {
    /// The format's name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            FormatOptions::Json(_) => "json",
            FormatOptions::Csv(_) => "csv",
            FormatOptions::Raw(_) => "raw",
            FormatOptions::Avro(_) => "avro",
            FormatOptions::Protobuf(_) => "protobuf",
            FormatOptions::JsonSchema(_) => "json_schema",
        }
    }

    /// Whether its messages have a schema outside the pipeline.
    pub fn has_schema(&self) -> bool {
        matches!(self, FormatOptions::Avro(_) | FormatOptions::Protobuf(_) | FormatOptions::JsonSchema(_))
    }
}

/// Options of `json`: none yet.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonOptions {}

/// Options of `csv`.
///
/// ```yaml
/// format: {csv: {delimiter: ";", nulls: "NA"}}
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvOptions {
    /// The character between fields: one ASCII character, `,` by default. A tab is written `"\t"`.
    pub delimiter: Option<Spanned<String>>,
    /// The character around fields that hold a delimiter, a quote or a line break: one ASCII character, `"` by default.
    /// Within such a field it is written twice.
    pub quote: Option<Spanned<String>>,
    /// A text that stands for null beside the empty field.
    pub nulls: Option<Spanned<String>>,
}

/// Options of `raw`: none yet.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOptions {}

/// Options of `avro`: none yet.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvroOptions {}

/// Options of `protobuf`.
///
/// ```yaml
/// format: {protobuf: {message: shop.OrderPlaced}}
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtobufOptions {
    /// The full name of the message type. By default the first of the schema.
    pub message: Option<Spanned<String>>,
}

/// Options of `json_schema`.
///
/// ```yaml
/// format: {json_schema: {validate: true}}
/// ```
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonSchemaOptions {
    /// Hold each message to the schema that it was written by (without a registry: to the one of the source). One that
    /// breaks it has failed. By default values need only be of their column's type.
    pub validate: Option<Spanned<bool>>,
}
