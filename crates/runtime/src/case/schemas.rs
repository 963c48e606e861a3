//! The schemas by which rows of a test are written: no registry is asked, ids are given here. What a test reads back is read
//! by the schema of its sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use millstream_formats::avro::{AvroRead, AvroSchema, AvroWrite, Framing as AvroFraming};
use millstream_formats::json_schema::{JsonFraming, JsonSchema, Validation};
use millstream_formats::protobuf::{ProtobufFraming, ProtobufRead, ProtobufSchema, ProtobufWrite};
use millstream_formats::{
    DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message, SchemaColumns, SchemaId, WriterSchema,
};
use millstream_pipeline::case::TestSpec;
use millstream_pipeline::literal::Literal;
use millstream_pipeline::topology::{SchemaDef, SchemaOrigin, SinkDef, SinkFormat, SourceFormat, Topology};
use serde_json::Value;

use super::message::{self, Columns};

/// The id of the first of a test's `writers`; those behind it follow.
const FIRST_WRITER: u32 = 1;
/// The id of the first schema of a source's own that no registry has given one; those behind it follow.
const FIRST_OWN: u32 = 1_000_001;

/// By what a source's rows are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Writers {
    /// In order, by name: the test's, then the source's own.
    all: Vec<Writer>,
    /// The Protobuf message that the source reads first.
    message: Option<String>,
}

#[derive(Debug, Clone)]
struct Writer {
    name: String,
    /// Whether rows that do not say what they are written by are written by it, if it is the first.
    is_default: bool,
    /// What precedes its messages, if anything.
    id: Option<SchemaId>,
    schema: WriterSchema,
}

/// The writers of each source by its name, and of its keys; each that has an id is made known to the source.
pub(super) fn prepare(topology: &mut Topology, test: &TestSpec) -> Result<BTreeMap<String, [Writers; 2]>, String> {
    let mut next = FIRST_OWN;
    let mut all = BTreeMap::new();
    for source in &mut topology.sources {
        let declared = source.of_values(&source.declared);
        let values = writers(&source.format, source.schema.as_mut(), &declared, Some(test), &mut next)?;
        let keys = match &mut source.key {
            Some(key) => writers(&key.format, key.schema.as_mut(), &key.declared, None, &mut next)?,
            None => Writers::default(),
        };
        all.insert(source.name.clone(), [values, keys]);
    }
    Ok(all)
}

fn writers(
    format: &SourceFormat,
    def: Option<&mut SchemaDef>,
    declared: &Schema,
    test: Option<&TestSpec>,
    next: &mut u32,
) -> Result<Writers, String> {
    let Some(def) = def else { return Ok(Writers::default()) };
    let mut all = Vec::new();
    for (index, (name, text)) in test.into_iter().flat_map(|test| test.writers.iter()).enumerate() {
        let schema = parse(format, text).map_err(|error| format!("the writer {name}: {error}"))?;
        let id = Some(SchemaId(FIRST_WRITER + index as u32));
        all.push(Writer { name: name.value.clone(), is_default: true, id, schema });
    }
    let registered = def.origins.iter().find_map(|origin| match origin {
        SchemaOrigin::Registry(registered) if def.origins.len() == 1 => Some(registered.id),
        _ => None,
    });
    for (name, schema) in own(format, declared)? {
        let id = registered.filter(|_| name.is_empty()).unwrap_or_else(|| {
            *next += 1;
            SchemaId(*next - 1)
        });
        all.push(Writer { is_default: name.is_empty(), name, id: Some(id), schema });
    }
    let is_bare = match format {
        SourceFormat::Avro(read) => read.framing != AvroFraming::Registry,
        SourceFormat::Protobuf(read) => read.framing != ProtobufFraming::Registry,
        SourceFormat::JsonSchema(read) => read.framing == JsonFraming::Bare,
        SourceFormat::Json | SourceFormat::Csv(_) | SourceFormat::Raw => true,
    };
    for writer in &mut all {
        match is_bare {
            true => writer.id = None,
            false => def.writers.extend(writer.id.map(|id| (id, writer.schema.clone()))),
        }
    }
    let message = match format {
        SourceFormat::Protobuf(read) => read.readers.first().map(|message| message.name().to_owned()),
        _ => None,
    };
    Ok(Writers { all, message })
}

