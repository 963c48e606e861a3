//! The schema that a sink writes by, or one that it refers to, against versions of its subject, in either direction: one comparison
//! for all who ask, by the rules of the format.

use millstream_formats::avro::{self, AvroSchema, NewIs};
use millstream_formats::json_schema::{self, JsonSchema};
use millstream_formats::protobuf::{self, ProtobufMessage, ProtobufSchema};
use millstream_formats::{Difference, WriterSchema};
use millstream_pipeline::topology::SinkFormat;

/// A schema of ours.
pub(super) enum Own<'a> {
    Avro(&'a AvroSchema),
    Protobuf(&'a ProtobufMessage),
    Json(&'a JsonSchema),
    /// A file of Protobuf, whatever of it is written.
    File(&'a ProtobufSchema),
}

/// A difference, and how it is said of one direction alone.
pub(super) struct Compared {
    pub(super) difference: Difference,
    pub(super) said: String,
}

impl Own<'_> {
    /// The schema by which a sink writes so, if it has one.
    pub(super) fn of(format: &SinkFormat) -> Option<Own<'_>> {
        match format {
            SinkFormat::Avro(write) => Some(Own::Avro(&write.schema)),
            SinkFormat::Protobuf(write) => Some(Own::Protobuf(&write.message)),
            SinkFormat::JsonSchema(write) => Some(Own::Json(&write.schema)),
            SinkFormat::Json | SinkFormat::Csv(_) | SinkFormat::Raw { .. } => None,
        }
    }

    /// A schema that another refers to.
    pub(super) fn referred(schema: &WriterSchema) -> Own<'_> {
        match schema {
            WriterSchema::Avro(schema) => Own::Avro(schema),
            WriterSchema::Protobuf(schema) => Own::File(schema),
            WriterSchema::Json(schema) => Own::Json(schema),
        }
    }

    /// In what ours and a version differ where the one reads what the other wrote; `None` of a version of another format.
    pub(super) fn against(&self, version: &WriterSchema, new_is: NewIs) -> Option<Vec<Compared>> {
        let said = |difference: Difference| Compared { said: difference.to_string(), difference };
        match (self, version) {
            (Own::Avro(own), WriterSchema::Avro(version)) => {
                let (reader, writer) = ordered(new_is, *own, version);
                let findings = avro::compatibility(reader, writer).into_iter();
                let said = findings.map(|finding| Compared {
                    said: format!("{finding} (rule {})", finding.rule.as_str()),
                    difference: finding.into(),
                });
                Some(said.collect())
            }
            (Own::Protobuf(own), WriterSchema::Protobuf(version)) => {
                Some(of_message(own, version, new_is).into_iter().map(said).collect())
            }
            // A message that only one side has is nothing to compare.
            (Own::File(own), WriterSchema::Protobuf(version)) => {
                let messages = own.message_names().into_iter().filter_map(|name| {
                    version.message(Some(&name)).ok()?;
                    own.message(Some(&name)).ok()
                });
                Some(messages.flat_map(|message| of_message(&message, version, new_is)).map(said).collect())
            }
            (Own::Json(own), WriterSchema::Json(version)) => {
                let (reader, writer) = ordered(new_is, *own, version);
                Some(json_schema::compatibility(reader, writer).into_iter().map(said).collect())
            }
            _ => None,
        }
    }
}

fn of_message(own: &ProtobufMessage, version: &ProtobufSchema, new_is: NewIs) -> Vec<Difference> {
    match new_is {
        NewIs::Reader => protobuf::reads(own, version),
        NewIs::Writer => protobuf::is_read_by(own, version),
    }
}

/// Reader and writer.
fn ordered<'a, T>(new_is: NewIs, own: &'a T, version: &'a T) -> (&'a T, &'a T) {
    match new_is {
        NewIs::Reader => (own, version),
        NewIs::Writer => (version, own),
    }
}
