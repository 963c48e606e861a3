//! The quick way for messages without nested ones, lists, maps and oneofs: each field goes to its column as soon as it is met.
//! It gives up, with nothing said, on all that is rare or wrong: a field that stands twice, a wire type that is not the
//! schema's, a value that is refused.

use super::fields::{Wire, code, number, skip};
use super::program::{Absent, Number, Plan, Program, Run, Shape, Value};
use crate::column::{Column, Values};
use crate::members::Members;
use crate::wire::Input;

/// What is done with a field.
#[derive(Debug)]
pub(super) struct Flat {
    /// By the whole tag: number and wire type.
    by_tag: Vec<Action>,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    /// Nothing reads it, or not by this way: the general one knows.
    Other,
    /// The number of this plan.
    Number(u16, Wire),
    /// The text or bytes of this plan.
    Sized(u16),
}

/// Tags of field numbers below 2,048.
const TAGS: usize = 1 << 14;

impl Flat {
    /// The quick way for a program of these plans, each with its field's number, if there is one.
    pub(super) fn of(plans: &[(u32, &Plan)]) -> Option<Flat> {
        let mut by_tag = Vec::new();
        for (index, (field, plan)) in plans.iter().enumerate() {
            let Shape::One(value, absent) = &plan.shape else { return None };
            let index = u16::try_from(index).ok()?;
            let action = match (value, absent) {
                (_, Absent::Required) => return None,
                (Value::Number(wire, _), _) => Action::Number(index, *wire),
                (Value::Enum(_), _) => Action::Number(index, Wire::Varint),
                (Value::Text | Value::Bytes, _) => Action::Sized(index),
                _ => return None,
            };
            let tag = (*field as usize) << 3 | usize::from(code(value.wire()));
            if tag >= TAGS {
                return None;
            }
            if by_tag.len() <= tag {
                by_tag.resize(tag + 1, Action::Other);
            }
            by_tag[tag] = action;
        }
        Some(Flat { by_tag })
    }
}

/// Reads one message to one row of `members`; `None` if it gave up, with columns of different lengths.
#[inline]
pub(super) fn run(
    program: &Program,
    flat: &Flat,
    message: &[u8],
    members: &mut Members,
    run: &mut Run<'_>,
) -> Option<()> {
    let row = members.rows;
    let mut input = Input::new(message, usize::MAX);
    while !input.is_empty() {
        let tag = input.varint().ok()?;
        match flat.by_tag.get(tag as usize).copied() {
            Some(Action::Number(index, wire)) => {
                let plan = &program.plans[usize::from(index)];
                let column = &mut members.columns[plan.column];
                let Shape::One(value, _) = &plan.shape else { return None };
                let raw = number(wire, &mut input).ok()?;
                if column.len() != row {
                    return None;
                }
                push_number(value, raw, column, run)?;
            }
            Some(Action::Sized(index)) => {
                let plan = &program.plans[usize::from(index)];
                let column = &mut members.columns[plan.column];
                if column.len() != row {
                    return None;
                }
                push_sized(&mut input, column)?;
            }
            Some(Action::Other) | None => other(program, tag, &mut input)?,
        }
    }
    for plan in &program.plans {
        let column = &mut members.columns[plan.column];
        if column.len() == row {
            let Shape::One(value, absent) = &plan.shape else { return None };
            match absent {
                Absent::Null => column.push_missing("nothing").ok()?,
                Absent::Default(raw) => value.push_default(raw, column, run).ok()?,
                Absent::Required => return None,
            }
        }
    }
    for &index in &program.nulls {
        members.columns[index].push_missing("nothing").ok()?;
    }
    members.rows += 1;
    Some(())
}

#[inline]
fn push_number(value: &Value, raw: u64, column: &mut Column, run: &mut Run<'_>) -> Option<()> {
    match (value, &mut column.values) {
        (Value::Number(_, Number::Int64), Values::Int64(values)) => values.push(raw as i64),
        (Value::Number(_, Number::Double), Values::Float64(values)) => values.push(f64::from_bits(raw)),
        _ => return value.push_number(raw, column, run).ok(),
    }
    column.appended();
    Some(())
}

#[inline]
fn push_sized(input: &mut Input<'_>, column: &mut Column) -> Option<()> {
    let len = usize::try_from(input.varint().ok()?).ok()?;
    let ahead = input.rest();
    let bytes = input.take(len).ok()?;
    match &mut column.values {
        Values::Utf8(values) => values.push_text(ahead, len).ok()?,
        Values::Binary(values) => values.push(bytes),
        _ => return None,
    }
    column.appended();
    Some(())
}

/// Passes over a field that nobody reads.
fn other(program: &Program, tag: u64, input: &mut Input<'_>) -> Option<()> {
    let field = u32::try_from(tag >> 3).ok().filter(|field| (1..1 << 29).contains(field))?;
    if program.numbers.is_read(field) {
        return None;
    }
    skip(input, field, (tag & 7) as u8, 0).ok()
}
