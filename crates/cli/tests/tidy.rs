//! The house rules that a test can hold: file sizes, one room per step, arrows between crates, what the engine may know.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 800;

/// Steps without an operator of their own name, and the operator that they come to.
const LOWERED_TO: &[(&str, &str)] = &[
    ("map", "project"),
    ("select", "project"),
    ("drop", "project"),
    ("rename", "project"),
    ("cast", "project"),
    ("key_by", "exchange"),
];

/// The kinds of windows: each has an operator file, a model file and a case folder.
const WINDOWS: &[&str] = &["tumbling", "hopping", "sliding", "over", "session", "count"];

/// ARCHITECTURE.md's arrows: each crate and the crates of ours that it may know.
const ARROWS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("formats", &["engine"]),
    ("pipeline", &["engine", "formats"]),
    ("runtime", &["engine", "formats", "pipeline"]),
    ("sim", &["engine", "formats", "pipeline"]),
    ("harness", &[]),
    ("cli", &["engine", "formats", "pipeline", "runtime"]),
];

/// Everything that the engine may depend on directly: columns, expressions, hashing, small values.
const ENGINE_KNOWS: &[&str] = &[
    "arrow",
    "arrow-ipc",
    "base64",
    "datafusion-common",
    "datafusion-expr",
    "datafusion-functions",
    "datafusion-functions-aggregate",
    "datafusion-functions-nested",
    "datafusion-optimizer",
    "datafusion-physical-expr",
    "datafusion-sql",
    "foldhash",
    "hashbrown",
    "itoa",
    "serde",
    "sketches-ddsketch",
    "smallvec",
    "stacker",
    "strsim",
    "thiserror",
    "twox-hash",
    "zmij",
];

/// What must not be anywhere in the engine's dependency tree.
const NOWHERE_IN_THE_ENGINE: &[&str] =
    &["sled", "rdkafka", "ctrlc", "fail", "clap", "saphyr", "serde_yaml", "serde_yml", "hyper", "reqwest"];

/// What the engine must not use, yet cannot keep out of its tree, and why.
const BROUGHT_BY_OTHERS: &[(&str, &str)] = &[
    ("tokio", "datafusion-common and -execution declare it for streams of plans; expressions never reach it"),
    ("mio", "tokio declares it for sockets, which the daemon's HTTP asks for; the engine's build has no such feature"),
    ("object_store", "datafusion-execution declares it for tables of files"),
    ("rand", "datafusion-execution and -functions declare it for random() and uuid(), which the engine refuses"),
    ("getrandom", "seeds the above and const-random of ahash"),
];

