//! The columns that a schema's records have. Never guesses: what has no column says why.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use super::schema::{AvroSchema, Kind, Logical, NodeId, Unit};
use crate::columns::{COLUMNS, SchemaColumns, map_type};

/// The most digits of a decimal column.
pub(super) const DIGITS: u32 = 38;

impl AvroSchema {
    /// The columns of this schema's records. A union of records has the columns of all of them.
    ///
    /// `long` is bigint, `enum` is string, `fixed` is bytes, `record` is struct; a union of null and one type is that
    /// type; any other union is a struct with a member for each branch, named as the branch's type, of which one has a
    /// value. Decimals, dates, timestamps (also local ones, as if in UTC) and uuids (as text) are what they stand for,
    /// `time-millis` is int, `time-micros` is bigint, `duration` a struct of months, days and milliseconds.
    pub fn columns(&self) -> SchemaColumns {
        let mut found = SchemaColumns::default();
        match &self.node(self.root()).kind {
            Kind::Record(_) => self.add_record(self.root(), &mut found),
            Kind::Union(branches) if branches.iter().any(|&branch| self.is_record(branch)) => {
                branches.iter().filter(|&&branch| self.is_record(branch)).for_each(|&b| self.add_record(b, &mut found));
            }
            _ => found.add("value", Typing::new(self).column(self.root())),
        }
        found
    }

    fn is_record(&self, id: NodeId) -> bool {
        matches!(self.node(id).kind, Kind::Record(_))
    }

    fn add_record(&self, id: NodeId, found: &mut SchemaColumns) {
        let Kind::Record(record) = &self.node(id).kind else { return };
        let mut typing = Typing::new(self);
        typing.within.push(id);
        for field in &record.fields {
            found.add(&field.name, typing.column(field.node));
        }
    }
}

struct Typing<'a> {
    schema: &'a AvroSchema,
    /// The records that the type at hand stands in.
    within: Vec<NodeId>,
    left: usize,
}

impl<'a> Typing<'a> {
    fn new(schema: &'a AvroSchema) -> Typing<'a> {
        Typing { schema, within: Vec::new(), left: COLUMNS }
    }

    /// The type of a value and whether it may be null.
    fn column(&mut self, id: NodeId) -> Result<(DataType, bool), String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("more than {COLUMNS} columns within each other"))?;
        let node = self.schema.node(id);
        let data_type = match &node.kind {
            Kind::Union(branches) => return self.union(branches),
            Kind::Null => return Err("is always null".to_owned()),
            Kind::Boolean => DataType::Boolean,
            Kind::Int => match node.logical {
                Some(Logical::Date) => DataType::Date32,
                _ => DataType::Int32,
            },
            Kind::Long => match node.logical.and_then(Logical::unit) {
                Some(unit) => DataType::Timestamp(arrow_unit(unit), Some("UTC".into())),
                None => DataType::Int64,
            },
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::String | Kind::Enum(_) => DataType::Utf8,
            Kind::Bytes | Kind::Fixed(_) => match node.logical {
                Some(Logical::Decimal { precision, .. }) if precision > DIGITS => {
                    return Err(format!("a decimal of {precision} digits, where {DIGITS} are the most"));
                }
                Some(Logical::Decimal { precision, scale }) => DataType::Decimal128(precision as u8, scale as i8),
                Some(Logical::Uuid) => DataType::Utf8,
                Some(Logical::Duration) => DataType::Struct(duration_fields()),
                _ => DataType::Binary,
            },
            Kind::Array(items) => {
                let (data_type, nullable) = self.column(*items).map_err(|reason| format!("its items: {reason}"))?;
                DataType::List(Arc::new(Field::new_list_field(data_type, nullable)))
            }
            Kind::Map(values) => {
                let (data_type, nullable) = self.column(*values).map_err(|reason| format!("its values: {reason}"))?;
                map_type(data_type, nullable)
            }
            Kind::Record(record) => {
                if self.within.contains(&id) {
                    let name = &record.name.full;
                    return Err(format!("record {name} is recursive, and columns are of finite depth"));
                }
                self.within.push(id);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    if self.is_always_null(field.node) {
                        continue;
                    }
                    let (data_type, nullable) =
                        self.column(field.node).map_err(|reason| format!("{}: {reason}", field.name))?;
                    fields.push(Field::new(&field.name, data_type, nullable));
                }
                self.within.pop();
                DataType::Struct(fields.into())
            }
        };
        Ok((data_type, false))
    }

    fn is_always_null(&self, id: NodeId) -> bool {
        match &self.schema.node(id).kind {
            Kind::Null => true,
            Kind::Union(branches) => values_of(self.schema, branches).is_empty(),
            _ => false,
        }
    }

    fn union(&mut self, branches: &[NodeId]) -> Result<(DataType, bool), String> {
        let others = values_of(self.schema, branches);
        let nullable = others.len() < branches.len();
        match others[..] {
            [] => Err("is always null".to_owned()),
            [(_, only)] => Ok((self.column(only)?.0, nullable)),
            _ => {
                let names = branch_names(self.schema, branches);
                let mut fields = Vec::with_capacity(others.len());
                for (index, branch) in others {
                    let (data_type, _) =
                        self.column(branch).map_err(|reason| format!("{}: {reason}", names[&index]))?;
                    fields.push(Field::new(&names[&index], data_type, true));
                }
                Ok((DataType::Struct(fields.into()), nullable))
            }
        }
    }
}

/// The branches that are not null, with their index.
pub(super) fn values_of(schema: &AvroSchema, branches: &[NodeId]) -> Vec<(usize, NodeId)> {
    let is_value = |id: NodeId| !matches!(schema.node(id).kind, Kind::Null);
    branches.iter().copied().enumerate().filter(|&(_, id)| is_value(id)).collect()
}

/// The names of a union's branches that are not null, as members of a struct: the type's name, of named types the name
/// without its namespace where that is clear, else the full name with underscores.
pub(super) fn branch_names(schema: &AvroSchema, branches: &[NodeId]) -> BTreeMap<usize, String> {
    let others = values_of(schema, branches);
    let short = |id: NodeId| match schema.named(id) {
        Some(named) => named.short().to_owned(),
        None => schema.kind_name(id).to_owned(),
    };
    let name = |id: NodeId| {
        let name = short(id);
        match schema.named(id) {
            Some(named) if others.iter().filter(|&&(_, other)| short(other) == name).count() > 1 => {
                named.full.replace('.', "_")
            }
            _ => name,
        }
    };
    others.iter().map(|&(index, id)| (index, name(id))).collect()
}

/// Months, days and milliseconds, each up to 2³² - 1.
fn duration_fields() -> Fields {
    ["months", "days", "milliseconds"].map(|name| Field::new(name, DataType::Int64, false)).into_iter().collect()
}

/// Whether a struct is what a duration is read as.
pub(super) fn is_duration(fields: &Fields) -> bool {
    let own = duration_fields();
    fields.len() == own.len()
        && fields.iter().zip(&own).all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
}

fn arrow_unit(unit: Unit) -> TimeUnit {
    match unit {
        Unit::Millis => TimeUnit::Millisecond,
        Unit::Micros => TimeUnit::Microsecond,
        Unit::Nanos => TimeUnit::Nanosecond,
    }
}
