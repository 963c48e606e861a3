//! Text to tree: everything that YAML has and a pipeline must not have is refused here.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::node::{Kind, Node, Scalar};
use super::source_map::{SourceFile, SourceMap, Style};
use super::span::Span;
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1_000_000;

/// How deep lists and mappings may stand in each other.
pub const MAX_DEPTH: usize = 64;

/// Reads a file. All mistakes go to `diagnostics`; the tree is there if it could be read to its end, perhaps with
/// mistakes.
pub fn parse(sources: &mut SourceMap, diagnostics: &mut Diagnostics) -> Option<Node> {
    let file = sources.file().clone();
    if file.text().len() > MAX_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", file.text().len());
        diagnostics.push(Diagnostic::error(codes::FILE_TOO_LARGE, file.span(0..0), message));
        return None;
    }
    let mut builder =
        Builder { offsets: Offsets::new(file.text()), file: &file, sources, diagnostics, open: Vec::new() };
    builder.run()
}

fn depth(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, span, format!("values stand in each other more than {MAX_DEPTH} deep"))
}

/// From the parser's places, counted in characters, to bytes.
enum Offsets {
    Ascii,
    Each(Vec<usize>),
}

impl Offsets {
    fn new(text: &str) -> Offsets {
        if text.is_ascii() {
            Offsets::Ascii
        } else {
            Offsets::Each(text.char_indices().map(|(at, _)| at).chain([text.len()]).collect())
        }
    }

    fn byte(&self, index: usize) -> usize {
        match self {
            Offsets::Ascii => index,
            Offsets::Each(offsets) => offsets.get(index).or(offsets.last()).copied().unwrap_or(0),
        }
    }
}

/// A list or mapping that is not closed yet.
struct Open {
    start: Span,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Node, Node)>, key: Option<Node>, seen: BTreeMap<String, Span> },
}

struct Builder<'a> {
    offsets: Offsets,
    file: &'a SourceFile,
    sources: &'a mut SourceMap,
    diagnostics: &'a mut Diagnostics,
    open: Vec<Open>,
}