/// Crates that touch the world, and the only crates of ours that may depend on them.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sled", &["runtime"]),
    ("axum", &["runtime"]),
    ("hyper", &["runtime"]),
    ("prometheus", &["runtime"]),
    ("fail", &["runtime"]),
    ("ctrlc", &["cli"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("libtest-mimic", &["harness"]),
    ("saphyr-parser", &["pipeline"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Files under a folder whose names end so; nothing that is built or fetched.
fn files(folder: &Path, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with all complaints at once.
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaint(s):\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let mut complaints = Vec::new();
    let files = files(&root(), &[".rs", ".yaml", ".yml", ".sh", ".py", ".toml", "justfile", "run"]);
    assert!(files.len() > 200, "only {} files were found", files.len());
    for path in files {
        let lines = fs::read_to_string(&path).unwrap_or_default().lines().count();
        if lines > MOST_LINES {
            complaints.push(format!("{}: {lines} lines, more than {MOST_LINES}", shown(&path)));
        }
    }
    assert_none(complaints);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for path in files(&root().join("crates"), &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! ") {
            complaints.push(format!("{}: does not open with a `//!` sentence", shown(&path)));
        }
    }
    assert_none(complaints);
}

#[test]
fn nothing_is_left_to_do() {
    let words = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!("), concat!("FIX", "ME")];
    let mut complaints = Vec::new();
    for path in files(&root().join("crates"), &[".rs"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert_none(complaints);
}

/// The steps of the language, by their spec files.
fn steps() -> Vec<String> {
    let names = files(&root().join("crates/pipeline/src/spec/steps"), &[".rs"]);
    let names = names.iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "not_yet").collect()
}

#[test]
fn every_step_has_its_operator_cases_and_example() {
    let root = root();
    let steps = steps();
    assert!(steps.len() >= 12, "{steps:?}");
    let has_cases = |name: &str| !files(&root.join("tests/cases").join(name), &[".yaml"]).is_empty();
    let mut complaints = Vec::new();
    for step in &steps {
        let spec = fs::read_to_string(root.join(format!("crates/pipeline/src/spec/steps/{step}.rs"))).unwrap();
        if !spec.contains("/// ```yaml") {
            complaints.push(format!("step {step}: no example in its doc comment"));
        }
        if !root.join(format!("docs/reference/step-{step}.md")).exists() {
            complaints.push(format!("step {step}: no page of the reference"));
        }
        if step == "window" {
            continue; // by kind, below
        }
        let operator = LOWERED_TO.iter().find(|(name, _)| name == step).map_or(step.as_str(), |(_, operator)| operator);
        if !root.join(format!("crates/engine/src/operators/{operator}.rs")).exists() {
            complaints.push(format!("step {step}: no operator file {operator}.rs"));
        }
        if !has_cases(step) {
            complaints.push(format!("step {step}: no case in tests/cases/{step}"));
        }
    }
    for window in WINDOWS {
        if !root.join(format!("crates/engine/src/windows/{window}.rs")).exists() {
            complaints.push(format!("window {window}: no operator file"));
        }
        if !root.join(format!("crates/sim/src/model/{window}.rs")).exists() {
            complaints.push(format!("window {window}: no model"));
        }
        if !has_cases(window) {
            complaints.push(format!("window {window}: no case in tests/cases/{window}"));
        }
    }
    assert_none(complaints);
}

/// The names under `[dependencies]` (and, if so asked, `[dev-dependencies]`) of one of our crates.
fn dependencies(name: &str, sections: &[&str]) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let mut within = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            within = sections.contains(&line.trim());
        } else if let Some((key, _)) = line.split_once('=').filter(|_| within && !line.trim_start().starts_with('#')) {
            found.insert(key.trim().split('.').next().unwrap().to_owned());
        }
    }
    found
}

const DEPENDENCIES: &[&str] = &["[dependencies]", "[build-dependencies]"];

#[test]
fn arrows_between_crates_point_one_way() {
    let mut complaints = Vec::new();
    let mut crates: Vec<_> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    crates.sort();
    for name in &crates {
        let Some((_, may_know)) = ARROWS.iter().find(|(from, _)| from == name) else {
            complaints.push(format!("crate {name}: no arrows are drawn for it here and in ARCHITECTURE.md"));
            continue;
        };
        for dependency in dependencies(name, DEPENDENCIES) {
            if let Some(ours) = dependency.strip_prefix("millstream-").filter(|ours| !may_know.contains(ours)) {
                complaints.push(format!("crate {name}: must not know {ours}"));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn crates_that_touch_the_world_are_known_to_few() {
    let mut complaints = Vec::new();
    for (name, _) in ARROWS {
        let known = dependencies(name, DEPENDENCIES);
        for (outside, allowed) in ONLY_IN {
            if known.contains(*outside) && !allowed.contains(name) {
                complaints.push(format!("crate {name}: {outside} belongs to {}", allowed.join(", ")));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn the_engine_depends_on_what_is_listed() {
    let known: BTreeSet<String> = ENGINE_KNOWS.iter().map(|name| (*name).to_owned()).collect();
    let surplus: Vec<_> = dependencies("engine", DEPENDENCIES).difference(&known).cloned().collect();
    assert!(
        surplus.is_empty(),
        "the engine depends on {surplus:?}: it is pure, so each needs a reason and a line here"
    );
}

/// Packages of Cargo.lock with the names that each depends on (versions of one name taken together).
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let name = package.split('"').nth(1).unwrap().to_owned();
        let list = package.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
        let needs = list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2);
        let needs = needs.map(|need| need.split(' ').next().unwrap().to_owned());
        packages.entry(name).or_default().extend(needs);
    }
    packages
}

#[test]
fn the_world_is_not_in_the_engines_dependency_tree() {
    let packages = locked();
    let tests_only = dependencies("engine", &["[dev-dependencies]"]);
    let direct = &packages["millstream-engine"];
    let mut tree: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = direct.iter().map(String::as_str).filter(|name| !tests_only.contains(*name)).collect();
    while let Some(name) = next.pop() {
        if tree.insert(name) {
            next.extend(packages.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    assert!(tree.contains("arrow") && tree.len() > 50, "{tree:?}");
    let mut complaints = Vec::new();
    for name in &tree {
        if NOWHERE_IN_THE_ENGINE
            .iter()
            .any(|crate_name| name == crate_name || name.starts_with(&format!("{crate_name}-")))
        {
            complaints.push(format!("the engine's tree holds {name}"));
        }
    }
    for (name, why) in BROUGHT_BY_OTHERS {
        if direct.contains(*name) {
            complaints.push(format!("the engine depends on {name} directly ({why})"));
        }
        if !tree.contains(name) {
            complaints.push(format!("{name} is no longer in the engine's tree: add it to NOWHERE_IN_THE_ENGINE"));
        }
    }
    assert_none(complaints);
}
