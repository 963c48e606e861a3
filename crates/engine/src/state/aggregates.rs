//! The aggregates of one step: their calls without doubles, the arguments of a batch, and the results by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::aggregate::{Aggregate, AggregateCall, RowOrder, Slot};
use crate::error::{RecordError, RowFault, TaskError};
use crate::expr::Expr;
use crate::plan::NamedAggregate;

/// The aggregates that a step's results are computed from, in slots; a call that stands in several results is kept once.
pub struct Aggregates {
    step: String,
    calls: Vec<Call>,
    arguments: Vec<Expr>,
    results: Vec<Named>,
    picked_rows: Vec<u32>,
    picked_slots: Vec<Slot>,
}

struct Call {
    columns: Box<dyn Aggregate>,
    /// Indices into `arguments`.
    args: Vec<usize>,
    /// The condition of `filter (where ..)`.
    filter: Option<Expr>,
    function: String,
    state: Vec<Field>,
    /// Whether what a slot takes depends on what is in it.
    grows: bool,
}

struct Named {
    result: Expr,
    calls: Vec<usize>,
    schema: SchemaRef,
}

/// The values of a batch's rows that the aggregates read.
#[derive(Debug)]
pub struct Arguments {
    /// For each call its arguments, and for which rows its filter is true.
    calls: Vec<(Vec<ArrayRef>, Option<BooleanArray>)>,
}

/// Results of some slots: a column for each named aggregate, and the slots whose results do not exist, by index.
pub type Results = (Vec<ArrayRef>, Vec<(usize, RecordError)>);

impl Aggregates {
    /// The aggregates behind `named`; `step` is for messages.
    pub fn new(step: &str, named: &[NamedAggregate]) -> Aggregates {
        let mut all = Aggregates {
            step: step.to_owned(),
            calls: Vec::new(),
            arguments: Vec::new(),
            results: Vec::new(),
            picked_rows: Vec::new(),
            picked_slots: Vec::new(),
        };
        for aggregate in named {
            let calls = aggregate.expr.calls.iter().map(|call| all.call(call)).collect::<Vec<_>>();
            let column = |(index, call): (usize, &AggregateCall)| {
                Field::new(format!("call{index}"), call.function.return_type.clone(), true)
            };
            let columns = aggregate.expr.calls.iter().enumerate().map(column).collect::<Vec<_>>();
            let schema = Arc::new(Schema::new(columns));
            all.results.push(Named { result: aggregate.expr.result.clone(), calls, schema });
        }
        all
    }

    /// Index of the call, which is added if it is new.
    fn call(&mut self, call: &AggregateCall) -> usize {
        let args = call.args.iter().map(|arg| self.argument(arg)).collect::<Vec<_>>();
        let function = format!("{:?}", call.function);
        let same_filter = |known: &Option<Expr>| match (known, &call.filter) {
            (Some(known), Some(filter)) => known.is_same(filter),
            (known, filter) => known.is_none() && filter.is_none(),
        };
        let same = |known: &Call| known.function == function && known.args == args && same_filter(&known.filter);
        if let Some(known) = self.calls.iter().position(same) {
            return known;
        }
        let columns = (call.function.make)();
        let state = columns.state_fields();
        let is_fixed = |field: &Field| field.data_type().is_primitive() || *field.data_type() == DataType::Boolean;
        let grows = !state.iter().all(is_fixed);
        self.calls.push(Call { columns, args, filter: call.filter.clone(), function, state, grows });
        self.calls.len() - 1
    }

    /// Index of the argument, which is added if it is new.
    fn argument(&mut self, arg: &Expr) -> usize {
        self.arguments.iter().position(|known| known.is_same(arg)).unwrap_or_else(|| {
            self.arguments.push(arg.clone());
            self.arguments.len() - 1
        })
    }

