//! What is said of a panic, which is always a bug: where it was, in which pipeline and task, and what to do. It never decides
//! what happens next: whoever guards a thread does.
//!
//! Inside [`guard`] nothing is said before the panic arrives there: what is caught on the way (a function that fails on some
//! value by a panic) is the error of whoever catches it, and told as such.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use millstream_engine::ids::TaskId;

/// So many functions of a backtrace are told.
const MOST_FRAMES: usize = 24;

/// Panics behind which the process ends at once: no guard will ever see them.
const FINAL: [&str; 2] = ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

thread_local! {
    static GUARDED: RefCell<Option<Place>> = const { RefCell::new(None) };
    static TASK: Cell<Option<TaskId>> = const { Cell::new(None) };
    static LAST: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Whose thread it is.
#[derive(Debug, Clone)]
struct Place {
    pipeline: Option<String>,
    thread: Option<usize>,
}

/// What a panic left behind.
#[derive(Debug)]
struct Report {
    message: String,
    location: String,
    task: Option<TaskId>,
    backtrace: Backtrace,
}

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where in the source it was, if [`listen`] was called before.
    pub location: Option<String>,
}

impl Panic {
    /// One that nobody heard of.
    pub(crate) fn unheard() -> Panic {
        Panic { message: "a thread has panicked".to_owned(), location: None }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "internal error: {}", self.message)?;
        match &self.location {
            Some(location) => write!(f, ", at {location}"),
            None => Ok(()),
        }
    }
}

/// From now on panics of this process are told as log lines.
pub fn listen() {
    std::panic::set_hook(Box::new(hear));
}

/// Runs something of a pipeline; a panic in it is told and given back.
///
/// # Errors
/// If it panicked.
pub fn guard<T>(pipeline: &str, thread: Option<usize>, run: impl FnOnce() -> T) -> Result<T, Panic> {
    guard_at(Place { pipeline: Some(pipeline.to_owned()), thread }, run)
}

/// As [`guard`], of no pipeline.
///
/// # Errors
/// If it panicked.
pub fn guard_shared<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    guard_at(Place { pipeline: None, thread: None }, run)
}

fn guard_at<T>(place: Place, run: impl FnOnce() -> T) -> Result<T, Panic> {
    let before = GUARDED.replace(Some(place.clone()));
    // What may have been left half done is dropped by the caller, never looked at.
    let outcome = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(before);
    outcome.map_err(|payload| match LAST.take() {
        Some(report) => {
            tell(&place, &report);
            Panic { message: report.message, location: Some(report.location) }
        }
        None => Panic { message: said(payload.as_ref()).to_owned(), location: None },
    })
}

/// This thread is at a task until what this gives is dropped.
pub(crate) fn at_task(task: TaskId) -> AtTask {
    AtTask { before: TASK.replace(Some(task)) }
}

/// See [`at_task`].
pub(crate) struct AtTask {
    before: Option<TaskId>,
}

impl Drop for AtTask {
    fn drop(&mut self) {
        TASK.set(self.before);
    }
}

fn hear(panic: &PanicHookInfo<'_>) {
    let report = Report {
        message: said(panic.payload()).to_owned(),
        location: panic.location().map_or_else(|| "a place that is not known".to_owned(), ToString::to_string),
        task: TASK.get(),
        backtrace: Backtrace::force_capture(),
    };
    let place = GUARDED.with_borrow(Clone::clone);
    match place {
        Some(place) if FINAL.contains(&report.message.as_str()) => {
            let first = LAST.take();
            first.iter().chain([&report]).for_each(|report| tell(&place, report));
        }
        Some(_) => LAST.set(Some(report)),
        None => tell(&Place { pipeline: None, thread: None }, &report),
    }
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn tell(place: &Place, report: &Report) {
    tracing::error!(
        pipeline = place.pipeline,
        thread = place.thread,
        task = report.task.map(tracing::field::display),
        location = report.location,
        version = env!("CARGO_PKG_VERSION"),
        backtrace = shortened(&report.backtrace.to_string()),
        "internal error: {}; this is a bug: please report this line, with the pipeline's text",
        report.message
    );
}

/// The functions of a backtrace, the innermost first, without those of the panic itself and of what began the thread.
fn shortened(backtrace: &str) -> String {
    let frames: Vec<&str> = backtrace.lines().filter_map(frame).collect();
    let is_panics =
        |frame: &&str| ["begin_panic", "panic_fmt", "core::panicking"].iter().any(|own| frame.contains(own));
    let first = frames.iter().rposition(is_panics).map_or(0, |at| at + 1);
    let is_guards = |frame: &&&str| ["call_once", "do_call", "catch_unwind"].iter().any(|own| frame.contains(own));
    let inner = frames[first..].iter().take_while(|frame| !is_guards(frame));
    let told: Vec<&str> = inner.copied().take(MOST_FRAMES).collect();
    if told.is_empty() { backtrace.trim().replace('\n', " ") } else { told.join(" < ") }
}

/// `  12: a::b::c::h0123456789abcdef` without number and hash.
fn frame(line: &str) -> Option<&str> {
    let (number, name) = line.trim_start().split_once(": ")?;
    number.parse::<u32>().ok()?;
    let (path, hash) = name.rsplit_once("::h").unwrap_or((name, ""));
    Some(if hash.len() == 16 { path } else { name })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_given_back_and_the_thread_goes_on() {
        let caught = guard("rooms", Some(1), || -> u32 { panic!("no {}", "way") }).unwrap_err();
        assert_eq!(caught.message, "no way");
        assert!(caught.to_string().starts_with("internal error: no way"), "{caught}");
        assert_eq!(guard("rooms", None, || 7), Ok(7));
        assert!(GUARDED.with_borrow(Option::is_none));
    }

    #[test]
    fn a_task_is_left_also_by_a_panic() {
        let task = TaskId { subtopology: 0, partition: millstream_engine::ids::PartitionId(3) };
        let caught = guard("rooms", None, || {
            let _at = at_task(task);
            assert_eq!(TASK.get(), Some(task));
            panic!("at a task");
        });
        assert!(caught.is_err() && TASK.get().is_none(), "{caught:?}");
    }

    #[test]
    fn a_backtrace_names_what_was_running() {
        let full = "   0: std::backtrace::Backtrace::create\n   1: core::panicking::panic_fmt\n             at /rustc/x\n   \
                    2: ours::inner::h0123456789abcdef\n   3: ours::outer\n   4: std::panicking::catch_unwind\n   5: main\n";
        assert_eq!(shortened(full), "ours::inner < ours::outer");
        assert_eq!(shortened("disabled backtrace\n"), "disabled backtrace");
    }
}
