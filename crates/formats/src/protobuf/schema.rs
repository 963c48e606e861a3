//! Protobuf schemas: compiled from text or taken from a descriptor set, and the columns that their messages have.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::known;
use crate::columns::{COLUMNS, SchemaColumns, map_type};
use crate::error::FormatError;

const TEXT_LEN: usize = 4 << 20;
/// The name under which the schema itself is compiled: no import can mean it.
const OWN_FILE: &str = "-.proto";

/// A compiled Protobuf schema: one file and what it imports. Copies share their content.
#[derive(Clone)]
pub struct ProtobufSchema(Arc<Content>);

struct Content {
    file: FileDescriptor,
    /// The text, or the bytes of the descriptor set: what makes it this schema and no other.
    source: Vec<u8>,
    /// The text, if it was compiled from one.
    text: Option<String>,
    /// Whether the entries of maps have places among the messages within a message.
    entries: Entries,
}

/// The entries of maps are messages to the compiler alone. Where they stand in a schema as messages, they have places too:
/// Confluent's clients number what they see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    /// The schema is a descriptor, or text that was made of one: it says `option map_entry`.
    Counted,
    /// The schema is text with `map<..>`. (Java numbers so; Go, which compiles it first, counts them all the same.)
    Unseen,
}

impl Entries {
    fn of(text: &str) -> Entries {
        let is_made_of_descriptor = text.contains("map_entry") || descriptor(text).is_some();
        if is_made_of_descriptor { Entries::Counted } else { Entries::Unseen }
    }

    /// The messages within a message, in the order of their places.
    fn within(self, message: &MessageDescriptor) -> Vec<MessageDescriptor> {
        message.child_messages().filter(|child| self == Entries::Counted || !child.is_map_entry()).collect()
    }
}

/// One message type of a schema.
#[derive(Clone, PartialEq, Eq)]
pub struct ProtobufMessage {
    schema: ProtobufSchema,
    pub(super) descriptor: MessageDescriptor,
}

impl ProtobufSchema {
    /// Compiles the text of a `.proto` file, or the base64 of its descriptor. `references` are the files that it imports, each
    /// by the name in the import; Google's well-known types need not be among them, nor `confluent/meta.proto`,
    /// `confluent/type/decimal.proto`, `google/type/date.proto` and `google/type/timeofday.proto`.
    ///
    /// # Errors
    /// If it does not compile; says where.
    pub fn compile(text: &str, references: &[(&str, &str)]) -> Result<ProtobufSchema, FormatError> {
        let len = references.iter().map(|(_, text)| text.len()).sum::<usize>() + text.len();
        if len > TEXT_LEN {
            return Err(FormatError::Schema(format!("a schema of {len} bytes is too large")));
        }
        let own = references.iter().copied().chain([(OWN_FILE, text)]);
        let sources = Sources(own.map(|(name, text)| (name.to_owned(), text.to_owned())).collect());
        let mut resolver = ChainFileResolver::new();
        resolver.add(sources);
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.open_file(OWN_FILE).map_err(|error| FormatError::Schema(one_line(&error)))?;
        let pool = compiler.descriptor_pool();
        check_maps(&pool)?;
        let file = pool.get_file_by_name(OWN_FILE);
        let file = file.ok_or_else(|| FormatError::Schema("the schema has no file".to_owned()))?;
        let mut source = text.as_bytes().to_vec();
        for (name, text) in references {
            source.extend([&b"\0"[..], name.as_bytes(), &b"\0"[..], text.as_bytes()].concat());
        }
        Ok(ProtobufSchema(Arc::new(Content { file, source, text: Some(text.to_owned()), entries: Entries::of(text) })))
    }

    /// The files that a schema imports, by their names in it and in its order, be it a text or the base64 of a descriptor;
    /// without Google's well-known types, which come with every compiler. Nothing is compiled: none of them need be at hand.
    ///
    /// # Errors
    /// If it is no text of a `.proto` file; says where.
    pub fn imports(text: &str) -> Result<Vec<String>, FormatError> {
        let len = text.len();
        if len > TEXT_LEN {
            return Err(FormatError::Schema(format!("a schema of {len} bytes is too large")));
        }
        let file = file(OWN_FILE, text).map_err(|error| FormatError::Schema(one_line(&error)))?;
        let mut imports = file.file_descriptor_proto().dependency.clone();
        imports.retain(|name| !name.starts_with("google/protobuf/"));
        Ok(imports)
    }

    /// Whether a file of that name may be imported without being given to [`ProtobufSchema::compile`].
    pub fn is_at_hand(import: &str) -> bool {
        known::text(import).is_some() || GoogleFileResolver::new().open_file(import).is_ok()
    }

