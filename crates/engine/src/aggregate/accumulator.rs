//! Aggregates of DataFusion that have no columns of their own here, through its `Accumulator`.
//!
//! An accumulator promises nothing about its state: taking it may destroy it, and giving it back may regroup it. So a
//! slot holds the state itself, and every row is folded alone, from state to state. That is slow, and it is what makes
//! batch cuts, commits and restarts invisible by construction: nothing but the state carries over from row to row.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{Accumulator, AggregateUDF};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{Column, Literal};

use super::dense::{Finished, argument, kernel};
use super::resolve::Call;
use super::{Aggregate, AggregateFunction, RowOrder, Slot};
use crate::error::TaskError;
use crate::expr::ExprError;

/// DataFusion's function of the call's name.
pub(super) fn bridged(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let functions = datafusion_functions_aggregate::all_default_aggregate_functions();
    match functions.into_iter().find(|function| function.name() == call.name) {
        Some(function) => bridge(call, function),
        None => Err(call.type_error(format!("{} is not available", call.name))),
    }
}

/// A function of DataFusion for the call's arguments.
fn bridge(call: &Call<'_>, function: Arc<AggregateUDF>) -> Result<AggregateFunction, ExprError> {
    let refuse = |error: DataFusionError| {
        let message = error.strip_backtrace();
        let first = message.lines().next().unwrap_or_default().trim_end_matches('.').to_string();
        call.type_error(format!("{} does not take these arguments: {first}", call.name))
    };
    let written =
        call.arg_types.iter().enumerate().map(|(index, each)| argument_field(index, each)).collect::<Vec<_>>();
    let fields = fields_with_udf(&written, function.as_ref()).map_err(refuse)?;
    let bridge = Bridge::new(function, fields, call.literals).map_err(refuse)?;
    bridge.accumulator().and_then(|mut empty| empty.state()).map_err(refuse)?;
    let arg_types = bridge.args.iter().map(|field| field.data_type().clone()).collect();
    let return_type = bridge.output.data_type().clone();
    let literals = call.literals.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
    let name =
        if literals.is_empty() { call.name.to_string() } else { format!("{}({})", call.name, literals.join(", ")) };
    let bridge = Arc::new(bridge);
    Ok(call.named(name, arg_types, return_type, move || {
        Box::new(Accumulators { bridge: Arc::clone(&bridge), states: Vec::new() })
    }))
}

fn argument_field(index: usize, data_type: &DataType) -> FieldRef {
    Arc::new(Field::new(format!("c{index}"), data_type.clone(), true))
}

/// What is needed to make an accumulator.
struct Bridge {
    function: Arc<AggregateUDF>,
    args: Vec<FieldRef>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    schema: Schema,
    output: FieldRef,
    state: Vec<FieldRef>,
}

impl Bridge {
    fn new(
        function: Arc<AggregateUDF>,
        args: Vec<FieldRef>,
        literals: &[Option<ScalarValue>],
    ) -> Result<Bridge, DataFusionError> {
        let args =
            args.iter().enumerate().map(|(index, arg)| argument_field(index, arg.data_type())).collect::<Vec<_>>();
        let expr = |(index, arg): (usize, &FieldRef)| -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
            Ok(match literals.get(index).and_then(Option::as_ref) {
                Some(literal) => Arc::new(Literal::new(literal.cast_to(arg.data_type())?)),
                None => Arc::new(Column::new(arg.name(), index)),
            })
        };
        let exprs = args.iter().enumerate().map(expr).collect::<Result<Vec<_>, _>>()?;
        let output = function.return_field(&args)?;
        let state = function.state_fields(StateFieldsArgs {
            name: function.name(),
            input_fields: &args,
            return_field: Arc::clone(&output),
            ordering_fields: &[],
            is_distinct: false,
        })?;
        let schema = Schema::new(args.clone());
        Ok(Bridge { function, args, exprs, schema, output, state })
    }

    fn accumulator(&self) -> Result<Box<dyn Accumulator>, DataFusionError> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.output),
            schema: &self.schema,
            ignore_nulls: true,
            order_bys: &[],
            is_reversed: false,
            name: self.function.name(),
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.args,
        })
    }

    /// An accumulator that goes on from a state.
    fn resume(&self, state: &State) -> Result<Box<dyn Accumulator>, DataFusionError> {
        let mut accumulator = self.accumulator()?;
        if let Some(parts) = state {
            accumulator.merge_batch(&columns(parts)?)?;
        }
        Ok(accumulator)
    }

    fn error(&self, error: impl ToString) -> TaskError {
        kernel(self.function.name(), error)
    }
}

/// The state of a slot that has seen a row.
type State = Option<Vec<ScalarValue>>;

fn columns(parts: &[ScalarValue]) -> Result<Vec<ArrayRef>, DataFusionError> {
    parts.iter().map(|part| part.to_array()).collect()
}

