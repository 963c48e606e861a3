//! One pass of rows of several inputs: each row enters by its input's node with its place in the pass, and where the inputs
//! meet their rows become one batch (see [`crate::mixture`]).

use arrow::array::UInt32Array;

use super::heads::{Gathered, Part};
use super::{InputKind, Task};
use crate::batch::Batch;
use crate::context::Item;
use crate::error::TaskError;
use crate::ids::{NodeId, Port};
use crate::mixture::Mixture;
use crate::operator::Signal;
use crate::time::Watermark;

/// Rows that enter the graph by one node.
#[derive(Debug)]
struct Entry<'a> {
    node: NodeId,
    parts: Vec<&'a Part>,
    /// (part, row), in order.
    picks: Vec<(usize, usize)>,
    /// For each row its place in the pass.
    places: Vec<u32>,
}

/// Whether rows of other nodes are in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    /// There are none.
    Alone,
    /// There are some.
    Mixed,
}

impl Task {
    /// Processes rows that may be of several inputs. Returns what is to be heard behind them.
    pub(super) fn run_together(&mut self, gathered: Gathered) -> Result<Option<Signal>, TaskError> {
        let Gathered { mut parts, picks, behind } = gathered;
        for part in &mut parts {
            self.count_null_values(part.input, part.null_values);
            self.reject_records(part.input, std::mem::take(&mut part.rejected));
        }
        self.processed_rows += picks.len() as u64;
        let entries = self.entries(&parts, picks);
        let company = if entries.len() > 1 { Company::Mixed } else { Company::Alone };
        for entry in &entries {
            self.enter(entry, company)?;
        }
        self.pass()?;
        for part in &parts {
            self.inputs[part.input.0 as usize].position = part.position;
        }
        Ok(behind)
    }

    /// The rows by the nodes that they enter by.
    fn entries<'a>(&self, parts: &'a [Part], picks: Vec<(usize, usize)>) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut places_of = Vec::with_capacity(parts.len());
        for part in parts {
            let node = self.inputs[part.input.0 as usize].node;
            let at = entries.iter().position(|entry| entry.node == node).unwrap_or_else(|| {
                entries.push(Entry { node, parts: Vec::new(), picks: Vec::new(), places: Vec::new() });
                entries.len() - 1
            });
            places_of.push((at, entries[at].parts.len()));
            entries[at].parts.push(part);
        }
        if let [only] = entries.as_mut_slice() {
            only.places = (0..picks.len() as u32).collect();
            only.picks = picks;
            return entries;
        }
        for (place, (part, row)) in picks.into_iter().enumerate() {
            let (entry, part) = places_of[part];
            entries[entry].picks.push((part, row));
            entries[entry].places.push(place as u32);
        }
        entries
    }

    fn enter(&mut self, entry: &Entry<'_>, company: Company) -> Result<(), TaskError> {
        match self.inputs[entry.parts[0].input.0 as usize].kind {
            InputKind::Source(_) => self.enter_source(entry, company),
            InputKind::Sender(..) => self.enter_senders(entry, company)?,
        }
        Ok(())
    }

    /// Rows of a source come from one part after the other.
    fn enter_source(&mut self, entry: &Entry<'_>, company: Company) {
        let mut from = 0;
        for (index, part) in entry.parts.iter().enumerate() {
            let own = entry.picks[from..].iter().take_while(|(of, _)| *of == index).count();
            let first = entry.picks.get(from).map_or(0, |(_, row)| *row);
            let mixture = (company == Company::Mixed).then(|| Mixture::of_one(part.input, own));
            self.enter_batch(entry.node, part.batch.slice(first, own), &entry.places[from..from + own], mixture);
            from += own;
        }
    }

    fn enter_senders(&mut self, entry: &Entry<'_>, company: Company) -> Result<(), TaskError> {
        let lanes: Vec<_> = entry.parts.iter().map(|part| (part.input, &part.batch)).collect();
        let (mut batch, heard) = self.senders.enter_together(&lanes, &entry.picks).map_err(|error| {
            TaskError::Kernel { step: self.nodes[entry.node.0].name.clone(), message: error.to_string() }
        })?;
        let mixture = (company == Company::Mixed).then(|| {
            batch.meta.clock.after = Watermark::UNKNOWN;
            let mut mixture = Mixture::of_one(batch.meta.input, batch.len());
            heard.iter().filter(|(_, w)| w.is_known()).for_each(|&(row, w)| mixture.hear(entry.places[row], w));
            mixture
        });
        self.enter_batch(entry.node, batch, &entry.places, mixture);
        Ok(())
    }

    fn enter_batch(&mut self, node: NodeId, mut batch: Batch, places: &[u32], mixture: Option<Mixture>) {
        if self.keeps_positions {
            batch.meta.position = Some(UInt32Array::from(places.to_vec()));
        }
        batch.meta.mixture = mixture;
        self.inbox[node.0].push((Port(0), Item::Batch(batch)));
    }
}
