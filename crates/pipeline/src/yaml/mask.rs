//! Text of a file that may be shown: what could be a secret is starred out, byte for byte, so that places stay as they are.

use std::ops::Range;

use super::node::{Kind, Node};
use crate::kafka;

/// The text of a file that was read, without the values of properties that are secret or not known.
pub(crate) fn by_tree(text: &str, root: &Node) -> Option<String> {
    let mut hidden = Vec::new();
    find(root, "", text, &mut hidden);
    (!hidden.is_empty()).then(|| star_out(text, &hidden))
}

/// The text of a file that could not be read, without what follows a word that sounds like a secret: the rest of its line,
/// and the lines behind it that are indented further.
pub(crate) fn by_words(text: &str) -> Option<String> {
    let mut hidden = Vec::new();
    let mut at = 0;
    let mut under: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent: usize = line
            .chars()
            .map_while(|c| [(' ', 1), ('\t', 8)].iter().find(|(s, _)| *s == c))
            .map(|(_, width)| width)
            .sum();
        let blank = line.trim().is_empty();
        if under.is_some_and(|outer| blank || indent > outer) {
            hidden.push(at..at + line.len());
        } else {
            under = None;
            let colons = line.match_indices(':').map(|(colon, _)| colon);
            let mut names = colons.map(|colon| (colon, line[..colon].rsplit([' ', '\t', '{', ',', '"', '\'']).next()));
            if let Some((colon, _)) =
                names.find(|(_, name)| name.is_some_and(|name| is_hidden(name, "") || kafka::sounds_secret(name)))
            {
                hidden.push(at + colon + 1..at + line.len());
                under = Some(indent);
            }
        }
        at += line.len();
    }
    (!hidden.is_empty()).then(|| star_out(text, &hidden))
}

fn find(node: &Node, under: &str, text: &str, hidden: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(_) | Kind::Unknown => {}
        Kind::Sequence(items) => items.iter().for_each(|item| find(item, under, text, hidden)),
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                let name = key.text().unwrap_or_default();
                let written = value.span.start..value.span.end;
                let open = match value.kind {
                    Kind::Mapping(_) => true,
                    Kind::Sequence(_) => !kafka::sounds_secret(name),
                    Kind::Scalar(_) | Kind::Unknown => false,
                };
                if open {
                    find(value, name, text, hidden);
                } else if is_hidden(name, under) && !text.get(written.clone()).is_some_and(is_placeholder) {
                    hidden.push(written);
                }
            }
        }
    }
}

/// What the name of the section of a schema registry has in it, and what may be shown of it.
const REGISTRY: (&str, [&str; 3]) = ("regist", ["ca_file", "connect_timeout", "request_timeout"]);

/// Names of properties have dots. Under `kafka:` every name is meant as one, and under `schema_registry:` all but a few may
/// be secrets. One that is not known may be the misspelt name of a secret.
fn is_hidden(name: &str, under: &str) -> bool {
    if REGISTRY.1.contains(&name) && under != "kafka" {
        return false;
    }
    let property = under == "kafka" || name.contains('.') || under.contains(REGISTRY.0);
    property && (!kafka::is_property(name) || kafka::sounds_secret(name))
}

/// Where a secret comes from is no secret, unless a default stands beside it.
fn is_placeholder(written: &str) -> bool {
    let inner = written.trim_matches(['"', '\'']).strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| !inner.contains(":-") && !inner.contains(['{', '}']))
}

fn star_out(text: &str, hidden: &[Range<usize>]) -> String {
    let mut starred = text.as_bytes().to_vec();
    for range in hidden {
        for byte in starred[range.clone()].iter_mut().filter(|byte| !byte.is_ascii_whitespace()) {
            *byte = b'*';
        }
    }
    String::from_utf8_lossy(&starred).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::yaml::source_map::{SourceFile, SourceMap};

    fn masked(text: &str) -> String {
        let file = Arc::new(SourceFile::new("t.yaml", text));
        let root = crate::yaml::parse::parse(&mut SourceMap::new(file.clone()), &mut Diagnostics::new(file)).unwrap();
        by_tree(text, &root).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn values_of_secret_and_unknown_properties_are_starred_out() {
        assert_eq!(masked("kafka:\n  sasl.password: hunter2\n"), "kafka:\n  sasl.password: *******\n");
        assert_eq!(masked("kafka: {sasl.pass: 'a b', linger.ms: 5}"), "kafka: {sasl.pass: ** **, linger.ms: 5}");
        assert_eq!(masked("kafka:\n  pw: x\n"), "kafka:\n  pw: *\n");
        assert_eq!(masked("kakfa: {sasl.password: x}"), "kakfa: {sasl.password: *}");
        assert_eq!(masked("kafka: {sasl.password: [a, b]}"), "kafka: {sasl.password: *** **}");
        let pem = "kafka:\n  ssl.key.pem: |\n    BEGIN\n    END\n  linger.ms: 5\n";
        assert_eq!(masked(pem), "kafka:\n  ssl.key.pem: |\n    *****\n    ***\n  linger.ms: 5\n");
        let from = "kafka: {sasl.password: '${file:p}', ssl.key.password: '${env:P:-hush}'}";
        assert_eq!(masked(from), "kafka: {sasl.password: '${file:p}', ssl.key.password: ****************}");
        assert_eq!(masked("schema_registry: {pasword: x, ca_file: y}"), "schema_registry: {pasword: *, ca_file: y}");
        for text in ["schema: {password: string}", "kafka:\n  linger.ms: five\n", "topic: a.b"] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn of_a_file_that_is_no_yaml_words_tell() {
        let text = "kafka:\n  sasl.password: \"hunter2\n  linger.ms: 5\n  ssl.key.pem: |\n    BEGIN\n\n\tEND\n  a: b\n";
        let shown = by_words(text).unwrap();
        assert_eq!(
            shown,
            "kafka:\n  sasl.password: ********\n  linger.ms: 5\n  ssl.key.pem: *\n    *****\n\n\t***\n  a: b\n"
        );
        assert_eq!(by_words("a: {sasl.password: x, b: c").unwrap(), "a: {sasl.password: ** ** *");
        assert_eq!(by_words("a: b\n"), None);
    }
}
