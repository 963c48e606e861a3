//! What resolution makes of a writer's schema: steps that read the bytes of a record straight into columns, in the order
//! of the bytes. Running a program never panics and never allocates beyond what the message pays for.

use super::skip::{Bounds, Skip, Skips, branch, length, sized};
use crate::column::{Bytes, Column, Values};
use crate::fault::{Fallible, Fault};
use crate::members::Members;
use crate::wire::Input;

/// How to read one record: each column of its members gets exactly one value.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Pass over what no column wants.
    Skip(Skip),
    /// Read the next value into this column.
    Read(usize, Read),
    /// The writer has no such field: the reader's default.
    Default(usize, Default),
    /// The writer has no such field, and a column may be null.
    Null(usize),
}

/// A reader's default, as bytes of the reader's schema.
#[derive(Debug)]
pub(super) struct Default {
    pub(super) bytes: Vec<u8>,
    pub(super) read: Read,
    pub(super) skips: Skips,
}

/// How to read one value into one column.
#[derive(Debug)]
pub(super) enum Read {
    Null,
    Boolean,
    /// An `int` to int or date.
    Int,
    /// A `long` to bigint or timestamp.
    Long,
    /// An `int` to bigint or timestamp.
    IntAsLong,
    /// A `long` that counts other parts of a second than the column.
    Time(TimeScale),
    /// An `int` to bigint, which counts that many parts to one of the `int`'s.
    IntTimes(i64),
    Float,
    Double,
    /// A number that the reader's schema widens.
    Widened(Widening),
    Text,
    Bytes,
    FixedBytes(usize),
    Uuid,
    Duration,
    Decimal(Decimal),
    Enum(Vec<Symbol>),
    /// A union of null and one other type: the index of null.
    Nullable(usize, Box<Read>),
    Union(Vec<Branch>),
    /// A branch of the reader's union, which is a struct with a member for each branch.
    Member(Option<usize>, Box<Member>),
    Struct(Program),
    List(Box<Read>, Items),
    Map(Box<Read>, Items),
}

/// A value that is a member of its column, or is not read.
#[derive(Debug)]
pub(super) enum Member {
    Read(Read),
    Skip(Skip),
}

/// A branch of the writer's union.
#[derive(Debug)]
pub(super) enum Branch {
    Read(Read),
    /// The branch does not fit the column; says why.
    Refused(String),
}

/// A symbol of the writer's enum, as the reader has it.
#[derive(Debug)]
pub(super) enum Symbol {
    Text(String),
    /// The reader neither knows it nor has a default.
    Unknown(String),
}

/// Items of a list or map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Items {
    pub(super) bounds: Bounds,
    /// The bytes that an item takes in columns at least.
    pub(super) cost: usize,
}

/// From the writer's parts of a second to the column's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeScale {
    Times(i64),
    /// Rounded towards the past.
    Over(i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    /// The length of a fixed; `None` of bytes.
    pub(super) size: Option<usize>,
    /// What the writer's number is multiplied with to be of the column's scale.
    pub(super) factor: i128,
    /// The column's bound: ten to its precision.
    pub(super) bound: i128,
}

/// A number on its way from writer to column; the reader's schema may stand between, and a `float` there costs digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Widening {
    pub(super) from: Number,
    pub(super) through_float: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Int,
    Long,
    Float,
}

impl Program {
    /// Reads one record to one row of `members`. After a fault the columns are of different lengths.
    #[inline]
    pub(super) fn run(&self, input: &mut Input<'_>, members: &mut Members, skips: &Skips) -> Fallible<()> {
        for step in &self.steps {
            match step {
                Step::Skip(skip) => skips.run(skip, input)?,
                Step::Read(index, read) => {
                    let column = &mut members.columns[*index];
                    if let Err(fault) = read.run(input, column, skips) {
                        return Err(fault.in_member(column.field.name()));
                    }
                }
                Step::Default(index, default) => {
                    let column = &mut members.columns[*index];
                    input.spend(default.bytes.len())?;
                    let mut aside = input.aside(&default.bytes);
                    let read = default.read.run(&mut aside, column, &default.skips);
                    input.settle(&aside);
                    read.map_err(|fault| fault.in_member(column.field.name()))?;
                }
                Step::Null(index) => {
                    let column = &mut members.columns[*index];
                    column.push_missing("nothing").map_err(|fault| fault.in_member(column.field.name()))?;
                }
            }
        }
        members.rows += 1;
        Ok(())
    }
}

