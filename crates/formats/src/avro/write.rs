//! From columns and a schema to what writes a value, compiled once. Writing never rounds and never cuts off.

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use millstream_engine::text::per_second;
use millstream_engine::types::sql_name;

use super::columns::{branch_names, is_duration, values_of};
use super::default;
use super::schema::{AvroSchema, Kind, Logical, NodeId, Record};
use crate::cells::{Cells, Values, normal};
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::wire::{PIECE, put_piece, put_zigzag};

/// How to write one value of a column.
#[derive(Debug)]
pub(super) enum Write {
    Null,
    Boolean,
    /// int, long or date.
    Number,
    /// A bigint to an `int`, if it fits.
    NarrowNumber,
    Float,
    Double,
    /// An int or float to a `double`.
    AsDouble,
    /// A time that is multiplied or, if nothing is lost, divided.
    Time {
        times: i64,
        over: i64,
    },
    Sized,
    Fixed(usize),
    Uuid,
    /// Months, days and milliseconds.
    Duration,
    Decimal(DecimalWrite),
    /// The symbols' bytes in their order.
    Enum(Vec<(Vec<u8>, usize)>),
    /// A column that may be null, where the schema does not allow it.
    Required(Box<Write>),
    /// A union: the branch of null, and that of the value.
    Nullable {
        null: usize,
        branch: usize,
        value: Box<Write>,
    },
    /// A branch of a union without null.
    Branch {
        branch: usize,
        value: Box<Write>,
    },
    /// A union of which several branches may take the value, as none of them but the last need take it: the first that does.
    Choice {
        null: Option<usize>,
        branches: Vec<(usize, Write)>,
    },
    /// A struct with a member for each branch, of which one has a value: the branch of null and those of the members.
    Members {
        null: Option<usize>,
        members: Vec<(usize, Write)>,
    },
    Record(Vec<FieldWrite>),
    List(Box<Write>),
    Map(Box<Write>),
}

/// How to write one field of a record.
#[derive(Debug)]
pub(super) enum FieldWrite {
    /// From the column of this index and name.
    Column(usize, String, Write),
    /// There is no column: the schema's default.
    Constant(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct DecimalWrite {
    factor: i128,
    /// Ten to the schema's precision.
    bound: i128,
    /// The length of a fixed; `None` for bytes.
    size: Option<usize>,
}

/// How to write rows of `columns` as messages of `schema`.
pub(super) fn top(schema: &AvroSchema, columns: &[FieldRef]) -> Result<Write, FormatError> {
    let compiler = Compiler { schema };
    let write = match (&schema.node(schema.root()).kind, columns) {
        (Kind::Record(record), _) => compiler.record(record, columns),
        // The record's one column is the message: a key of one primitive type.
        (_, [column]) => compiler
            .value(schema.root(), column)
            .map(|value| Write::Record(vec![FieldWrite::Column(0, column.name().clone(), value)])),
        (_, columns) => {
            let what = schema.describe(schema.root());
            Err(Fault::value(format!("{what} is written from one column, not {}", columns.len())))
        }
    };
    write.map_err(|fault| FormatError::Schema(fault.into_error().message))
}

struct Compiler<'a> {
    schema: &'a AvroSchema,
}

impl Compiler<'_> {
    fn record(&self, record: &Record, columns: &[FieldRef]) -> Fallible<Write> {
        if let Some(column) = columns.iter().find(|column| !record.by_name.contains_key(column.name())) {
            let message = format!("record {} of the schema has no such field", record.name.full);
            return Err(Fault::value(message).in_member(column.name()));
        }
        let fields = record.fields.iter().map(|field| {
            let written = match columns.iter().position(|column| *column.name() == field.name) {
                Some(index) => {
                    let value = self.value(field.node, &columns[index]);
                    value.map(|value| FieldWrite::Column(index, field.name.clone(), value))
                }
                None => match &field.default {
                    Some(json) => {
                        default::bytes(self.schema, field.node, json).map(FieldWrite::Constant).map_err(Fault::value)
                    }
                    None => {
                        Err(Fault::value("the schema has this field without a default, and there is no such column"))
                    }
                },
            };
            written.map_err(|fault| fault.in_member(&field.name))
        });
        fields.collect::<Fallible<Vec<_>>>().map(Write::Record)
    }

