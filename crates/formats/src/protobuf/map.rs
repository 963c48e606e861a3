//! Maps: entries that are messages of two fields, either of which may be missing, and of which the last of a key counts.

use super::fields::{Wire, code, number, sized, skip, tag};
use super::program::{Number, Raw, Run, Value};
use crate::column::{Bytes, Column, Values};
use crate::fault::Fallible;
use crate::wire::Input;

/// A map's key, which becomes text, and value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) default: Raw,
}

#[derive(Debug)]
pub(super) enum Key {
    Text,
    Number(Wire, Number),
}

impl Entry {
    /// Appends one entry, in which key and value may be missing.
    pub(super) fn push(&self, bytes: &[u8], column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        let Values::Map(_, keys, values) = &mut column.values else { unreachable!("made for its column") };
        run.room.spend(values.cost + 16)?;
        let (key, value) = self.parts(bytes)?;
        let Values::Utf8(texts) = &mut keys.values else { unreachable!("maps have string keys") };
        self.key.push(key.as_ref(), texts)?;
        keys.appended();
        match value {
            Some(Part::Number(number)) => self.value.push_number(number, values, run),
            Some(Part::Bytes(bytes)) => self.value.push_bytes(bytes, values, run),
            None => self.value.push_default(&self.default, values, run),
        }
    }

    fn parts<'a>(&self, bytes: &'a [u8]) -> Fallible<(Option<Part<'a>>, Option<Part<'a>>)> {
        let mut input = Input::new(bytes, usize::MAX);
        let (mut key, mut value) = (None, None);
        while !input.is_empty() {
            let (field, wire) = tag(&mut input)?;
            match field {
                1 if wire == code(self.key.wire()) => key = Some(part(self.key.wire(), &mut input)?),
                2 if wire == code(self.value.wire()) => value = Some(part(self.value.wire(), &mut input)?),
                _ => skip(&mut input, field, wire, 0)?,
            }
        }
        Ok((key, value))
    }

    /// Ends the row's map. Of entries with one key the last counts: where there are any, the map is read anew.
    pub(super) fn finish(&self, message: &[u8], column: &mut Column, run: &mut Run<'_>) -> Fallible<()> {
        let Values::Map(offsets, keys, values) = &mut column.values else { unreachable!("made for its column") };
        let first = offsets.last().copied().unwrap_or(0) as usize;
        let repeats = match &keys.values {
            Values::Utf8(texts) => keys.len() - first > 1 && texts.repeated_from(first).is_some(),
            _ => false,
        };
        if repeats {
            let entries = self.last_of_each_key(message)?;
            keys.truncate(first);
            values.truncate(first);
            entries.into_iter().try_for_each(|entry| self.push(entry, column, run))?;
        }
        let Values::Map(offsets, keys, _) = &mut column.values else { unreachable!("made for its column") };
        offsets.push(keys.len() as i32);
        column.appended();
        Ok(())
    }

    fn last_of_each_key<'a>(&self, message: &'a [u8]) -> Fallible<Vec<&'a [u8]>> {
        let mut input = Input::new(message, usize::MAX);
        let mut last = std::collections::BTreeMap::new();
        let mut at = 0;
        while !input.is_empty() {
            let (field, wire) = tag(&mut input)?;
            if field == self.number && wire == code(Wire::Sized) {
                let entry = sized(&mut input)?;
                let mut key = Bytes::new();
                self.key.push(self.parts(entry)?.0.as_ref(), &mut key)?;
                last.insert(key.bytes, (at, entry));
                at += 1;
            } else {
                skip(&mut input, field, wire, 0)?;
            }
        }
        let mut entries = last.into_values().collect::<Vec<_>>();
        entries.sort_unstable_by_key(|(at, _)| *at);
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// A value that was found in a map's entry.
pub(super) enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The next value, of that wire type.
pub(super) fn part<'a>(wire: Wire, input: &mut Input<'a>) -> Fallible<Part<'a>> {
    Ok(match wire {
        Wire::Sized => Part::Bytes(sized(input)?),
        wire => Part::Number(number(wire, input)?),
    })
}

impl Key {
    fn wire(&self) -> Wire {
        match self {
            Key::Text => Wire::Sized,
            Key::Number(wire, _) => *wire,
        }
    }

    fn push(&self, key: Option<&Part<'_>>, texts: &mut Bytes) -> Fallible<()> {
        match (self, key) {
            (Key::Text, Some(Part::Bytes(bytes))) => {
                super::program::utf8(bytes)?;
                texts.push(bytes);
            }
            (Key::Number(_, number), key) => {
                let raw = if let Some(Part::Number(raw)) = key { *raw } else { 0 };
                texts.push(
                    match number {
                        Number::Boolean => (raw != 0).to_string(),
                        Number::Uint64 => raw.to_string(),
                        number => number.integer(raw).to_string(),
                    }
                    .as_bytes(),
                );
            }
            (Key::Text, _) => texts.push(b""),
        }
        Ok(())
    }
}
