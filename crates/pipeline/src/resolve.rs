//! Names: which stream reads what, and an order in which every stream stands behind those that it reads.

use crate::codes;
use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Findings, unused};
use crate::spec::names::Name;
use crate::spec::pipeline::Pipeline;
use crate::spec::steps::{Branch, Merge, Step};
use crate::yaml::spanned::Spanned;

/// A stream to be built.
#[derive(Debug, Clone)]
pub(crate) struct StreamPlan<'a> {
    /// Its name; `steps` in the linear form.
    pub(crate) name: &'a str,
    /// What it reads: one, or several that its first step merges. None where that is not known.
    pub(crate) inputs: Vec<&'a Name>,
    /// Its steps; the index of a step is that in the file.
    pub(crate) steps: &'a [Spanned<Step>],
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    Source,
    /// The stream of that index.
    Stream(usize),
    /// An arm of the branch at the end of the stream of that index.
    Arm(usize),
}

/// The streams of the linear form: one over the only source, or over those that its first step merges.
pub(crate) fn linear<'a>(pipeline: &'a Pipeline, findings: &mut Findings) -> Vec<StreamPlan<'a>> {
    let steps = pipeline.steps.as_ref().map_or(&[][..], |steps| steps.value.as_slice());
    let inputs = match merged(steps) {
        None => pipeline.sources.names().take(1).collect::<Vec<_>>(),
        Some(merge) => merge.0.iter().collect(),
    };
    let known = pipeline.sources.names().map(|name| name.as_str()).collect::<Vec<_>>();
    for input in inputs.iter().filter(|input| !known.contains(&input.as_str())) {
        unknown(input, &known, findings);
    }
    if merged(steps).is_some() {
        for name in pipeline.sources.names().filter(|name| !inputs.iter().any(|input| input.value == name.value)) {
            unused::report(name, unused::Unread::Source, findings);
        }
    }
    vec![StreamPlan { name: "steps", inputs, steps }]
}

/// The merge that the steps begin with, if they do.
fn merged(steps: &[Spanned<Step>]) -> Option<&Merge> {
    match steps.first().map(|step| &step.value) {
        Some(Step::Merge(merge)) => Some(merge),
        _ => None,
    }
}

/// The streams of a graph, in an order in which each stands behind those that it reads. Streams that read each other in a
/// circle, or a name that is not there, are left out and reported.
pub(crate) fn graph<'a>(pipeline: &'a Pipeline, findings: &mut Findings) -> Vec<StreamPlan<'a>> {
    let streams = pipeline.streams.iter().map(|(name, stream)| StreamPlan {
        name,
        inputs: inputs(name, stream.from.as_ref(), &stream.steps, findings),
        steps: &stream.steps,
    });
    let streams = streams.collect::<Vec<_>>();
    let names = names(pipeline, findings);
    let known = names.keys().copied().collect::<Vec<_>>();
    let mut reads = Vec::new();
    let mut read = BTreeSet::new();
    let all_inputs = streams.iter().flat_map(|stream| stream.inputs.iter().copied());
    for input in all_inputs.chain(pipeline.sinks.iter().filter_map(|sink| sink.from.as_ref())) {
        read.insert(input.as_str());
        match names.get(input.as_str()) {
            None => unknown(input, &known, findings),
            Some((Meaning::Stream(index), _)) if ends_in_branch(streams[*index].steps) => branched(input, findings),
            Some(_) => {}
        }
    }
    for stream in &streams {
        let before = stream.inputs.iter().filter_map(|input| match names.get(input.as_str())?.0 {
            Meaning::Source => None,
            Meaning::Stream(index) | Meaning::Arm(index) => Some(index),
        });
        reads.push(before.collect::<Vec<_>>());
    }
    let order = order(pipeline, &reads, findings);
    // Whatever is misnamed or cut off is perhaps what would have read it.
    if !findings.any_error() {
        report_unread(pipeline, &names, &read, findings);
    }
    order.into_iter().map(|index| streams[index].clone()).collect()
}

/// What a stream reads: its `from`, or what its first step merges.
fn inputs<'a>(
    name: &'a Name,
    from: Option<&'a Name>,
    steps: &'a [Spanned<Step>],
    findings: &mut Findings,
) -> Vec<&'a Name> {
    match (from, merged(steps)) {
        (Some(from), None) => vec![from],
        (None, Some(merge)) => merge.0.iter().collect(),
        (Some(from), Some(merge)) => {
            findings
                .error(
                    codes::MERGE_NOT_FIRST,
                    steps[0].span,
                    format!("the stream `{name}` has both `from` and `merge`"),
                )
                .help(format!("Name `{from}` under `merge` too, and remove `from`."))
                .related(from.span, "`from` is here");
            merge.0.iter().collect()
        }
        (None, None) => {
            findings
                .error(codes::NO_FROM, name.span, format!("the stream `{name}` does not say what it reads"))
                .help("Add `from: <source or stream>`, or let it begin with `merge`.");
            Vec::new()
        }
    }
}