fn parse(format: &SourceFormat, text: &str) -> Result<WriterSchema, String> {
    let parsed = match format {
        SourceFormat::Protobuf(_) => ProtobufSchema::compile(text, &[]).map(WriterSchema::Protobuf),
        SourceFormat::JsonSchema(_) => JsonSchema::parse(text, &[]).map(WriterSchema::Json),
        _ => AvroSchema::parse(text, &[]).map(WriterSchema::Avro),
    };
    parsed.map_err(|error| error.to_string())
}

/// The schemas that a source is read by, each under the name of its record type; the only one under no name too.
fn own(format: &SourceFormat, declared: &Schema) -> Result<Vec<(String, WriterSchema)>, String> {
    match format {
        SourceFormat::Avro(read) => own_avro(read, declared),
        SourceFormat::Protobuf(read) => {
            let first = read.readers.iter().take(1).map(|message| (String::new(), message));
            let named = read.readers.iter().map(|message| (message.name().to_owned(), message));
            Ok(first
                .chain(named)
                .map(|(name, message)| (name, WriterSchema::Protobuf(message.schema().clone())))
                .collect())
        }
        SourceFormat::JsonSchema(read) => {
            let schema = match &read.validation {
                Validation::Schema(schema) => schema.clone(),
                Validation::Off | Validation::Writer => {
                    JsonSchema::parse("{}", &[]).map_err(|error| error.to_string())?
                }
            };
            Ok(vec![(String::new(), WriterSchema::Json(schema))])
        }
        SourceFormat::Json | SourceFormat::Csv(_) | SourceFormat::Raw => Ok(Vec::new()),
    }
}

fn own_avro(read: &AvroRead, declared: &Schema) -> Result<Vec<(String, WriterSchema)>, String> {
    let mut all = Vec::new();
    let readers = match (&read.framing, &read.readers[..]) {
        (AvroFraming::Bare(schema), _) => std::slice::from_ref(schema),
        (_, readers) => readers,
    };
    if readers.is_empty() {
        let schema = AvroSchema::of_columns("Row", declared.fields()).map_err(|error| error.to_string())?;
        all.push((String::new(), WriterSchema::Avro(schema)));
    }
    for schema in readers {
        match branches(schema) {
            Some(branches) => all.extend(branches),
            None => {
                let name = schema.name().unwrap_or_default().to_owned();
                if readers.len() == 1 {
                    all.push((String::new(), WriterSchema::Avro(schema.clone())));
                }
                all.push((name, WriterSchema::Avro(schema.clone())));
            }
        }
    }
    Ok(all)
}

/// The records of a union as schemas of their own.
fn branches(schema: &AvroSchema) -> Option<Vec<(String, WriterSchema)>> {
    let Ok(Value::Array(branches)) = serde_json::from_str(schema.text()) else { return None };
    let texts = branches.iter().map(Value::to_string).collect::<Vec<_>>();
    let mut all = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let before = texts[..index].iter().map(String::as_str).collect::<Vec<_>>();
        let schema = AvroSchema::parse(text, &before).ok()?;
        all.push((schema.name()?.to_owned(), WriterSchema::Avro(schema)));
    }
    Some(all)
}

impl Writers {
    /// The payload of `row`, as the writer `name` writes it.
    pub(super) fn payload(&self, name: Option<&str>, row: &[(String, Literal)]) -> Result<Vec<u8>, String> {
        let writer = match name {
            // Of several types of the source's own none is meant more than another.
            None => self.all.first().filter(|first| self.all.len() == 1 || first.is_default),
            Some(name) => self.all.iter().find(|writer| writer.name == name),
        };
        let Some(writer) = writer else {
            let names = self.all.iter().map(|writer| writer.name.as_str()).filter(|name| !name.is_empty());
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(match name {
                Some(name) => format!("`_schema: {name}` is none of the writers: {names}"),
                None => format!("a row must say by `_schema` what it is written by: {names}"),
            });
        };
        match &writer.schema {
            WriterSchema::Avro(schema) => {
                let format = EncodeFormat::Avro(AvroWrite { schema: schema.clone(), id: writer.id });
                written(schema.columns(), format, row)
            }
            WriterSchema::Json(_) => {
                let mut payload = writer.id.map_or_else(Vec::new, |id| id.header().to_vec());
                payload.extend(json(row));
                Ok(payload)
            }
            WriterSchema::Protobuf(schema) => {
                // The type of that name, else the one that the source reads, else the first.
                let names = schema.message_names();
                let known = [Some(&writer.name), self.message.as_ref()].into_iter().flatten();
                let named = known.filter(|name| names.contains(name)).map(String::as_str).next();
                let message = schema.message(named).map_err(|error| error.to_string())?;
                // What a row does not name is not in the message.
                let mut columns = message.columns();
                columns.fields.retain(|field| row.iter().any(|(name, _)| name == field.name()));
                written(columns, EncodeFormat::Protobuf(ProtobufWrite { message, id: writer.id }), row)
            }
        }
    }
}

