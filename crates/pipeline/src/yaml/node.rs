//! A YAML tree whose every node knows where it stands.

use super::source_map::Style;
use super::span::Span;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands. Of a list or mapping in block form: from its first entry to the end of its last.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the order of the file. Keys are scalars, each there once.
    Mapping(Vec<(Node, Node)>),
    /// Something that could not be read, and has been reported: it passes every check.
    Unknown,
}

/// A single value as text, and how it is written: quoted text is never a number, a boolean or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes and escapes resolved.
    pub value: String,
    /// How it is written.
    pub style: Style,
}

/// What a scalar means by the core schema of YAML 1.2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Meaning<'a> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above those of [`Meaning::Int`].
    Uint(u64),
    /// A number.
    Float(f64),
    /// Text.
    Text(&'a str),
}

impl Node {
    /// The text, if it is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.value),
            _ => None,
        }
    }

    /// The value under a key, if it is a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Whether it is a scalar that says nothing: empty, `null` or `~`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }
}

impl Scalar {
    /// What it means.
    pub fn meaning(&self) -> Meaning<'_> {
        match self.style {
            Style::Plain => plain(&self.value),
            Style::Replaced => match plain(&self.value) {
                Meaning::Null => Meaning::Text(&self.value),
                meaning => meaning,
            },
            Style::SingleQuoted | Style::DoubleQuoted | Style::Block => Meaning::Text(&self.value),
        }
    }
}

fn plain(text: &str) -> Meaning<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" => return Meaning::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Meaning::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    number(text, unsigned).unwrap_or(Meaning::Text(text))
}

fn number<'a>(text: &'a str, unsigned: &str) -> Option<Meaning<'a>> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let digits = (!digits.starts_with(['+', '-'])).then_some(digits)?;
            return u64::from_str_radix(digits, radix).ok().map(whole);
        }
    }
    let first = unsigned.bytes().next()?;
    let known = unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !known || !(first.is_ascii_digit() || first == b'.') {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = text.parse::<i64>() {
            return Some(Meaning::Int(value));
        }
        if let Ok(value) = unsigned.parse::<u64>()
            && !text.starts_with('-')
        {
            return Some(Meaning::Uint(value));
        }
    }
    text.parse::<f64>().ok().map(Meaning::Float)
}

fn whole<'a>(value: u64) -> Meaning<'a> {
    i64::try_from(value).map_or(Meaning::Uint(value), Meaning::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_scalars_by_the_core_schema() {
        assert_eq!(plain("~"), Meaning::Null);
        assert_eq!(plain("True"), Meaning::Bool(true));
        assert_eq!(plain("-12"), Meaning::Int(-12));
        assert_eq!(plain("0x1F"), Meaning::Int(31));
        assert_eq!(plain("18446744073709551615"), Meaning::Uint(u64::MAX));
        assert_eq!(plain("1e3"), Meaning::Float(1000.0));
        assert_eq!(plain(".5"), Meaning::Float(0.5));
        assert_eq!(plain("-.inf"), Meaning::Float(f64::NEG_INFINITY));
        for text in
            ["no", "yes", "on", "1_000", "0x", "0x-1", "1m", "-", ".", "e5", "2026-01-01", "infinity", "nan", "1e"]
        {
            assert_eq!(plain(text), Meaning::Text(text));
        }
    }
}
