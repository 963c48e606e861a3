//! Log lines on standard error: for people on a terminal, as JSON elsewhere; each says where in the work it arose, and one
//! that repeats too often is counted instead of written.

mod limit;
mod line;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use millstream_runtime::clock;
use millstream_runtime::config::{LogFormat, LogLevel, LogSettings};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use limit::{Held, Limiter, Verdict};
use line::{Fields, Line};

/// Whose lines are written from the level that the settings name; of other parts only what is grave.
const OURS: [&str; 2] = ["millstream", "librdkafka"];

/// Begins to write log lines. When what it gives is dropped, what was held back is told.
pub(crate) fn begin(settings: &LogSettings) -> Logs {
    let style = match settings.format {
        LogFormat::Human => Style::Human,
        LogFormat::Json => Style::Json,
        LogFormat::Auto if std::io::stderr().is_terminal() => Style::Human,
        LogFormat::Auto => Style::Json,
    };
    let shared = Arc::new(Shared { style, limiter: Mutex::new(Limiter::new()) });
    let subscriber = tracing_subscriber::registry().with(Lines(Arc::clone(&shared)).with_filter(filter(settings)));
    // A second beginning in one process leaves the first in force.
    let _ = subscriber.try_init();
    Logs(shared)
}

fn filter(settings: &LogSettings) -> Targets {
    let level = as_filter(settings.level);
    let mut targets = Targets::new().with_default(level.min(LevelFilter::WARN));
    for ours in OURS {
        targets = targets.with_target(ours, level);
    }
    targets.with_targets(settings.targets.iter().map(|(target, level)| (target.clone(), as_filter(*level))))
}

fn as_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Log lines are written for as long as the process lives; dropping this tells what was held back.
pub(crate) struct Logs(Arc<Shared>);

impl Drop for Logs {
    fn drop(&mut self) {
        if let Ok(mut limiter) = self.0.limiter.lock() {
            self.0.tell(&limiter.rest());
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Human,
    Json,
}

/// What lines of one kind have in common: the place in the program, the pipeline, the part of the client that speaks.
type Kind = (String, Option<String>, Option<String>);

struct Shared {
    style: Style,
    limiter: Mutex<Limiter<Kind>>,
}

struct Lines(Arc<Shared>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span);
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        fields.extend(&own);
        let metadata = event.metadata();
        let message = fields.take_message();
        let line = Line { level: *metadata.level(), target: metadata.target(), message, fields };
        let place = format!("{}:{}", metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        self.0.write(&line, place);
    }
}

impl Shared {
    fn write(&self, line: &Line, place: String) {
        let time = crate::render::time(clock::wall().0);
        let text = self.show(line, &time);
        let Ok(mut limiter) = self.limiter.lock() else { return };
        let now = Instant::now();
        self.tell(&limiter.over(now));
        let is_grave = line.level <= Level::WARN;
        // Of the client's library all lines come through one place; the word before the colon tells them apart.
        let part = (line.target == "librdkafka").then(|| line.message.split(':').next().unwrap_or_default().to_owned());
        let kind = (place, line.fields.text("pipeline"), part);
        if !is_grave || limiter.judge(kind, now, || text.clone()) == Verdict::Write {
            put(&text);
        }
    }

    /// Tells of lines that were held back.
    fn tell(&self, held: &[Held]) {
        for Held { line, times } in held {
            let line = line.trim_end();
            match self.style {
                Style::Human => put(&format!("{line} (repeated {times} times)\n")),
                Style::Json => {
                    let object = line.strip_suffix('}').unwrap_or(line);
                    put(&format!("{object},\"repeated\":{times}}}\n"));
                }
            }
        }
    }

    fn show(&self, line: &Line, time: &str) -> String {
        match self.style {
            Style::Human => line.human(time),
            Style::Json => line.json(time),
        }
    }
}

/// One line, one write, so that lines of several threads do not mix. Nobody can be told that it failed.
fn put(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}