    fn value(&self, id: NodeId, column: &Field) -> Fallible<Write> {
        if let Kind::Union(branches) = &self.schema.node(id).kind {
            return self.union(id, branches, column);
        }
        let value = self.present(id, column)?;
        Ok(match column.is_nullable() && !matches!(value, Write::Null) {
            true => Write::Required(Box::new(value)),
            false => value,
        })
    }

    fn union(&self, id: NodeId, branches: &[NodeId], column: &Field) -> Fallible<Write> {
        let null = branches.iter().position(|&branch| self.schema.node(branch).kind == Kind::Null);
        let names = branch_names(self.schema, branches);
        let values = values_of(self.schema, branches);
        if let (DataType::Struct(fields), true) = (column.data_type(), values.len() > 1)
            && !fields.is_empty()
            && fields.iter().all(|field| names.values().any(|name| name == field.name()))
        {
            let member = |field: &FieldRef| {
                let (index, _) = names.iter().find(|(_, name)| *name == field.name()).unwrap_or((&0, field.name()));
                self.present(branches[*index], field).map(|write| (*index, write))
            };
            let members = fields.iter().map(member).collect::<Fallible<Vec<_>>>()?;
            return Ok(Write::Members { null, members });
        }
        let (mut fitting, mut first_fault) = (Vec::new(), None);
        for (branch, node) in values {
            match self.present(node, column) {
                Ok(value) => {
                    let is_last = !value.may_refuse();
                    fitting.push((branch, value));
                    if is_last {
                        break;
                    }
                }
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        if fitting.len() > 1 {
            return Ok(Write::Choice { null, branches: fitting });
        }
        let Some((branch, value)) = fitting.pop() else {
            return Err(first_fault.unwrap_or_else(|| self.unfit(id, column)));
        };
        let value = Box::new(value);
        Ok(match null {
            Some(null) => Write::Nullable { null, branch, value },
            None if column.is_nullable() => Write::Required(Box::new(Write::Branch { branch, value })),
            None => Write::Branch { branch, value },
        })
    }

    /// How to write a value that is not null.
    fn present(&self, id: NodeId, column: &Field) -> Fallible<Write> {
        let node = self.schema.node(id);
        let data_type = normal(column.data_type()).unwrap_or_else(|| column.data_type().clone());
        Ok(match (&node.kind, &data_type) {
            (Kind::Null, DataType::Null) => Write::Null,
            (Kind::Boolean, DataType::Boolean) => Write::Boolean,
            (Kind::Int | Kind::Long, DataType::Int32) | (Kind::Long, DataType::Int64) => Write::Number,
            (Kind::Int, DataType::Int64) => Write::NarrowNumber,
            (Kind::Int, DataType::Date32) if node.logical == Some(Logical::Date) => Write::Number,
            (Kind::Long, DataType::Timestamp(unit, _)) => self.time(id, *unit, column)?,
            (Kind::Float, DataType::Float32) => Write::Float,
            (Kind::Double, DataType::Float64) => Write::Double,
            (Kind::Double, DataType::Float32 | DataType::Int32) => Write::AsDouble,
            (Kind::String, DataType::Utf8) | (Kind::Bytes, DataType::Binary) => Write::Sized,
            (Kind::Fixed(fixed), DataType::Binary) => Write::Fixed(fixed.size),
            (Kind::Fixed(_), DataType::Utf8) if node.logical == Some(Logical::Uuid) => Write::Uuid,
            (Kind::Fixed(_), DataType::Struct(fields))
                if node.logical == Some(Logical::Duration) && is_duration(fields) =>
            {
                Write::Duration
            }
            (Kind::Enum(symbols), DataType::Utf8) => {
                let all = symbols.symbols.iter().enumerate();
                let mut all = all.map(|(index, symbol)| (symbol.clone().into_bytes(), index)).collect::<Vec<_>>();
                all.sort_unstable();
                Write::Enum(all)
            }
            (Kind::Bytes | Kind::Fixed(_), DataType::Decimal128(_, scale)) => self.decimal(id, *scale, column)?,
            (Kind::Record(record), DataType::Struct(fields)) => self.record(record, fields)?,
            (Kind::Array(items), DataType::List(item)) => {
                let write = self.value(*items, item).map_err(|fault| fault.in_member("items"))?;
                Write::List(Box::new(write))
            }
            (Kind::Map(values), DataType::Map(entries, _)) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => {
                    let write = self.value(*values, &fields[1]).map_err(|fault| fault.in_member("values"))?;
                    Write::Map(Box::new(write))
                }
                _ => return Err(self.unfit(id, column)),
            },
            _ => return Err(self.unfit(id, column)),
        })
    }

    fn time(&self, id: NodeId, unit: TimeUnit, column: &Field) -> Fallible<Write> {
        let to = self.schema.node(id).logical.and_then(Logical::unit).ok_or_else(|| self.unfit(id, column))?;
        let (from, to) = (per_second(unit), to.per_second());
        Ok(match (to / from, from / to) {
            (1, 1) => Write::Number,
            (times, over) => Write::Time { times: times.max(1), over: over.max(1) },
        })
    }

    fn decimal(&self, id: NodeId, scale: i8, column: &Field) -> Fallible<Write> {
        let node = self.schema.node(id);
        let Some(Logical::Decimal { precision, scale: to }) = node.logical else { return Err(self.unfit(id, column)) };
        let more = u32::try_from(i64::from(to) - i64::from(scale)).map_err(|_| self.unfit(id, column))?;
        let factor = 10_i128.checked_pow(more).ok_or_else(|| self.unfit(id, column))?;
        let bound = 10_i128.checked_pow(precision).unwrap_or(i128::MAX);
        let size = match &node.kind {
            Kind::Fixed(fixed) => Some(fixed.size),
            _ => None,
        };
        Ok(Write::Decimal(DecimalWrite { factor, bound, size }))
    }

    fn unfit(&self, id: NodeId, column: &Field) -> Box<Fault> {
        let (from, to) = (sql_name(column.data_type()), self.schema.describe(id));
        Fault::value(format!("{from} cannot be written as {to}"))
    }
}

impl Write {
    /// Whether a single value may be of the column's type and yet none that is written so. What values are made of is not looked at:
    /// of records, lists and maps the first that fits a column is its branch.
    fn may_refuse(&self) -> bool {
        matches!(
            self,
            Write::NarrowNumber
                | Write::Time { .. }
                | Write::Fixed(_)
                | Write::Uuid
                | Write::Duration
                | Write::Decimal(_)
                | Write::Enum(_)
        )
    }

