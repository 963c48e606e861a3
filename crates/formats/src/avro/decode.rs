//! Messages of many writers to columns of one reader. A message harms only itself, whatever its bytes are.

use std::collections::BTreeMap;

use arrow::datatypes::FieldRef;

use super::program::{Program, Read};
use super::resolve::{Absent, Resolver};
use super::schema::{AvroSchema, Kind, NodeId};
use super::skip::{Skips, branch};
use crate::decode::{Pushed, TypeRead};
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::framing::{self, SchemaId};
use crate::members::Members;
use crate::names::Names;
use crate::wire::Input;

/// How Avro messages are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvroRead {
    /// Where the writer's schema of a message is found.
    pub framing: Framing,
    /// The reader's schemas: none, and every record is read by its writer's schema, where columns that may be null and
    /// that the writer does not have are null; one, and every record is resolved against it; several (or a union of
    /// records), and each is resolved against the one of its name, where columns of the others are null.
    pub readers: Vec<AvroSchema>,
    /// The full names of the records that are wanted; `None` for all. Records of another name have no row.
    pub types: Option<Vec<String>>,
}

/// Where the writer's schema of a message is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// Messages begin with a zero and the id of their schema in a registry.
    Registry,
    /// Messages are values of this schema and nothing else.
    Bare(AvroSchema),
}

/// Appends Avro messages to columns.
#[derive(Debug)]
pub(crate) struct AvroDecoder {
    members: Members,
    columns: Vec<FieldRef>,
    readers: Vec<(AvroSchema, NodeId)>,
    types: Option<Vec<String>>,
    writers: Writers,
    names: Names,
}

#[derive(Debug)]
enum Writers {
    Bare(Box<Writer>),
    Registered {
        by_id: BTreeMap<SchemaId, usize>,
        all: Vec<Writer>,
        /// The writer of the last message, most likely that of the next one too.
        last: (SchemaId, usize),
    },
}

/// How to read the messages of one writer's schema.
#[derive(Debug)]
struct Writer {
    skips: Skips,
    root: Root,
}

#[derive(Debug)]
enum Root {
    One(Top),
    Union(Vec<Top>),
    /// No message of this schema can be read.
    Refused(String),
}

#[derive(Debug)]
enum Top {
    Record {
        program: Program,
        name: u32,
    },
    /// A value that is no record; it fills the one column, if there is one.
    Value(Read),
    Unread(super::skip::Skip),
    Unwanted,
    Refused(String),
}

impl AvroDecoder {
    pub(crate) fn new(read: &AvroRead, columns: &[FieldRef]) -> Result<AvroDecoder, FormatError> {
        let readers = read.readers.iter().flat_map(records).collect::<Vec<_>>();
        let mut decoder = AvroDecoder {
            members: Members::new(columns)?,
            columns: columns.to_vec(),
            readers,
            types: read.types.clone(),
            writers: Writers::Registered { by_id: BTreeMap::new(), all: Vec::new(), last: (SchemaId(0), usize::MAX) },
            names: Names::default(),
        };
        if let [(schema, id)] = &decoder.readers[..] {
            decoder.check(schema, *id)?;
        }
        if let Framing::Bare(schema) = &read.framing {
            let writer = decoder.writer(schema);
            if let Root::Refused(reason) | Root::One(Top::Refused(reason)) = &writer.root {
                return Err(FormatError::Schema(reason.clone()));
            }
            decoder.writers = Writers::Bare(Box::new(writer));
        }
        Ok(decoder)
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    pub(crate) fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Makes messages with `id` readable.
    ///
    /// # Errors
    /// If they cannot be read as the columns: each of them will then be a fault that says so.
    pub(crate) fn add_writer(&mut self, id: SchemaId, schema: &AvroSchema) -> Result<(), FormatError> {
        let writer = self.writer(schema);
        let refused = match &writer.root {
            Root::Refused(reason) | Root::One(Top::Refused(reason)) => Err(FormatError::Schema(reason.clone())),
            _ => Ok(()),
        };
        self.register(id, writer);
        refused
    }

    /// What becomes of messages of `schema`, by their type.
    pub(crate) fn judge(&mut self, schema: &AvroSchema) -> Vec<(String, TypeRead)> {
        let tops = match self.writer(schema).root {
            Root::One(top) => vec![(schema.root(), top)],
            Root::Union(tops) => {
                let Kind::Union(branches) = &schema.node(schema.root()).kind else { unreachable!("it has branches") };
                branches.iter().copied().zip(tops).collect()
            }
            Root::Refused(reason) => vec![(schema.root(), Top::Refused(reason))],
        };
        let named = |id: NodeId| schema.named(id).map_or_else(String::new, |name| name.full.clone());
        let read = |top| match top {
            Top::Record { .. } | Top::Value(_) | Top::Unread(_) => TypeRead::Row,
            Top::Unwanted => TypeRead::Unwanted,
            Top::Refused(reason) => TypeRead::Refused(reason),
        };
        tops.into_iter().map(|(id, top)| (named(id), read(top))).collect()
    }

    /// Makes each message with `id` a fault for `reason`.
    pub(crate) fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        self.register(id, Writer { skips: Skips::default(), root: Root::Refused(reason) });
    }

    fn register(&mut self, id: SchemaId, writer: Writer) {
        if let Writers::Registered { by_id, all, last } = &mut self.writers {
            by_id.insert(id, all.len());
            all.push(writer);
            *last = (SchemaId(0), usize::MAX);
        }
    }

