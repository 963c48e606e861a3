//! What is wrong with a pipeline: code, place, reason and a way out; for people as text, for tools as JSON.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use serde::{Serialize, Serializer};

pub use crate::codes::Code;
use crate::yaml::mask;
use crate::yaml::source_map::SourceFile;
use crate::yaml::span::Span;

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// The pipeline runs, but perhaps not as meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// What kind of mistake it is.
    pub code: Code,
    /// How grave it is.
    pub severity: Severity,
    /// Where it is.
    pub span: Span,
    /// What is wrong, in lower case, without a final stop.
    pub message: String,
    /// What stands at the marked spot, in a few words.
    pub label: Option<String>,
    /// Other places that have to do with it.
    pub labels: Vec<Label>,
    /// What to do, as full sentences.
    pub help: Option<String>,
    /// A text that would be right.
    pub suggestion: Option<Suggestion>,
}

/// Another place that has to do with a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where it is.
    pub span: Span,
    /// What is there, in a few words.
    pub text: String,
}

/// A text that would be right instead of what stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What to replace.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, span, message.into())
    }

    /// A warning.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, span, message.into())
    }

    fn new(severity: Severity, code: Code, span: Span, message: String) -> Diagnostic {
        Diagnostic { code, severity, span, message, label: None, labels: Vec::new(), help: None, suggestion: None }
    }

    /// Says in a few words what stands at the marked spot.
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.label = Some(text.into());
        self
    }

    /// Marks another place.
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do, as full sentences.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Offers a text instead of what stands at `span`.
    pub fn suggest(mut self, span: Span, replacement: impl Into<String>) -> Diagnostic {
        self.suggestion = Some(Suggestion { span, replacement: replacement.into() });
        self
    }

    /// Offers the nearest of the names that would be right instead of the marked one, if one is near.
    pub fn did_you_mean<'a>(self, wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Diagnostic {
        match crate::suggest::nearest(wrong, candidates) {
            Some(meant) => {
                let span = self.span;
                self.suggest(span, meant)
            }
            None => self,
        }
    }
}

/// All that is wrong with a file.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    file: Arc<SourceFile>,
    list: Vec<Diagnostic>,
    left_out: usize,
}

/// How many diagnostics are kept: more would be read by nobody, and a hostile file could have a hundred thousand.
const MOST: usize = 500;

/// The longest excerpt that is shown, in bytes.
const LONGEST_EXCERPT: usize = 4_000;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters only.
    Plain,
    /// With ANSI colours.
    Colored,
}

impl Diagnostics {
    /// Nothing wrong yet.
    pub fn new(file: Arc<SourceFile>) -> Diagnostics {
        Diagnostics { file, list: Vec::new(), left_out: 0 }
    }

