//! Records that wait for the schema that they were written by. Waiting never changes what they become: only when.

use std::sync::Arc;

use millstream_engine::ids::PartitionId;
use millstream_engine::time::Millis;
use millstream_formats::{Decoder, SchemaId};

use crate::log::{RecordView, Records};
use crate::registry::{Lookup, SchemaCache};

/// After so many schemas that there are not, a decoder is made anew.
const MOST_REFUSED: usize = 10_000;
/// So long, by the caller's clock, a decoder holds that there is no schema before it is made anew and the cache is asked again,
/// which may know better by now: it asks the registry once a minute, and this adds little to that.
const REFUSED_FOR: Millis = Millis(10_000);

/// Records of a lane that wait.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of the first of them.
    pub(super) from: usize,
    /// Since when, by the caller's clock.
    pub(super) since: Millis,
    /// The schemas that are not known yet.
    pub(super) ids: Vec<SchemaId>,
    /// What the registry said last, if it fails.
    pub(super) error: Option<Arc<str>>,
}

impl Held {
    /// The number of the first record that names one of the schemas. One too many counts: it waits and loses nothing.
    pub(super) fn first_waiting(&self, records: &Records) -> usize {
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        let waits = |bytes: &[u8]| SchemaId::named_by(bytes).is_some_and(|id| ids.binary_search(&id).is_ok());
        let waits = |record: RecordView<'_>| record.value.is_some_and(waits) || record.key.is_some_and(waits);
        (self.from..records.len()).find(|&index| waits(records.get(index))).unwrap_or(self.from)
    }

    /// More schemas that are not known.
    pub(super) fn also(&mut self, ids: Vec<SchemaId>) {
        self.ids.extend(ids);
        self.ids.sort_unstable();
        self.ids.dedup();
    }
}

/// Tells a decoder what a cache knows.
#[derive(Debug)]
pub(super) struct Learner {
    schemas: SchemaCache,
    refused: usize,
    /// When the first of them was refused.
    refused_at: Millis,
}

impl Learner {
    pub(super) fn new(schemas: SchemaCache) -> Learner {
        Learner { schemas, refused: 0, refused_at: Millis(0) }
    }

    /// Takes what is known of the schemas that are waited for; those that are not stay.
    pub(super) fn learn(
        &mut self,
        held: &mut Held,
        decoder: &mut Decoder,
        (topic, partition): (&str, PartitionId),
        now: Millis,
    ) {
        held.error = None;
        let mut waiting = Vec::with_capacity(held.ids.len());
        for id in held.ids.drain(..) {
            match self.schemas.get(id) {
                Lookup::Known(schema) => {
                    if let Err(error) = decoder.add_writer(id, &schema) {
                        tracing::warn!(
                            topic,
                            partition = partition.0,
                            schema = id.0,
                            "its records cannot be read: {error}"
                        );
                    }
                }
                Lookup::Refused(reason) => {
                    decoder.refuse_writer(id, reason.to_string());
                    if self.refused == 0 {
                        self.refused_at = now;
                    }
                    self.refused += 1;
                }
                Lookup::Pending => waiting.push(id),
                Lookup::Failing(error) => {
                    held.error = Some(error);
                    waiting.push(id);
                }
            }
        }
        held.ids = waiting;
    }

    /// Whether the decoder holds more of what does not exist than it should, or for longer.
    pub(super) fn is_to_forget(&self, now: Millis) -> bool {
        self.refused > MOST_REFUSED || self.refused > 0 && now.0 - self.refused_at.0 >= REFUSED_FOR.0
    }

    /// The decoder is a new one, which knows nothing.
    pub(super) fn begin_anew(&mut self) {
        self.refused = 0;
    }
}