impl Builder<'_> {
    fn run(&mut self) -> Option<Node> {
        let file = self.file;
        let mut parser = Parser::new_from_str(file.text());
        let mut root = None;
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, place) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax(&error);
                    return None;
                }
            };
            let span = self.span(place);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second document begins here; a file holds one pipeline";
                        self.push(
                            Diagnostic::error(codes::SEVERAL_DOCUMENTS, span, message)
                                .help("Put each pipeline in a file of its own."),
                        );
                        return root;
                    }
                }
                Event::Alias(_) => {
                    self.push(
                        Diagnostic::error(codes::ANCHOR, span, "aliases are not supported")
                            .help("Write the value out where it is meant."),
                    );
                    self.add(Node { span, kind: Kind::Unknown }, &mut root);
                }
                Event::Scalar(value, style, anchor, tag) => {
                    self.refuse(anchor, tag.is_some(), span);
                    let style = match style {
                        ScalarStyle::Plain => Style::Plain,
                        ScalarStyle::SingleQuoted => Style::SingleQuoted,
                        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                    };
                    let node = self.scalar(value.into_owned(), style, span);
                    self.add(node, &mut root);
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse(anchor, tag.is_some(), span);
                    self.open(span, OpenKind::Sequence(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse(anchor, tag.is_some(), span);
                    let kind = OpenKind::Mapping { entries: Vec::new(), key: None, seen: BTreeMap::new() };
                    self.open(span, kind)?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(node) = self.close(span) {
                        self.add(node, &mut root);
                    }
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        match root {
            Some(root) if !root.is_null() => Some(root),
            _ => {
                let span = self.file.span(0..0);
                self.push(
                    Diagnostic::error(codes::EMPTY_FILE, span, "there is no pipeline in this file")
                        .help("A pipeline begins with `version: 1` and `pipeline: <name>`."),
                );
                None
            }
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn span(&self, place: saphyr_parser::Span) -> Span {
        let length = self.file.text().len();
        let start = self.offsets.byte(place.start.index()).min(length);
        let end = self.offsets.byte(place.end.index()).clamp(start, length);
        Span { start, end, line: place.start.line(), column: place.start.col() + 1 }
    }

    fn refuse(&mut self, anchor: usize, tagged: bool, span: Span) {
        if anchor != 0 {
            self.push(
                Diagnostic::error(codes::ANCHOR, span, "anchors are not supported")
                    .help("Leave the anchor out, and write the value out where it is meant."),
            );
        }
        if tagged {
            self.push(
                Diagnostic::error(codes::TAG, span, "tags are not supported")
                    .help("Leave the tag out. If text is meant that begins with `!`, put it in quotes."),
            );
        }
    }

    fn scalar(&mut self, value: String, style: Style, span: Span) -> Node {
        let text = &self.file.text()[span.start..span.end];
        let end = span.start + written_length(text, style);
        let span = Span { end, ..span };
        self.sources.record(span, &value, style);
        Node { span, kind: Kind::Scalar(Scalar { value, style }) }
    }

    fn open(&mut self, start: Span, kind: OpenKind) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            self.push(depth(start));
            return None;
        }
        self.open.push(Open { start, kind });
        Some(())
    }

    fn close(&mut self, end: Span) -> Option<Node> {
        let Open { start, kind } = self.open.pop()?;
        let (kind, first, last) = match kind {
            OpenKind::Sequence(items) => {
                let ends = (items.first().map(|node| node.span), items.last().map(|node| node.span));
                (Kind::Sequence(items), ends.0, ends.1)
            }
            OpenKind::Mapping { entries, .. } => {
                let first = entries.first().map(|(key, _)| key.span);
                let last = entries.last().map(|(key, value)| if value.span.end > key.span.end { value } else { key });
                let last = last.map(|node| node.span);
                (Kind::Mapping(entries), first, last)
            }
        };
        let flow = self.file.text()[start.start..].starts_with(['[', '{']);
        let span = match (flow, first, last) {
            (false, Some(first), Some(last)) => Span { end: last.end.max(first.end), ..first },
            _ => Span { end: end.end.max(start.end), ..start },
        };
        Some(Node { span, kind })
    }

    fn add(&mut self, node: Node, root: &mut Option<Node>) {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => *root = Some(node),
            Some(OpenKind::Sequence(items)) => items.push(node),
            Some(OpenKind::Mapping { entries, key, seen }) => match key.take() {
                Some(key) => {
                    let diagnostic = check_key(&key, seen);
                    if diagnostic.is_none() {
                        entries.push((key, node));
                    }
                    self.diagnostics.extend(diagnostic);
                }
                None => *key = Some(node),
            },
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.offsets.byte(error.marker().index());
        if error.info() == "recursion limit exceeded" {
            let span = self.file.span(at..at);
            return self.push(depth(span));
        }
        let length = self.file.text().get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let (message, help) = explain(error.info());
        let line = self.file.text().get(..at).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
        // The brace of a placeholder is one of YAML's within brackets.
        let is_placeholder = line.ends_with('$') || line.contains("${");
        let help = if help == BRACKET && is_placeholder { PLACEHOLDER } else { help };
        let diagnostic = Diagnostic::error(codes::YAML_SYNTAX, self.file.span(at..at + length), message);
        self.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }
}

/// The length of a scalar without the white space and comments that the parser counts in.
fn written_length(text: &str, style: Style) -> usize {
    let quote = match style {
        Style::SingleQuoted => b'\'',
        Style::DoubleQuoted => b'"',
        Style::Plain | Style::Block | Style::Replaced => return text.trim_end().len(),
    };
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if style == Style::DoubleQuoted => at += 2,
            b'\'' if style == Style::SingleQuoted && bytes.get(at + 1) == Some(&b'\'') => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.trim_end().len()
}

fn check_key(key: &Node, seen: &mut BTreeMap<String, Span>) -> Option<Diagnostic> {
    let name = match key.text() {
        Some(name) if !key.is_null() => name,
        _ => {
            return Some(
                Diagnostic::error(codes::KEY_NOT_TEXT, key.span, "a key must be a name")
                    .help("If the text `{{..}}` or `null` is meant, put it in quotes."),
            );
        }
    };
    if let Some(first) = seen.get(name) {
        return Some(
            Diagnostic::error(codes::DUPLICATE_KEY, key.span, format!("the key `{name}` stands twice"))
                .label("here again")
                .also(*first, "first here")
                .help("Keep one of them."),
        );
    }
    seen.insert(name.to_owned(), key.span);
    None
}

const BRACKET: &str = "A bracket before is not closed, or text within brackets that holds `,` or `: ` wants quotes.";
const PLACEHOLDER: &str = "Within brackets a placeholder is put in quotes: `{topic: \"${env:TOPIC}\"}`.";

/// The parser's words in ours, and a way out for the mistakes that people make.
fn explain(info: &str) -> (String, &'static str) {
    const QUOTES: &str = "Text that holds `: ` or ` #`, or begins with one of ``[]{}>|*&!%@#`\"',`` is put in quotes.";
    const INDENT: &str = "Entries of one list or mapping begin in the same column; indent with spaces, not tabs.";
    let (message, help) = match info {
        "mapping values are not allowed in this context" => ("a `:` is not expected here", QUOTES),
        "mapping keys are not allowed in this context" => ("a key is not expected here", INDENT),
        "block sequence entries are not allowed in this context" => ("a list entry is not expected here", INDENT),
        "while parsing a block mapping, did not find expected key" => ("expected a key of this mapping", INDENT),
        "while parsing a block collection, did not find expected '-' indicator" => {
            ("expected a `-` of this list", INDENT)
        }
        "while parsing a flow mapping, did not find expected ',' or '}'" => ("expected `,` or `}`", BRACKET),
        "while parsing a flow sequence, expected ',' or ']'" => ("expected `,` or `]`", BRACKET),
        "while scanning a quoted scalar, found unexpected end of stream" => {
            ("this quote is never closed", "Within single quotes, a quote is written twice: `'it''s'`.")
        }
        "while parsing a quoted scalar, found unknown escape character" => {
            ("this escape is not known", "Use single quotes where a backslash is meant as it stands.")
        }
        "invalid trailing content after double-quoted scalar" => {
            ("the text goes on behind its closing quote", "Put all of it in quotes, with `\\\"` for quotes inside.")
        }
        "invalid indentation in quoted scalar" => {
            ("this quoted text is not closed, or goes on too far to the left", "Close the quote on this line.")
        }
        "simple key expect ':'" | "simple key expected" => ("expected `:` behind this key", INDENT),
        "tab cannot be used as indentation"
        | "tabs disallowed in this context"
        | "tabs disallowed within this context (block indentation)"
        | "a block scalar content cannot start with a tab"
        | "while scanning a plain scalar, found a tab" => ("a tab cannot be used here", INDENT),
        "while parsing node, found unknown anchor" => ("aliases are not supported", "Write the value out."),
        "misplaced bracket" => ("this bracket was never opened", QUOTES),
        "unexpected eof" => ("the file ends too early", "A bracket or quote is not closed."),
        other if other.contains("indent") => ("the indentation does not fit", INDENT),
        other => return (format!("not YAML: {other}"), QUOTES),
    };
    (message.to_owned(), help)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    #![allow(clippy::disallowed_methods, reason = "how long hostile files take is what is tested")]
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>, Diagnostics) {
        let file = Arc::new(SourceFile::new("t.yaml", text));
        let mut diagnostics = Diagnostics::new(file.clone());
        let node = parse(&mut SourceMap::new(file), &mut diagnostics);
        let names = diagnostics.iter().map(|diagnostic| diagnostic.code.name().to_owned()).collect();
        (node, names, diagnostics)
    }

    #[test]
    fn knows_where_things_stand() {
        let text = "a: 1\nbä:\n  - {c: 'x''y', d: [1, 2]}\n  - |\n    sql\n    more\n\ne: \"q\"   # note\n";
        let (node, names, _) = read(text);
        assert!(names.is_empty(), "{names:?}");
        let node = node.unwrap();
        let at = |node: &Node| text[node.span.start..node.span.end].to_owned();
        let list = node.get("bä").unwrap();
        let Kind::Sequence(items) = &list.kind else { panic!("{list:?}") };
        assert_eq!(at(&items[0]), "{c: 'x''y', d: [1, 2]}");
        assert_eq!(at(items[0].get("c").unwrap()), "'x''y'");
        assert_eq!(at(items[0].get("d").unwrap()), "[1, 2]");
        assert_eq!(at(&items[1]), "sql\n    more");
        assert_eq!(at(node.get("e").unwrap()), "\"q\"");
        assert_eq!((node.get("e").unwrap().span.line, node.get("e").unwrap().span.column), (8, 4));
        assert_eq!(node.span.start, 0);
    }

    #[test]
    fn refuses_what_a_pipeline_must_not_have() {
        assert_eq!(
            read("a: &x 1\nb: *x\nc: !!int 1\nd: 1\nd: 2\n{a: b}: 1\n").1,
            ["anchor", "anchor", "tag", "duplicate-key", "key-not-text"]
        );
        assert_eq!(read("a: 1\n---\nb: 1\n").1, ["several-documents"]);
        assert_eq!(read("# nothing\n").1, ["empty-file"]);
        assert_eq!(read("").1, ["empty-file"]);
        assert_eq!(read("a: 'b\n").1, ["yaml-syntax"]);
    }

    #[test]
    fn refuses_hostile_files_at_once() {
        let deep_block: String = (0..1_300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        let hostile = [
            ("[".repeat(10_000), "too-deep"),
            ("[".repeat(999_999), "too-deep"),
            ("{a: ".repeat(10_000), "too-deep"),
            ("{a: ".repeat(249_999), "too-deep"),
            ("- ".repeat(10_000), "too-deep"),
            ("- ".repeat(499_999), "too-deep"),
            ("? ".repeat(10_000), "too-deep"),
            ("a: ".repeat(10_000), "yaml-syntax"),
            ("x".repeat(1_000_001), "file-too-large"),
            (deep_block, "too-deep"),
            ("a".repeat(999_999), "?"),
            ("[a,".repeat(300_000), "too-deep"),
            (format!("[{}]", "a,".repeat(400_000)), "?"),
            (format!("[{}]", "a: b, ".repeat(150_000)), "?"),
            (format!("'{}'", "''".repeat(400_000)), "?"),
            (format!("\"{}\"", "\\n".repeat(400_000)), "?"),
            ("a: |\n".to_owned() + &" x\n".repeat(300_000), "?"),
            ("\n".repeat(900_000), "empty-file"),
            ("# c\n".repeat(200_000), "empty-file"),
            ("- a\n".repeat(200_000), "?"),
            ((0..80_000).map(|key| format!("k{key}: 1\n")).collect(), "?"),
            ("a: 1\n".repeat(150_000), "duplicate-key"),
            ("&a ".repeat(300_000), "?"),
            ("*".repeat(900_000), "?"),
            ("!".repeat(900_000), "?"),
            ("%".repeat(900_000), "?"),
            ("---\n".repeat(200_000), "?"),
            ("\t".repeat(900_000), "?"),
            (": ".repeat(400_000), "?"),
            ("'\n".repeat(400_000), "?"),
            ("a\n".repeat(400_000), "?"),
            ("ä: \"ö\\u00e4\"\n".to_owned() + &"é".repeat(400_000), "?"),
        ];
        for (text, wanted) in hostile {
            let begun = Instant::now();
            let (_, names, _) = read(&text);
            let shown: String = text.chars().take(12).collect();
            assert!(begun.elapsed().as_secs() < 5, "{shown:?} takes {:?}", begun.elapsed());
            if wanted != "?" {
                assert_eq!(names.first().map(String::as_str), Some(wanted), "{shown:?}");
            }
        }
    }
}
