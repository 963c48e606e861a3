//! From places in values back to places in the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::mask;
use super::node::Node;
use super::span::Span;

/// A file's name and text, and where its lines begin.
#[derive(Debug, Clone, Default)]
pub struct SourceFile {
    name: String,
    text: String,
    lines: Vec<usize>,
}

impl SourceFile {
    /// A file as it was read.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> SourceFile {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1));
        SourceFile { name: name.into(), text, lines }
    }

    /// Its name, as diagnostics show it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte range; ends are moved to lie within the text and between characters.
    pub fn span(&self, range: Range<usize>) -> Span {
        let start = self.floor(range.start);
        let end = self.floor(range.end).max(start);
        let (line, column) = self.line_column(start);
        Span { start, end, line, column }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// Where values come from: the file, and how each scalar was written in it.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    written: Arc<SourceFile>,
    /// The file as it may be shown.
    shown: Arc<SourceFile>,
    scalars: BTreeMap<usize, Written>,
}

/// A scalar as the file has it, before anything was put in for its placeholders.
#[derive(Debug, Clone)]
struct Written {
    value: String,
    style: Style,
    /// Which part of the final value stands for which part of `value`; empty where nothing was replaced.
    pieces: Vec<Piece>,
}

/// A part of a final value and the part of the written value that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) value: Range<usize>,
    pub(crate) written: Range<usize>,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'..'`
    SingleQuoted,
    /// `".."`
    DoubleQuoted,
    /// `|` or `>`; such a scalar stands where its first line begins.
    Block,
    /// Without quotes, with placeholders: it may be meant as text or as a number.
    Replaced,
}

impl SourceMap {
    /// A map of a file of which nothing is known yet.
    pub fn new(file: Arc<SourceFile>) -> SourceMap {
        SourceMap { shown: file.clone(), written: file, scalars: BTreeMap::new() }
    }

    /// The file as diagnostics may show it: what could be a secret is starred out.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.shown
    }

    /// Stars out what could be a secret wherever the file is shown.
    pub(crate) fn hide_secrets(&mut self, root: &Node) {
        if let Some(text) = mask::by_tree(self.written.text(), root) {
            self.shown = Arc::new(SourceFile::new(self.written.name(), text));
        }
    }

    /// Whether a placeholder stands in the scalar at `scalar`.
    pub fn has_placeholder(&self, scalar: Span) -> bool {
        self.scalars.get(&scalar.start).is_some_and(|written| !written.pieces.is_empty())
    }

    pub(crate) fn record(&mut self, span: Span, value: &str, style: Style) {
        if !value.is_empty() {
            self.scalars.insert(span.start, Written { value: value.to_owned(), style, pieces: Vec::new() });
        }
    }

    pub(crate) fn replaced(&mut self, span: Span, pieces: Vec<Piece>) {
        if let Some(written) = self.scalars.get_mut(&span.start) {
            written.pieces = pieces;
        }
    }

    /// The place in the file of a byte range inside the value of the scalar at `scalar`. Where that cannot be told, the
    /// place of the whole scalar.
    pub fn within(&self, scalar: Span, range: Range<usize>) -> Span {
        let Some(written) = self.scalars.get(&scalar.start) else { return scalar };
        let range = if written.pieces.is_empty() {
            range
        } else {
            let start = in_written(&written.pieces, range.start).start;
            let last = range.end.saturating_sub(1).max(range.start);
            start..in_written(&written.pieces, last).end.max(start)
        };
        let Some(raw) = self.written.text.get(scalar.start..scalar.end) else { return scalar };
        let Some(starts) = align(&written.value, raw, written.style) else { return scalar };
        let at = |offset: usize| starts.get(offset.min(written.value.len())).map(|&at| scalar.start + at);
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) => self.written.span(start..self.trim(start, end)),
            _ => scalar,
        }
    }

    /// Leaves out white space between the last character of a range and what follows it.
    fn trim(&self, start: usize, end: usize) -> usize {
        self.written.text.get(start..end).map_or(end, |marked| {
            let kept = marked.trim_end().len();
            if kept == 0 { end } else { start + kept }
        })
    }
}

/// The part of the written value from which the byte at `offset` of the final value comes.
fn in_written(pieces: &[Piece], offset: usize) -> Range<usize> {
    for piece in pieces {
        if offset < piece.value.end {
            if piece.value.len() == piece.written.len() {
                let at = piece.written.start + offset.saturating_sub(piece.value.start);
                return at..at + 1;
            }
            return piece.written.clone();
        }
    }
    let end = pieces.last().map_or(0, |piece| piece.written.end);
    end..end
}

/// For each byte of the value, and for its end, the offset in `raw` at which it is written. `None` if the two do not
/// agree, which would be a mistake here or in the parser: then the whole scalar is marked.
fn align(value: &str, raw: &str, style: Style) -> Option<Vec<usize>> {
    let mut at = match style {
        Style::Plain | Style::Block | Style::Replaced => 0,
        Style::SingleQuoted | Style::DoubleQuoted => 1,
    };
    let mut starts = Vec::with_capacity(value.len() + 1);
    for wanted in value.chars() {
        loop {
            let found = raw[at..].chars().next();
            let space = found.is_some_and(char::is_whitespace);
            let length = match (style, found) {
                (Style::DoubleQuoted, Some('\\')) => escape_length(&raw[at..])?,
                (Style::SingleQuoted, Some('\'')) => 2,
                (_, Some(found)) => found.len_utf8(),
                (Style::Block, None) if wanted == '\n' => 0,
                (_, None) => return None,
            };
            let line_continued = style == Style::DoubleQuoted && raw[at..].starts_with("\\\n");
            let written = found == Some(wanted) || style == Style::DoubleQuoted && found == Some('\\');
            if !line_continued && (written || found.is_none() || space && wanted.is_whitespace()) {
                starts.extend(std::iter::repeat_n(at, wanted.len_utf8()));
                at += length;
                break;
            }
            if !space && !line_continued {
                return None;
            }
            at += length;
        }
        if at > raw.len() {
            return None;
        }
    }
    starts.push(at);
    Some(starts)
}

/// The length of an escape at the start of `raw`, such as `\n`, `\x41` or `\u00e4`.
fn escape_length(raw: &str) -> Option<usize> {
    let length = match raw.as_bytes().get(1)? {
        b'x' => 4,
        b'u' => 6,
        b'U' => 10,
        _ => 1 + raw[1..].chars().next()?.len_utf8(),
    };
    (raw.is_char_boundary(length) && length <= raw.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn find(value: &str, raw: &str, style: Style, what: &str) -> String {
        let starts = align(value, raw, style).unwrap();
        let at = value.find(what).unwrap();
        raw[starts[at]..starts[at + what.len()]].to_owned()
    }

    #[test]
    fn finds_the_spot_in_every_style() {
        assert_eq!(find("price > 0", "price > 0", Style::Plain, ">"), ">");
        assert_eq!(find("a b c", "a\n     b\n  c", Style::Plain, "b"), "b");
        assert_eq!(find("it's b", "'it''s b'", Style::SingleQuoted, "b"), "b");
        assert_eq!(find("a\tb \u{e4} c", "\"a\\tb \\u00e4 c\"", Style::DoubleQuoted, "c"), "c");
        assert_eq!(find("a b", "\"a \\\n   b\"", Style::DoubleQuoted, "b"), "b");
        assert_eq!(find("one\ntwo = 2\n", "one\n   two = 2", Style::Block, "two"), "two");
        assert_eq!(find("one two\n", "one\n   two", Style::Block, "two"), "two");
    }

    #[test]
    fn gives_up_where_text_and_value_differ() {
        assert_eq!(align("abc", "xyz", Style::Plain), None);
        assert_eq!(align("abc", "ab", Style::Plain), None);
    }

    #[test]
    fn counts_columns_in_characters() {
        let file = SourceFile::new("f", "ab\ncäd\n");
        assert_eq!(file.line_column(6), (2, 3));
        assert_eq!(file.span(3..100).end, 8);
    }
}
