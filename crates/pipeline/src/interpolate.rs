//! Placeholders: `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}` inside values, never in keys or structure.
//!
//! Nothing is read here: the caller looks names up.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::node::{Kind, Node, Scalar};
use crate::yaml::source_map::{Piece, SourceMap, Style};
use crate::yaml::span::Span;

/// What a placeholder asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// An environment variable, by its name.
    Env,
    /// The text of a file, by its path as written (from the folder of the pipeline, if it is relative).
    File,
}

/// Why a placeholder has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoValue {
    /// The environment variable is not set.
    NotSet,
    /// The file cannot be read, or the variable is not text; and why.
    Unreadable(String),
}

/// How the caller looks placeholders up.
pub type Lookup<'a> = &'a dyn Fn(Asked, &str) -> Result<String, NoValue>;

/// Looks nothing up: every placeholder without a default is an error.
///
/// # Errors
/// Always [`NoValue::NotSet`].
pub fn no_lookup(_: Asked, _: &str) -> Result<String, NoValue> {
    Err(NoValue::NotSet)
}

/// The longest text that a value may become, in bytes.
const MAX_VALUE_BYTES: usize = 1_000_000;

/// Replaces all placeholders in the values of a tree.
pub fn interpolate(node: &mut Node, lookup: Lookup<'_>, sources: &mut SourceMap, diagnostics: &mut Diagnostics) {
    match &mut node.kind {
        Kind::Scalar(scalar) if scalar.value.contains("${") => {
            let before = (diagnostics.len(), diagnostics.left_out());
            replace(scalar, node.span, lookup, sources, diagnostics);
            if (diagnostics.len(), diagnostics.left_out()) != before {
                node.kind = Kind::Unknown;
            }
        }
        Kind::Scalar(_) | Kind::Unknown => {}
        Kind::Sequence(items) => {
            for item in items {
                interpolate(item, lookup, sources, diagnostics);
            }
        }
        Kind::Mapping(entries) => {
            for (_, value) in entries {
                interpolate(value, lookup, sources, diagnostics);
            }
        }
    }
}

fn replace(
    scalar: &mut Scalar,
    span: Span,
    lookup: Lookup<'_>,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
) {
    let template = std::mem::take(&mut scalar.value);
    let mut value = String::with_capacity(template.len());
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(found) = template[at..].find("${").map(|found| at + found) {
        let escaped = template[..found].ends_with('$') && found > at;
        let literal_end = if escaped { found - 1 } else { found };
        push(&mut value, &mut pieces, &template[at..literal_end], at..literal_end);
        if escaped {
            push(&mut value, &mut pieces, "${", literal_end..found + 2);
            at = found + 2;
            continue;
        }
        let end = template[found..].find('}').map_or(template.len(), |end| found + end + 1);
        let full = diagnostics.is_full();
        let place = || if full { span } else { sources.within(span, found..end) };
        let mut report = |diagnostic: Diagnostic| diagnostics.push(diagnostic);
        match resolve(&template[found..end], lookup) {
            Ok(text) if value.len() + text.len() <= MAX_VALUE_BYTES => {
                push(&mut value, &mut pieces, &text, found..end);
            }
            Ok(_) => report(Diagnostic::error(codes::PLACEHOLDER_UNRESOLVED, place(), "the value is longer than 1 MB")),
            Err(Wrong { code, message, help }) => report(Diagnostic::error(code, place(), message).help(help)),
        }
        at = end;
    }
    push(&mut value, &mut pieces, &template[at..], at..template.len());
    scalar.value = value;
    if scalar.style == Style::Plain {
        scalar.style = Style::Replaced;
    }
    sources.replaced(span, pieces);
}

fn push(value: &mut String, pieces: &mut Vec<Piece>, text: &str, written: std::ops::Range<usize>) {
    let start = value.len();
    value.push_str(text);
    pieces.push(Piece { value: start..value.len(), written });
}

struct Wrong {
    code: codes::Code,
    message: String,
    help: String,
}

