//! One state per slot in a dense column: what all families share; it knows nothing of any function.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::{DataType, Field};

use super::{Aggregate, RowOrder, Slot};
use crate::error::{RecordError, TaskError};

/// The values of some slots, and those of them that have none.
pub(super) type Finished = (ArrayRef, Vec<(usize, RecordError)>);

/// How one aggregate function folds rows into a state. [`Dense`] makes an [`Aggregate`] of it.
pub(super) trait Fold: Send + 'static {
    /// What a slot holds.
    type State: Clone + Send + 'static;
    /// The arguments of one batch, downcast once.
    type Columns;

    /// The function's name, for errors.
    fn name(&self) -> &str;

    /// The state of no rows.
    fn empty(&self) -> Self::State;

    /// Downcasts the arguments of a batch.
    fn columns(&self, args: &[ArrayRef]) -> Result<Self::Columns, TaskError>;

    /// The rows that are skipped: those with a null among the arguments, unless the function says otherwise.
    fn skipped(&self, args: &[ArrayRef]) -> Option<NullBuffer> {
        args.iter().fold(None, |nulls, arg| NullBuffer::union(nulls.as_ref(), arg.logical_nulls().as_ref()))
    }

    /// Adds a row that is not skipped.
    fn add(&self, state: &mut Self::State, columns: &Self::Columns, row: usize, order: &RowOrder<'_>);

    /// Adds the rows of `from` as if they came after those of `into`.
    fn merge(&self, into: &mut Self::State, from: &Self::State);

    /// Makes a state empty; it may keep its memory.
    fn reset(&self, state: &mut Self::State) {
        *state = self.empty();
    }

    /// The values of the states.
    fn finish(&self, states: Picked<'_, Self::State>) -> Result<Finished, TaskError>;

    /// The columns of a state.
    fn fields(&self) -> Vec<Field>;

    /// The states as columns.
    fn save(&self, states: Picked<'_, Self::State>) -> Result<Vec<ArrayRef>, TaskError>;

    /// The states that the columns hold, one a row.
    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>, TaskError>;

    /// Bytes that a state takes beside its place in the column.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }

    /// Bytes that a state takes there, or that its value will take, whichever is more.
    fn bytes(&self, state: &Self::State) -> usize {
        self.heap_bytes(state)
    }
}

/// The states of some slots, in the order asked for.
pub(super) struct Picked<'a, S> {
    states: &'a [S],
    slots: &'a [Slot],
}

impl<S> Clone for Picked<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Picked<'_, S> {}

impl<'a, S> Picked<'a, S> {
    /// The states, one for each slot asked for.
    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = &'a S> + Clone {
        let states = self.states;
        self.slots.iter().map(move |&slot| &states[slot as usize])
    }
}

/// The aggregate of a fold: a vector of its states.
pub(super) struct Dense<F: Fold> {
    fold: F,
    states: Vec<F::State>,
}

impl<F: Fold> Dense<F> {
    /// The aggregate without any slot.
    pub(super) fn new(fold: F) -> Dense<F> {
        Dense { fold, states: Vec::new() }
    }

    /// The same, as a trait object.
    pub(super) fn boxed(fold: F) -> Box<dyn Aggregate> {
        Box::new(Dense::new(fold))
    }
}

impl<F: Fold> Aggregate for Dense<F> {
    fn reserve(&mut self, slots: usize) {
        if slots > self.states.len() {
            self.states.resize_with(slots, || self.fold.empty());
        }
    }

    fn update(
        &mut self,
        args: &[ArrayRef],
        rows: &[u32],
        slots: &[Slot],
        order: RowOrder<'_>,
    ) -> Result<(), TaskError> {
        let columns = self.fold.columns(args)?;
        let states = self.states.as_mut_slice();
        match self.fold.skipped(args) {
            None => {
                for (&row, &slot) in rows.iter().zip(slots) {
                    self.fold.add(&mut states[slot as usize], &columns, row as usize, &order);
                }
            }
            Some(nulls) => {
                for (&row, &slot) in rows.iter().zip(slots) {
                    if nulls.is_valid(row as usize) {
                        self.fold.add(&mut states[slot as usize], &columns, row as usize, &order);
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError> {
        for (&into, &from) in into.iter().zip(from) {
            match self.states.get_disjoint_mut([into as usize, from as usize]) {
                Ok([into, from]) => self.fold.merge(into, from),
                Err(_) => {
                    let twin = self.states[from as usize].clone();
                    self.fold.merge(&mut self.states[into as usize], &twin);
                }
            }
        }
        Ok(())
    }

    fn clear(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.fold.reset(&mut self.states[slot as usize]);
        }
    }

    fn evaluate(&self, slots: &[Slot]) -> Result<Finished, TaskError> {
        self.fold.finish(Picked { states: &self.states, slots })
    }

    fn state_fields(&self) -> Vec<Field> {
        self.fold.fields()
    }

    fn save(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, TaskError> {
        self.fold.save(Picked { states: &self.states, slots })
    }

    fn load(&mut self, slots: &[Slot], state: &[ArrayRef]) -> Result<(), TaskError> {
        let fields = self.fold.fields();
        let fits = state.len() == fields.len()
            && state.iter().zip(&fields).all(|(column, field)| {
                column.data_type().equals_datatype(field.data_type()) && column.len() == slots.len()
            });
        if !fits {
            let found = state.iter().map(|column| column.data_type().to_string()).collect::<Vec<_>>().join(", ");
            return Err(kernel(self.fold.name(), format!("state columns of another aggregate: {found}")));
        }
        for (&slot, state) in slots.iter().zip(self.fold.load(state)?) {
            self.states[slot as usize] = state;
        }
        Ok(())
    }

    fn slot_bytes(&self, slot: Slot) -> usize {
        self.fold.bytes(&self.states[slot as usize])
    }

    fn memory_bytes(&self) -> usize {
        self.states.capacity() * size_of::<F::State>()
            + self.states.iter().map(|state| self.fold.heap_bytes(state)).sum::<usize>()
    }
}

/// An error that no row is to blame for, in the name of an aggregate.
pub(super) fn kernel(name: &str, message: impl ToString) -> TaskError {
    TaskError::Kernel { step: format!("aggregate {name}"), message: message.to_string() }
}

/// Argument `index` in the type that the function wants: as it is, or cast (another layout of strings, say).
pub(super) fn argument(name: &str, args: &[ArrayRef], index: usize, wanted: &DataType) -> Result<ArrayRef, TaskError> {
    let arg = args.get(index).ok_or_else(|| kernel(name, format!("argument {} is missing", index + 1)))?;
    if arg.data_type() == wanted {
        return Ok(arg.clone());
    }
    compute::cast(arg, wanted).map_err(|error| kernel(name, error))
}

/// The array as one of numbers.
pub(super) fn numbers<T: ArrowPrimitiveType>(name: &str, array: &ArrayRef) -> Result<PrimitiveArray<T>, TaskError> {
    typed::<PrimitiveArray<T>>(name, array)
}

/// The array as one of type `A`, shared.
pub(super) fn typed<A: Array + Clone + 'static>(name: &str, array: &ArrayRef) -> Result<A, TaskError> {
    array
        .as_any()
        .downcast_ref::<A>()
        .cloned()
        .ok_or_else(|| kernel(name, format!("unexpected column of type {}", array.data_type())))
}
