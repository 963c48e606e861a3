//! Protobuf messages of many writers to columns of one reader. A message harms only itself, whatever its bytes are.

use std::collections::BTreeMap;

use arrow::datatypes::FieldRef;
use prost_reflect::MessageDescriptor;

use super::compile::{self, Missing};
use super::program::{Program, Run, Slot};
use super::schema::{ProtobufMessage, ProtobufSchema};
use crate::decode::{Pushed, TypeRead};
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::framing::{self, SchemaId};
use crate::members::Members;
use crate::names::Names;
use crate::wire::{Input, Room};

/// How deep message types may be declared within each other in what precedes a message.
const PATH: usize = 32;

/// How Protobuf messages are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtobufRead {
    /// Where it is said which message type a message is.
    pub framing: ProtobufFraming,
    /// The reader's message types. Fields are found by their numbers, so that a field may have had another name when it
    /// was written. None, and every message is read by its writer's schema, where columns that may be null and that the
    /// writer does not have are null; one, and messages of its full name are read by it; several, and each is read by
    /// the one of its name, where columns of the others are null.
    pub readers: Vec<ProtobufMessage>,
    /// The full names of the message types that are wanted; `None` for all. Messages of another type have no row.
    pub types: Option<Vec<String>>,
}

/// Where it is said which message type a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtobufFraming {
    /// Messages begin with a zero, the id of their schema in a registry, and the place of their type in its file.
    Registry,
    /// All messages are of this type, and begin with nothing.
    Bare(ProtobufMessage),
}

/// Appends Protobuf messages to columns.
#[derive(Debug)]
pub(crate) struct ProtobufDecoder {
    members: Members,
    columns: Vec<FieldRef>,
    readers: Vec<ProtobufMessage>,
    types: Option<Vec<String>>,
    writers: Writers,
    names: Names,
    slots: Vec<Slot>,
}

#[derive(Debug)]
enum Writers {
    Bare(Box<Top>),
    Registered {
        by_id: BTreeMap<SchemaId, usize>,
        all: Vec<Writer>,
        /// The writer of the last message, most likely that of the next one too.
        last: Option<(SchemaId, usize)>,
    },
}

#[derive(Debug)]
enum Writer {
    /// The message types that have been met, by their place in the file.
    Known {
        schema: ProtobufSchema,
        tops: Vec<(Vec<u32>, Top)>,
    },
    Refused(String),
}

/// How to read the messages of one type.
#[derive(Debug)]
enum Top {
    Message { program: Program, name: u32 },
    Unwanted,
    Refused(String),
}

impl ProtobufDecoder {
    pub(crate) fn new(read: &ProtobufRead, columns: &[FieldRef]) -> Result<ProtobufDecoder, FormatError> {
        let mut decoder = ProtobufDecoder {
            members: Members::new(columns)?,
            columns: columns.to_vec(),
            readers: read.readers.clone(),
            types: read.types.clone(),
            writers: Writers::Registered { by_id: BTreeMap::new(), all: Vec::new(), last: None },
            names: Names::default(),
            slots: Vec::new(),
        };
        let refused = |fault: Box<Fault>| FormatError::Schema(fault.into_error().message);
        if let [reader] = &decoder.readers[..] {
            compile::message(&reader.descriptor, &decoder.columns, Missing::Refused).map_err(refused)?;
        }
        if let ProtobufFraming::Bare(message) = &read.framing {
            match decoder.top(&message.descriptor) {
                Top::Refused(reason) => return Err(FormatError::Schema(reason)),
                top => decoder.writers = Writers::Bare(Box::new(top)),
            }
        }
        Ok(decoder)
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    pub(crate) fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Makes messages with `id` readable, as far as their types are: which they are shows when they come.
    pub(crate) fn add_writer(&mut self, id: SchemaId, schema: &ProtobufSchema) {
        self.register(id, Writer::Known { schema: schema.clone(), tops: Vec::new() });
    }

    /// What becomes of messages of `schema`, by their type: of those that are wanted, else of those that there are readers
    /// for, else of all that stand in no other.
    pub(crate) fn judge(&mut self, schema: &ProtobufSchema) -> Vec<(String, TypeRead)> {
        let readers = self.readers.iter().map(|reader| reader.name().to_owned()).collect::<Vec<_>>();
        let asked = match &self.types {
            Some(types) => types.clone(),
            None if readers.is_empty() => schema.outer_names(),
            None => readers,
        };
        let found = asked.iter().filter_map(|name| schema.message(Some(name)).ok());
        let judged = found.map(|message| {
            let read = match self.top(&message.descriptor) {
                Top::Message { .. } => TypeRead::Row,
                Top::Unwanted => TypeRead::Unwanted,
                Top::Refused(reason) => TypeRead::Refused(reason),
            };
            (message.name().to_owned(), read)
        });
        judged.collect()
    }

    /// Makes each message with `id` a fault for `reason`.
    pub(crate) fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        self.register(id, Writer::Refused(reason));
    }