fn json(row: &[(String, Literal)]) -> Vec<u8> {
    Literal::Map(row.to_vec()).to_string().into_bytes()
}

/// A row as a message: read as JSON into the columns of its schema, and written from these.
fn written(columns: SchemaColumns, format: EncodeFormat, row: &[(String, Literal)]) -> Result<Vec<u8>, String> {
    let columns = columns.nullable();
    if let Some(name) = row.iter().map(|(name, _)| name).find(|name| columns.index_of(name).is_err()) {
        return Err(format!("the schema that a row is written by has no field {name}"));
    }
    let rows = read(DecodeFormat::Json, &columns, &[], &json(row))?;
    let mut encoder = Encoder::new(format, &columns).map_err(|error| error.to_string())?;
    let mut encoded = Encoded::default();
    match encoder.encode(&rows, &mut encoded).first() {
        None => Ok(encoded.bytes),
        Some(fault) => Err(format!("a row cannot be written by its schema: {}", fault.error.message)),
    }
}

/// The columns of a message that a sink writes by a schema.
pub(super) fn columns(value: &[u8], written: &SinkFormat) -> Option<Columns> {
    let (columns, format, known) = match written {
        SinkFormat::Avro(write) => {
            let schema = write.schema.clone();
            let framing = if write.id.is_some() { AvroFraming::Registry } else { AvroFraming::Bare(schema.clone()) };
            let format = DecodeFormat::Avro(AvroRead { framing, readers: Vec::new(), types: None });
            (schema.columns(), format, write.id.map(|id| (id, WriterSchema::Avro(schema))))
        }
        SinkFormat::Protobuf(write) => {
            let message = write.message.clone();
            let framing =
                if write.id.is_some() { ProtobufFraming::Registry } else { ProtobufFraming::Bare(message.clone()) };
            let format = DecodeFormat::Protobuf(ProtobufRead { framing, readers: Vec::new(), types: None });
            let known = write.id.map(|id| (id, WriterSchema::Protobuf(message.schema().clone())));
            (message.columns(), format, known)
        }
        SinkFormat::JsonSchema(write) => {
            let payload = if write.id.is_some() { value.get(5..)? } else { value };
            return message::object(payload);
        }
        SinkFormat::Json | SinkFormat::Csv(_) | SinkFormat::Raw { .. } => return None,
    };
    let columns = columns.nullable();
    let rows = read(format, &columns, known.as_slice(), value).ok()?;
    let mut encoder = Encoder::new(EncodeFormat::Json, &columns).ok()?;
    let mut encoded = Encoded::default();
    let faults = encoder.encode(&rows, &mut encoded);
    faults.is_empty().then(|| message::object(&encoded.bytes)).flatten()
}

/// One message as one row.
fn read(
    format: DecodeFormat,
    columns: &Arc<Schema>,
    known: &[(SchemaId, WriterSchema)],
    value: &[u8],
) -> Result<RecordBatch, String> {
    let mut decoder = Decoder::new(format, columns.clone()).map_err(|error| error.to_string())?;
    for (id, schema) in known {
        decoder.add_writer(*id, schema).map_err(|error| error.to_string())?;
    }
    let message = Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
    let decoded = decoder.decode("", 0, &[message]).map_err(|error| error.to_string())?;
    match decoded.faults.first() {
        None => Ok(decoded.rows),
        Some((_, error)) => Err(error.message.clone()),
    }
}

/// Gives each schema of a sink an id, as a registry would.
pub(super) fn settle(topology: &mut Topology) {
    let schemas = topology.sinks.iter_mut().flat_map(SinkDef::schemas_mut);
    for (id, (_, format, schema)) in schemas.filter(|(_, _, schema)| schema.is_open()).enumerate() {
        let id = SchemaId(id as u32 + 1);
        format.set_id(id);
        let subject = schema.subject.clone();
        schema.registered = Some(millstream_pipeline::found::Registered { subject, version: 1, id });
    }
}