struct Accumulators {
    bridge: Arc<Bridge>,
    states: Vec<State>,
}

impl Accumulators {
    fn try_update(&mut self, args: &[ArrayRef], rows: &[u32], slots: &[Slot]) -> Result<(), DataFusionError> {
        for (&row, &slot) in rows.iter().zip(slots) {
            let row = UInt32Array::from(vec![row]);
            let args = args.iter().map(|arg| compute::take(arg, &row, None)).collect::<Result<Vec<_>, _>>()?;
            let state = &mut self.states[slot as usize];
            let mut accumulator = self.bridge.resume(state)?;
            accumulator.update_batch(&args)?;
            *state = Some(accumulator.state()?);
        }
        Ok(())
    }

    fn try_merge(&mut self, into: Slot, from: Slot) -> Result<(), DataFusionError> {
        let Some(from) = &self.states[from as usize] else { return Ok(()) };
        let merged = match &self.states[into as usize] {
            None => from.clone(),
            into => {
                let mut accumulator = self.bridge.resume(into)?;
                accumulator.merge_batch(&columns(from)?)?;
                accumulator.state()?
            }
        };
        self.states[into as usize] = Some(merged);
        Ok(())
    }

    fn try_evaluate(&self, slots: &[Slot]) -> Result<ArrayRef, DataFusionError> {
        if slots.is_empty() {
            return Ok(arrow::array::new_empty_array(self.bridge.output.data_type()));
        }
        let values = slots.iter().map(|&slot| self.bridge.resume(&self.states[slot as usize])?.evaluate());
        ScalarValue::iter_to_array(values.collect::<Result<Vec<_>, _>>()?)
    }

    fn try_save(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, DataFusionError> {
        let states = || slots.iter().map(|&slot| &self.states[slot as usize]);
        let part = |(index, field): (usize, &FieldRef)| {
            if slots.is_empty() {
                return Ok(arrow::array::new_empty_array(field.data_type()));
            }
            let none = ScalarValue::try_new_null(field.data_type())?;
            let parts = states().map(|state| state.as_ref().map_or_else(|| none.clone(), |parts| parts[index].clone()));
            let column = ScalarValue::iter_to_array(parts.collect::<Vec<_>>())?;
            Ok(compute::cast(&column, field.data_type())?)
        };
        self.bridge.state.iter().enumerate().map(part).collect()
    }

    fn try_load(&mut self, slots: &[Slot], seen: &ArrayRef, parts: &[ArrayRef]) -> Result<(), DataFusionError> {
        let seen = seen.as_any().downcast_ref::<arrow::array::BooleanArray>();
        let seen = seen.ok_or_else(|| DataFusionError::Internal("the first state column is not boolean".into()))?;
        for (row, &slot) in slots.iter().enumerate() {
            let state = seen
                .value(row)
                .then(|| parts.iter().map(|part| ScalarValue::try_from_array(part, row)).collect::<Result<_, _>>());
            self.states[slot as usize] = state.transpose()?;
        }
        Ok(())
    }
}

impl Aggregate for Accumulators {
    fn reserve(&mut self, slots: usize) {
        if slots > self.states.len() {
            self.states.resize(slots, None);
        }
    }