    /// Adds one. Behind a great number of them, it is only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match self.is_full() {
            true => self.left_out += 1,
            false => self.list.push(diagnostic),
        }
    }

    /// Adds all of another list about the same file.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        others.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Whether there are so many that further ones are not worth making.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST
    }

    /// How many were counted only.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The file that they are about.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// Shows the file from now on as another of the same length.
    pub(crate) fn show(&mut self, file: Arc<SourceFile>) {
        self.file = file;
    }

    /// Shows the file, of which there is no tree, from now on without what sounds like a secret.
    pub(crate) fn hide_what_sounds_secret(&mut self) {
        if let Some(text) = mask::by_words(self.file.text()) {
            self.file = Arc::new(SourceFile::new(self.file.name(), text));
        }
    }

    /// Says some of them in other words.
    pub fn reword(&mut self, change: impl FnMut(&mut Diagnostic)) {
        self.list.iter_mut().for_each(change);
    }

    /// Drops those for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// Whether the pipeline cannot run.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether nothing is wrong at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of diagnostics.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order of the file; of one place the gravest first, then by code. The same mistake at the same place
    /// stands once.
    pub fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.span.start, d.severity, d.code, d.span.end);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.list.dedup();
    }

    /// The diagnostics, in the order of [`sort`](Self::sort) if that was called last.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// All as text for people, each followed by an empty line.
    pub fn render(&self, style: Style) -> String {
        let mut text: String = self.list.iter().map(|diagnostic| self.render_one(diagnostic, style) + "\n\n").collect();
        if self.left_out > 0 {
            text += &format!("and {} more\n", self.left_out);
        }
        text
    }

    /// One as text for people: code, message, `file:line:column`, the line with the spot marked, and a way out.
    pub fn render_one(&self, diagnostic: &Diagnostic, style: Style) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.id());
        let mut group = Group::with_title(title);
        let excerpt = self.excerpt(diagnostic);
        group = match &excerpt {
            Some(excerpt) => group.element(self.snippet(excerpt, diagnostic)),
            None => {
                let Span { line, column, .. } = diagnostic.span;
                let place = Origin::path(self.file.name()).line(line).char_column(column);
                let labels = diagnostic.labels.iter().map(|label| {
                    let Span { line, column, .. } = label.span;
                    Level::NOTE.message(format!("{}: {}:{line}:{column}", label.text, self.file.name()))
                });
                group.element(place).elements(labels)
            }
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let mut report = vec![group];
        if let Some(Suggestion { span, replacement }) = &diagnostic.suggestion {
            let title = Level::HELP.secondary_title(format!("did you mean `{replacement}`?"));
            report.push(match &excerpt {
                Some(excerpt) => Group::with_title(title).element(
                    Snippet::source(excerpt.text)
                        .path(self.file.name())
                        .line_start(excerpt.line)
                        .patch(Patch::new(excerpt.range(*span), replacement.as_str())),
                ),
                None => Group::with_title(title),
            });
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colored => Renderer::styled(),
        };
        renderer.render(&report)
    }

    fn snippet<'a>(&'a self, excerpt: &Excerpt<'a>, diagnostic: &'a Diagnostic) -> Snippet<'a, Annotation<'a>> {
        let main = AnnotationKind::Primary.span(excerpt.range(diagnostic.span)).label(diagnostic.label.as_deref());
        let others = diagnostic
            .labels
            .iter()
            .map(|label| AnnotationKind::Context.span(excerpt.range(label.span)).label(label.text.as_str()));
        Snippet::source(excerpt.text)
            .path(self.file.name())
            .line_start(excerpt.line)
            .annotation(main)
            .annotations(others)
    }

    /// The lines that a diagnostic is about, unless they are too many or too long to show: a long file is not gone
    /// through for each of its mistakes.
    fn excerpt(&self, diagnostic: &Diagnostic) -> Option<Excerpt<'_>> {
        let text = self.file.text();
        let labels = diagnostic.labels.iter().map(|label| label.span);
        let suggestion = diagnostic.suggestion.iter().map(|suggestion| suggestion.span);
        let spans = || std::iter::once(diagnostic.span).chain(labels.clone()).chain(suggestion.clone());
        let first = spans().map(|span| span.start).min()?.min(text.len());
        let last = spans().map(|span| first_line_end(text, span)).max()?.clamp(first, text.len());
        let bytes = text.as_bytes();
        let start = bytes[..first].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let end = bytes[last..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| last + at);
        let line = spans().map(|span| span.line).min()?;
        (end - start <= LONGEST_EXCERPT).then(|| Excerpt { text: &text[start..end], start, line })
    }
}

/// Some lines of the file: their text, where it starts, and the number of the first.
struct Excerpt<'a> {
    text: &'a str,
    start: usize,
    line: usize,
}

impl Excerpt<'_> {
    /// A place relative to the excerpt. Of one that spans many lines, only the first line is marked.
    fn range(&self, span: Span) -> Range<usize> {
        let start = span.start.saturating_sub(self.start).min(self.text.len());
        let end = span.end.saturating_sub(self.start).clamp(start, self.text.len());
        let line_end = self.text[start..end].find('\n').map_or(end, |at| start + at);
        start..start + self.text[start..line_end].trim_end().len()
    }
}

fn first_line_end(text: &str, span: Span) -> usize {
    text.get(span.start..span.end).and_then(|marked| marked.find('\n')).map_or(span.end, |at| span.start + at)
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    start: usize,
    end: usize,
}

#[derive(Serialize)]
struct JsonLabel<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    text: &'a str,
}

#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: &'a str,
    name: &'a str,
    severity: Severity,
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    label: Option<&'a str>,
    labels: Vec<JsonLabel<'a>>,
    help: Option<&'a str>,
    suggestion: Option<JsonLabel<'a>>,
}