    /// Writes the value of `row`. After a fault `out` ends somewhere within it.
    #[inline]
    pub(super) fn run(&self, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        match (self, &cells.values) {
            (Write::Nullable { null, branch, value }, _) => {
                if cells.is_null(row) {
                    put_zigzag(*null as i64, out);
                } else {
                    put_zigzag(*branch as i64, out);
                    value.run(cells, row, out)?;
                }
            }
            (Write::Number, Values::Int64(values)) => put_zigzag(values[row], out),
            (Write::Number, Values::Int32(values)) => put_zigzag(i64::from(values[row]), out),
            (Write::Double, Values::Float64(values)) => out.extend_from_slice(&values[row].to_le_bytes()),
            (Write::Sized, Values::Sized(offsets, bytes)) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let len = end - start;
                put_zigzag(len as i64, out);
                match bytes[start..].first_chunk::<PIECE>() {
                    Some(piece) if len <= PIECE => put_piece(piece, len, out),
                    _ => out.extend_from_slice(&bytes[start..end]),
                }
            }
            (Write::Record(fields), Values::Struct(columns)) => {
                for field in fields {
                    match field {
                        FieldWrite::Column(index, name, write) => {
                            write.run(&columns[*index], row, out).map_err(|fault| fault.in_member(name))?;
                        }
                        FieldWrite::Constant(bytes) => out.extend_from_slice(bytes),
                    }
                }
            }
            (Write::Required(_), _) if cells.is_null(row) => {
                return Err(Fault::value("null, where the schema has no place for it"));
            }
            (Write::Required(value), _) => value.run(cells, row, out)?,
            _ => self.run_rare(cells, row, out)?,
        }
        Ok(())
    }

