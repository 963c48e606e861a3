//! Topics that a pipeline makes: settings that can be, and the same wherever the same topic is named.

use std::collections::BTreeMap;

use crate::check::Findings;
use crate::codes;
use crate::spec::create::{Cleanup, Create};
use crate::topology::CreateDef;
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// What is known of the keys of a topic's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// There is one, or it depends on the record.
    Perhaps,
    /// There is none.
    None,
    /// They are those of the records that failed, whatever they are.
    OfFailed,
}

/// The topics that are made, by name.
#[derive(Debug, Default)]
pub(crate) struct Creates(BTreeMap<String, (CreateDef, Span)>);

impl Creates {
    /// How a topic is made, if it is.
    pub(crate) fn get(&self, topic: &str) -> Option<CreateDef> {
        self.0.get(topic).map(|(create, _)| *create)
    }

    /// Checks one more `create`.
    pub(crate) fn check(&mut self, topic: &str, create: Option<&Spanned<Create>>, keys: Keys, findings: &mut Findings) {
        let Some(create) = create else { return };
        let def = CreateDef {
            partitions: create.partitions.as_ref().map(|number| number.value),
            replication: create.replication.as_ref().map(|number| number.value),
            retention: create.retention.as_ref().map(|span| span.millis()),
            cleanup: create.cleanup.as_ref().map_or(Cleanup::Delete, |cleanup| cleanup.value),
        };
        numbers(create, findings);
        cleanup(create, keys, findings);
        match self.0.get(topic) {
            Some((first, span)) if *first != def => {
                findings
                    .error(codes::CREATE_CONFLICT, create.span, format!("`{topic}` is made in two ways"))
                    .help("Say the same in both places, or in one of them only.")
                    .related(*span, "the first is here");
            }
            Some(_) => {}
            None => {
                self.0.insert(topic.to_owned(), (def, create.span));
            }
        }
    }
}

fn numbers(create: &Create, findings: &mut Findings) {
    const MOST_PARTITIONS: u32 = 10_000;
    const MOST_REPLICAS: u32 = i16::MAX as u32;
    let mut number = |name: &str, value: &Option<Spanned<u32>>, most: u32| {
        if let Some(value) = value
            && !(1..=most).contains(&value.value)
        {
            findings
                .error(codes::OUT_OF_RANGE, value.span, format!("`{name}` cannot be {value}"))
                .help(format!("It lies between 1 and {most}."));
        }
    };
    number("partitions", &create.partitions, MOST_PARTITIONS);
    number("replication", &create.replication, MOST_REPLICAS);
}

fn cleanup(create: &Create, keys: Keys, findings: &mut Findings) {
    let Some(cleanup) = create.cleanup.as_ref().filter(|cleanup| cleanup.value != Cleanup::Delete) else { return };
    if let (Cleanup::Compact, Some(retention)) = (cleanup.value, &create.retention) {
        findings
            .error(
                codes::RETENTION_OF_COMPACTED,
                retention.span,
                "`retention` has no meaning with `cleanup: compact`: the last record of each key stays for ever",
            )
            .help("Remove it, or write `cleanup: compact_and_delete`.")
            .related(cleanup.span, "compacted here");
    }
    let why = match keys {
        Keys::Perhaps => return,
        Keys::None => "the records of this sink have no key",
        Keys::OfFailed => "a record that failed may have no key",
    };
    findings
        .error(codes::COMPACTED_WITHOUT_KEY, cleanup.span, format!("{why}, and a compacted topic refuses such records"))
        .help("Leave `cleanup` out, or give the records a key.");
}
