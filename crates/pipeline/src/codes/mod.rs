//! The codes of diagnostics: one table, from which the constants, the tests and the reference are made.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Serialize, Serializer};

/// What is known of a code, for the reference.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code itself, such as `MS0104`. Never given to another mistake.
    pub id: &'static str,
    /// Its name, such as `duplicate-key`.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it is wrong and what to do, in sentences; may be empty.
    pub explanation: &'static str,
    /// A piece of YAML that is wrong in this way; may be empty.
    pub example: &'static str,
}

/// The code of a diagnostic. Codes are stable: tools may rely on them.
#[derive(Clone, Copy)]
pub struct Code(&'static Entry);

/// Codes of one kind, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// The codes in order.
    pub codes: &'static [Code],
}

/// Declares a group of codes: a constant for each, and `GROUP` with all of them.
macro_rules! codes {
    ($group:literal: $($constant:ident = $id:literal $name:literal, $title:literal, $explanation:literal, $example:literal;)*) => {
        $(
            #[doc = $title]
            pub const $constant: Code = Code(&Entry {
                id: $id,
                name: $name,
                title: $title,
                explanation: $explanation,
                example: $example,
            });
        )*
        pub(super) const GROUP: Group = Group { title: $group, codes: &[$($constant),*] };
    };
}

mod columns;
mod graph;
mod kafka;
mod placeholders;
mod schemas;
mod structure;
mod tests_section;
mod text;
mod values;
mod windows;

pub use columns::*;
pub use graph::*;
pub use kafka::*;
pub use placeholders::*;
pub use schemas::*;
pub use structure::*;
pub use tests_section::*;
pub use text::*;
pub use values::*;
pub use windows::*;

/// Every group, in order.
pub const GROUPS: &[Group] = &[
    text::GROUP,
    structure::GROUP,
    values::GROUP,
    placeholders::GROUP,
    graph::GROUP,
    columns::GROUP,
    windows::GROUP,
    tests_section::GROUP,
    kafka::GROUP,
    schemas::GROUP,
];

impl Code {
    /// Every code, in order.
    pub fn all() -> impl Iterator<Item = Code> {
        GROUPS.iter().flat_map(|group| group.codes.iter().copied())
    }

    /// The code of a name, such as `duplicate-key`.
    pub fn by_name(name: &str) -> Option<Code> {
        Code::all().find(|code| code.name() == name)
    }

    /// The code itself, such as `MS0104`.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// Its name, such as `duplicate-key`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What the reference says of it.
    pub fn entry(self) -> &'static Entry {
        self.0
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Code {}

impl PartialOrd for Code {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Code {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(other.id())
    }
}

impl Hash for Code {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id(), self.name())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_ascend_and_names_are_unique() {
        let ids: Vec<_> = Code::all().map(Code::id).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert_eq!(Code::all().map(Code::name).collect::<BTreeSet<_>>().len(), ids.len());
        assert_eq!(Code::by_name("duplicate-key").unwrap().id(), "MS0104");
    }
}
