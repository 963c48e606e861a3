//! A message's bytes into columns: the bytes are walked once and the last value of each field that is read is noted,
//! then every column gets its value. Never panics, never believes a length, never goes deeper than the columns do.

use super::fields::{Wire, code, number, sized, skip, tag};
use super::flat::{self, Flat};
use super::json;
use super::map::{Entry, Part, part};
use super::schema::JsonKind;
use crate::column::{Column, Values};
use crate::fault::{Fallible, Fault, excerpt};
use crate::members::Members;
use crate::number::decimal;
use crate::temporal;
use crate::wire::{Input, Room};

/// How to read one message.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) plans: Vec<Plan>,
    /// Columns that the message has no field for.
    pub(super) nulls: Vec<usize>,
    pub(super) numbers: Numbers,
    /// The plans of each oneof of which one is read.
    pub(super) oneofs: Vec<Vec<usize>>,
    /// The quick way, where there is one.
    pub(super) flat: Option<Flat>,
}

/// A field that is read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) column: usize,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    One(Value, Absent),
    List(Value),
    Map(Box<Entry>),
}

/// What a column gets where the message has no such field.
#[derive(Debug)]
pub(super) enum Absent {
    Null,
    Default(Raw),
    /// The message is broken without it.
    Required,
}

/// A value as it stands in a message.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    Number(u64),
    Bytes(Vec<u8>),
}

/// How to read one value into one column.
#[derive(Debug)]
pub(super) enum Value {
    Number(Wire, Number),
    Enum(Vec<(i32, String)>),
    Text,
    /// Text of a date or a decimal.
    Parsed,
    Bytes,
    Message(Program),
    /// A list or map in a message of its own, whose only field has this number.
    Items(u32, Box<Plan>),
    /// The parts of a second that the column counts.
    Time(i64),
    /// The only field of a wrapper.
    Wrapped(Box<Value>, Raw),
    Json(JsonKind),
}

/// What the bits of a number mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Boolean,
    /// `int32`, `sfixed32`: the low 32 bits.
    Int32,
    Uint32,
    Sint32,
    Int64,
    Uint64,
    Sint64,
    Float,
    Double,
}

/// What is to be done with a field, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Nothing reads it.
    Unread,
    /// The plan of this index, and of its oneof the index plus one or 0.
    Plan(u16, u16),
    /// A member of this oneof that is not read: those that are, are gone.
    Clears(u16),
}

/// Targets by field number.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    low: Vec<Target>,
    high: Vec<(u32, Target)>,
}

const LOW: usize = 256;

impl Numbers {
    pub(super) fn insert(&mut self, number: u32, target: Target) {
        if (number as usize) < LOW {
            if self.low.len() <= number as usize {
                self.low.resize(number as usize + 1, Target::Unread);
            }
            self.low[number as usize] = target;
        } else {
            let at = self.high.partition_point(|(other, _)| *other < number);
            self.high.insert(at, (number, target));
        }
    }

    /// Whether anything is done with this field.
    pub(super) fn is_read(&self, number: u32) -> bool {
        self.find(number) != Target::Unread
    }

    #[inline]
    fn find(&self, number: u32) -> Target {
        match self.low.get(number as usize) {
            Some(target) => *target,
            None => match self.high.binary_search_by_key(&number, |(number, _)| *number) {
                Ok(at) => self.high[at].1,
                Err(_) => Target::Unread,
            },
        }
    }
}

/// What was noted of a field: nothing, a number, or where its bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    Absent,
    Number(u64),
    Range(usize, usize),
    /// A message in parts, put together: the index of its bytes.
    Merged(usize),
}

/// What a message's programs share while they run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) slots: &'a mut Vec<Slot>,
    pub(super) room: Room,
}

