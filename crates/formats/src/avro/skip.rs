//! Passing over values that nobody reads, at the speed of memory. What is passed over is checked only as far as its
//! length goes.

use super::compatibility::{RED_ZONE, STACK};
use super::schema::{AvroSchema, Kind, NodeId};
use crate::fault::{Fallible, Fault};
use crate::wire::Input;

/// How deep values of a recursive type may be nested.
const DEPTH: usize = 200;
/// The most items of no bytes at all in one list.
pub(super) const EMPTY_ITEMS: usize = 65_536;

/// How to pass over one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Skip {
    /// So many bytes.
    Bytes(usize),
    /// So many numbers.
    Numbers(usize),
    /// A length and as many bytes: so many times.
    Sized(usize),
    /// One after the other.
    All(Vec<Skip>),
    /// A branch's index and its value.
    Union(Vec<Skip>),
    /// Blocks of an array; of a map the item is a key and a value.
    Blocks(Box<Skip>, Bounds),
    /// A record, by its number in [`Skips`].
    Record(usize),
}

/// What is known of the length of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The least number of bytes of an item.
    pub(super) least: usize,
}

impl Bounds {
    /// The number of items of the next block, if the message may hold so many; `None` at the end. `items` were before.
    #[inline]
    pub(super) fn next_block(self, input: &mut Input<'_>, items: usize) -> Fallible<Option<usize>> {
        let count = input.zigzag()?;
        if count == 0 {
            return Ok(None);
        }
        if count < 0 && input.zigzag()? < 0 {
            return Err(Fault::value("a block of negative length"));
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        let room = match self.least {
            0 => EMPTY_ITEMS - items.min(EMPTY_ITEMS),
            least => input.remaining() / least,
        };
        if count > room {
            return Err(Fault::value(format!("a block of {count} items, where the message has no room for them")));
        }
        Ok(Some(count))
    }
}

/// The records of one schema that are passed over, each once, so that recursive ones are finite.
#[derive(Debug, Default)]
pub(super) struct Skips {
    records: Vec<Skip>,
    /// For each type of the schema its record's number, if there is one yet.
    numbers: Vec<Option<usize>>,
    sizes: Vec<Size>,
}

/// What is known of a type's length.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    known: bool,
    /// The least number of bytes.
    least: usize,
    /// Whether it has no bytes ever.
    is_empty: bool,
}

impl Skips {
    /// How to pass over a value of type `id` of `schema`, which must be the same in all calls.
    pub(super) fn of(&mut self, schema: &AvroSchema, id: NodeId) -> Skip {
        stacker::maybe_grow(RED_ZONE, STACK, || self.of_type(schema, id))
    }

    fn of_type(&mut self, schema: &AvroSchema, id: NodeId) -> Skip {
        if self.size(schema, id).is_empty {
            return Skip::Bytes(0);
        }
        match &schema.node(id).kind {
            Kind::Null => Skip::Bytes(0),
            Kind::Boolean => Skip::Bytes(1),
            Kind::Int | Kind::Long | Kind::Enum(_) => Skip::Numbers(1),
            Kind::Float => Skip::Bytes(4),
            Kind::Double => Skip::Bytes(8),
            Kind::Bytes | Kind::String => Skip::Sized(1),
            Kind::Fixed(fixed) => Skip::Bytes(fixed.size),
            Kind::Array(items) => {
                let bounds = self.bounds(schema, *items, 0);
                Skip::Blocks(Box::new(self.of(schema, *items)), bounds)
            }
            Kind::Map(values) => {
                let bounds = self.bounds(schema, *values, 1);
                let value = self.of(schema, *values);
                Skip::Blocks(Box::new(Skip::All(vec![Skip::Sized(1), value])), bounds)
            }
            Kind::Union(branches) => Skip::Union(branches.iter().map(|&branch| self.of(schema, branch)).collect()),
            Kind::Record(record) => {
                if let Some(number) = self.numbers[id.0 as usize] {
                    return Skip::Record(number);
                }
                let number = self.records.len();
                self.numbers[id.0 as usize] = Some(number);
                self.records.push(Skip::Bytes(0));
                let mut all = Vec::new();
                for field in &record.fields {
                    push(&mut all, self.of(schema, field.node));
                }
                self.records[number] = Skip::All(all);
                Skip::Record(number)
            }
        }
    }

    /// What is known of items of type `id`, each behind a key of at least `key` bytes.
    pub(super) fn bounds(&mut self, schema: &AvroSchema, id: NodeId, key: usize) -> Bounds {
        Bounds { least: self.size(schema, id).least.saturating_add(key) }
    }

    fn size(&mut self, schema: &AvroSchema, id: NodeId) -> Size {
        stacker::maybe_grow(RED_ZONE, STACK, || self.size_of_type(schema, id))
    }

