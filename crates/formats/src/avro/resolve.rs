//! Resolution: from a writer's schema, a reader's schema and the columns that are wanted to a program. It follows the
//! Avro specification; where no reader's schema is given, the writer's is its own reader.
//!
//! Where the specification leaves a choice, the reference implementation's is taken: of a reader's union the branch of
//! the same type and name counts before one that the value could be widened to. Two things go beyond it, both exact:
//! times in other parts of a second are converted, and decimals of a smaller scale are extended.

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use millstream_engine::types::sql_name;

use super::columns::{branch_names, is_duration, values_of};
use super::default;
use super::program::{
    Branch, Decimal, Default, Items, Member, Number, Program, Read, Step, Symbol, TimeScale, Widening,
};
use super::schema::{AvroSchema, Enumeration, Kind, Logical, NameFit, NodeId, Record, Unit};
use super::skip::{self, Skip, Skips};
use crate::column::cost;
use crate::fault::{Fallible, Fault};

/// The most reads of one program.
const READS: usize = 100_000;

/// What becomes of a column that the reader's schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// It is null, if it may be.
    Null,
    Refused,
}

/// Resolves one writer's schema.
pub(super) struct Resolver<'a> {
    writer: &'a AvroSchema,
    reader: &'a AvroSchema,
    absent: Absent,
    skips: &'a mut Skips,
    left: usize,
}

