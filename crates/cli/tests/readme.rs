//! The README does what it says: its pipelines pass, and its commands, run in order in a fresh folder, print what it shows.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MILLSTREAM: &str = env!("CARGO_BIN_EXE_millstream");
/// Stands before the output of each command of a session.
const MARK: char = '\u{1e}';

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap()
}

/// A block between fences.
struct Block {
    language: String,
    /// The name of a file that the reader is asked to save, behind the language.
    file: Option<String>,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(info)) => {
                let mut words = info.split(' ').map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Block { language, file: words.next(), text: String::new() });
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence of the README is not closed");
    blocks
}

fn millstream(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(MILLSTREAM).current_dir(dir).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn pipelines_are_right_and_pass_their_tests() {
    let dir = tempfile::tempdir().unwrap();
    let mut tested = 0;
    // Files of the tutorial have mistakes on purpose; its commands deal with them.
    for block in blocks(&readme()).iter().filter(|block| block.language == "yaml" && block.file.is_none()) {
        if !block.text.contains("\nsources:") {
            continue;
        }
        fs::write(dir.path().join("readme.yaml"), &block.text).unwrap();
        let output = millstream(dir.path(), &["test", "readme.yaml"]);
        assert!(output.status.success(), "{}", said(&output));
        tested += 1;
    }
    assert!(tested > 0, "the README shows no pipeline");
}

/// Every command line within backticks begins with a command that there is.
#[test]
fn commands_in_the_text_exist() {
    let text = readme();
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for line in text.split('`').filter_map(|code| code.strip_prefix("millstream ")) {
        let Some(command) = line.split_whitespace().next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        else {
            continue;
        };
        let output = millstream(dir.path(), &[command, "--help"]);
        assert!(output.status.success(), "`millstream {line}`: {}", said(&output));
        let help = said(&output);
        for option in line.split(|c: char| !(c.is_ascii_alphabetic() || c == '-')).filter(|word| word.starts_with("--"))
        {
            assert!(help.contains(option), "`millstream {line}`: there is no {option}");
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} commands were found");
}

/// A command of a session and what it prints.
struct Step {
    command: String,
    output: Vec<String>,
}

fn session(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(text).iter().filter(|block| block.language == "console") {
        for line in block.text.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => panic!("a block `console` begins with `$ `"),
            }
        }
    }
    steps.retain(|step| !step.command.starts_with("cargo test"));
    for step in &mut steps {
        step.command = step.command.replace("cargo run --release -- ", "millstream ");
    }
    steps
}

#[test]
fn the_tutorial_prints_what_it_shows() {
    let text = readme();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("rooms"); // the tutorial goes there first
    fs::create_dir(&folder).unwrap();
    for block in blocks(&text) {
        if let Some(name) = &block.file {
            fs::write(folder.join(name), &block.text).unwrap();
        }
    }
    let steps = session(&text);
    let mut script = "exec 2>&1\n".to_owned();
    for step in &steps {
        script.push_str(&format!("printf '{MARK}'\n{}\n", step.command));
    }
    let path = format!("{}:{}", Path::new(MILLSTREAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let printed = said(&output);
    let printed: Vec<&str> = printed.split(MARK).skip(1).collect();
    assert_eq!(printed.len(), steps.len(), "{printed:#?}");
    for (step, printed) in steps.iter().zip(printed) {
        let found = comparable(printed.lines());
        let shown = comparable(step.output.iter().map(String::as_str));
        assert!(matches(&shown, &found), "$ {}\nREADME:\n{shown:#?}\nprinted:\n{found:#?}", step.command);
    }
}

/// Lines without what differs from run to run: process ids, temporary folders, rates, how commits fell.
fn comparable<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut comparable: Vec<String> = Vec::new();
    for line in lines {
        let is_of_the_moment = line.contains(" rows/s ") || (line.contains("Killed") && line.contains("line "));
        let words: Vec<String> = line.split(' ').map(comparable_word).collect();
        let mut line = words.join(" ").trim_end().to_owned();
        if line.contains(": restored ") {
            line.retain(|c| !c.is_ascii_digit());
        }
        if let Some((rest, commits)) = line.rsplit_once(", ")
            && commits.contains("commit")
        {
            line = format!("{rest}, commits");
        }
        let is_blank = line.is_empty() && comparable.last().is_none_or(String::is_empty);
        if !is_of_the_moment && !is_blank && comparable.last() != Some(&line) {
            comparable.push(line);
        }
    }
    while comparable.last().is_some_and(String::is_empty) {
        comparable.pop();
    }
    comparable
}

fn comparable_word(word: &str) -> String {
    if word.ends_with("/millstream") {
        return "millstream".to_owned();
    }
    match word.split_once("millstream-demo-") {
        Some((_, rest)) => format!("millstream-demo{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => word.to_owned(),
    }
}

/// Whether lines are those shown, where a line `...` stands for any lines.
fn matches(shown: &[String], found: &[String]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        Some((first, rest)) => found.first() == Some(first) && matches(rest, &found[1..]),
    }
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = readme();
    let mut seen = 0;
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = target.split('#').next().unwrap();
        if target.starts_with("http") || path.is_empty() {
            continue;
        }
        assert!(root.join(path).exists(), "README.md links to {path}, which is not there");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} links were found");
}

/// A pipeline makes no topic that it does not say `create:` of.
#[test]
fn the_compose_file_makes_the_topics_of_its_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let example = root.join("pipelines/trades-ohlc.yaml");
    let output = Command::new(MILLSTREAM).args(["plan", "--json"]).arg(example).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let outside = plan["topics"].as_array().unwrap().iter().filter(|topic| topic["created"] == "outside");
    let mut needed: Vec<&str> = outside
        .chain(plan["sources"].as_array().unwrap())
        .map(|topic| topic["topic"].as_str().or(topic["name"].as_str()).unwrap())
        .collect();
    let compose = fs::read_to_string(root.join("deploy/docker-compose.yaml")).unwrap();
    let (_, made) = compose.split_once("for topic in ").unwrap();
    let mut made: Vec<&str> = made.split(';').next().unwrap().split(' ').collect();
    needed.sort_unstable();
    made.sort_unstable();
    assert_eq!(made, needed);
}
