//! One log line: what is known of an event, as a sentence for people or as a JSON object.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::render::{DIM, RESET};

/// Named values in the order in which they came; a later one of the same name takes the place of an earlier one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

/// An event with the fields of the spans around it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    /// The part of the program.
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: Fields,
}

impl Fields {
    /// Lays `others` over these.
    pub(super) fn extend(&mut self, others: &Fields) {
        for (name, value) in &others.0 {
            self.set(name, value.clone());
        }
    }

    /// The value of a name, as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(as_text)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn take_message(&mut self) -> String {
        let at = self.0.iter().position(|(name, _)| *name == "message");
        at.map_or_else(String::new, |at| as_text(&self.0.remove(at).1))
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Where in the program's work something happened, in the order in which it is shown.
const PLACE: [&str; 5] = ["pipeline", "task", "thread", "topic", "partition"];

impl Line {
    /// `2026-01-01T00:00:00.000Z WARN rooms task 0_1: message (more=1)`
    pub(super) fn human(&self, time: &str) -> String {
        let mut line = format!("{DIM}{time}{RESET} {}{:<5}{RESET} ", style(self.level), self.level);
        let mut place = String::new();
        for name in PLACE {
            if let Some(value) = self.fields.text(name) {
                let label = if name == "pipeline" { String::new() } else { format!("{name} ") };
                let comma = if place.is_empty() { "" } else { ", " };
                let _ = write!(place, "{comma}{label}{value}");
            }
        }
        if place.is_empty() && !self.target.starts_with("millstream") {
            place = self.target.to_owned();
        }
        if !place.is_empty() {
            let _ = write!(line, "{place}: ");
        }
        line.push_str(&self.message.replace('\n', " "));
        let others = self.fields.0.iter().filter(|(name, _)| !PLACE.contains(name));
        let others: Vec<String> = others.map(|(name, value)| format!("{name}={}", as_text(value))).collect();
        if !others.is_empty() {
            let _ = write!(line, " {DIM}({}){RESET}", others.join(" ").replace('\n', " "));
        }
        line.push('\n');
        line
    }

    /// `{"time":..,"level":..,"message":..,"pipeline":..,..}`
    pub(super) fn json(&self, time: &str) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), time.into());
        object.insert("level".to_owned(), self.level.as_str().to_ascii_lowercase().into());
        object.insert("message".to_owned(), self.message.as_str().into());
        for name in PLACE {
            object.extend(self.fields.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        object.insert("target".to_owned(), self.target.into());
        for (name, value) in &self.fields.0 {
            object.entry(*name).or_insert_with(|| value.clone());
        }
        Value::Object(object).to_string() + "\n"
    }
}

fn style(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default().bold(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let mut fields = Fields::default();
        fields.set("retry_in_ms", 1000.into());
        fields.set("pipeline", "rooms".into());
        fields.set("partition", 3.into());
        fields.set("task", "0_3".into());
        Line { level: Level::WARN, target: "millstream_runtime::daemon", message: "it\nfailed".to_owned(), fields }
    }

    #[test]
    fn people_see_where_and_what() {
        let shown = anstream::adapter::strip_str(&line().human("T")).to_string();
        assert_eq!(shown, "T WARN  rooms, task 0_3, partition 3: it failed (retry_in_ms=1000)\n");
        let other = Line { level: Level::INFO, target: "librdkafka", message: "m".into(), fields: Fields::default() };
        assert_eq!(anstream::adapter::strip_str(&other.human("T")).to_string(), "T INFO  librdkafka: m\n");
    }

    #[test]
    fn tools_get_an_object_with_the_names_that_were_given() {
        let expected = "{\"time\":\"T\",\"level\":\"warn\",\"message\":\"it\\nfailed\",\"pipeline\":\"rooms\",\
                        \"task\":\"0_3\",\"partition\":3,\"target\":\"millstream_runtime::daemon\",\"retry_in_ms\":1000}\n";
        assert_eq!(line().json("T"), expected);
    }
}