impl Read {
    /// Reads one value to the end of `column`.
    #[inline]
    pub(super) fn run(&self, input: &mut Input<'_>, column: &mut Column, skips: &Skips) -> Fallible<()> {
        match (self, &mut column.values) {
            (Read::Int, Values::Int32(values) | Values::Date(values)) => values.push(int(input)?),
            (Read::Long, Values::Int64(values) | Values::Timestamp(values, _)) => values.push(input.zigzag()?),
            (Read::Double, Values::Float64(values)) => values.push(f64::from_le_bytes(input.array()?)),
            (Read::Text, Values::Utf8(values)) => text(input, values)?,
            (Read::Nullable(null, read), _) => {
                return match branch(input, 2)? == *null {
                    true => column.push_missing("null"),
                    false => read.run(input, column, skips),
                };
            }
            (Read::Enum(symbols), Values::Utf8(values)) => symbol(symbols, input, values)?,
            (Read::Boolean, Values::Boolean(values)) => values.push(boolean(input)?),
            (Read::Bytes, Values::Binary(values)) => values.push(sized(input)?),
            (Read::Struct(program), Values::Struct(members)) => program.run(input, members, skips)?,
            _ => return self.run_rare(input, column, skips),
        }
        column.appended();
        Ok(())
    }

    fn run_rare(&self, input: &mut Input<'_>, column: &mut Column, skips: &Skips) -> Fallible<()> {
        match (self, &mut column.values) {
            (Read::Null, _) => return column.push_missing("null"),
            (Read::Union(branches), _) => {
                return match &branches[branch(input, branches.len())?] {
                    Branch::Read(read) => read.run(input, column, skips),
                    Branch::Refused(reason) => Err(Fault::value(reason.clone())),
                };
            }
            (Read::IntAsLong, Values::Int64(values) | Values::Timestamp(values, _)) => {
                values.push(i64::from(int(input)?));
            }
            (Read::IntTimes(factor), Values::Int64(values)) => {
                let value = i64::from(int(input)?);
                values.push(TimeScale::Times(*factor).apply(value)?);
            }
            (Read::Time(scale), Values::Timestamp(values, _)) => values.push(scale.apply(input.zigzag()?)?),
            (Read::Float, Values::Float32(values)) => values.push(f32::from_le_bytes(input.array()?)),
            (Read::Widened(widening), Values::Float32(values)) => values.push(widening.float(input)?),
            (Read::Widened(widening), Values::Float64(values)) => values.push(widening.double(input)?),
            (Read::FixedBytes(len), Values::Binary(values)) => values.push(input.take(*len)?),
            (Read::Uuid, Values::Utf8(values)) => {
                input.spend(20)?;
                values.push(&uuid(input.array()?));
            }
            (Read::Duration, Values::Struct(members)) => duration(input.array()?, members)?,
            (Read::Decimal(decimal), Values::Decimal(values, _, _)) => {
                let bytes = match decimal.size {
                    Some(len) => input.take(len)?,
                    None => sized(input)?,
                };
                values.push(decimal.value(bytes)?);
            }
            (Read::Member(index, member), Values::Struct(members)) => {
                for (other, column) in members.columns.iter_mut().enumerate() {
                    if Some(other) != *index {
                        column.push_null();
                    }
                }
                match (member.as_ref(), index) {
                    (Member::Read(read), Some(index)) => {
                        let column = &mut members.columns[*index];
                        read.run(input, column, skips).map_err(|fault| fault.in_member(column.field.name()))?;
                    }
                    (Member::Skip(skip), _) => skips.run(skip, input)?,
                    (Member::Read(_), None) => unreachable!("a member that is read has a place"),
                }
                members.rows += 1;
            }
            (Read::List(item, items), Values::List(offsets, column)) => {
                list(item, *items, input, column, skips)?;
                offsets.push(column.len() as i32);
            }
            (Read::Map(value, items), Values::Map(offsets, keys, values)) => {
                map(value, *items, input, (keys, values), skips)?;
                offsets.push(values.len() as i32);
            }
            _ => unreachable!("a program is made for its columns"),
        }
        column.appended();
        Ok(())
    }
}

fn list(item: &Read, items: Items, input: &mut Input<'_>, column: &mut Column, skips: &Skips) -> Fallible<()> {
    let mut total = 0;
    while let Some(count) = items.bounds.next_block(input, total)? {
        input.spend(count.saturating_mul(items.cost))?;
        for index in total..total + count {
            item.run(input, column, skips).map_err(|fault| fault.in_item(index))?;
        }
        total += count;
    }
    Ok(())
}