fn resolve(placeholder: &str, lookup: Lookup<'_>) -> Result<String, Wrong> {
    let syntax = |message: String| Wrong {
        code: codes::PLACEHOLDER_SYNTAX,
        message,
        help: "Write `${env:NAME}`, `${env:NAME:-default}` or `${file:PATH}`; a literal `${` is written `$${`.".into(),
    };
    let Some(inner) = placeholder.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) else {
        return Err(syntax("this placeholder is never closed".into()));
    };
    if let Some(env) = inner.strip_prefix("env:") {
        let (name, default) = match env.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (env, None),
        };
        if !is_variable(name) {
            return Err(syntax(format!("`{name}` cannot be the name of an environment variable")));
        }
        return match (lookup(Asked::Env, name), default) {
            (Ok(value), _) => Ok(value),
            (Err(NoValue::NotSet), Some(default)) => Ok(default.to_owned()),
            (Err(NoValue::NotSet), None) => Err(Wrong {
                code: codes::PLACEHOLDER_UNRESOLVED,
                message: format!("the environment variable `{name}` is not set"),
                help: format!("Set it, or give a default: `${{env:{name}:-default}}`."),
            }),
            (Err(NoValue::Unreadable(why)), _) => Err(Wrong {
                code: codes::PLACEHOLDER_UNRESOLVED,
                message: format!("the environment variable `{name}` cannot be read: {why}"),
                help: "Set it to text.".into(),
            }),
        };
    }
    let Some(path) = inner.strip_prefix("file:").filter(|path| !path.is_empty()) else {
        return Err(syntax(format!("`{placeholder}` is no placeholder")));
    };
    match lookup(Asked::File, path) {
        Ok(text) => Ok(text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r')).to_owned()),
        Err(why) => Err(Wrong {
            code: codes::PLACEHOLDER_UNRESOLVED,
            message: match why {
                NoValue::NotSet => format!("the file `{path}` cannot be read"),
                NoValue::Unreadable(why) => format!("the file `{path}` cannot be read: {why}"),
            },
            help: "A relative path begins at the folder of this file.".into(),
        }),
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::yaml::source_map::SourceFile;

    fn lookup(asked: Asked, name: &str) -> Result<String, NoValue> {
        match (asked, name) {
            (Asked::Env, "STAGE") => Ok("prod".into()),
            (Asked::Env, "EVIL") => Ok("a\n- b: {c: d}".into()),
            (Asked::Env, "N") => Ok("12".into()),
            (Asked::File, "secret.txt") => Ok("hush\r\n".into()),
            _ => Err(NoValue::NotSet),
        }
    }

    fn read(text: &str) -> (Node, SourceMap, Vec<String>) {
        let file = Arc::new(SourceFile::new("t.yaml", text));
        let mut diagnostics = Diagnostics::new(file.clone());
        let mut sources = SourceMap::new(file);
        let mut node = crate::yaml::parse::parse(&mut sources, &mut diagnostics).unwrap();
        interpolate(&mut node, &lookup, &mut sources, &mut diagnostics);
        let messages = diagnostics.iter().map(|diagnostic| diagnostic.message.clone()).collect();
        (node, sources, messages)
    }

    fn value(text: &str) -> String {
        let (node, _, messages) = read(&format!("a: {text}\n"));
        assert!(messages.is_empty(), "{messages:?}");
        node.get("a").unwrap().text().unwrap().to_owned()
    }

    #[test]
    fn puts_values_in() {
        assert_eq!(value("x-${env:STAGE}-y"), "x-prod-y");
        assert_eq!(value("${env:NONE:-default}"), "default");
        assert_eq!(value("'${env:NONE:-}'"), "");
        assert_eq!(value("${file:secret.txt}"), "hush");
        assert_eq!(value("$${env:STAGE} ${env:N}"), "${env:STAGE} 12");
        assert_eq!(value("costs $5"), "costs $5");
    }

    #[test]
    fn a_value_never_brings_structure() {
        assert_eq!(value("${env:EVIL}"), "a\n- b: {c: d}");
        let (node, ..) = read("${env:STAGE}: 1\n");
        assert!(node.get("${env:STAGE}").is_some(), "keys stay as they are");
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(read("a: ${env:NONE}\n").2, ["the environment variable `NONE` is not set"]);
        assert_eq!(read("a: ${file:gone}\n").2, ["the file `gone` cannot be read"]);
        assert_eq!(read("a: ${NONE}\n").2, ["`${NONE}` is no placeholder"]);
        assert_eq!(read("a: ${env:1X}\n").2, ["`1X` cannot be the name of an environment variable"]);
        assert_eq!(read("a: ${env:X\n").2, ["this placeholder is never closed"]);
    }

    #[test]
    fn places_behind_a_placeholder_are_those_of_the_file() {
        let text = "a: \"x = '${env:STAGE}' AND wrong\"\n";
        let (node, sources, _) = read(text);
        let node = node.get("a").unwrap();
        let at = node.text().unwrap().find("wrong").unwrap();
        let span = sources.within(node.span, at..at + 5);
        assert_eq!(&text[span.start..span.end], "wrong");
        let at = node.text().unwrap().find("prod").unwrap();
        let span = sources.within(node.span, at..at + 4);
        assert_eq!(&text[span.start..span.end], "${env:STAGE}");
    }
}
