//! The system columns: what a message says about itself beside its payload.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int64Array, MapArray, StringArray, StringBuilder, StructArray,
    TimestampMillisecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::error::FormatError;
use crate::message::Message;

/// A column that is filled from the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemColumn {
    /// `_key`: the key's bytes, null for none.
    Key,
    /// `_timestamp`: the record's timestamp.
    Timestamp,
    /// `_topic`: the topic's name.
    Topic,
    /// `_partition`: the partition's number.
    Partition,
    /// `_offset`: the record's offset.
    Offset,
    /// `_headers`: the headers in their order.
    Headers,
    /// `_schema`: the full name of the record type that the payload was written as, null where there is none.
    Schema,
}

impl SystemColumn {
    /// All of them.
    pub const ALL: [SystemColumn; 7] = [
        SystemColumn::Key,
        SystemColumn::Timestamp,
        SystemColumn::Topic,
        SystemColumn::Partition,
        SystemColumn::Offset,
        SystemColumn::Headers,
        SystemColumn::Schema,
    ];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            SystemColumn::Key => "_key",
            SystemColumn::Timestamp => "_timestamp",
            SystemColumn::Topic => "_topic",
            SystemColumn::Partition => "_partition",
            SystemColumn::Offset => "_offset",
            SystemColumn::Headers => "_headers",
            SystemColumn::Schema => "_schema",
        }
    }

    /// The system column of that name.
    pub fn named(name: &str) -> Option<SystemColumn> {
        SystemColumn::ALL.into_iter().find(|column| column.name() == name)
    }

    /// The column as a field.
    pub fn field(self) -> Field {
        let data_type = match self {
            SystemColumn::Key => DataType::Binary,
            SystemColumn::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            SystemColumn::Topic | SystemColumn::Schema => DataType::Utf8,
            SystemColumn::Partition => DataType::Int32,
            SystemColumn::Offset => DataType::Int64,
            SystemColumn::Headers => {
                let entries = Field::new("entries", DataType::Struct(header_fields()), false);
                DataType::Map(Arc::new(entries), false)
            }
        };
        Field::new(self.name(), data_type, true)
    }

    /// Checks that `field` has the column's type.
    pub(crate) fn check(self, field: &Field) -> Result<(), FormatError> {
        let own = self.field();
        let fits = match (own.data_type(), field.data_type()) {
            (DataType::Timestamp(own, _), DataType::Timestamp(given, _)) => own == given,
            // The names of a map's parts are a matter of taste.
            (DataType::Map(_, _), DataType::Map(entries, _)) => match entries.data_type() {
                DataType::Struct(parts) => {
                    let types = parts.iter().map(|part| part.data_type().clone()).collect::<Vec<_>>();
                    types == [DataType::Utf8, DataType::Binary] && !parts[0].is_nullable() && parts[1].is_nullable()
                }
                _ => false,
            },
            (own, given) => own == given,
        };
        if fits {
            return Ok(());
        }
        let message = format!("is of type {}", millstream_engine::types::sql_name(own.data_type()));
        Err(FormatError::Column { column: field.name().clone(), message })
    }

    /// The column for the messages at `rows`, of the type of `field`.
    pub(crate) fn fill(self, field: &Field, source: &Source<'_>, rows: &[u32]) -> ArrayRef {
        let messages = rows.iter().map(|&row| &source.messages[row as usize]);
        match self {
            SystemColumn::Key => {
                let mut keys = BinaryBuilder::with_capacity(rows.len(), rows.len() * 16);
                messages.for_each(|message| keys.append_option(message.key));
                Arc::new(keys.finish())
            }
            SystemColumn::Timestamp => {
                let times = TimestampMillisecondArray::from_iter_values(messages.map(|message| message.timestamp));
                Arc::new(times.with_data_type(field.data_type().clone()))
            }
            SystemColumn::Topic => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(source.topic, rows.len())))
            }
            SystemColumn::Partition => Arc::new(Int32Array::from(vec![source.partition as i32; rows.len()])),
            SystemColumn::Offset => Arc::new(Int64Array::from_iter_values(messages.map(|message| message.offset))),
            SystemColumn::Headers => headers(field, messages),
            // The decoder knows; see there.
            SystemColumn::Schema => new_null_array(&DataType::Utf8, rows.len()),
        }
    }
}

/// Messages and where they come from.
pub(crate) struct Source<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) messages: &'a [Message<'a>],
}

fn header_fields() -> Fields {
    Fields::from(vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Binary, true)])
}

fn headers<'a>(field: &Field, messages: impl Iterator<Item = &'a Message<'a>>) -> ArrayRef {
    let DataType::Map(entries, ordered) = field.data_type() else { unreachable!("checked when the decoder was made") };
    let DataType::Struct(parts) = entries.data_type() else { unreachable!("a map's entries are a struct") };
    let mut names = StringBuilder::new();
    let mut values = BinaryBuilder::new();
    let mut lengths = Vec::new();
    for message in messages {
        for (name, value) in message.headers.iter() {
            names.append_value(name);
            values.append_option(value);
        }
        lengths.push(message.headers.len());
    }
    let rows = StructArray::new(parts.clone(), vec![Arc::new(names.finish()), Arc::new(values.finish())], None);
    Arc::new(MapArray::new(entries.clone(), OffsetBuffer::from_lengths(lengths), rows, None, *ordered))
}