    /// The file `file` of a serialized `FileDescriptorSet`, as `protoc --descriptor_set_out --include_imports` writes it;
    /// without a name its last file.
    ///
    /// # Errors
    /// If the bytes are no such set, or it has no such file.
    pub fn from_descriptor_set(bytes: &[u8], file: Option<&str>) -> Result<ProtobufSchema, FormatError> {
        let pool = DescriptorPool::decode(bytes).map_err(|error| FormatError::Schema(error.to_string()))?;
        check_maps(&pool)?;
        let found = match file {
            Some(name) => pool.get_file_by_name(name),
            None => pool.files().last(),
        };
        let missing = || FormatError::Schema(format!("the descriptor set has no file {}", file.unwrap_or_default()));
        let (file, source) = (found.ok_or_else(missing)?, bytes.to_vec());
        Ok(ProtobufSchema(Arc::new(Content { file, source, text: None, entries: Entries::Counted })))
    }

    /// The text that was compiled, without its references; `None` of a descriptor set.
    pub fn text(&self) -> Option<&str> {
        self.0.text.as_deref()
    }

    /// The full names of the file's messages in their order, each before those within it.
    pub fn message_names(&self) -> Vec<String> {
        fn add(message: &MessageDescriptor, names: &mut Vec<String>) {
            names.push(message.full_name().to_owned());
            message.child_messages().filter(|child| !child.is_map_entry()).for_each(|child| add(&child, names));
        }
        let mut names = Vec::new();
        self.0.file.messages().for_each(|message| add(&message, &mut names));
        names
    }

    /// The full names of the file's messages that stand in no other, in their order.
    pub(super) fn outer_names(&self) -> Vec<String> {
        self.0.file.messages().map(|message| message.full_name().to_owned()).collect()
    }

    /// The message of that full name; without a name the file's first.
    ///
    /// # Errors
    /// If there is none.
    pub fn message(&self, name: Option<&str>) -> Result<ProtobufMessage, FormatError> {
        let found = match name {
            Some(name) => self.0.file.parent_pool().get_message_by_name(name),
            None => self.0.file.messages().next(),
        };
        let descriptor = found.ok_or_else(|| match name {
            Some(name) => {
                let known = self.message_names().join(", ");
                FormatError::Schema(format!("the schema has no message {name}; it has {known}"))
            }
            None => FormatError::Schema("the schema has no message".to_owned()),
        })?;
        Ok(ProtobufMessage { schema: self.clone(), descriptor })
    }

    /// The message at `path`: its index in the file, the index within that message, and so on.
    pub(super) fn at(&self, path: &[u32]) -> Option<MessageDescriptor> {
        let (&first, rest) = path.split_first()?;
        let mut message = self.0.file.messages().nth(first as usize)?;
        for &index in rest {
            message = self.0.entries.within(&message).into_iter().nth(index as usize)?;
        }
        Some(message)
    }
}

impl ProtobufMessage {
    /// Where it stands in its file, as [`ProtobufSchema::at`] finds it; `None` if it is of an imported one.
    pub(super) fn path(&self) -> Option<Vec<u32>> {
        if self.descriptor.parent_file() != self.schema.0.file {
            return None;
        }
        let mut path = Vec::new();
        let mut message = self.descriptor.clone();
        while let Some(parent) = message.parent_message() {
            path.push(self.schema.0.entries.within(&parent).iter().position(|child| *child == message)? as u32);
            message = parent;
        }
        path.push(self.schema.0.file.messages().position(|other| other == message)? as u32);
        path.reverse();
        Some(path)
    }

    /// The full name.
    pub fn name(&self) -> &str {
        self.descriptor.full_name()
    }

    /// The schema that it is of.
    pub fn schema(&self) -> &ProtobufSchema {
        &self.schema
    }

    /// The columns of this message, named as its fields.
    ///
    /// `uint32` and `fixed32` are bigint, and so are `uint64` and `fixed64` (a value beyond it fails the record; declare
    /// the column as decimal(20,0) to read it); enums are their names; messages are structs; repeated fields are
    /// arrays; maps have keys of text. `google.protobuf.Timestamp` is timestamp(us), wrappers are the value that they
    /// wrap, `Struct`, `Value` and `ListValue` are JSON text. A field that says whether it is there may be null.
    pub fn columns(&self) -> SchemaColumns {
        let mut found = SchemaColumns::default();
        let mut typing = Typing { within: vec![self.descriptor.clone()], left: COLUMNS };
        for field in self.descriptor.fields() {
            found.add(field.name(), typing.field(&field));
        }
        found
    }
}

struct Typing {
    within: Vec<MessageDescriptor>,
    left: usize,
}

