//! Standard output that nobody reads to the end, or that takes nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const PIPELINE: &str = "\
version: 1
pipeline: copy
sources:
  words: {format: json, schema: {word: string}}
sink: {topic: copies}
tests:
  - name: a word is copied
    in: {words: [{word: a}]}
    out: {copies: [{word: a}]}
";

/// Commands that print, none of which changes anything.
const COMMANDS: &[&[&str]] = &[
    &["plan", "copy.yaml"],
    &["plan", "copy.yaml", "--json"],
    &["graph", "copy.yaml"],
    &["check", "copy.yaml"],
    &["test", "copy.yaml"],
    &["--version"],
    &["plan", "--help"],
    &["schema"],
    &["config"],
    &["config", "--schema"],
    &["completions", "bash"],
    &["topic", "list", "--local", "data"],
    &["topic", "describe", "words", "--local", "data"],
    &["topic", "consume", "words", "--local", "data"],
    &["run", "copy.yaml", "--local", "data", "--until-end"],
    &["run", "copy.yaml", "--local", "data", "--until-end", "--json"],
];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("copy.yaml"), PIPELINE).unwrap();
    fs::write(folder.path().join("lines"), "{\"word\":\"a\"}\n").unwrap();
    for arguments in [&["topic", "create", "words"][..], &["topic", "produce", "words", "lines"]] {
        let ran = run(&folder, &[arguments, &["--local", "data"]].concat(), Stdio::piped());
        assert!(ran.status.success(), "{ran:?}");
    }
    folder
}

fn run(folder: &TempDir, arguments: &[&str], stdout: impl Into<Stdio>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(arguments).current_dir(folder.path()).env_remove("KAFKA_BROKER_ADDRESS");
    command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// As `| head`: the command ends as it would.
#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = folder();
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = run(&folder, arguments, writer);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success() && !said.contains("error:"), "{arguments:?}: {}: {said}", ran.status);
    }
    fs::write(folder.path().join("copy.yaml"), PIPELINE.replace("copies: [{word: a}]", "copies: []")).unwrap();
    let (_, writer) = std::io::pipe().unwrap();
    assert_eq!(run(&folder, &["test", "copy.yaml"], writer).status.code(), Some(4), "the test fails as before");
}

/// A disk that is full, for one.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_told_and_exit_code_1() {
    let folder = folder();
    for arguments in COMMANDS {
        let ran = run(&folder, arguments, File::options().write(true).open("/dev/full").unwrap());
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.matches("error: cannot write to standard output: No space left").count(), 1, "{said}");
    }
}

/// The pipelines go on when nobody reads what is said of them.
#[test]
fn nobody_need_read_standard_error() {
    let folder = folder();
    let (_, closed) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(["run", "copy.yaml", "--local", "data", "--until-end"]).current_dir(folder.path());
    let ran = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(closed).spawn().unwrap();
    let ran = ran.wait_with_output().unwrap();
    assert!(ran.status.success() && ran.stdout.starts_with(b"copy: 1 record in, 1 message out"), "{ran:?}");
}
