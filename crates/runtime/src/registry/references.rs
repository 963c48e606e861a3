//! What schemas refer to, followed to its end. Bounded, whatever a registry says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::messages::{self, Registered, of};
use super::schema::{Reference, RegisteredSchema, ResolvedReference, SchemaKind};
use super::transport::{Answer, Request};
use super::{Missing, Registry, RegistryError, Version, Which};

/// The most schemas that one schema may refer to, all in all.
const REFERENCES: usize = 256;
/// How deep a reference may stand within others.
const DEPTH: usize = 32;
/// The most bytes of them together.
const TEXT_LEN: usize = 16 << 20;

struct Followed {
    which: Which,
    seen: BTreeSet<(String, i32)>,
    found: Vec<ResolvedReference>,
    text_len: usize,
}

impl Registry {
    /// A schema with all that it refers to. `own` is the subject and version that it was asked for by, if it was.
    pub(super) fn whole(
        &self,
        schema: messages::Schema,
        own: Option<(&str, u32)>,
        which: Which,
        answer: &Answer<Value>,
    ) -> Result<RegisteredSchema, RegistryError> {
        let own = own.map(|(subject, version)| (subject.to_owned(), version as i32));
        let mut followed = Followed { which, seen: own.into_iter().collect(), found: Vec::new(), text_len: 0 };
        self.follow(&schema.references.unwrap_or_default(), 0, answer, &mut followed)?;
        let kind = SchemaKind::named(schema.kind.as_deref());
        Ok(RegisteredSchema { kind, text: schema.schema, references: followed.found })
    }

    /// Puts each of `references` behind what it refers to. One that was seen is passed over, so a circle comes to an end.
    fn follow(
        &self,
        references: &[Reference],
        depth: usize,
        of_answer: &Answer<Value>,
        followed: &mut Followed,
    ) -> Result<(), RegistryError> {
        for reference in references {
            if !followed.seen.insert((reference.subject.clone(), reference.version)) {
                continue;
            }
            if depth >= DEPTH || followed.seen.len() > REFERENCES || followed.text_len > TEXT_LEN {
                return Err(of_answer.garbage("a schema that refers to too many or too large others".to_owned()));
            }
            let version = u32::try_from(reference.version).map_or(Version::Latest, Version::Number);
            let missing = Missing::Version { subject: reference.subject.clone(), version };
            let path = ["subjects", &reference.subject, "versions", &version.to_string()];
            let answer = self.found(followed.which.of(Request::get(&path)), missing)?;
            let found: Registered = of(&answer)?;
            self.follow(&found.schema.references.unwrap_or_default(), depth + 1, &answer, followed)?;
            followed.text_len += found.schema.schema.len();
            followed.found.push(ResolvedReference { reference: reference.clone(), text: found.schema.schema });
        }
        Ok(())
    }
}