impl Program {
    /// Reads one message to one row of `members`. After a fault the columns are of different lengths.
    pub(super) fn run(&self, message: &[u8], members: &mut Members, run: &mut Run<'_>) -> Fallible<()> {
        if let Some(flat) = &self.flat {
            let (rows, room) = (members.rows, run.room);
            if flat::run(self, flat, message, members, run).is_some() {
                return Ok(());
            }
            // Something rare is in it, or wrong with it: the general way says what.
            members.truncate(rows);
            run.room = room;
        }
        let base = run.slots.len();
        run.slots.resize(base + self.plans.len(), Slot::Absent);
        let mut merged = Vec::new();
        self.walk(message, members, run, base, &mut merged)?;
        for (index, plan) in self.plans.iter().enumerate() {
            let column = &mut members.columns[plan.column];
            let slot = run.slots[base + index];
            if let Err(fault) = plan.finish(slot, message, &merged, column, run) {
                return Err(fault.in_member(column.field.name()));
            }
        }
        for &index in &self.nulls {
            let column = &mut members.columns[index];
            column.push_missing("nothing").map_err(|fault| fault.in_member(column.field.name()))?;
        }
        members.rows += 1;
        run.slots.truncate(base);
        Ok(())
    }

    fn walk(
        &self,
        message: &[u8],
        members: &mut Members,
        run: &mut Run<'_>,
        base: usize,
        merged: &mut Vec<Vec<u8>>,
    ) -> Fallible<()> {
        let mut input = Input::new(message, usize::MAX);
        while !input.is_empty() {
            let (number, wire) = tag(&mut input)?;
            let (index, oneof) = match self.numbers.find(number) {
                Target::Unread => {
                    skip(&mut input, number, wire, 0)?;
                    continue;
                }
                Target::Clears(oneof) => {
                    self.clear(oneof, run.slots, base);
                    skip(&mut input, number, wire, 0)?;
                    continue;
                }
                Target::Plan(index, oneof) => (usize::from(index), oneof),
            };
            let plan = &self.plans[index];
            let column = &mut members.columns[plan.column];
            match &plan.shape {
                Shape::One(value, _) => {
                    if wire != code(value.wire()) {
                        skip(&mut input, number, wire, 0)?;
                        continue;
                    }
                    if oneof > 0 {
                        let own = run.slots[base + index];
                        self.clear(oneof - 1, run.slots, base);
                        run.slots[base + index] = own;
                    }
                    let slot = &mut run.slots[base + index];
                    *slot = note(value, *slot, &mut input, message, merged)?;
                }
                Shape::List(value) => {
                    if let Err(fault) = item(value, number, wire, &mut input, column, run) {
                        return Err(fault.in_member(column.field.name()));
                    }
                }
                Shape::Map(entry) => {
                    if wire != code(Wire::Sized) {
                        skip(&mut input, number, wire, 0)?;
                        continue;
                    }
                    let bytes = sized(&mut input)?;
                    if let Err(fault) = entry.push(bytes, column, run) {
                        return Err(fault.in_member(column.field.name()));
                    }
                }
            }
        }
        Ok(())
    }

    fn clear(&self, oneof: u16, slots: &mut [Slot], base: usize) {
        for &member in &self.oneofs[usize::from(oneof)] {
            slots[base + member] = Slot::Absent;
        }
    }
}

/// Notes the next value of a field that stands once. A message that stands in parts is all of them together.
#[inline]
fn note(value: &Value, slot: Slot, input: &mut Input<'_>, message: &[u8], merged: &mut Vec<Vec<u8>>) -> Fallible<Slot> {
    if value.wire() != Wire::Sized {
        return Ok(Slot::Number(number(value.wire(), input)?));
    }
    let bytes = sized(input)?;
    let end = message.len() - input.remaining();
    if matches!(value, Value::Text | Value::Parsed | Value::Bytes) {
        return Ok(Slot::Range(end - bytes.len(), end));
    }
    Ok(match slot {
        Slot::Range(start, before) => {
            merged.push([&message[start..before], bytes].concat());
            Slot::Merged(merged.len() - 1)
        }
        Slot::Merged(index) => {
            merged[index].extend_from_slice(bytes);
            slot
        }
        Slot::Absent | Slot::Number(_) => Slot::Range(end - bytes.len(), end),
    })
}

impl Plan {
    /// Gives the column its value for this row.
    #[inline]
    fn finish(
        &self,
        slot: Slot,
        message: &[u8],
        merged: &[Vec<u8>],
        column: &mut Column,
        run: &mut Run<'_>,
    ) -> Fallible<()> {
        match &self.shape {
            Shape::One(value, absent) => match (slot, absent) {
                (Slot::Number(number), _) => value.push_number(number, column, run),
                (Slot::Range(start, end), _) => value.push_bytes(&message[start..end], column, run),
                (Slot::Merged(index), _) => value.push_bytes(&merged[index], column, run),
                (Slot::Absent, Absent::Null) => column.push_missing("nothing"),
                (Slot::Absent, Absent::Default(raw)) => value.push_default(raw, column, run),
                (Slot::Absent, Absent::Required) => Err(Fault::value("is required, and the message does not have it")),
            },
            Shape::List(_) => {
                let Values::List(offsets, items) = &mut column.values else { unreachable!("made for its column") };
                offsets.push(items.len() as i32);
                column.appended();
                Ok(())
            }
            Shape::Map(entry) => entry.finish(message, column, run),
        }
    }
}

