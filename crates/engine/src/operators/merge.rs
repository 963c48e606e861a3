//! Merge: the rows of several nodes as one stream, in the order in which they entered the task.

use arrow::array::Int64Array;
use arrow::error::ArrowError;

use crate::batch::{Batch, OwnTime, RowMeta};
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::{InputId, Port};
use crate::interleave::interleave;
use crate::mixture::Mixture;
use crate::operator::{Operator, Signal};
use crate::time::Watermark;

/// See [`crate::plan::NodeKind::Merge`]. Within a pass it holds back what comes, signals too, and sends it on at the end
/// of the pass: rows of one input, and of several that entered in the same pass, by their position in it, at equal positions
/// by port; what has no position (results of a window) by port. This is where rows of several inputs become one batch.
///
/// A row's `before` holds times of rows with lesser positions only, whichever port it comes by, and a row left out by
/// every branch stands in the `before` of each branch's next row: so the merged rows keep their `before` as it is. A row left
/// out by some branch says its time to the row behind it whichever port that comes by: it does so by those branches also
/// where it has no key to say it by itself.
#[derive(Debug)]
pub struct Merge {
    ports: Vec<Vec<Batch>>,
    signals: Vec<Signal>,
}

impl Merge {
    /// A merge of `ports` inputs.
    pub fn new(ports: usize) -> Merge {
        Merge { ports: vec![Vec::new(); ports], signals: Vec::new() }
    }
}

impl Operator for Merge {
    fn process(&mut self, port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        cx.ledger().passed += batch.len() as u64;
        if self.ports.len() <= port.0 {
            self.ports.resize(port.0 + 1, Vec::new());
        }
        self.ports[port.0].push(batch);
        Ok(())
    }

    fn end_pass(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let batches = self.ports.iter_mut().flat_map(std::mem::take);
        let (of_several, of_one): (Vec<Batch>, Vec<Batch>) = batches.partition(|batch| batch.meta.mixture.is_some());
        let mixed = (!of_several.is_empty()).then(|| mix(&of_several));
        for merged in mixed.into_iter().chain(by_input(of_one).into_iter().map(merge)) {
            cx.emit(
                merged.map_err(|error| TaskError::Kernel { step: cx.step().to_owned(), message: error.to_string() })?,
            );
        }
        for signal in self.signals.drain(..) {
            cx.signal(signal);
        }
        Ok(())
    }

    fn on_signal(&mut self, signal: Signal, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        if !self.signals.contains(&signal) {
            self.signals.push(signal);
        }
        Ok(())
    }
}

/// Batches whose rows can be put into one order stand together; groups and their batches in order of arrival by port.
/// A batch without rows joins the rows of its input: their time must not overtake them.
fn by_input(batches: Vec<Batch>) -> Vec<Vec<Batch>> {
    let mut groups: Vec<(InputId, Vec<Batch>)> = Vec::new();
    for batch in batches {
        match groups.iter_mut().find(|(input, _)| *input == batch.meta.input) {
            Some((_, group)) => group.push(batch),
            None => groups.push((batch.meta.input, vec![batch])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// One batch of the rows of several that came by one input. Its time after the last row is the greatest of theirs.
fn merge(batches: Vec<Batch>) -> Result<Batch, ArrowError> {
    let after = batches.iter().map(|batch| batch.meta.clock.after).max().expect("a group is not empty");
    let with_rows = batches.iter().filter(|batch| !batch.is_empty()).collect::<Vec<_>>();
    // A step that has a clock of its own says all there is to say of what it left out.
    let speaks = |batch: &&Batch| batch.meta.clock.own != OwnTime::Silent;
    let ports = batches.iter().filter(speaks).count();
    // Rows of one port alone are in order.
    let picks = if ports < 2 && with_rows.len() < 2 { Vec::new() } else { order(&with_rows) };
    let mut merged = match with_rows.as_slice() {
        [] => batches[0].clone(),
        [only] => Batch::clone(only),
        several => interleave(several, &picks)?,
    };
    if ports > 1 {
        let speaking = picks.iter().map(|&(batch, _)| Some(batch).filter(|&batch| speaks(&with_rows[batch])));
        merged.meta.clock.before = with_left_out(&merged.meta, &speaking.collect::<Vec<_>>(), ports);
    }
    merged.meta.clock.after = after;
    Ok(merged)
}

/// One batch of the rows of several inputs. What was left out stands at its place already.
fn mix(batches: &[Batch]) -> Result<Batch, ArrowError> {
    if let [only] = batches {
        return Ok(only.clone());
    }
    let all = batches.iter().collect::<Vec<_>>();
    let picks = order(&all);
    let mixtures = batches.iter().filter_map(|batch| batch.meta.mixture.as_ref()).collect::<Vec<_>>();
    let mut mixed = interleave(&all, &picks)?;
    mixed.meta.mixture = Some(Mixture::join(&mixtures, &picks));
    Ok(mixed)
}

/// What is said before each row, and the time of the row before it where one of the `ports` that speak has left that row out.
/// `by` says for each row which of them it came by.
fn with_left_out(meta: &RowMeta, by: &[Option<usize>], ports: usize) -> Option<Int64Array> {
    let positions = meta.position.as_ref()?.values();
    let mut before = Vec::with_capacity(by.len());
    let mut left_out = Watermark::UNKNOWN;
    for rows in positions.chunk_by(|one, next| one == next) {
        let rows = before.len()..before.len() + rows.len();
        let kept_by = by[rows.clone()].chunk_by(|one, next| one == next).filter(|same| same[0].is_some()).count();
        for row in rows.clone() {
            before.push(meta.clock.before(row).max(std::mem::replace(&mut left_out, Watermark::UNKNOWN)).0);
        }
        if kept_by < ports {
            left_out = meta.clock.own(meta.event_time.value(rows.start));
        }
    }
    before.iter().any(|&w| w != Watermark::UNKNOWN.0).then(|| Int64Array::from(before))
}

/// (batch, row) of all rows by position; rows of one position, and all rows where there are no positions, as they came.
fn order(batches: &[&Batch]) -> Vec<(usize, usize)> {
    let mut picks = Vec::with_capacity(batches.iter().map(|batch| batch.len()).sum());
    for (index, batch) in batches.iter().enumerate() {
        picks.extend((0..batch.len()).map(|row| (index, row)));
    }
    if batches.iter().all(|batch| batch.meta.position.is_some()) {
        picks.sort_by_key(|&(batch, row)| batches[batch].position(row));
    }
    picks
}
