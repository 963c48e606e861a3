//! Why the schema of a sink cannot become a version of its subject: by our own rules, which name field, types and rule, and else
//! in the registry's words.

use std::fmt;

use millstream_formats::avro::{Level, NewIs};
use millstream_formats::{Difference, Gravity};

use super::own::{Compared, Own};
use super::{Judge, Subjects};
use crate::registry::{RegistryError, Version, Which};

/// One reason why a schema cannot become a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// A finding of ours: against which version, on which side the new schema stands.
    Found {
        /// The version.
        version: u32,
        /// Whether the new schema is the one that cannot read.
        new_is: NewIs,
        /// The field, what it was, what it would be, and the rule.
        difference: Difference,
    },
    /// What the registry says.
    Said(String),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breach::Said(message) => f.write_str(message),
            Breach::Found { version, new_is, difference } => {
                let (old, new) = match new_is {
                    NewIs::Reader => (&difference.writer, &difference.reader),
                    NewIs::Writer => (&difference.reader, &difference.writer),
                };
                let field = if difference.path.is_empty() { "the record" } else { &difference.path };
                let who = match new_is {
                    NewIs::Reader => "the new schema cannot read what version",
                    NewIs::Writer => "what it writes cannot be read by version",
                };
                write!(f, "{field}: was {old}, would be {new} (rule {}): {who} {version}", difference.rule)?;
                if *new_is == NewIs::Reader { f.write_str(" wrote") } else { Ok(()) }
            }
        }
    }
}

/// A schema that may be refused as the next version of a subject.
pub(super) struct Refusal<'a> {
    /// The schema; none if it cannot be read.
    pub(super) own: Option<Own<'a>>,
    pub(super) subject: &'a str,
    pub(super) level: Level,
    /// The versions that there are.
    pub(super) known: &'a [u32],
    pub(super) registry: &'a dyn Subjects,
}

impl Refusal<'_> {
    /// What a registry would refuse it for, before it is asked: of Avro, as its rules are in its specification.
    pub(super) fn foreseen(&self) -> Result<Vec<Breach>, RegistryError> {
        match &self.own {
            Some(own @ Own::Avro(_)) => self.found(own),
            _ => Ok(Vec::new()),
        }
    }

    /// Who has judged what nothing was foreseen of.
    pub(super) fn judge_of_foreseen(&self) -> Judge {
        if matches!(self.own, Some(Own::Avro(_))) { Judge::Rules } else { Judge::Nobody }
    }

    /// Why the registry refuses it. Of Protobuf and JSON Schema each has rules of its own; where ours find nothing that breaks,
    /// it is what the registry said.
    pub(super) fn explained(&self, said: Vec<String>) -> Result<Vec<Breach>, RegistryError> {
        let found = self.own.as_ref().map_or(Ok(Vec::new()), |own| self.found(own))?;
        Ok(match (found.is_empty(), said.is_empty()) {
            (false, _) => found,
            (true, false) => said.into_iter().map(Breach::Said).collect(),
            (true, true) => vec![Breach::Said("the registry says so and does not say why".to_owned())],
        })
    }

    /// What our rules alone say, where the registry does not judge.
    pub(super) fn judged(&self) -> Result<(Vec<Breach>, Judge), RegistryError> {
        self.own.as_ref().map_or(Ok((Vec::new(), Judge::Nobody)), |own| self.compared(own))
    }

    fn found(&self, own: &Own<'_>) -> Result<Vec<Breach>, RegistryError> {
        Ok(self.compared(own)?.0)
    }

    /// What breaks, and whether our rules reached all that there is to compare.
    fn compared(&self, own: &Own<'_>) -> Result<(Vec<Breach>, Judge), RegistryError> {
        let (mut breaches, mut judge) = (Vec::new(), Judge::Rules);
        for &version in self.level.compared(self.known) {
            let answer = self.registry.version(self.subject, Version::Number(version), Which::Present)?;
            let earlier = answer.schema.parse().ok();
            for &new_is in self.level.directions() {
                // Nothing is said of a version that cannot be read, or is of another format.
                let Some(compared) = earlier.as_ref().and_then(|earlier| own.against(earlier, new_is)) else {
                    judge = Judge::Nobody;
                    continue;
                };
                for Compared { difference, .. } in compared {
                    match difference.gravity {
                        Gravity::Breaks => breaches.push(Breach::Found { version, new_is, difference }),
                        Gravity::NotJudged => judge = Judge::Nobody,
                        Gravity::Note => {}
                    }
                }
            }
        }
        Ok((breaches, judge))
    }
}