impl Plan {
    /// Gives the column its value for this row: a list or map from a message of which it is the only field.
    fn run_alone(&self, own: u32, message: &[u8], column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        let mut input = Input::new(message, usize::MAX);
        while !input.is_empty() {
            let (field, wire) = tag(&mut input)?;
            match &self.shape {
                Shape::List(value) if field == own => item(value, field, wire, &mut input, column, run)?,
                Shape::Map(entry) if field == own && wire == code(Wire::Sized) => {
                    entry.push(sized(&mut input)?, column, run)?;
                }
                _ => skip(&mut input, field, wire, 0)?,
            }
        }
        self.finish(Slot::Absent, message, &[], column, run)
    }
}

/// The fault of a text that is no value of the column's type.
fn no_value(bytes: &[u8], what: &str) -> Box<Fault> {
    Fault::value(format!("\"{}\" is no {what}", excerpt(&String::from_utf8_lossy(bytes))))
}

/// Appends the next item, or the next packed ones, of a list.
fn item(
    value: &Value,
    field: u32,
    wire: u8,
    input: &mut Input<'_>,
    column: &mut Column,
    run: &mut Run<'_>,
) -> Fallible<()> {
    let Values::List(_, items) = &mut column.values else { unreachable!("made for its column") };
    if wire == code(value.wire()) {
        if value.wire() == Wire::Sized {
            run.room.spend(items.cost)?;
            return value.push_bytes(sized(input)?, items, run);
        }
        return value.push_number(number(value.wire(), input)?, items, run);
    }
    if wire != code(Wire::Sized) || value.wire() == Wire::Sized {
        return skip(input, field, wire, 0);
    }
    let mut packed = Input::new(sized(input)?, usize::MAX);
    while !packed.is_empty() {
        value.push_number(number(value.wire(), &mut packed)?, items, run)?;
    }
    Ok(())
}

impl Number {
    /// The whole number that the bits are.
    #[inline]
    pub(super) fn integer(self, raw: u64) -> i64 {
        match self {
            Number::Boolean => i64::from(raw != 0),
            Number::Int32 => i64::from(raw as i32),
            Number::Uint32 => i64::from(raw as u32),
            Number::Sint32 => i64::from((raw as u32 >> 1) as i32 ^ -((raw & 1) as i32)),
            Number::Sint64 => (raw >> 1) as i64 ^ -((raw & 1) as i64),
            Number::Int64 | Number::Uint64 | Number::Float | Number::Double => raw as i64,
        }
    }
}

impl Value {
    #[inline]
    pub(super) fn wire(&self) -> Wire {
        match self {
            Value::Number(wire, _) => *wire,
            Value::Enum(_) => Wire::Varint,
            _ => Wire::Sized,
        }
    }

    #[inline]
    pub(super) fn push_number(&self, raw: u64, column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        match (self, &mut column.values) {
            (Value::Number(_, number), Values::Int64(values)) => {
                if *number == Number::Uint64 && raw > i64::MAX as u64 {
                    return Err(Fault::value(format!("{raw} is beyond a bigint")));
                }
                values.push(number.integer(raw));
            }
            (Value::Number(_, number), Values::Int32(values)) => values.push(number.integer(raw) as i32),
            (Value::Number(_, Number::Double), Values::Float64(values)) => values.push(f64::from_bits(raw)),
            (Value::Number(_, _), Values::Float64(values)) => values.push(f64::from(f32::from_bits(raw as u32))),
            (Value::Number(_, _), Values::Float32(values)) => values.push(f32::from_bits(raw as u32)),
            (Value::Number(_, _), Values::Boolean(values)) => values.push(raw != 0),
            (Value::Number(_, number), Values::Decimal(values, _, _)) => values.push(match number {
                Number::Uint64 => i128::from(raw),
                number => i128::from(number.integer(raw)),
            }),
            (Value::Number(_, number), Values::Timestamp(values, _)) => values.push(number.integer(raw)),
            (Value::Enum(names), Values::Utf8(values)) => {
                let number = raw as i32;
                match names.binary_search_by_key(&number, |(number, _)| *number) {
                    Ok(at) => {
                        run.room.spend(names[at].1.len())?;
                        values.push(names[at].1.as_bytes());
                    }
                    // An enum may have grown since this schema.
                    Err(_) => {
                        run.room.spend(11)?;
                        values.push(number.to_string().as_bytes());
                    }
                }
            }
            (Value::Enum(_), Values::Int32(values)) => values.push(raw as i32),
            _ => unreachable!("a program is made for its columns"),
        }
        column.appended();
        Ok(())
    }