impl Typing {
    fn field(&mut self, field: &FieldDescriptor) -> Result<(DataType, bool), String> {
        if field.is_group() {
            return Err("is a group".to_owned());
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return Err("is a map without entries".to_owned()) };
            let value = entry.map_entry_value_field();
            let data_type = self.kind(&value.kind()).map_err(|reason| format!("its values: {reason}"))?;
            return Ok((map_type(data_type, false), false));
        }
        let data_type = self.kind(&field.kind())?;
        Ok(match field.is_list() {
            true => (DataType::List(Arc::new(Field::new_list_field(data_type, false))), false),
            false => (data_type, may_be_absent(field)),
        })
    }

    fn kind(&mut self, kind: &Kind) -> Result<DataType, String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {COLUMNS} columns within each other"))?;
        Ok(match kind {
            Kind::Bool => DataType::Boolean,
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => DataType::Int64,
            Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => DataType::Int64,
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::String | Kind::Enum(_) => DataType::Utf8,
            Kind::Bytes => DataType::Binary,
            Kind::Message(message) => return self.message(message),
        })
    }

    fn message(&mut self, message: &MessageDescriptor) -> Result<DataType, String> {
        match WellKnown::of(message) {
            Some(WellKnown::Timestamp) => return Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            Some(WellKnown::Json(_)) => return Ok(DataType::Utf8),
            Some(WellKnown::Wrapper(value)) => return self.kind(&value.kind()),
            None => {}
        }
        if self.within.contains(message) {
            return Err(format!("message {} is recursive, and columns are of finite depth", message.full_name()));
        }
        self.within.push(message.clone());
        let fields = message.fields().map(|field| {
            let (data_type, nullable) = self.field(&field).map_err(|reason| format!("{}: {reason}", field.name()))?;
            Ok(Field::new(field.name(), data_type, nullable))
        });
        let fields = fields.collect::<Result<Vec<_>, String>>()?;
        self.within.pop();
        Ok(DataType::Struct(fields.into()))
    }
}

/// Whether a message without the field says so, rather than that it has its default.
pub(super) fn may_be_absent(field: &FieldDescriptor) -> bool {
    field.supports_presence() && field.cardinality() != Cardinality::Required && !has_default(field)
}

/// Whether the schema names a default (proto2).
pub(super) fn has_default(field: &FieldDescriptor) -> bool {
    field.field_descriptor_proto().default_value.is_some()
}

/// Messages that stand for something else than their fields.
pub(super) enum WellKnown {
    Timestamp,
    /// A wrapper, by the field that it wraps.
    Wrapper(FieldDescriptor),
    Json(JsonKind),
}

/// A JSON value as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Struct,
    Value,
    List,
}

impl WellKnown {
    pub(super) fn of(message: &MessageDescriptor) -> Option<WellKnown> {
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "Timestamp" => WellKnown::Timestamp,
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue" => WellKnown::Wrapper(message.get_field(1)?),
            "Struct" => WellKnown::Json(JsonKind::Struct),
            "Value" => WellKnown::Json(JsonKind::Value),
            "ListValue" => WellKnown::Json(JsonKind::List),
            _ => return None,
        })
    }
}

struct Sources(BTreeMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name).map(String::as_str).or_else(|| known::text(name)) {
            Some(text) => file(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A file by its text or its descriptor; what it imports is not looked for.
fn file(name: &str, text: &str) -> Result<File, protox::Error> {
    match descriptor(text) {
        Some(file) => {
            let name = Some(name.to_owned());
            Ok(File::from_file_descriptor_proto(FileDescriptorProto { name, ..file }))
        }
        None => File::from_source(name, text),
    }
}

/// The entries of maps have a key and a value: of those that a compiler makes it is so, and nobody checks those of a descriptor.
fn check_maps(pool: &DescriptorPool) -> Result<(), FormatError> {
    let is_whole = |entry: &MessageDescriptor| [1, 2].iter().all(|&number| entry.get_field(number).is_some());
    match pool.all_messages().find(|message| message.is_map_entry() && !is_whole(message)) {
        Some(entry) => {
            Err(FormatError::Schema(format!("the entries of a map, {}, lack a key or a value", entry.full_name())))
        }
        None => Ok(()),
    }
}

/// A file that is given as the base64 of its `FileDescriptorProto`: so Confluent's Python client registers schemas, and some
/// registries give them back as they got them. No text of a file is one, as it has spaces or semicolons in it.
fn descriptor(text: &str) -> Option<FileDescriptorProto> {
    let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| !bytes.is_empty())?;
    FileDescriptorProto::decode(&bytes[..]).ok()
}

fn one_line(error: &protox::Error) -> String {
    // The file's own name says nothing to whoever wrote it.
    format!("{error:?}").replace(&format!("{OWN_FILE}:"), "").split_whitespace().collect::<Vec<_>>().join(" ")
}

impl PartialEq for ProtobufSchema {
    fn eq(&self, other: &ProtobufSchema) -> bool {
        self.0.source == other.0.source && self.0.file.name() == other.0.file.name()
    }
}

impl Eq for ProtobufSchema {}

impl fmt::Debug for ProtobufSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtobufSchema").field(&self.message_names()).finish()
    }
}

impl fmt::Debug for ProtobufMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtobufMessage").field(&self.name()).finish()
    }
}

/// The only field of a message that stands for a list or map within another.
pub(super) const ITEMS: &str = "items";

/// That field, if the message is such a one.
pub(super) fn items_of(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    let mut fields = message.fields();
    let only = fields.next().filter(|_| fields.next().is_none())?;
    (only.name() == ITEMS && (only.is_list() || only.is_map())).then_some(only)
}
