//! Every case file and every example's tests over a real broker: what has been committed must be what it is in memory, also
//! with a commit and with a crash after every record.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_harness::broker::BrokerOptions;
use millstream_harness::random::Random;
use millstream_harness::{Broker, Result, Trouble, ensure, repository, suite};
use millstream_pipeline::case::TestSpec;
use millstream_pipeline::interpolate::{Asked, NoValue};
use millstream_pipeline::lower;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_pipeline::yaml::source_map::SourceMap;
use millstream_pipeline::yaml::spanned::Spanned;
use millstream_runtime::case::{self, Way};
use millstream_runtime::contracts;

use crate::place::OnBroker;
use crate::scenario::seed_of;

/// Of the tests of case files, each run of the suite disturbs one of so many.
const SHARE: u64 = 3;

/// How many files are run at once: the broker answers one while another thinks.
const AT_ONCE: usize = 4;

pub(crate) fn tests() -> Vec<suite::Trial> {
    vec![
        suite::test("cases::every_case_file_straight_through", || {
            run_folder("tests/cases", Share::All, &[Way::Straight], 200)
        }),
        suite::test("cases::every_example_straight_through", || {
            run_folder("pipelines", Share::All, &[Way::Straight], 10)
        }),
        suite::test("cases::examples_with_a_crash_after_every_record", || {
            run_folder("pipelines", Share::All, &BROKEN, 10)
        }),
        suite::test("cases::case_files_with_a_crash_after_every_record", || {
            let share = Share::asked();
            tell(share);
            run_folder("tests/cases", share, &BROKEN, 1).map_err(|trouble| format!("{share}: {trouble}").into())
        }),
    ]
}

/// The ways in which a pipeline is disturbed.
const BROKEN: [Way; 2] = [Way::CommitEach, Way::CrashEach];

/// Which tests of a folder are run.
#[derive(Debug, Clone, Copy)]
enum Share {
    All,
    /// One of so many, others with each seed.
    OneOf {
        many: u64,
        seed: u64,
    },
}

impl Share {
    /// Each run of the suite takes others, so that all have their turn. `CASES_SHARE=1` takes all, `SEED` those of an earlier run.
    fn asked() -> Share {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match number("CASES_SHARE").unwrap_or(SHARE) {
            0 | 1 => Share::All,
            many => Share::OneOf { many, seed: number("SEED").unwrap_or_else(now) },
        }
    }

    fn takes(self, test: &str) -> bool {
        match self {
            Share::All => true,
            Share::OneOf { many, seed } => Random::new(seed ^ seed_of(test)).below(many) == 0,
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::All => f.write_str("all tests"),
            Share::OneOf { many, seed } => write!(f, "SEED={seed}, one of {many} tests"),
        }
    }
}

/// Also when all goes well.
#[allow(clippy::print_stderr)]
fn tell(share: Share) {
    eprintln!("cases::case_files_with_a_crash_after_every_record: {share}");
}

/// A pipeline with its tests.
struct Case {
    path: PathBuf,
    pipeline: Pipeline,
    map: SourceMap,
    tests: Vec<Spanned<TestSpec>>,
}

impl Case {
    fn load(path: &Path) -> Result<Case> {
        let text = std::fs::read_to_string(path).map_err(Trouble::io(path.display()))?;
        let name = path.display().to_string();
        let wrong = |diagnostics| format!("{name}: {diagnostics:?}");
        let is_case_file =
            text.lines().any(|line| line.trim_end() == "pipeline:" || line.starts_with("pipeline_file:"));
        if !is_case_file {
            let (pipeline, map) = millstream_pipeline::parse(&name, &text, &nothing).map_err(wrong)?;
            return Ok(Case { path: path.to_owned(), tests: pipeline.tests.clone(), pipeline, map });
        }
        let (case, map) = millstream_pipeline::parse_case(&name, &text, &nothing).map_err(wrong)?;
        if let Some(file) = case.pipeline_file {
            let other = Case::load(&path.parent().unwrap_or(path).join(&file.value))?;
            return Ok(Case { path: path.to_owned(), tests: case.tests, ..other });
        }
        let pipeline = case.pipeline.ok_or_else(|| format!("{name}: no pipeline"))?.value;
        let tests = pipeline.tests.iter().chain(&case.tests).cloned().collect();
        Ok(Case { path: path.to_owned(), pipeline, map, tests })
    }

    fn lower(&self, counts: &PartitionCounts) -> std::result::Result<Topology, String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let found = contracts::find(&self.pipeline, folder, None).found;
        lower::lower_with(&self.pipeline, &self.map, counts, &found).map_err(|wrong| format!("{wrong:?}"))
    }

    /// What is wrong, and how many tests there were.
    fn run(&self, broker: &Broker, share: Share, ways: &[Way]) -> (Vec<String>, usize) {
        let (mut wrong, mut count) = (Vec::new(), 0);
        for test in &self.tests {
            let name = format!("{} / {}", self.path.display(), test.name.value);
            if !share.takes(&name) {
                continue;
            }
            count += 1;
            let mut place = || Ok(OnBroker::new(broker.client(), &broker.bootstrap()));
            let report = case::run_in(&mut place, ways, &|counts| self.lower(counts), test);
            let failures = report.failures.iter();
            wrong.extend(failures.map(|failure| format!("{name}: {}: {}", failure.way, failure.message)));
        }
        (wrong, count)
    }
}

fn nothing(_: Asked, _: &str) -> std::result::Result<String, NoValue> {
    Err(NoValue::NotSet)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Some tests are of years to come, which a broker refuses unless it is told not to.
fn broker() -> Result<Broker> {
    let far = ("log.message.timestamp.after.max.ms".to_owned(), i64::MAX.to_string());
    Broker::start_with(BrokerOptions { properties: [far].into(), ..BrokerOptions::default() })
}

fn run_folder(folder: &str, share: Share, ways: &[Way], at_least: usize) -> Result {
    let broker = &broker()?;
    // `CASES=tumbling` runs the files whose path holds this, for whoever looks for a bug.
    let only = std::env::var("CASES").unwrap_or_default();
    let files = files(&repository().join(folder)).into_iter().filter(|path| path.to_string_lossy().contains(&only));
    let cases: VecDeque<Case> = files.map(|path| Case::load(&path)).collect::<Result<_>>()?;
    let (queue, done) = (Mutex::new(cases), Mutex::new((Vec::new(), 0)));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(case) = next else { break };
                    let (wrong, count) = case.run(broker, share, ways);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.0.extend(wrong);
                    done.1 += count;
                }
            });
        }
    });
    let (wrong, count) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(wrong.is_empty(), "{} of {count} tests are wrong:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(count >= at_least || !only.is_empty(), "only {count} tests ran, at least {at_least} were expected");
    Ok(())
}
