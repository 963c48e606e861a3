//! Every stateful step has an id, and no two have the same.

use crate::codes;
use std::collections::BTreeMap;

use super::Findings;
use crate::spec::names::Name;
use crate::yaml::span::Span;

/// The ids seen so far and where.
#[derive(Debug, Default)]
pub(crate) struct StateIds(BTreeMap<String, Span>);

impl StateIds {
    /// Checks the id of a step that stands at `step`. Gives it if there is one, right or wrong.
    pub(crate) fn check(
        &mut self,
        id: Option<&Name>,
        step: Span,
        kind: &str,
        findings: &mut Findings,
    ) -> Option<String> {
        let Some(id) = id else {
            findings.error(codes::MISSING_ID, step, format!("this `{kind}` has no `id`")).help(
                "Give it one, such as `id: totals`: it names the state, so that it is found again after a change.",
            );
            return None;
        };
        if !is_id(id) {
            findings.error(codes::BAD_ID, id.span, format!("`{id}` is no id")).help(
                "Write lower-case letters, digits, `-` and `_`, at most 100 of them, the first a letter or digit.",
            );
            return None;
        }
        if let Some(first) = self.0.get(&id.value) {
            findings
                .error(codes::DUPLICATE_ID, id.span, format!("two steps have the id `{id}`"))
                .help("Give one of them another id: each names a state of its own.")
                .related(*first, "the first is here");
            return None;
        }
        self.0.insert(id.value.clone(), id.span);
        Some(id.value.clone())
    }
}

fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=100).contains(&id.len()) && id.chars().all(allowed) && !id.starts_with(['-', '_'])
}