    #[inline]
    pub(super) fn push_bytes(&self, bytes: &[u8], column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        match (self, &mut column.values) {
            (Value::Text, Values::Utf8(values)) => values.push_text(bytes, bytes.len())?,
            (Value::Text | Value::Bytes, Values::Binary(values)) => values.push(bytes),
            (Value::Message(program), Values::Struct(members)) => program.run(bytes, members, run)?,
            (Value::Items(number, plan), _) => return plan.run_alone(*number, bytes, column, run),
            (Value::Parsed, Values::Date(values)) => {
                let text = std::str::from_utf8(bytes).ok();
                values.push(text.and_then(temporal::date).ok_or_else(|| no_value(bytes, "date"))?);
            }
            (Value::Parsed, Values::Decimal(values, precision, scale)) => {
                let text = std::str::from_utf8(bytes).ok();
                let decimal = text.and_then(|text| decimal(text, *precision, *scale));
                let what = || format!("decimal({precision},{scale})");
                values.push(decimal.ok_or_else(|| no_value(bytes, &what()))?);
            }
            (Value::Time(per_second), Values::Timestamp(values, _)) => values.push(time(bytes, *per_second)?),
            (Value::Wrapped(value, default), _) => {
                let mut input = Input::new(bytes, usize::MAX);
                let mut found = None;
                while !input.is_empty() {
                    let (field, wire) = tag(&mut input)?;
                    match field {
                        1 if wire == code(value.wire()) => found = Some(part(value.wire(), &mut input)?),
                        _ => skip(&mut input, field, wire, 0)?,
                    }
                }
                return match found {
                    Some(Part::Number(number)) => value.push_number(number, column, run),
                    Some(Part::Bytes(bytes)) => value.push_bytes(bytes, column, run),
                    None => value.push_default(default, column, run),
                };
            }
            (Value::Json(kind), Values::Utf8(values)) => {
                let start = values.bytes.len();
                json::write(*kind, bytes, &mut values.bytes)?;
                run.room.spend(values.bytes.len() - start)?;
                values.end();
            }
            _ => unreachable!("a program is made for its columns"),
        }
        column.appended();
        Ok(())
    }

    pub(super) fn push_default(&self, raw: &Raw, column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        match raw {
            Raw::Number(number) => self.push_number(*number, column, run),
            Raw::Bytes(bytes) => {
                run.room.spend(bytes.len())?;
                self.push_bytes(bytes, column, run)
            }
        }
    }
}

/// Seconds and nanoseconds of a `google.protobuf.Timestamp`; what is finer than the column is cut off.
fn time(bytes: &[u8], per_second: i64) -> Fallible<i64> {
    let mut input = Input::new(bytes, usize::MAX);
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    while !input.is_empty() {
        match tag(&mut input)? {
            (1, 0) => seconds = input.varint()? as i64,
            (2, 0) => nanos = i64::from(input.varint()? as i32),
            (field, wire) => skip(&mut input, field, wire, 0)?,
        }
    }
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(Fault::value(format!("{nanos} nanoseconds of a second")));
    }
    let whole =
        seconds.checked_mul(per_second).and_then(|whole| whole.checked_add(nanos / (1_000_000_000 / per_second)));
    whole.ok_or_else(|| Fault::value(format!("a time {seconds} seconds from 1970 is beyond the column's")))
}

#[inline]
pub(super) fn utf8(bytes: &[u8]) -> Fallible<()> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::value(format!("not UTF-8 from byte {} of the text", error.valid_up_to()))),
    }
}
