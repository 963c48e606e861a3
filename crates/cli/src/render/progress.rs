//! How a run stands: on a terminal one line that is written over, a pipeline each; elsewhere plain lines now and then.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use millstream_runtime::worker::Standing;

/// The lines of a run.
pub(crate) struct Progress {
    style: Style,
}

#[derive(Clone)]
enum Style {
    Terminal(MultiProgress),
    Plain,
    Silent,
}

/// The line of one pipeline.
pub(crate) struct Line {
    pipeline: String,
    style: Style,
    bar: Option<ProgressBar>,
    last: Mutex<Last>,
}

struct Last {
    at: Instant,
    records_in: u64,
    /// Where nothing but a log reads along, a line every few seconds is enough.
    printed: Option<Instant>,
}

const PLAIN_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Lines for so many pipelines; silent where the output is for machines.
    pub(crate) fn new(machine: bool, _pipelines: usize) -> Progress {
        let style = if machine {
            Style::Silent
        } else if std::io::stderr().is_terminal() {
            Style::Terminal(MultiProgress::new())
        } else {
            Style::Plain
        };
        Progress { style }
    }

    /// The line of a pipeline.
    pub(crate) fn line(&self, pipeline: &str) -> Line {
        let bar = match &self.style {
            Style::Terminal(lines) => {
                let bar = lines.add(ProgressBar::new_spinner());
                bar.set_style(
                    ProgressStyle::with_template("{spinner} {msg}").unwrap_or(ProgressStyle::default_spinner()),
                );
                Some(bar)
            }
            Style::Plain | Style::Silent => None,
        };
        let last = Last { at: Instant::now(), records_in: 0, printed: None };
        Line { pipeline: pipeline.to_owned(), style: self.style.clone(), bar, last: Mutex::new(last) }
    }

    /// Takes the lines away.
    pub(crate) fn finish(&self) {
        if let Style::Terminal(lines) = &self.style {
            let _ = lines.clear();
        }
    }
}

impl Line {
    /// Shows where the pipeline stands.
    pub(crate) fn show(&self, standing: &Standing) {
        let Ok(mut last) = self.last.lock() else { return };
        let seconds = last.at.elapsed().as_secs_f64().max(1e-3);
        let rate = (standing.records_in - last.records_in.min(standing.records_in)) as f64 / seconds;
        last.at = Instant::now();
        last.records_in = standing.records_in;
        let text = format!("{}: {}", self.pipeline, describe(standing, rate));
        match (&self.style, &self.bar) {
            (Style::Terminal(_), Some(bar)) => {
                bar.set_message(text);
                bar.tick();
            }
            (Style::Plain, _) if last.printed.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) => {
                last.printed = Some(Instant::now());
                errln!("{text}");
            }
            _ => {}
        }
    }

    /// The pipeline goes on no more: `say` writes why to standard error, beside the lines of the others.
    pub(crate) fn failed(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => {
                bar.abandon_with_message(format!("{}: stopped by an error", self.pipeline));
                bar.suspend(say);
            }
            None => say(),
        }
    }

    /// Says something once.
    pub(crate) fn say(&self, text: &str) {
        match (&self.style, &self.bar) {
            (Style::Terminal(_), Some(bar)) => bar.println(format!("{}: {text}", self.pipeline)),
            (Style::Silent, _) => {}
            _ => errln!("{}: {text}", self.pipeline),
        }
    }
}

fn describe(standing: &Standing, rate: f64) -> String {
    let watermark = standing.watermark.map_or("none".to_owned(), |watermark| super::time(watermark.0));
    format!(
        "in {} out {} · {rate:.0} rows/s · watermark {watermark} · lag {} · late {} · errors {}",
        standing.records_in, standing.records_out, standing.lag, standing.late, standing.errors
    )
}
