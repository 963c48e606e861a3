//! `millstream test`: runs the tests of pipelines and case files, three ways each.

use std::path::PathBuf;

use clap::Args;
use millstream_pipeline::case::TestSpec;
use millstream_pipeline::suggest;
use millstream_runtime::case::{self as runner, Failure as Failed, TestReport};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load;
use crate::render::{DIM, ERROR, GOOD, RESET};
use crate::settings::RegistryArguments;

/// Runs the `tests:` of pipelines: straight through, with a commit after every record, and with a crash and a restore
/// after every record. What has been committed must be the same each time.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Pipeline files and case files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests whose name holds this text.
    #[arg(long, short, value_name = "TEXT")]
    filter: Option<String>,
    /// The ledger of each test: where every row went.
    #[arg(long)]
    ledger: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArguments,
}

impl Test {
    pub(crate) fn run(self) -> crate::Outcome {
        let mut passed = 0;
        let mut failed = 0;
        let mut results = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let cases = load::load_cases(&self.paths, &self.registry.schemas()?).inspect_err(|failure| {
            if self.json && !failure.wrong().is_empty() {
                outln!("{}", json!({"passed": 0, "failed": 0, "tests": [], "wrong": failure.wrong()}));
            }
        })?;
        for case in cases {
            names.extend(case.tests.iter().map(|test| test.name.value.clone()));
            let tests = case.tests.iter().filter(|test| self.is_asked_for(test));
            for test in tests {
                let report = runner::run(&|counts| case.pipeline.lower(counts), test);
                if report.passed() {
                    passed += 1;
                } else {
                    failed += 1;
                }
                if self.json {
                    results.push(as_json(&case.path.display().to_string(), &report));
                } else {
                    self.print(&case.path.display().to_string(), &report);
                }
            }
        }
        if self.json {
            outln!("{}", json!({"passed": passed, "failed": failed, "tests": results}));
        } else {
            outln!("{passed} passed, {failed} failed");
        }
        if passed + failed == 0 {
            return Err(self.nothing_to_run(&names));
        }
        Ok(if failed == 0 { Exit::Well } else { Exit::TestFailed })
    }

    /// There is no test, or none that the filter lets through.
    fn nothing_to_run(&self, names: &[String]) -> Failure {
        let Some(text) = self.filter.as_ref().filter(|_| !names.is_empty()) else {
            return Failure::usage("there is no test to run").help("Add a `tests:` section to the pipeline.");
        };
        let tests = crate::render::count(names.len() as u64, "test");
        let failure = Failure::usage(format!("no name of a test holds `{text}` (--filter), of {tests}"));
        let nearest = suggest::nearest(text, names.iter().map(String::as_str)).or(names.first().map(String::as_str));
        match nearest {
            Some(name) => failure.help(format!("A test is named `{name}`.")),
            None => failure,
        }
    }

    fn is_asked_for(&self, test: &TestSpec) -> bool {
        self.filter.as_ref().is_none_or(|text| test.name.value.contains(text.as_str()))
    }

    fn print(&self, file: &str, report: &TestReport) {
        let (style, word) = if report.passed() { (GOOD, "pass") } else { (ERROR, "FAIL") };
        outln!("{style}{word}{RESET} {DIM}{file}:{RESET} {}", report.name);
        for (ways, message) in by_message(&report.failures) {
            outln!("     {ways}: {}", message.replace('\n', "\n     "));
        }
        if self.ledger {
            for (step, ledger) in &report.ledger {
                outln!("     {DIM}{step}: {ledger}{RESET}");
            }
        }
    }
}

/// Failures with the ways in which they showed: mostly a test fails in all of them alike.
fn by_message(failures: &[Failed]) -> Vec<(String, &str)> {
    let mut grouped: Vec<(String, &str)> = Vec::new();
    for failure in failures {
        match grouped.iter_mut().find(|(_, message)| *message == failure.message) {
            Some((ways, _)) => *ways = format!("{ways}; {}", failure.way),
            None => grouped.push((failure.way.to_string(), &failure.message)),
        }
    }
    grouped
}

fn as_json(file: &str, report: &TestReport) -> serde_json::Value {
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|failure| json!({"way": failure.way.to_string(), "message": failure.message}))
        .collect();
    let ledger = crate::render::ledger_json(&report.ledger);
    json!({"file": file, "test": report.name, "passed": report.passed(), "failures": failures, "ledger": ledger})
}
