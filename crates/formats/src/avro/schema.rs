//! An Avro schema: types in one list that point at each other by number, so that recursion is no trouble to hold. It is
//! read once and never changes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::parse;
use crate::error::FormatError;

/// A parsed Avro schema. Copies share their content.
#[derive(Clone, PartialEq, Eq)]
pub struct AvroSchema(Arc<Content>);

#[derive(PartialEq, Eq)]
struct Content {
    text: String,
    nodes: Vec<Node>,
    root: NodeId,
}

/// A type's number in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// A type with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) logical: Option<Logical>,
}

/// The types of Avro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Record),
    Enum(Enumeration),
    Fixed(Fixed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: Named,
    pub(crate) fields: Vec<RecordField>,
    pub(crate) by_name: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordField {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) node: NodeId,
    pub(crate) default: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enumeration {
    pub(crate) name: Named,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) name: Named,
    pub(crate) size: usize,
}

/// The full name of a type and the full names that it also had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) full: String,
    pub(crate) aliases: Vec<String>,
}

impl Named {
    /// The name without its namespace.
    pub(crate) fn short(&self) -> &str {
        short(&self.full)
    }

    /// How well this reader's name fits a writer's: the same name, one of the aliases, or the same without namespaces.
    pub(crate) fn fit(&self, writer: &Named) -> Option<NameFit> {
        if self.full == writer.full || self.aliases.contains(&writer.full) {
            Some(NameFit::Full)
        } else if self.short() == writer.short() || self.aliases.iter().any(|alias| short(alias) == writer.short()) {
            Some(NameFit::Short)
        } else {
            None
        }
    }
}

/// How two names agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameFit {
    /// But for the namespace.
    Short,
    Full,
}

fn short(full: &str) -> &str {
    full.rsplit_once('.').map_or(full, |(_, name)| name)
}

/// What the values of a type stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    TimeMillis,
    TimeMicros,
    Timestamp(Unit),
    /// A timestamp of no zone.
    LocalTimestamp(Unit),
    Uuid,
    Duration,
}

impl Logical {
    /// The name in a schema.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Logical::Decimal { .. } => "decimal",
            Logical::Date => "date",
            Logical::TimeMillis => "time-millis",
            Logical::TimeMicros => "time-micros",
            Logical::Timestamp(Unit::Millis) => "timestamp-millis",
            Logical::Timestamp(Unit::Micros) => "timestamp-micros",
            Logical::Timestamp(Unit::Nanos) => "timestamp-nanos",
            Logical::LocalTimestamp(Unit::Millis) => "local-timestamp-millis",
            Logical::LocalTimestamp(Unit::Micros) => "local-timestamp-micros",
            Logical::LocalTimestamp(Unit::Nanos) => "local-timestamp-nanos",
            Logical::Uuid => "uuid",
            Logical::Duration => "duration",
        }
    }

    /// The unit of a time in a number, with or without a zone.
    pub(crate) fn unit(self) -> Option<Unit> {
        match self {
            Logical::Timestamp(unit) | Logical::LocalTimestamp(unit) => Some(unit),
            _ => None,
        }
    }

    /// The unit of a time of day.
    pub(crate) fn unit_of_day(self) -> Option<Unit> {
        match self {
            Logical::TimeMillis => Some(Unit::Millis),
            Logical::TimeMicros => Some(Unit::Micros),
            _ => None,
        }
    }
}

/// Parts of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    pub(crate) fn per_second(self) -> i64 {
        match self {
            Unit::Millis => 1_000,
            Unit::Micros => 1_000_000,
            Unit::Nanos => 1_000_000_000,
        }
    }
}

impl AvroSchema {
    /// Parses a schema, which may use the named types of `references`, given in an order in which each uses only types
    /// of those before it.
    ///
    /// # Errors
    /// If one of the texts is no Avro schema, uses a type that is not defined, or is beyond all measure: more than
    /// 4 MiB of text, 100,000 types, or types nested more than 60 deep.
    pub fn parse(text: &str, references: &[&str]) -> Result<AvroSchema, FormatError> {
        let (nodes, root) = parse::parse(text, references).map_err(FormatError::Schema)?;
        Ok(AvroSchema(Arc::new(Content { text: text.to_owned(), nodes, root })))
    }

    /// The text that was parsed, without its references.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The full name of the schema, if it is a record, an enum or a fixed.
    pub fn name(&self) -> Option<&str> {
        self.named(self.root()).map(|named| named.full.as_str())
    }

    /// The full names of the records that messages of this schema may be: its own, or those of a union's branches.
    pub fn record_names(&self) -> Vec<&str> {
        let of = |id: NodeId| match &self.node(id).kind {
            Kind::Record(record) => Some(record.name.full.as_str()),
            _ => None,
        };
        match &self.node(self.root()).kind {
            Kind::Union(branches) => branches.iter().filter_map(|&branch| of(branch)).collect(),
            _ => of(self.root()).into_iter().collect(),
        }
    }

    pub(crate) fn root(&self) -> NodeId {
        self.0.root
    }

    /// The number of types, of which each [`NodeId`] is one.
    pub(crate) fn len(&self) -> usize {
        self.0.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.0.nodes[id.0 as usize]
    }

    pub(crate) fn named(&self, id: NodeId) -> Option<&Named> {
        match &self.node(id).kind {
            Kind::Record(record) => Some(&record.name),
            Kind::Enum(symbols) => Some(&symbols.name),
            Kind::Fixed(fixed) => Some(&fixed.name),
            _ => None,
        }
    }

    /// The name of the type, without that of a named one.
    pub(crate) fn kind_name(&self, id: NodeId) -> &'static str {
        match &self.node(id).kind {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Record(_) => "record",
            Kind::Enum(_) => "enum",
            Kind::Fixed(_) => "fixed",
        }
    }

    /// The type as people call it: `long`, `timestamp-millis (long)`, `array of string`, `enum x.Side`, `null or int`.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        self.describe_within(id, 3)
    }

    fn describe_within(&self, id: NodeId, depth: usize) -> String {
        let node = self.node(id);
        if depth == 0 {
            return "…".to_owned();
        }
        let plain = match &node.kind {
            Kind::Array(items) => format!("array of {}", self.describe_within(*items, depth - 1)),
            Kind::Map(values) => format!("map of {}", self.describe_within(*values, depth - 1)),
            Kind::Union(branches) => {
                let shown = branches.iter().take(8).map(|&branch| self.describe_within(branch, depth - 1));
                let mut text = shown.collect::<Vec<_>>().join(" or ");
                match branches.len() {
                    0 => text.push_str("a union of nothing"),
                    1..=8 => {}
                    _ => text.push_str(" or …"),
                }
                text
            }
            Kind::Record(record) => format!("record {}", record.name.full),
            Kind::Enum(symbols) => format!("enum {}", symbols.name.full),
            Kind::Fixed(fixed) => format!("fixed {} of {} bytes", fixed.name.full, fixed.size),
            _ => self.kind_name(id).to_owned(),
        };
        match node.logical {
            Some(Logical::Decimal { precision, scale }) => format!("decimal({precision},{scale}) ({plain})"),
            Some(logical) => format!("{} ({plain})", logical.name()),
            None => plain,
        }
    }
}

impl fmt::Debug for AvroSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AvroSchema").field(&self.text()).finish()
    }
}
