//! How much state takes: an estimate from types, for the question whether it fits.

use arrow::datatypes::{DataType, Schema};
use millstream_engine::plan::{NodeKind, NodePlan, WindowKind};
use millstream_engine::time::Millis;

use super::PlanStore;
use crate::topology::{StoreDef, Topology};

/// What a slot costs beside its values: its place in the table of keys, its window, its mark of being dirty.
const SLOT_BYTES: usize = 32;

/// What a value of no fixed width is taken to hold.
const TEXT_BYTES: usize = 24;

/// What a collected list, a sketch or a set is taken to hold.
const NESTED_BYTES: usize = 128;

/// The estimate for one store.
pub(super) fn store(store: &StoreDef, topology: &Topology) -> Option<PlanStore> {
    let nodes = &topology.subtopologies[store.subtopology].plan.nodes;
    let node = nodes.get(store.node.0)?;
    let input = &nodes.get(node.inputs.first()?.0.0)?.schema;
    let out_of_order = topology.sources.iter().map(|source| source.out_of_order).max().unwrap_or_default();
    let estimate = estimate(node, input, out_of_order)?;
    Some(PlanStore {
        id: store.id.clone(),
        subtopology: store.subtopology,
        shape: store.shape.clone(),
        unit: estimate.unit,
        bytes: estimate.bytes,
        units_per_key: estimate.units_per_key,
    })
}

struct Estimate {
    unit: &'static str,
    bytes: usize,
    units_per_key: Option<u64>,
}

fn estimate(node: &NodePlan, input: &Schema, out_of_order: Millis) -> Option<Estimate> {
    let (keys, aggregates, window) = match &node.kind {
        NodeKind::Window(plan) => (&plan.keys, &plan.aggregates, Some((plan.kind, plan.grace))),
        NodeKind::Aggregate(plan) => (&plan.keys, &plan.aggregates, None),
        _ => return None,
    };
    let key_bytes = keys.iter().map(|&key| width(input.field(key).data_type())).sum::<usize>();
    let calls = aggregates.iter().flat_map(|aggregate| &aggregate.expr.calls);
    let arguments = calls.clone().flat_map(|call| &call.args).map(|arg| width(arg.data_type())).sum::<usize>();
    let states = calls.map(|call| {
        let fields = (call.function.make)().state_fields();
        fields.iter().map(|field| width(field.data_type())).sum::<usize>()
    });
    let slot = SLOT_BYTES + key_bytes + states.sum::<usize>();
    // A row that is kept has its key, its time, where it came from, and the arguments.
    let row = SLOT_BYTES + key_bytes + 24 + arguments;
    let (unit, bytes, units_per_key) = match window {
        None => ("key", slot, Some(1)),
        Some((WindowKind::Tumbling { size, .. }, grace)) => {
            ("key and window", slot, open(size, size, grace, out_of_order))
        }
        Some((WindowKind::Hopping { size, every, .. }, grace)) => {
            let pane = Millis(gcd(size.0, every.0));
            ("key and pane", slot, open(size, pane, grace, out_of_order))
        }
        Some((WindowKind::Sliding(_), _)) => ("row of the last span", row, None),
        Some((WindowKind::Over(_), _)) => ("row of the last span", row, None),
        Some((WindowKind::Session(_), _)) => ("key and session", slot + 16, Some(1)),
        Some((WindowKind::Count(_), _)) => ("key", slot + 24, Some(1)),
    };
    Some(Estimate { unit, bytes, units_per_key })
}

/// How many panes are open at once when every key has rows all the time.
fn open(size: Millis, pane: Millis, grace: Millis, out_of_order: Millis) -> Option<u64> {
    let waits = size.plus(grace).plus(out_of_order).0;
    (pane.0 > 0).then(|| (waits.div_euclid(pane.0) + i64::from(waits.rem_euclid(pane.0) > 0)) as u64)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::Boolean => 1,
        data_type if data_type.is_nested() => NESTED_BYTES,
        data_type => data_type.primitive_width().unwrap_or(TEXT_BYTES),
    }
}