impl<'a> Resolver<'a> {
    /// A resolver whose programs pass over values by `skips`, which belong to `writer`.
    pub(super) fn new(
        writer: &'a AvroSchema,
        reader: &'a AvroSchema,
        absent: Absent,
        skips: &'a mut Skips,
    ) -> Resolver<'a> {
        Resolver { writer, reader, absent, skips, left: READS }
    }

    /// How to read a record of type `w` as one of type `r` to `columns`.
    pub(super) fn record(&mut self, w: NodeId, r: NodeId, columns: &[FieldRef]) -> Fallible<Program> {
        let (Kind::Record(writer), Kind::Record(reader)) = (&self.writer.node(w).kind, &self.reader.node(r).kind)
        else {
            return Err(self.unlike(w, r));
        };
        if reader.name.fit(&writer.name).is_none() {
            return Err(self.unlike(w, r));
        }
        let mut wanted = vec![None; writer.fields.len()];
        let mut absent = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let fault_of = |message: String| Fault::value(message).in_member(column.name());
            match reader.by_name.get(column.name()) {
                Some(&place) => match source(writer, reader, place) {
                    Some(from) => wanted[from] = Some((index, reader.fields[place].node)),
                    None => {
                        let default = self.default(reader, place, column);
                        absent.push(Step::Default(index, default.map_err(|fault| fault.in_member(column.name()))?));
                    }
                },
                None if self.absent == Absent::Null && column.is_nullable() => absent.push(Step::Null(index)),
                None => return Err(fault_of(format!("record {} has no such field", reader.name.full))),
            }
        }
        let mut steps = Vec::new();
        let mut passed = Vec::new();
        for (field, wanted) in writer.fields.iter().zip(wanted) {
            match wanted {
                None => skip::push(&mut passed, self.skips.of(self.writer, field.node)),
                Some((index, node)) => {
                    flush(&mut passed, &mut steps);
                    let column = &columns[index];
                    let read = self.value(field.node, node, column).map_err(|fault| fault.in_member(column.name()))?;
                    steps.push(Step::Read(index, read));
                }
            }
        }
        flush(&mut passed, &mut steps);
        steps.extend(absent);
        Ok(Program { steps })
    }

    fn default(&mut self, reader: &Record, place: usize, column: &Field) -> Fallible<Default> {
        let field = &reader.fields[place];
        let json = field.default.as_ref().ok_or_else(|| {
            Fault::value("the writer has no such field, and the reader's schema has no default for it")
        })?;
        let bytes = default::bytes(self.reader, field.node, json).map_err(Fault::value)?;
        let mut skips = Skips::default();
        let mut resolver = Resolver::new(self.reader, self.reader, self.absent, &mut skips);
        resolver.left = self.left;
        let read = resolver.value(field.node, field.node, column);
        self.left = resolver.left;
        Ok(Default { bytes, read: read?, skips })
    }

    /// How to read a value of type `w` as one of type `r` to `column`.
    pub(super) fn value(&mut self, w: NodeId, r: NodeId, column: &Field) -> Fallible<Read> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Fault::value("a schema with too many ways to be read"))?;
        let (writer, reader) = (self.writer, self.reader);
        match (&writer.node(w).kind, &reader.node(r).kind) {
            (Kind::Union(branches), _) => self.writer_union(w, branches, r, column),
            (_, Kind::Union(branches)) => self.reader_union(w, r, branches, column),
            (Kind::Null, Kind::Null) => Ok(Read::Null),
            (Kind::Boolean, Kind::Boolean) if *column.data_type() == DataType::Boolean => Ok(Read::Boolean),
            (Kind::String | Kind::Bytes, Kind::String | Kind::Bytes) => self.text(w, r, column),
            (Kind::Fixed(from), Kind::Fixed(to)) if from.size == to.size && to.name.fit(&from.name).is_some() => {
                self.fixed(w, r, from.size, column)
            }
            (Kind::Enum(from), Kind::Enum(to)) if to.name.fit(&from.name).is_some() => match column.data_type() {
                DataType::Utf8 => Ok(Read::Enum(symbols(from, to))),
                _ => Err(self.unfit(r, column)),
            },
            (Kind::Array(from), Kind::Array(to)) => match column.data_type() {
                DataType::List(item) => {
                    let read = self.value(*from, *to, item).map_err(|fault| fault.in_member("items"))?;
                    let bounds = self.skips.bounds(writer, *from, 0);
                    Ok(Read::List(Box::new(read), Items { bounds, cost: cost(item.data_type()) }))
                }
                _ => Err(self.unfit(r, column)),
            },
            (Kind::Map(from), Kind::Map(to)) => match map_value(column.data_type()) {
                Some(value) => {
                    let read = self.value(*from, *to, value).map_err(|fault| fault.in_member("values"))?;
                    let bounds = self.skips.bounds(writer, *from, 1);
                    Ok(Read::Map(Box::new(read), Items { bounds, cost: cost(value.data_type()) + 4 }))
                }
                None => Err(self.unfit(r, column)),
            },
            (Kind::Record(_), Kind::Record(_)) => match column.data_type() {
                DataType::Struct(fields) => Ok(Read::Struct(self.record(w, r, fields)?)),
                _ => Err(self.unfit(r, column)),
            },
            (from, to) => match (rank(from), rank(to)) {
                (Some(from), Some(to)) if from <= to => self.number(w, r, (from, to), column),
                _ => Err(self.unlike(w, r)),
            },
        }
    }

    fn writer_union(&mut self, w: NodeId, branches: &[NodeId], r: NodeId, column: &Field) -> Fallible<Read> {
        let mut reads = Vec::with_capacity(branches.len());
        let mut refused = None;
        for &branch in branches {
            match self.value(branch, r, column) {
                Ok(read) => reads.push(Branch::Read(read)),
                Err(fault) => {
                    let text = fault.clone().into_error().message;
                    reads.push(Branch::Refused(text));
                    refused.get_or_insert(fault);
                }
            }
        }
        if !reads.iter().any(|read| matches!(read, Branch::Read(_))) {
            return Err(refused.unwrap_or_else(|| self.unlike(w, r)));
        }
        Ok(nullable(reads))
    }

    fn reader_union(&mut self, w: NodeId, r: NodeId, branches: &[NodeId], column: &Field) -> Fallible<Read> {
        let mut order =
            branches.iter().enumerate().filter_map(|(i, &b)| Some((self.likeness(w, b)?, i))).collect::<Vec<_>>();
        order.sort_by_key(|&(likeness, index)| (std::cmp::Reverse(likeness), index));
        let names = branch_names(self.reader, branches);
        let members = match column.data_type() {
            DataType::Struct(fields) if values_of(self.reader, branches).len() > 1 => {
                let known = |field: &FieldRef| names.values().any(|name| name == field.name());
                Some(fields).filter(|fields| !fields.is_empty() && fields.iter().all(known))
            }
            _ => None,
        };
        let mut first = None;
        for (_, index) in order {
            let branch = branches[index];
            let read = match (members, names.get(&index)) {
                (Some(fields), Some(name)) => match fields.iter().position(|field| field.name() == name) {
                    Some(place) => self
                        .value(w, branch, &fields[place])
                        .map(|read| Read::Member(Some(place), Box::new(Member::Read(read))))
                        .map_err(|fault| fault.in_member(name)),
                    None => Ok(Read::Member(None, Box::new(Member::Skip(self.skips.of(self.writer, w))))),
                },
                _ => self.value(w, branch, column),
            };
            match read {
                Ok(read) => return Ok(read),
                Err(fault) => {
                    first.get_or_insert(fault);
                }
            }
        }
        Err(first.unwrap_or_else(|| self.unlike(w, r)))
    }

    /// How near a branch of the reader's union is to the writer's type; `None` if it cannot be meant.
    fn likeness(&self, w: NodeId, r: NodeId) -> Option<Likeness> {
        if let (Some(writer), Some(reader)) = (self.writer.named(w), self.reader.named(r)) {
            let kinds = (self.writer.kind_name(w), self.reader.kind_name(r));
            return match reader.fit(writer) {
                Some(NameFit::Full) if kinds.0 == kinds.1 => Some(Likeness::Same),
                Some(NameFit::Short) if kinds.0 == kinds.1 => Some(Likeness::ButForNamespace),
                _ => None,
            };
        }
        match (&self.writer.node(w).kind, &self.reader.node(r).kind) {
            (Kind::String, Kind::Bytes) | (Kind::Bytes, Kind::String) => Some(Likeness::Promoted),
            (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => Some(Likeness::Same),
            (from, to) if from == to => Some(Likeness::Same),
            (from, to) => (rank(from)? < rank(to)?).then_some(Likeness::Promoted),
        }
    }

    fn number(&self, w: NodeId, r: NodeId, (from, to): (Rank, Rank), column: &Field) -> Fallible<Read> {
        let is_int = from == Rank::Int;
        Ok(match (column.data_type(), to) {
            (DataType::Int32 | DataType::Date32, Rank::Int) => Read::Int,
            (DataType::Int64, Rank::Int | Rank::Long) if is_int => match self.times_of_day(w, r) {
                Some(factor) => Read::IntTimes(factor),
                None => Read::IntAsLong,
            },
            (DataType::Int64, Rank::Long) => Read::Long,
            (DataType::Timestamp(unit, _), Rank::Long) => match time_scale(self.time_unit(w, r), *unit) {
                None if is_int => Read::IntAsLong,
                None => Read::Long,
                Some(scale) => Read::Time(scale),
            },
            (DataType::Float32, Rank::Float) if from == Rank::Float => Read::Float,
            (DataType::Float64, Rank::Double) if from == Rank::Double => Read::Double,
            (DataType::Float32, Rank::Int | Rank::Long | Rank::Float) => widened(from, to),
            (DataType::Float64, _) => widened(from, to),
            _ => return Err(self.unfit(r, column)),
        })
    }

    /// The parts of a second that the writer counts; if it does not say, those of the reader.
    fn time_unit(&self, w: NodeId, r: NodeId) -> Option<Unit> {
        let own = self.writer.node(w).logical.and_then(Logical::unit);
        own.or_else(|| self.reader.node(r).logical.and_then(Logical::unit))
    }

    /// How many of the reader's parts of a second are one of the writer's, where both are times of day and count other ones.
    /// The other way round there is nothing to convert: a `long` cannot be read as an `int`.
    fn times_of_day(&self, w: NodeId, r: NodeId) -> Option<i64> {
        let per_second = |logical: Option<Logical>| logical.and_then(Logical::unit_of_day).map(Unit::per_second);
        let (from, to) = (per_second(self.writer.node(w).logical)?, per_second(self.reader.node(r).logical)?);
        (from < to).then(|| to / from)
    }

    fn text(&self, w: NodeId, r: NodeId, column: &Field) -> Fallible<Read> {
        let is_decimal = self.scale(w, r).is_some();
        match column.data_type() {
            DataType::Decimal128(precision, scale) if self.writer.node(w).kind == Kind::Bytes => {
                self.decimal(w, r, None, (*precision, *scale), column)
            }
            DataType::Utf8 if !is_decimal => Ok(Read::Text),
            DataType::Binary => Ok(Read::Bytes),
            _ => Err(self.unfit(r, column)),
        }
    }

    fn fixed(&self, w: NodeId, r: NodeId, size: usize, column: &Field) -> Fallible<Read> {
        let logical = self.reader.node(r).logical.or(self.writer.node(w).logical);
        match (column.data_type(), logical) {
            (DataType::Decimal128(precision, scale), _) => self.decimal(w, r, Some(size), (*precision, *scale), column),
            (DataType::Utf8, Some(Logical::Uuid)) => Ok(Read::Uuid),
            (DataType::Struct(fields), Some(Logical::Duration)) if is_duration(fields) => Ok(Read::Duration),
            (DataType::Binary, _) => Ok(Read::FixedBytes(size)),
            _ => Err(self.unfit(r, column)),
        }
    }

    /// The scale of the writer's decimals; if it does not say that they are, that of the reader.
    fn scale(&self, w: NodeId, r: NodeId) -> Option<u32> {
        let scale = |logical| match logical {
            Some(Logical::Decimal { scale, .. }) => Some(scale),
            _ => None,
        };
        scale(self.writer.node(w).logical).or_else(|| scale(self.reader.node(r).logical))
    }

    fn decimal(
        &self,
        w: NodeId,
        r: NodeId,
        size: Option<usize>,
        (precision, scale): (u8, i8),
        column: &Field,
    ) -> Fallible<Read> {
        let own = self.scale(w, r).ok_or_else(|| self.unfit(r, column))?;
        let more = u32::try_from(i64::from(scale) - i64::from(own)).map_err(|_| {
            let wanted = sql_name(column.data_type());
            Fault::value(format!("{own} digits behind the point cannot be read as {wanted} without loss"))
        })?;
        let powers = (10_i128.checked_pow(more), 10_i128.checked_pow(u32::from(precision)));
        let (Some(factor), Some(bound)) = powers else { return Err(self.unfit(r, column)) };
        Ok(Read::Decimal(Decimal { size, factor, bound }))
    }

    /// The fault of a writer's type that is not the reader's.
    fn unlike(&self, w: NodeId, r: NodeId) -> Box<Fault> {
        let (writer, reader) = (self.writer.describe(w), self.reader.describe(r));
        Fault::value(format!("{writer} of the writer cannot be read as {reader}"))
    }

    /// The fault of a column that is not of the reader's type.
    fn unfit(&self, r: NodeId, column: &Field) -> Box<Fault> {
        Fault::value(format!("{} cannot be read as {}", self.reader.describe(r), sql_name(column.data_type())))
    }
}