fn map(
    value: &Read,
    items: Items,
    input: &mut Input<'_>,
    (keys, values): (&mut Column, &mut Column),
    skips: &Skips,
) -> Fallible<()> {
    let first = keys.len();
    let mut total = 0;
    while let Some(count) = items.bounds.next_block(input, total)? {
        input.spend(count.saturating_mul(items.cost))?;
        for _ in 0..count {
            Read::Text.run(input, keys, skips)?;
            if let Err(fault) = value.run(input, values, skips) {
                let Values::Utf8(texts) = &keys.values else { unreachable!("maps have string keys") };
                let name = String::from_utf8_lossy(texts.last()).into_owned();
                return Err(fault.in_member(&name));
            }
        }
        total += count;
    }
    let Values::Utf8(texts) = &keys.values else { unreachable!("maps have string keys") };
    match texts.repeated_from(first) {
        Some(name) if total > 1 => Err(Members::repeated(&String::from_utf8_lossy(name))),
        _ => Ok(()),
    }
}

/// Reads a text.
#[inline]
fn text(input: &mut Input<'_>, values: &mut Bytes) -> Fallible<()> {
    let len = length(input)?;
    let ahead = input.rest();
    input.take(len)?;
    values.push_text(ahead, len)
}

#[inline]
fn symbol(symbols: &[Symbol], input: &mut Input<'_>, values: &mut Bytes) -> Fallible<()> {
    let index = input.zigzag()?;
    match usize::try_from(index).ok().and_then(|index| symbols.get(index)) {
        Some(Symbol::Text(text)) => {
            input.spend(text.len())?;
            values.push(text.as_bytes());
            Ok(())
        }
        other => Err(no_symbol(other, index, symbols.len())),
    }
}

#[cold]
fn no_symbol(found: Option<&Symbol>, index: i64, symbols: usize) -> Box<Fault> {
    Fault::value(match found {
        Some(Symbol::Text(text) | Symbol::Unknown(text)) => {
            format!("symbol {text} is not among those of the reader's enum")
        }
        None => format!("symbol {index} of an enum of {symbols}"),
    })
}

#[inline]
fn int(input: &mut Input<'_>) -> Fallible<i32> {
    let value = input.zigzag()?;
    i32::try_from(value).map_err(|_| Fault::value(format!("{value} is beyond an int")))
}

#[inline]
fn boolean(input: &mut Input<'_>) -> Fallible<bool> {
    match input.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(Fault::value(format!("byte {other}, where a boolean is 0 or 1"))),
    }
}

impl TimeScale {
    fn apply(self, value: i64) -> Fallible<i64> {
        match self {
            TimeScale::Over(divisor) => Ok(value.div_euclid(divisor)),
            TimeScale::Times(factor) => {
                value.checked_mul(factor).ok_or_else(|| Fault::value(format!("time {value} is beyond the column's")))
            }
        }
    }
}

impl Widening {
    fn float(self, input: &mut Input<'_>) -> Fallible<f32> {
        Ok(match self.from {
            Number::Int => int(input)? as f32,
            Number::Long => input.zigzag()? as f32,
            Number::Float => f32::from_le_bytes(input.array()?),
        })
    }

    fn double(self, input: &mut Input<'_>) -> Fallible<f64> {
        Ok(match self.from {
            _ if self.through_float => f64::from(self.float(input)?),
            Number::Int => f64::from(int(input)?),
            Number::Long => input.zigzag()? as f64,
            Number::Float => f64::from(f32::from_le_bytes(input.array()?)),
        })
    }
}

impl Decimal {
    /// The number of big-endian two's complement in `bytes`, in the column's scale.
    fn value(&self, bytes: &[u8]) -> Fallible<i128> {
        let too_large = || Fault::value("a decimal of more digits than the column's");
        let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let digits = match bytes.len().checked_sub(16) {
            None | Some(0) => bytes,
            Some(extra) if bytes[..extra].iter().all(|&byte| byte == sign) && (bytes[extra] ^ sign) & 0x80 == 0 => {
                &bytes[extra..]
            }
            Some(_) => return Err(too_large()),
        };
        let mut word = [sign; 16];
        word[16 - digits.len()..].copy_from_slice(digits);
        let value = i128::from_be_bytes(word).checked_mul(self.factor).ok_or_else(too_large)?;
        if value >= self.bound || value <= -self.bound {
            return Err(too_large());
        }
        Ok(value)
    }
}

/// Sixteen bytes as 8-4-4-4-12 hexadecimal digits.
fn uuid(bytes: [u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// Three little-endian numbers: months, days, milliseconds.
fn duration(bytes: [u8; 12], members: &mut Members) -> Fallible<()> {
    let (parts, _) = bytes.as_chunks::<4>();
    for (column, part) in members.columns.iter_mut().zip(parts) {
        let Values::Int64(values) = &mut column.values else { unreachable!("a program is made for its columns") };
        values.push(i64::from(u32::from_le_bytes(*part)));
        column.appended();
    }
    members.rows += 1;
    Ok(())
}