    /// Evaluates arguments and filters for all rows of a batch. Rows at fault are named once each, in row order; an
    /// argument's fault counts only where the call's filter lets the row in.
    pub fn arguments(&self, rows: &RecordBatch) -> (Arguments, Vec<RowFault>) {
        let evaluated = self.arguments.iter().map(|arg| arg.evaluate(rows)).collect::<Vec<_>>();
        let mut faults = Vec::new();
        let mut calls = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let filter = call.filter.as_ref().map(|filter| {
                let (selection, filter_faults) = filter.evaluate_filter(rows);
                faults.extend(filter_faults);
                selection
            });
            for &arg in &call.args {
                let counts = |fault: &&RowFault| filter.as_ref().is_none_or(|filter| filter.value(fault.row));
                faults.extend(evaluated[arg].1.iter().filter(counts).cloned());
            }
            let args = call.args.iter().map(|&arg| Arc::clone(&evaluated[arg].0)).collect();
            calls.push((args, filter));
        }
        faults.sort_by_key(|fault| fault.row);
        faults.dedup_by_key(|fault| fault.row);
        (Arguments { calls }, faults)
    }

    /// Makes room for slots `0..slots`; new ones are empty.
    pub fn reserve(&mut self, slots: usize) {
        for call in &mut self.calls {
            call.columns.reserve(slots);
        }
    }

    /// Adds row `rows[i]` to slot `slots[i]`, for each `i` in order.
    ///
    /// # Errors
    /// If an aggregate cannot read its arguments.
    pub fn update(
        &mut self,
        arguments: &Arguments,
        rows: &[u32],
        slots: &[Slot],
        order: RowOrder<'_>,
    ) -> Result<(), TaskError> {
        for (call, (args, filter)) in self.calls.iter_mut().zip(&arguments.calls) {
            match filter {
                None => call.columns.update(args, rows, slots, order)?,
                Some(filter) => {
                    self.picked_rows.clear();
                    self.picked_slots.clear();
                    for (&row, &slot) in rows.iter().zip(slots).filter(|&(&row, _)| filter.value(row as usize)) {
                        self.picked_rows.push(row);
                        self.picked_slots.push(slot);
                    }
                    call.columns.update(args, &self.picked_rows, &self.picked_slots, order)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what slot `from[i]` holds to slot `into[i]`, for each `i` in order, as if its rows came after those there.
    ///
    /// # Errors
    /// If an aggregate cannot merge.
    pub fn merge(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError> {
        self.calls.iter_mut().try_for_each(|call| call.columns.merge(into, from))
    }

    /// Makes the slots empty.
    pub fn clear(&mut self, slots: &[Slot]) {
        for call in &mut self.calls {
            call.columns.clear(slots);
        }
    }

    /// The results of the slots. A slot for which some result does not exist is named once, with the first reason.
    ///
    /// # Errors
    /// If a value cannot be put into columns.
    pub fn evaluate(&self, slots: &[Slot]) -> Result<Results, TaskError> {
        let mut faults = Vec::new();
        let mut values = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let (column, call_faults) = call.columns.evaluate(slots)?;
            faults.extend(call_faults);
            values.push(column);
        }
        let mut results = Vec::with_capacity(self.results.len());
        for named in &self.results {
            let columns = named.calls.iter().map(|&call| Arc::clone(&values[call])).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(slots.len()));
            let rows = RecordBatch::try_new_with_options(Arc::clone(&named.schema), columns, &options)
                .map_err(|error| TaskError::Kernel { step: self.step.clone(), message: error.to_string() })?;
            let (column, result_faults) = named.result.evaluate(&rows);
            faults.extend(result_faults.into_iter().map(|fault| (fault.row, fault.error)));
            results.push(column);
        }
        faults.sort_by_key(|&(index, _)| index);
        faults.dedup_by_key(|&mut (index, _)| index);
        Ok((results, faults))
    }

    /// The fields of the columns that hold a slot's state, over all calls, each with a name of its own.
    pub fn state_fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for (index, call) in self.calls.iter().enumerate() {
            fields.extend(
                call.state
                    .iter()
                    .enumerate()
                    .map(|(column, field)| field.clone().with_name(format!("call{index}_{column}_{}", field.name()))),
            );
        }
        fields
    }

    /// The state of the slots, one array for each of [`state_fields`](Self::state_fields).
    ///
    /// # Errors
    /// If a state cannot be put into columns.
    pub fn save(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, TaskError> {
        let mut columns = Vec::new();
        for call in &self.calls {
            columns.extend(call.columns.save(slots)?);
        }
        Ok(columns)
    }

    /// Replaces the state of `slots[i]` by row `i` of `state`.
    ///
    /// # Errors
    /// If the columns are not those of these aggregates.
    pub fn load(&mut self, slots: &[Slot], state: &[ArrayRef]) -> Result<(), TaskError> {
        let mut rest = state;
        for call in &mut self.calls {
            let (own, others) = rest.split_at_checked(call.state.len()).ok_or_else(|| TaskError::State {
                step: self.step.clone(),
                message: "columns of aggregates are missing".to_owned(),
            })?;
            call.columns.load(slots, own)?;
            rest = others;
        }
        Ok(())
    }

    /// Bytes that a slot takes beside its place, or that its results will take, whichever is more; estimated.
    pub fn slot_bytes(&self, slot: Slot) -> usize {
        self.calls.iter().filter(|call| call.grows).map(|call| call.columns.slot_bytes(slot)).sum()
    }

    /// Whether what a slot takes depends on what is in it.
    pub fn grow(&self) -> bool {
        self.calls.iter().any(|call| call.grows)
    }

    /// Bytes that the aggregates take, estimated.
    pub fn memory_bytes(&self) -> usize {
        self.calls.iter().map(|call| call.columns.memory_bytes()).sum()
    }
}

impl Arguments {
    /// The arguments of call `call`, in the order of the calls without doubles.
    pub fn of_call(&self, call: usize) -> (&[ArrayRef], Option<&BooleanArray>) {
        let (args, filter) = &self.calls[call];
        (args, filter.as_ref())
    }
}
