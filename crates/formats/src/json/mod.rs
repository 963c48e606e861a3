//! JSON: one object a message, read by a general decoder that is always right and a scanner that is nearly always quick.

mod encode;
mod general;
mod reader;
mod shape;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod differential;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use arrow::datatypes::FieldRef;

use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::members::Members;
use crate::wire::Room;
pub(crate) use encode::JsonEncoder;
use general::Scratch;
pub(crate) use general::push_base64;
use shape::Shapes;

/// Appends JSON objects to columns.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    members: Members,
    shapes: Shapes,
    scratch: Scratch,
}

/// Whether the decoder bets on the shape of the messages. It changes what decoding costs, never what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Betting {
    /// Learn the shape, bet on it, and take the general path on any miss.
    On,
    /// Take the general path always.
    Off,
}

impl JsonDecoder {
    pub(crate) fn new(fields: &[FieldRef], betting: Betting) -> Result<JsonDecoder, FormatError> {
        Ok(JsonDecoder { members: Members::new(fields)?, shapes: Shapes::new(betting), scratch: Scratch::default() })
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// Appends one row, or nothing and says what is wrong with the message.
    #[inline]
    pub(crate) fn push(&mut self, payload: &[u8]) -> Fallible<()> {
        self.scratch.room = Room::new(payload.len(), usize::MAX);
        if self.shapes.scan(payload, &mut self.members, &mut self.scratch) {
            return Ok(());
        }
        self.push_general(payload)
    }

    fn push_general(&mut self, payload: &[u8]) -> Fallible<()> {
        let rows = self.members.rows;
        let decoded = match std::str::from_utf8(payload) {
            Ok(text) => general::read_document(text, &mut self.members, &mut self.scratch).map(|()| text),
            Err(error) => Err(Fault::syntax(format!("not UTF-8 from byte {}", error.valid_up_to()))),
        };
        match decoded {
            Ok(text) => self.shapes.missed(text, &self.members),
            Err(fault) => {
                self.members.truncate(rows);
                return Err(fault);
            }
        }
        Ok(())
    }
}