    fn run_rare(&self, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        match (self, &cells.values) {
            (Write::Null, _) => {}
            (Write::Boolean, Values::Boolean(values)) => out.push(u8::from(values.value(row))),
            (Write::NarrowNumber, Values::Int64(values)) => match i32::try_from(values[row]) {
                Ok(value) => put_zigzag(i64::from(value), out),
                Err(_) => return Err(Fault::value(format!("{} is beyond an int", values[row]))),
            },
            (Write::Float, Values::Float32(values)) => out.extend_from_slice(&values[row].to_le_bytes()),
            (Write::AsDouble, Values::Float32(values)) => {
                out.extend_from_slice(&f64::from(values[row]).to_le_bytes());
            }
            (Write::AsDouble, Values::Int32(values)) => out.extend_from_slice(&f64::from(values[row]).to_le_bytes()),
            (Write::Time { times, over }, Values::Int64(values)) => {
                let value = values[row];
                let whole = (value % over == 0).then(|| (value / over).checked_mul(*times)).flatten();
                let lost = || Fault::value(format!("time {value} cannot be written in the schema's unit without loss"));
                put_zigzag(whole.ok_or_else(lost)?, out);
            }
            (Write::Fixed(size), Values::Sized(offsets, bytes)) => {
                let bytes = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                if bytes.len() != *size {
                    return Err(Fault::value(format!("{} bytes, where the schema has {size}", bytes.len())));
                }
                out.extend_from_slice(bytes);
            }
            (Write::Uuid, Values::Sized(offsets, bytes)) => {
                let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                out.extend_from_slice(&uuid(text).ok_or_else(|| Fault::value("not a uuid"))?);
            }
            (Write::Duration, Values::Struct(parts)) => {
                for part in parts {
                    let Values::Int64(values) = &part.values else { unreachable!("a writer is made for its columns") };
                    if part.is_null(row) {
                        return Err(Fault::value("a duration without months, days or milliseconds"));
                    }
                    let part = u32::try_from(values[row]);
                    let part = part.map_err(|_| Fault::value(format!("{} is beyond a duration", values[row])))?;
                    out.extend_from_slice(&part.to_le_bytes());
                }
            }
            (Write::Decimal(decimal), Values::Decimal(values)) => decimal.run(values[row], out)?,
            (Write::Enum(symbols), Values::Sized(offsets, bytes)) => {
                let bytes = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                let found = symbols.binary_search_by(|(symbol, _)| symbol.as_slice().cmp(bytes));
                let at = found.map_err(|_| no_symbol(bytes))?;
                put_zigzag(symbols[at].1 as i64, out);
            }
            (Write::Branch { branch, value }, _) => {
                put_zigzag(*branch as i64, out);
                value.run(cells, row, out)?;
            }
            (Write::Choice { null, branches }, _) => match (cells.is_null(row), null) {
                (true, Some(null)) => put_zigzag(*null as i64, out),
                (true, None) => return Err(Fault::value("null, where the schema has no place for it")),
                (false, _) => choose(branches, cells, row, out)?,
            },
            (Write::Members { null, members }, Values::Struct(columns)) => {
                let mut present = members.iter().zip(columns).filter(|(_, cells)| !cells.is_null(row));
                let (first, more) = match cells.is_null(row) {
                    true => (None, None),
                    false => (present.next(), present.next()),
                };
                match (first, more, null) {
                    (Some(((branch, write), cells)), None, _) => {
                        put_zigzag(*branch as i64, out);
                        write.run(cells, row, out)?;
                    }
                    (None, _, Some(null)) => put_zigzag(*null as i64, out),
                    (None, _, None) => return Err(Fault::value("no member of the union has a value")),
                    (Some(_), Some(_), _) => return Err(Fault::value("more than one member of the union has a value")),
                }
            }
            (Write::List(item), Values::List(offsets, items)) => {
                let (start, end) = (offsets[row], offsets[row + 1]);
                if start < end {
                    put_zigzag(i64::from(end - start), out);
                    for index in start..end {
                        item.run(items, index as usize, out)
                            .map_err(|fault| fault.in_item((index - start) as usize))?;
                    }
                }
                out.push(0);
            }
            (Write::Map(value), Values::Map(offsets, entries)) => {
                let (start, end) = (offsets[row], offsets[row + 1]);
                let [keys, values] = entries.as_ref();
                if start < end {
                    put_zigzag(i64::from(end - start), out);
                    for index in start..end {
                        Write::Sized.run(keys, index as usize, out)?;
                        value
                            .run(values, index as usize, out)
                            .map_err(|fault| fault.in_item((index - start) as usize))?;
                    }
                }
                out.push(0);
            }
            _ => unreachable!("a writer is made for its columns"),
        }
        Ok(())
    }
}

