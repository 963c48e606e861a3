//! Runs every case file and every example's own tests, three ways each, through the command that users have.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(folder: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["test", "--json"])
        .arg(root().join(folder))
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{folder}: {error}: {text}{said}"))
}

fn assert_all_pass(results: &Value, at_least: u64) {
    let failures: Vec<String> = results["tests"]
        .as_array()
        .expect("a list of tests")
        .iter()
        .filter(|test| test["passed"] != true)
        .map(|test| format!("{} / {}: {:#}", test["file"], test["test"], test["failures"]))
        .collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    let passed = results["passed"].as_u64().unwrap_or(0);
    assert!(passed >= at_least, "only {passed} tests ran, at least {at_least} were expected");
}

#[test]
fn every_case_passes_three_ways() {
    assert_all_pass(&run("tests/cases"), 200);
}

#[test]
fn every_example_passes_its_own_tests() {
    assert_all_pass(&run("pipelines"), 10);
}
