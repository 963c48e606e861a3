//! Sink: hands rows out of the topology; it writes nothing itself.

use crate::batch::Batch;
use crate::context::{Context, Effect, Output};
use crate::error::TaskError;
use crate::ids::{Port, SinkId};
use crate::operator::{Operator, Signal};

/// See [`crate::plan::NodeKind::Sink`]. Time ends here: batches without rows go nowhere.
#[derive(Debug)]
pub struct Sink {
    id: SinkId,
}

impl Sink {
    /// The end of a stream at sink `id`.
    pub fn new(id: SinkId) -> Sink {
        Sink { id }
    }
}

impl Operator for Sink {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows = batch.len() as u64;
        cx.ledger().passed += rows;
        cx.ledger().rows_out += rows;
        cx.effect(Effect::Output(Output { sink: self.id, batch, headers: Vec::new() }));
        Ok(())
    }

    fn on_signal(&mut self, _signal: Signal, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        Ok(())
    }
}
