//! Runs tests that may find, when they run, that the machine lacks what they need. Such a test is counted as ignored and says so
//! in a line of its own; it never counts as passed.

use std::env;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed};

pub use libtest_mimic::Trial;

use crate::{Result, Trouble};

/// With this variable set, a test that would be skipped fails.
pub const REQUIRE: &str = "MILLSTREAM_REQUIRE_KAFKA";

/// A test by name.
pub fn test(name: impl Into<String>, run: impl FnOnce() -> Result + Send + 'static) -> Trial {
    trial(name.into(), Need::Required, run)
}

/// A test of what no machine has to have, [`REQUIRE`] or not: it is skipped, and says so.
pub fn extra(name: impl Into<String>, run: impl FnOnce() -> Result + Send + 'static) -> Trial {
    trial(name.into(), Need::Extra, run)
}

/// Whether a test may be skipped where [`REQUIRE`] is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Extra,
}

fn trial(name: String, need: Need, run: impl FnOnce() -> Result + Send + 'static) -> Trial {
    let shown = name.clone();
    Trial::ignorable_test(name, move || match run() {
        Ok(()) => Ok(Completion::Completed),
        Err(Trouble::Skip { reason }) => skip(&shown, need, &reason),
        Err(trouble) => Err(Failed::from(trouble.to_string())),
    })
}

fn skip(name: &str, need: Need, reason: &str) -> std::result::Result<Completion, Failed> {
    let is_required = || env::var_os(REQUIRE).is_some_and(|value| !value.is_empty() && value != "0");
    if need == Need::Required && is_required() {
        return Err(Failed::from(format!("{REQUIRE} is set, and the test would be skipped: {reason}")));
    }
    // This is the test binary's own stderr: no test runner stands between it and the reader.
    #[allow(clippy::print_stderr)]
    {
        eprintln!("SKIPPED: {name}: {reason}");
    }
    Ok(Completion::ignored_with(reason))
}

/// The `main` of a test binary. At most `threads` tests run at once, unless the command line or `RUST_TEST_THREADS` says
/// otherwise: each may have a broker and several daemons.
pub fn main(threads: usize, tests: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    let from_environment = env::var("RUST_TEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    arguments.test_threads = arguments.test_threads.or(from_environment).or(Some(threads));
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// `tests![a, b]` is a list of the tests `a` and `b`, each under its name behind the module's.
#[macro_export]
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        vec![$($crate::suite::test(
            concat!(module_path!(), "::", stringify!($name)).split_once("::").map_or(stringify!($name), |(_, name)| name),
            $name,
        )),+]
    };
}