    /// Appends one row, or nothing and says why. What the row takes in columns beyond the payload is added to `grown`,
    /// and is `room` at most.
    #[inline]
    pub(crate) fn push(&mut self, payload: &[u8], room: usize, grown: &mut usize) -> Fallible<Pushed> {
        let (writer, bytes) = match &mut self.writers {
            Writers::Bare(writer) => (&**writer, payload),
            Writers::Registered { by_id, all, last } => {
                let (id, bytes) = framing::split(payload)?;
                if last.0 != id || last.1 == usize::MAX {
                    match by_id.get(&id) {
                        Some(&index) => *last = (id, index),
                        None => return Ok(Pushed::Unknown(id)),
                    }
                }
                (&all[last.1], bytes)
            }
        };
        let mut input = Input::new(bytes, room);
        let rows = self.members.rows;
        let pushed = writer.read(&mut input, &mut self.members, &mut self.names);
        *grown += input.spent();
        if !matches!(pushed, Ok(Pushed::Row)) {
            self.members.truncate(rows);
            self.names.truncate(rows);
        }
        pushed
    }

    fn writer(&mut self, schema: &AvroSchema) -> Writer {
        let mut skips = Skips::default();
        let root = match &schema.node(schema.root()).kind {
            Kind::Union(branches) if branches.iter().any(|&id| matches!(schema.node(id).kind, Kind::Record(_))) => {
                Root::Union(branches.iter().map(|&branch| self.top(schema, branch, &mut skips)).collect())
            }
            _ => Root::One(self.top(schema, schema.root(), &mut skips)),
        };
        Writer { skips, root }
    }

    fn top(&mut self, schema: &AvroSchema, id: NodeId, skips: &mut Skips) -> Top {
        match self.resolve_top(schema, id, skips) {
            Ok(top) => top,
            Err(fault) => Top::Refused(fault.into_error().message),
        }
    }

    fn resolve_top(&mut self, schema: &AvroSchema, id: NodeId, skips: &mut Skips) -> Fallible<Top> {
        let Kind::Record(record) = &schema.node(id).kind else {
            let (reader, root) = match &self.readers[..] {
                [(reader, root)] => (reader, *root),
                _ => (schema, id),
            };
            return match &self.columns[..] {
                [] => Ok(Top::Unread(skips.of(schema, id))),
                [column] => {
                    Resolver::new(schema, reader, Absent::Refused, skips).value(id, root, column).map(Top::Value)
                }
                columns => Err(Fault::value(format!(
                    "a message that is {} fills one column, not {}",
                    schema.describe(id),
                    columns.len()
                ))),
            };
        };
        let full = &record.name.full;
        if self.types.as_ref().is_some_and(|types| !types.contains(full)) {
            return Ok(Top::Unwanted);
        }
        let program = match &self.readers[..] {
            [] => Resolver::new(schema, schema, Absent::Null, skips).record(id, id, &self.columns)?,
            [(reader, root)] => {
                Resolver::new(schema, reader, Absent::Refused, skips).record(id, *root, &self.columns)?
            }
            readers => {
                let fit = |(reader, root): &(AvroSchema, NodeId)| reader.named(*root)?.fit(&record.name);
                let best =
                    readers.iter().filter_map(|reader| Some((fit(reader)?, reader))).rev().max_by_key(|(fit, _)| *fit);
                let (_, (reader, root)) =
                    best.ok_or_else(|| Fault::value(format!("record {full} is none of those that are read")))?;
                Resolver::new(schema, reader, Absent::Null, skips).record(id, *root, &self.columns)?
            }
        };
        Ok(Top::Record { program, name: self.names.number(full) })
    }

    /// Checks that a reader's schema can fill the columns at all.
    fn check(&self, schema: &AvroSchema, id: NodeId) -> Result<(), FormatError> {
        let mut skips = Skips::default();
        let mut resolver = Resolver::new(schema, schema, Absent::Refused, &mut skips);
        let checked = match (&schema.node(id).kind, &self.columns[..]) {
            (Kind::Record(_), columns) => resolver.record(id, id, columns).map(|_| ()),
            (_, []) => Ok(()),
            (_, [column]) => resolver.value(id, id, column).map(|_| ()),
            (_, columns) => {
                Err(Fault::value(format!("{} fills one column, not {}", schema.describe(id), columns.len())))
            }
        };
        checked.map_err(|fault| FormatError::Schema(fault.into_error().message))
    }
}

/// The records that a reader's schema consists of; itself, if it is none.
pub(super) fn records(schema: &AvroSchema) -> Vec<(AvroSchema, NodeId)> {
    let is_record = |&id: &NodeId| matches!(schema.node(id).kind, Kind::Record(_));
    match &schema.node(schema.root()).kind {
        Kind::Union(branches) if branches.iter().any(is_record) => {
            branches.iter().copied().filter(is_record).map(|id| (schema.clone(), id)).collect()
        }
        _ => vec![(schema.clone(), schema.root())],
    }
}

impl Writer {
    fn read(&self, input: &mut Input<'_>, members: &mut Members, names: &mut Names) -> Fallible<Pushed> {
        let top = match &self.root {
            Root::One(top) => top,
            Root::Union(tops) => &tops[branch(input, tops.len())?],
            Root::Refused(reason) => return Err(Fault::syntax(reason.clone())),
        };
        match top {
            Top::Record { program, name } => {
                program.run(input, members, &self.skips)?;
                names.push(*name);
            }
            Top::Value(read) => {
                read.run(input, &mut members.columns[0], &self.skips)?;
                members.rows += 1;
                names.push_none();
            }
            Top::Unread(skip) => {
                self.skips.run(skip, input)?;
                members.rows += 1;
                names.push_none();
            }
            Top::Unwanted => return Ok(Pushed::Unwanted),
            Top::Refused(reason) => return Err(Fault::syntax(reason.clone())),
        }
        match input.remaining() {
            0 => Ok(Pushed::Row),
            left => Err(Fault::syntax(format!("{left} bytes are left over behind the record"))),
        }
    }
}