/// Writes a value by the first branch that takes it; where none does, the first says why.
fn choose(branches: &[(usize, Write)], cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
    let start = out.len();
    let mut refused = Ok(());
    for (branch, value) in branches {
        put_zigzag(*branch as i64, out);
        match value.run(cells, row, out) {
            Ok(()) => return Ok(()),
            fault => {
                out.truncate(start);
                refused = refused.and(fault);
            }
        }
    }
    refused
}

#[cold]
fn no_symbol(bytes: &[u8]) -> Box<Fault> {
    let text = String::from_utf8_lossy(bytes);
    Fault::value(format!("\"{}\" is not a symbol of the schema's enum", crate::fault::excerpt(&text)))
}

impl DecimalWrite {
    fn run(&self, value: i128, out: &mut Vec<u8>) -> Fallible<()> {
        let scaled = value.checked_mul(self.factor).filter(|value| *value < self.bound && *value > -self.bound);
        let value = scaled.ok_or_else(|| Fault::value("a decimal of more digits than the schema's"))?;
        let bytes = value.to_be_bytes();
        match self.size {
            None => {
                let bytes = shortest(&bytes);
                put_zigzag(bytes.len() as i64, out);
                out.extend_from_slice(bytes);
            }
            Some(size) => {
                let bytes = if size < bytes.len() { shortest(&bytes) } else { &bytes[..] };
                // The schema's precision is checked to fit its size when it is parsed.
                let sign = if value < 0 { 0xff } else { 0 };
                out.extend(std::iter::repeat_n(sign, size.saturating_sub(bytes.len())));
                out.extend_from_slice(bytes);
            }
        }
        Ok(())
    }
}

/// The shortest two's complement of the same number.
fn shortest(bytes: &[u8; 16]) -> &[u8] {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let mut start = 0;
    while start < 15 && bytes[start] == sign && (bytes[start + 1] ^ sign) & 0x80 == 0 {
        start += 1;
    }
    &bytes[start..]
}

/// The sixteen bytes of hexadecimal digits, with hyphens anywhere between bytes.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut digits = text.iter().filter(|&&byte| byte != b'-').map(|&byte| char::from(byte).to_digit(16));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(bytes)
}
