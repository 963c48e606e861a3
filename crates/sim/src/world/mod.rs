//! The seeded world of one window operator: random rows, interleavings, batch cuts, commits and crashes, judged by the
//! naive model; a failure tells its seed and the fewest rows that show it.

mod case_file;
mod engine;
mod generate;
mod run;
mod shrink;
mod store;

pub use case_file::case_file;
pub use generate::generate;
pub use run::Schedule;
pub use shrink::shrink;

use crate::model::{self, Event, Kind, Rules, Values, values_of};
use run::{Observed, Seen};

/// A history, and how it is to be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What holds for all of it.
    pub rules: Rules,
    /// What happens, in order.
    pub events: Vec<Event>,
    /// When results leave.
    pub emit: When,
    /// How the rows say how far time has come.
    pub clock: Clock,
    /// What happens when the history is at its end.
    pub end: End,
}

/// When results leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When they are final (rolling aggregates: as their kind says).
    Final,
    /// With every commit.
    Changes,
}

/// How rows say how far time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// By their event times, as rows of a source.
    Own,
    /// By what their sender says beside them, as rows behind a repartition.
    Sender,
}

/// What happens when a history is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing: open windows stay open.
    Open,
    /// All that is open is closed.
    Close,
}

/// Whether the engine does with a case what the model says, under every schedule.
///
/// # Errors
/// What is wrong, for people.
pub fn check(case: &Case, schedules: &[Schedule]) -> Result<(), String> {
    let mut first: Option<Observed> = None;
    for schedule in schedules {
        let failed = |error: String| format!("under {schedule:?}: {error}");
        let observed = run::run(case, *schedule).map_err(failed)?;
        judge(case, &observed).map_err(failed)?;
        match &first {
            None => first = Some(observed),
            Some(first) => same_bits(case, first, &observed).map_err(failed)?,
        }
    }
    Ok(())
}

/// One result as the model says it.
#[derive(Debug, PartialEq)]
struct Expected {
    key: String,
    start: i64,
    end: i64,
    values: Values,
}

fn expected(events: &[Event], windows: &[model::Window]) -> Vec<Expected> {
    let rows = model::rows_of(events);
    let expect = |window: &model::Window| {
        let of_window = window.rows.iter().map(|&row| rows[row]).collect::<Vec<_>>();
        Expected { key: window.key.clone(), start: window.start, end: window.end, values: values_of(&of_window) }
    };
    windows.iter().map(expect).collect()
}

fn judge(case: &Case, observed: &Observed) -> Result<(), String> {
    let outcome = model::outcome(case.rules, &case.events);
    match case.emit {
        When::Final => {
            let mut windows = outcome.closed.clone();
            if case.end == End::Close && !matches!(case.rules.kind, Kind::Count(_)) {
                windows.extend(outcome.open.clone());
            }
            same_results(&expected(&case.events, &windows), &observed.results)?;
        }
        When::Changes => same_values(&case.events, &outcome, &observed.standing())?,
    }
    judge_late(case, &outcome, observed)
}

fn same_results(expected: &[Expected], seen: &[Seen]) -> Result<(), String> {
    for (index, (expected, seen)) in expected.iter().zip(seen).enumerate() {
        let seen = Expected { key: seen.key.clone(), start: seen.start, end: seen.end, values: seen.values.clone() };
        if *expected != seen {
            return Err(format!("result {index} should be\n  {expected:?}\nbut is\n  {seen:?}"));
        }
    }
    match (expected.get(seen.len()), seen.get(expected.len())) {
        (Some(missing), _) => Err(format!("result {} is missing: {missing:?}", seen.len())),
        (_, Some(extra)) => Err(format!("result {} is one too many: {extra:?}", expected.len())),
        _ => Ok(()),
    }
}

/// Whether the last value of each window is that of the model, whatever is closed.
fn same_values(events: &[Event], outcome: &model::Outcome, standing: &[Seen]) -> Result<(), String> {
    let mut windows = outcome.closed.clone();
    windows.extend(outcome.open.clone());
    windows.sort_by(|a, b| (&a.key, a.start, a.end).cmp(&(&b.key, b.start, b.end)));
    same_results(&expected(events, &windows), standing)
}

fn judge_late(case: &Case, outcome: &model::Outcome, observed: &Observed) -> Result<(), String> {
    let rows = model::rows_of(&case.events);
    let expected = outcome.late.iter().map(|late| {
        let windows = late.refused_by.iter().map(|(start, end)| format!("{{\"start\":{start},\"end\":{end}}}"));
        (rows[late.row].input, rows[late.row].offset, format!("[{}]", windows.collect::<Vec<_>>().join(",")))
    });
    let expected = expected.collect::<Vec<_>>();
    if expected != observed.late {
        return Err(format!("late rows should be\n  {expected:?}\nbut are\n  {:?}", observed.late));
    }
    let refusals = outcome.late.iter().map(|late| late.refused_by.len() as u64).sum::<u64>();
    let lost = outcome.late.iter().filter(|late| late.taken_by_none).count() as u64;
    let counts = (refusals, lost, outcome.null_keys as u64);
    let ledger = &observed.ledger;
    if counts != (ledger.late, ledger.late_rows, ledger.null_key) {
        return Err(format!("(late, late_rows, null_key) should be {counts:?} in the ledger: {ledger}"));
    }
    Ok(())
}

/// Whether the bits of sums of doubles agree between two schedules.
fn same_bits(case: &Case, one: &Observed, other: &Observed) -> Result<(), String> {
    let (one, other) = match case.emit {
        When::Final => (one.results.clone(), other.results.clone()),
        When::Changes => (one.standing(), other.standing()),
    };
    match one.iter().zip(&other).find(|(one, other)| one.bits != other.bits) {
        Some((one, other)) => Err(format!("a sum of doubles depends on the schedule:\n  {one:?}\n  {other:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