/// How near a reader's type is to the writer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Promoted,
    ButForNamespace,
    Same,
}

/// The numbers, each of which may be read as those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Int,
    Long,
    Float,
    Double,
}

fn rank(kind: &Kind) -> Option<Rank> {
    Some(match kind {
        Kind::Int => Rank::Int,
        Kind::Long => Rank::Long,
        Kind::Float => Rank::Float,
        Kind::Double => Rank::Double,
        _ => return None,
    })
}

fn widened(from: Rank, to: Rank) -> Read {
    let number = match from {
        Rank::Int => Number::Int,
        Rank::Long => Number::Long,
        Rank::Float => Number::Float,
        Rank::Double => return Read::Double,
    };
    Read::Widened(Widening { from: number, through_float: to == Rank::Float })
}

fn time_scale(from: Option<Unit>, to: TimeUnit) -> Option<TimeScale> {
    let from = from?.per_second();
    let to = millstream_engine::text::per_second(to);
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(TimeScale::Times(to / from)),
        std::cmp::Ordering::Greater => Some(TimeScale::Over(from / to)),
    }
}

/// The writer's field that becomes the reader's field `place`: that of its name, else of one of its former names. A
/// writer's field becomes one field at most.
pub(super) fn source(writer: &Record, reader: &Record, place: usize) -> Option<usize> {
    let field = &reader.fields[place];
    if let Some(&from) = writer.by_name.get(&field.name) {
        return Some(from);
    }
    let is_free = |alias: &&String| {
        let goes_before = |other: &super::schema::RecordField| {
            other.aliases.contains(alias) && !writer.by_name.contains_key(&other.name)
        };
        !reader.by_name.contains_key(alias.as_str()) && !reader.fields[..place].iter().any(goes_before)
    };
    field.aliases.iter().filter(is_free).find_map(|alias| writer.by_name.get(alias).copied())
}

