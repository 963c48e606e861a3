//! What is not the same between the schema that a message was written by and the one that it is read by. Says it by field,
//! both types and rule; decides nothing.

use std::fmt;

/// One thing in which a reader does not expect what a writer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, with those that it stands in: `customer.address.zip`, `tags[]` for items, `labels{}` for values; empty
    /// for the message itself.
    pub path: String,
    /// The name of the rule, as `docs/formats.md` has it.
    pub rule: &'static str,
    /// What the writer has there.
    pub writer: String,
    /// What the reader has there.
    pub reader: String,
    /// What it does.
    pub gravity: Gravity,
}

/// What a difference does, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Messages can be read; some values may not be what they were, or are not seen.
    Note,
    /// Nobody has judged it: the rules do not reach so far.
    NotJudged,
    /// Messages cannot be read, or are read wrongly without anybody noticing.
    Breaks,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { path, rule, writer, reader, gravity } = self;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        if *gravity == Gravity::NotJudged {
            f.write_str("not judged: ")?;
        }
        write!(f, "written as {writer}, read as {reader} (rule {rule})")
    }
}