/// All names and what they stand for. A name that stands for two things is reported.
fn names<'a>(pipeline: &'a Pipeline, findings: &mut Findings) -> BTreeMap<&'a str, (Meaning, &'a Name)> {
    let mut names: BTreeMap<&str, (Meaning, &Name)> = BTreeMap::new();
    let mut add = |name: &'a Name, meaning: Meaning| {
        if let Some((_, first)) = names.get(name.as_str()) {
            findings
                .error(codes::DUPLICATE_NAME, name.span, format!("`{name}` names two things"))
                .help("Give one of them another name: sources, streams and the arms of branches share their names.")
                .related(first.span, "the first is here");
            return;
        }
        names.insert(name.as_str(), (meaning, name));
    };
    for name in pipeline.sources.names() {
        add(name, Meaning::Source);
    }
    for (index, name) in pipeline.streams.names().enumerate() {
        add(name, Meaning::Stream(index));
    }
    for (index, (_, stream)) in pipeline.streams.iter().enumerate() {
        for branch in branches(&stream.steps) {
            for name in branch.arms.names().chain(&branch.otherwise) {
                add(name, Meaning::Arm(index));
            }
        }
    }
    names
}

fn unknown(name: &Name, known: &[&str], findings: &mut Findings) {
    findings.error(codes::UNKNOWN_STREAM, name.span, format!("there is no source or stream `{name}`")).help_nearest(
        name,
        known.to_vec(),
        "There are",
    );
}

/// The branches among the steps: one at the end, or some where they must not stand.
fn branches(steps: &[Spanned<Step>]) -> impl Iterator<Item = &Branch> {
    steps.iter().filter_map(|step| match &step.value {
        Step::Branch(branch) => Some(branch),
        _ => None,
    })
}

fn ends_in_branch(steps: &[Spanned<Step>]) -> bool {
    matches!(steps.last().map(|step| &step.value), Some(Step::Branch(_)))
}

fn branched(name: &Name, findings: &mut Findings) {
    findings
        .error(
            codes::BRANCH_READ,
            name.span,
            format!("the stream `{name}` ends in a branch and has no rows of its own"),
        )
        .help("Read one of the streams that the branch names.");
}

fn report_unread(
    pipeline: &Pipeline,
    names: &BTreeMap<&str, (Meaning, &Name)>,
    read: &BTreeSet<&str>,
    findings: &mut Findings,
) {
    let mut unread = names.values().filter(|(_, name)| !read.contains(name.as_str())).collect::<Vec<_>>();
    unread.sort_by_key(|(_, name)| name.span);
    for (meaning, name) in unread {
        match meaning {
            Meaning::Source => unused::report(name, unused::Unread::Source, findings),
            Meaning::Arm(_) => unused::report(name, unused::Unread::Arm, findings),
            Meaning::Stream(index) if branches(&pipeline.streams.0[*index].1.steps).next().is_some() => {}
            Meaning::Stream(_) => unused::report(name, unused::Unread::Stream, findings),
        }
    }
}

/// An order of the streams in which each stands behind those that it reads; those on a circle, and those behind them, are
/// left out. Each circle is reported once.
fn order(pipeline: &Pipeline, reads: &[Vec<usize>], findings: &mut Findings) -> Vec<usize> {
    let mut order = Vec::new();
    let mut placed = vec![false; reads.len()];
    loop {
        let next = (0..reads.len()).find(|&index| !placed[index] && reads[index].iter().all(|&before| placed[before]));
        let Some(next) = next else { break };
        placed[next] = true;
        order.push(next);
    }
    let mut reported = placed.clone();
    for start in 0..reads.len() {
        if let Some(circle) = circle(start, reads, &reported) {
            let names =
                circle.iter().map(|&index| format!("`{}`", pipeline.streams.0[index].0.value)).collect::<Vec<_>>();
            let name = &pipeline.streams.0[circle[0]].0;
            let first = names[0].clone();
            let message = format!("streams read each other in a circle: {} reads {first}", names.join(" reads "));
            findings.error(codes::CYCLE, name.span, message).help("Let one of them read a source.");
            for index in circle {
                reported[index] = true;
            }
        }
    }
    order
}

/// The circle that is met by going from `start` to what it reads, if there is one whose streams are all not `done`.
fn circle(start: usize, reads: &[Vec<usize>], done: &[bool]) -> Option<Vec<usize>> {
    let mut path = Vec::new();
    let mut at = start;
    loop {
        if done[at] {
            return None;
        }
        if let Some(begin) = path.iter().position(|&index| index == at) {
            return Some(path.split_off(begin));
        }
        path.push(at);
        at = reads[at].iter().copied().find(|&before| !done[before])?;
    }
}