    fn update(
        &mut self,
        args: &[ArrayRef],
        rows: &[u32],
        slots: &[Slot],
        _order: RowOrder<'_>,
    ) -> Result<(), TaskError> {
        let bridge = Arc::clone(&self.bridge);
        let args = bridge
            .args
            .iter()
            .enumerate()
            .map(|(index, field)| argument(bridge.function.name(), args, index, field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        let nulls =
            args.iter().fold(None, |nulls, arg| NullBuffer::union(nulls.as_ref(), arg.logical_nulls().as_ref()));
        let Some(nulls) = nulls else {
            return self.try_update(&args, rows, slots).map_err(|error| bridge.error(error));
        };
        let (rows, slots): (Vec<u32>, Vec<Slot>) =
            rows.iter().zip(slots).filter(|(row, _)| nulls.is_valid(**row as usize)).unzip();
        self.try_update(&args, &rows, &slots).map_err(|error| bridge.error(error))
    }

    fn merge(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError> {
        for (&into, &from) in into.iter().zip(from) {
            self.try_merge(into, from).map_err(|error| self.bridge.error(error))?;
        }
        Ok(())
    }

    fn clear(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.states[slot as usize] = None;
        }
    }

    fn evaluate(&self, slots: &[Slot]) -> Result<Finished, TaskError> {
        let values = self.try_evaluate(slots).map_err(|error| self.bridge.error(error))?;
        let values = argument(self.bridge.function.name(), &[values], 0, self.bridge.output.data_type())?;
        Ok((values, Vec::new()))
    }

    fn state_fields(&self) -> Vec<Field> {
        let parts = self.bridge.state.iter().map(|field| field.as_ref().clone().with_nullable(true));
        std::iter::once(Field::new("seen", DataType::Boolean, false)).chain(parts).collect()
    }

    fn save(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, TaskError> {
        let seen = slots.iter().map(|&slot| Some(self.states[slot as usize].is_some()));
        let seen = Arc::new(seen.collect::<arrow::array::BooleanArray>()) as ArrayRef;
        let parts = self.try_save(slots).map_err(|error| self.bridge.error(error))?;
        Ok(std::iter::once(seen).chain(parts).collect())
    }

    fn load(&mut self, slots: &[Slot], state: &[ArrayRef]) -> Result<(), TaskError> {
        match state.split_first() {
            Some((seen, parts)) if parts.len() == self.bridge.state.len() => {
                let bridge = Arc::clone(&self.bridge);
                self.try_load(slots, seen, parts).map_err(|error| bridge.error(error))
            }
            _ => Err(self.bridge.error("state columns of another aggregate")),
        }
    }

    fn slot_bytes(&self, slot: Slot) -> usize {
        self.states[slot as usize].iter().flatten().map(ScalarValue::size).sum()
    }

    fn memory_bytes(&self) -> usize {
        let parts = self.states.iter().flatten().flatten().map(ScalarValue::size).sum::<usize>();
        self.states.capacity() * size_of::<State>() + parts
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Float64Array;

    use super::super::Distinct;
    use super::super::testing::{self, Merging, Random, check, present_doubles, value_of};
    use super::*;

    fn bridge_to(
        function: Arc<AggregateUDF>,
        arg_types: &[DataType],
        literals: &[Option<ScalarValue>],
    ) -> AggregateFunction {
        let call = Call { name: "bridged", distinct: Distinct::All, arg_types, literals };
        bridge(&call, function).unwrap()
    }

    #[test]
    fn a_sum_agrees_with_a_naive_one() {
        let function = bridge_to(datafusion_functions_aggregate::sum::sum_udaf(), &[DataType::Float64], &[None]);
        check(
            &function,
            Merging::Approximate,
            |random| vec![testing::doubles(random)],
            |rows, group| {
                let values = present_doubles(&rows.args[0], group);
                ScalarValue::Float64(values.into_iter().reduce(|sum, value| sum + value))
            },
        );
    }

    #[test]
    fn a_list_keeps_the_order_of_rows() {
        let function =
            bridge_to(datafusion_functions_aggregate::array_agg::array_agg_udaf(), &[DataType::Utf8], &[None]);
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::strings(random)],
            |rows, group| {
                let values = testing::present(&rows.args[0], group);
                if values.is_empty() {
                    return ScalarValue::try_new_null(&function.return_type).unwrap();
                }
                ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Utf8))
            },
        );
    }

    #[test]
    fn a_weighted_percentile_is_stable_over_cuts_and_restarts() {
        let types = [DataType::Float64, DataType::Float64, DataType::Float64];
        let literals = [None, None, Some(ScalarValue::from(0.5))];
        let name = "approx_percentile_cont_with_weight";
        let site = super::super::CallSite { name, distinct: Distinct::All, arg_types: &types, literals: &literals };
        let function = super::super::resolve(site).unwrap();
        let make = |random: &mut Random| {
            let one = |random: &mut Random| random.below(1000) as f64;
            let values = testing::some(random, one).into_iter().collect::<Float64Array>();
            let weights = testing::some(random, |random| 1.0 + random.below(3) as f64);
            let weights = weights.into_iter().collect::<Float64Array>();
            vec![Arc::new(values) as ArrayRef, Arc::new(weights), Arc::new(Float64Array::from(vec![0.5; 60]))]
        };
        check(&function, Merging::Approximate, make, |rows, group| {
            let mut one = testing::start(&function, 1);
            for &row in group {
                one.update(&rows.args, &[row as u32], &[0], rows.order()).unwrap();
            }
            ScalarValue::try_from_array(&one.evaluate(&[0]).unwrap().0, 0).unwrap()
        });
        let column = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
        let heavy = value_of(&function, vec![column(vec![1.0, 5.0]), column(vec![1.0, 99.0]), column(vec![0.5; 2])]);
        let ScalarValue::Float64(Some(median)) = heavy else { panic!("{heavy:?}") };
        assert!(median > 4.0, "{median}");
    }

    #[test]
    fn every_function_of_datafusion_is_known() {
        let names = super::super::names();
        for function in datafusion_functions_aggregate::all_default_aggregate_functions() {
            // grouping has no state: it belongs to GROUPING SETS, which no step has.
            if function.name() != "grouping" {
                assert!(names.contains(&function.name()), "{}", function.name());
            }
        }
    }
}