fn symbols(writer: &Enumeration, reader: &Enumeration) -> Vec<Symbol> {
    let known = reader.symbols.iter().collect::<std::collections::BTreeSet<_>>();
    let symbol = |symbol: &String| match &reader.default {
        _ if known.contains(symbol) => Symbol::Text(symbol.clone()),
        Some(default) => Symbol::Text(default.clone()),
        None => Symbol::Unknown(symbol.clone()),
    };
    writer.symbols.iter().map(symbol).collect()
}

/// The union's reads, in the short form where it is null and something else.
fn nullable(mut reads: Vec<Branch>) -> Read {
    let null = reads.iter().position(|read| matches!(read, Branch::Read(Read::Null)));
    if let (2, Some(null)) = (reads.len(), null) {
        return match reads.swap_remove(1 - null) {
            Branch::Read(read) => Read::Nullable(null, Box::new(read)),
            refused => {
                let null_read = Branch::Read(Read::Null);
                Read::Union(if null == 0 { vec![null_read, refused] } else { vec![refused, null_read] })
            }
        };
    }
    Read::Union(reads)
}

fn flush(passed: &mut Vec<Skip>, steps: &mut Vec<Step>) {
    let mut passed = std::mem::take(passed);
    match passed.len() {
        0 => {}
        1 => steps.extend(passed.pop().map(Step::Skip)),
        _ => steps.push(Step::Skip(Skip::All(passed))),
    }
}

fn map_value(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => {
                Some(&fields[1])
            }
            _ => None,
        },
        _ => None,
    }
}
