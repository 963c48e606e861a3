//! The five bytes with which registry clients begin a message: a zero and the id of its schema. Never believes that a
//! message has them.

use crate::fault::{Fallible, Fault};

/// The number of a schema in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl SchemaId {
    /// The id that `payload` begins with, if it may be a message of a registry.
    #[inline]
    pub fn named_by(payload: &[u8]) -> Option<SchemaId> {
        match payload {
            [0, a, b, c, d, ..] => Some(SchemaId(u32::from_be_bytes([*a, *b, *c, *d]))),
            _ => None,
        }
    }

    /// What messages of this schema begin with.
    pub fn header(self) -> [u8; 5] {
        let [a, b, c, d] = self.0.to_be_bytes();
        [0, a, b, c, d]
    }
}

/// Messages whose schemas the decoder has not been told: none of the batch was decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schemas {} are not known yet", list(.0))]
pub struct UnknownSchemas(pub Vec<SchemaId>);

fn list(ids: &[SchemaId]) -> String {
    ids.iter().map(SchemaId::to_string).collect::<Vec<_>>().join(", ")
}

/// The schema's id and what follows it.
#[inline]
pub(crate) fn split(payload: &[u8]) -> Fallible<(SchemaId, &[u8])> {
    if let Some(id) = SchemaId::named_by(payload) {
        return Ok((id, &payload[5..]));
    }
    match payload {
        [] => Err(Fault::syntax("an empty message, where a schema id is expected")),
        [0, ..] => Err(Fault::syntax(format!("a message of {} bytes, too short for a schema id", payload.len()))),
        [magic, ..] => Err(Fault::syntax(format!(
            "begins with byte 0x{magic:02x}, not with 0 and the id of a schema in a registry"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_nothing_else_passes() {
        let id = SchemaId(0x0102_0304);
        let mut message = id.header().to_vec();
        message.push(9);
        assert_eq!(split(&message), Ok((id, &[9][..])));
        assert_eq!(split(&message[..5]), Ok((id, &[][..])));
        for bytes in [&[][..], &[0], &[0, 0, 0, 1], b"{\"a\":1}", &[1, 0, 0, 0, 1]] {
            assert!(split(bytes).is_err(), "{bytes:?}");
        }
    }
}