    fn size_of_type(&mut self, schema: &AvroSchema, id: NodeId) -> Size {
        let index = id.0 as usize;
        if self.sizes.is_empty() {
            self.numbers.resize(schema.len(), None);
            self.sizes.resize(schema.len(), Size::default());
        }
        if self.sizes[index].known {
            return self.sizes[index];
        }
        // A record that is met again below itself has at least no bytes; it is not empty, or it would be endless.
        self.sizes[index] = Size { known: true, least: 0, is_empty: false };
        let (least, is_empty) = match &schema.node(id).kind {
            Kind::Null => (0, true),
            Kind::Boolean | Kind::Int | Kind::Long | Kind::Enum(_) => (1, false),
            Kind::Bytes | Kind::String | Kind::Array(_) | Kind::Map(_) => (1, false),
            Kind::Float => (4, false),
            Kind::Double => (8, false),
            Kind::Fixed(fixed) => (fixed.size, fixed.size == 0),
            Kind::Union(branches) => {
                let least = branches.iter().map(|&branch| self.size(schema, branch).least).min();
                (least.unwrap_or(0).saturating_add(1), false)
            }
            Kind::Record(record) => record.fields.iter().fold((0_usize, true), |(least, is_empty), field| {
                let size = self.size(schema, field.node);
                (least.saturating_add(size.least), is_empty && size.is_empty)
            }),
        };
        self.sizes[index] = Size { known: true, least, is_empty };
        self.sizes[index]
    }

    /// Passes over one value.
    #[inline]
    pub(super) fn run(&self, skip: &Skip, input: &mut Input<'_>) -> Fallible<()> {
        match skip {
            Skip::Bytes(len) => input.take(*len).map(|_| ()),
            Skip::Numbers(count) => (0..*count).try_for_each(|_| input.skip_varint()),
            Skip::Sized(count) => (0..*count).try_for_each(|_| sized(input).map(|_| ())),
            nested => self.run_nested(nested, input, 0),
        }
    }

    fn run_nested(&self, skip: &Skip, input: &mut Input<'_>, depth: usize) -> Fallible<()> {
        match skip {
            Skip::Bytes(_) | Skip::Numbers(_) | Skip::Sized(_) => self.run(skip, input),
            Skip::All(all) => all.iter().try_for_each(|skip| self.run_nested(skip, input, depth)),
            Skip::Union(branches) => match &branches[branch(input, branches.len())?] {
                Skip::Bytes(0) => Ok(()),
                skip => self.run_nested(skip, input, depth),
            },
            Skip::Blocks(item, bounds) => self.blocks(item, *bounds, input, depth),
            Skip::Record(_) if depth == DEPTH => {
                Err(Fault::value(format!("values nested more than {DEPTH} deep at byte {}", input.at())))
            }
            Skip::Record(number) => self.run_nested(&self.records[*number], input, depth + 1),
        }
    }

    fn blocks(&self, item: &Skip, bounds: Bounds, input: &mut Input<'_>, depth: usize) -> Fallible<()> {
        loop {
            let count = input.zigzag()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // A writer that names the block's length spares the reader its items.
                let len = input.zigzag()?;
                let len = usize::try_from(len).map_err(|_| Fault::value("a block of negative length"))?;
                input.take(len)?;
                continue;
            }
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match bounds.least {
                // Whatever their number: items without bytes need no passing over.
                0 if matches!(item, Skip::Bytes(0)) => {}
                0 if count > EMPTY_ITEMS => return Err(Fault::value(format!("a block of {count} items"))),
                least if least > 0 && count > input.remaining() / least => {
                    return Err(Fault::value(format!(
                        "a block of {count} items, where the message has no room for them"
                    )));
                }
                _ => (0..count).try_for_each(|_| self.run_nested(item, input, depth))?,
            }
        }
    }
}

/// A value of bytes or text.
#[inline]
pub(super) fn sized<'a>(input: &mut Input<'a>) -> Fallible<&'a [u8]> {
    let len = length(input)?;
    input.take(len)
}

/// The length of a value of bytes or text.
#[inline]
pub(super) fn length(input: &mut Input<'_>) -> Fallible<usize> {
    let len = input.zigzag()?;
    usize::try_from(len).map_err(|_| negative(len, input))
}

#[cold]
fn negative(len: i64, input: &Input<'_>) -> Box<Fault> {
    Fault::value(format!("a length of {len} at byte {}", input.at()))
}

/// The index of a union's branch.
#[inline]
pub(super) fn branch(input: &mut Input<'_>, branches: usize) -> Fallible<usize> {
    let index = input.zigzag()?;
    match usize::try_from(index) {
        Ok(index) if index < branches => Ok(index),
        _ => Err(no_branch(index, branches)),
    }
}

#[cold]
fn no_branch(index: i64, branches: usize) -> Box<Fault> {
    Fault::value(format!("branch {index} of a union of {branches}"))
}

/// Appends to a run, merging what can be passed over at once.
pub(super) fn push(run: &mut Vec<Skip>, skip: Skip) {
    match (run.last_mut(), skip) {
        (_, Skip::Bytes(0)) => {}
        (Some(Skip::Bytes(len)), Skip::Bytes(more)) => *len = len.saturating_add(more),
        (Some(Skip::Numbers(count)), Skip::Numbers(more)) => *count += more,
        (Some(Skip::Sized(count)), Skip::Sized(more)) => *count += more,
        (_, skip) => run.push(skip),
    }
}
