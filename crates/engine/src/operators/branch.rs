//! Branch: sends each row by the first output whose expression is true; it copies no row, tombstones excepted.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;

use super::{all_but, without_tombstones};
use crate::batch::Batch;
use crate::context::Context;
use crate::error::{RowFault, TaskError};
use crate::ids::Port;
use crate::operator::Operator;
use crate::plan::{BranchPlan, Otherwise};

/// See [`crate::plan::NodeKind::Branch`]. Time leaves by every output. A row that retracts an earlier result does so too:
/// by which output that result left cannot be seen from the retraction.
#[derive(Debug)]
pub struct Branch {
    plan: BranchPlan,
}

impl Branch {
    /// A branch with one output for each arm, and perhaps one for the rest.
    pub fn new(plan: BranchPlan) -> Branch {
        Branch { plan }
    }

    fn outputs(&self) -> usize {
        self.plan.arms.len() + usize::from(self.plan.otherwise == Otherwise::LastOutput)
    }
}

impl Operator for Branch {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            for output in 0..self.outputs() {
                cx.emit_to(output, batch.clone());
            }
            return Ok(());
        }
        let Sorted { mut outputs, faults } = self.sort(&batch);
        cx.reject(&batch, &faults);
        let rest = outputs.pop().expect("there is one selection more than arms");
        match self.plan.otherwise {
            Otherwise::LastOutput => outputs.push(rest),
            Otherwise::Drop => cx.ledger().filtered += without(&rest, &batch).count_set_bits() as u64,
        }
        let passed = outputs.iter().map(|taken| without(taken, &batch).count_set_bits()).sum::<usize>();
        cx.ledger().passed += (passed + tombstones(&batch)) as u64;
        for (output, taken) in outputs.into_iter().enumerate() {
            cx.emit_to(output, batch.filter(&BooleanArray::new(taken, None)));
        }
        Ok(())
    }
}

/// Which rows leave by which output: one selection for each arm and one for the rest, disjoint but for tombstones.
struct Sorted {
    outputs: Vec<BooleanBuffer>,
    faults: Vec<RowFault>,
}

impl Branch {
    fn sort(&self, batch: &Batch) -> Sorted {
        let mut open = BooleanBuffer::new_set(batch.len());
        let mut outputs = Vec::with_capacity(self.outputs() + 1);
        let mut faults = Vec::new();
        for arm in &self.plan.arms {
            let (taken, mut at_fault) = arm.evaluate_filter(&batch.rows);
            // What an arm says about a row that an earlier one has taken, or failed on, does not count.
            at_fault.retain(|fault| open.value(fault.row));
            let at_fault = without_tombstones(batch, at_fault);
            let taken = &open & taken.values();
            open = &open & &!&taken;
            if !at_fault.is_empty() {
                open = &open & all_but(batch.len(), &at_fault).values();
                faults.extend(at_fault);
            }
            outputs.push(taken);
        }
        outputs.push(open);
        if let Some(tombstone) = &batch.meta.tombstone {
            for output in &mut outputs {
                *output = &*output | tombstone.values();
            }
        }
        faults.sort_by_key(|fault| fault.row);
        Sorted { outputs, faults }
    }
}

fn without(rows: &BooleanBuffer, batch: &Batch) -> BooleanBuffer {
    match &batch.meta.tombstone {
        None => rows.clone(),
        Some(tombstone) => rows & &!tombstone.values(),
    }
}

fn tombstones(batch: &Batch) -> usize {
    batch.meta.tombstone.as_ref().map_or(0, |tombstone| {
        debug_assert_eq!(tombstone.null_count(), 0);
        tombstone.true_count()
    })
}