    fn register(&mut self, id: SchemaId, writer: Writer) {
        if let Writers::Registered { by_id, all, last } = &mut self.writers {
            by_id.insert(id, all.len());
            all.push(writer);
            *last = None;
        }
    }

    /// Appends one row, or nothing and says why. What the row takes in columns beyond the payload is added to `grown`,
    /// and is `room` at most.
    pub(crate) fn push(&mut self, payload: &[u8], room: usize, grown: &mut usize) -> Fallible<Pushed> {
        let mut input = Input::new(payload, room);
        let mut place = (0, 0);
        if let Writers::Registered { by_id, last, .. } = &mut self.writers {
            let (id, bytes) = framing::split(payload)?;
            let writer = match last {
                Some((last, writer)) if *last == id => *writer,
                _ => match by_id.get(&id) {
                    Some(&writer) => {
                        *last = Some((id, writer));
                        writer
                    }
                    None => return Ok(Pushed::Unknown(id)),
                },
            };
            input = Input::new(bytes, room);
            place = (writer, self.place(writer, &mut input)?);
        }
        let top = match &self.writers {
            Writers::Bare(top) => &**top,
            Writers::Registered { all, .. } => match &all[place.0] {
                Writer::Known { tops, .. } => &tops[place.1].1,
                Writer::Refused(reason) => return Err(Fault::syntax(reason.clone())),
            },
        };
        let (program, name) = match top {
            Top::Message { program, name } => (program, *name),
            Top::Unwanted => return Ok(Pushed::Unwanted),
            Top::Refused(reason) => return Err(Fault::syntax(reason.clone())),
        };
        let message = input.take(input.remaining())?;
        let rows = self.members.rows;
        self.slots.clear();
        let mut run = Run { slots: &mut self.slots, room: Room::new(message.len(), room) };
        let read = program.run(message, &mut self.members, &mut run);
        *grown += run.room.spent();
        match read {
            Ok(()) => {
                self.names.push(name);
                Ok(Pushed::Row)
            }
            Err(fault) => {
                self.members.truncate(rows);
                Err(fault)
            }
        }
    }

    /// Reads which type of its file a message is, and gives its place among those that have been met.
    fn place(&mut self, writer: usize, input: &mut Input<'_>) -> Fallible<usize> {
        let mut path = [0_u32; PATH];
        let count = usize::try_from(input.zigzag()?).ok().filter(|count| *count <= PATH);
        let count = count.ok_or_else(|| Fault::syntax("a place of a message type that is none"))?;
        for index in &mut path[..count] {
            let place = u32::try_from(input.zigzag()?);
            *index = place.map_err(|_| Fault::syntax("a place of a message type that is none"))?;
        }
        // None at all stands for the first.
        let path = &path[..count.max(1)];
        let Writers::Registered { all, .. } = &self.writers else { unreachable!("only registries say the type") };
        let Writer::Known { schema, tops } = &all[writer] else { return Ok(0) };
        if let Some(known) = tops.iter().position(|(other, _)| other == path) {
            return Ok(known);
        }
        let descriptor = schema.at(path).ok_or_else(|| {
            let path = path.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            Fault::syntax(format!("is of message type {path} of its schema, which has no such type"))
        })?;
        let top = self.top(&descriptor);
        let Writers::Registered { all, .. } = &mut self.writers else { unreachable!("as above") };
        let Writer::Known { tops, .. } = &mut all[writer] else { unreachable!("as above") };
        tops.push((path.to_vec(), top));
        Ok(tops.len() - 1)
    }

    fn top(&mut self, writer: &MessageDescriptor) -> Top {
        let name = writer.full_name();
        if self.types.as_ref().is_some_and(|types| !types.iter().any(|wanted| wanted == name)) {
            return Top::Unwanted;
        }
        let missing = if self.readers.len() == 1 { Missing::Refused } else { Missing::Null };
        let reader = match &self.readers[..] {
            [] => Some(writer),
            readers => readers.iter().map(|reader| &reader.descriptor).find(|reader| reader.full_name() == name),
        };
        let Some(reader) = reader else {
            return Top::Refused(format!("message {name} is none of those that are read"));
        };
        match compile::message(reader, &self.columns, missing) {
            Ok(program) => Top::Message { program, name: self.names.number(name) },
            Err(fault) => Top::Refused(fault.into_error().message),
        }
    }
}