/// A list of objects; places have bytes (from 0) and lines and columns (from 1, in characters).
impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = |span: Span| {
            let (end_line, end_column) = self.file.line_column(span.end);
            let Span { start, end, line, column } = span;
            Place { file: self.file.name(), line, column, end_line, end_column, start, end }
        };
        serializer.collect_seq(self.list.iter().map(|diagnostic| {
            JsonDiagnostic {
                code: diagnostic.code.id(),
                name: diagnostic.code.name(),
                severity: diagnostic.severity,
                message: &diagnostic.message,
                place: place(diagnostic.span),
                label: diagnostic.label.as_deref(),
                labels: diagnostic
                    .labels
                    .iter()
                    .map(|label| JsonLabel { place: place(label.span), text: &label.text })
                    .collect(),
                help: diagnostic.help.as_deref(),
                suggestion: diagnostic
                    .suggestion
                    .as_ref()
                    .map(|suggestion| JsonLabel { place: place(suggestion.span), text: &suggestion.replacement }),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codes;

    fn two() -> Diagnostics {
        let file = Arc::new(SourceFile::new("p.yaml", "a: 1\nbé: 2\na: 3\n"));
        let mut diagnostics = Diagnostics::new(file.clone());
        let again = Diagnostic::error(codes::DUPLICATE_KEY, file.span(12..13), "the key `a` stands twice");
        diagnostics.push(again.clone().label("here again").also(file.span(0..1), "first here"));
        diagnostics.push(
            Diagnostic::warning(codes::UNKNOWN_KEY, file.span(5..8), "no key `bé`")
                .help("There is `be`.")
                .did_you_mean("bé", ["be", "other"]),
        );
        diagnostics.push(again.clone().label("here again").also(file.span(0..1), "first here"));
        diagnostics.sort();
        diagnostics
    }

    #[test]
    fn are_sorted_and_stand_once() {
        let diagnostics = two();
        assert_eq!(diagnostics.iter().map(|d| d.code.name()).collect::<Vec<_>>(), ["unknown-key", "duplicate-key"]);
        assert!(diagnostics.has_errors());
    }

    #[test]
    fn are_text_for_people() {
        insta::assert_snapshot!(two().render(Style::Plain), @r##"
        warning[MS0201]: no key `bé`
         --> p.yaml:2:1
          |
        2 | bé: 2
          | ^^
          |
          = help: There is `be`.
        help: did you mean `be`?
          |
        2 - bé: 2
        2 + be: 2
          |

        error[MS0104]: the key `a` stands twice
         --> p.yaml:3:1
          |
        1 | a: 1
          | - first here
        2 | bé: 2
        3 | a: 3
          | ^ here again
        "##);
        assert!(two().render(Style::Colored).contains("\u{1b}["));
        assert!(!two().render(Style::Plain).contains('\u{1b}'));
    }

    #[test]
    fn are_json_for_tools() {
        let json = serde_json::to_value(two()).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&json[0]).unwrap(), @r##"
        {
          "code": "MS0201",
          "name": "unknown-key",
          "severity": "warning",
          "message": "no key `bé`",
          "file": "p.yaml",
          "line": 2,
          "column": 1,
          "end_line": 2,
          "end_column": 3,
          "start": 5,
          "end": 8,
          "label": null,
          "labels": [],
          "help": "There is `be`.",
          "suggestion": {
            "file": "p.yaml",
            "line": 2,
            "column": 1,
            "end_line": 2,
            "end_column": 3,
            "start": 5,
            "end": 8,
            "text": "be"
          }
        }
        "##);
        assert_eq!(json[1]["labels"][0]["line"], 1);
        assert_eq!((&json[1]["line"], &json[1]["column"]), (&3.into(), &1.into()));
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let file = Arc::new(SourceFile::new("p.yaml", "x".repeat(100_000)));
        let mut diagnostics = Diagnostics::new(file.clone());
        diagnostics.push(Diagnostic::error(codes::YAML_SYNTAX, file.span(50_000..50_001), "wrong").help("Do else."));
        let text = diagnostics.render(Style::Plain);
        assert!(text.contains("p.yaml:1:50001") && text.contains("Do else.") && text.len() < 500, "{text}");
    }

    #[test]
    fn are_not_more_than_can_be_read() {
        let mut diagnostics = two();
        let one = diagnostics.iter().next().unwrap().clone();
        diagnostics.extend(std::iter::repeat_n(one, 2 * MOST));
        assert_eq!((diagnostics.len(), diagnostics.left_out()), (MOST, MOST + 2));
        assert!(
            diagnostics.is_full() && diagnostics.render(Style::Plain).ends_with(&format!("and {} more\n", MOST + 2))
        );
    }
}
