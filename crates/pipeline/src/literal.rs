//! Values of tests as they are written: numbers keep their digits, which a double would not.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The name by which [`Literal`] asks the deserializer of a node for numbers as text.
pub(crate) const LITERAL: &str = "$millstream::Literal";

/// How deep lists and mappings may lie in each other, as in records.
const DEEPEST: usize = 128;

/// A value of a test, or of a record that it is compared with. Shown as JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Literal {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number by its JSON text.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Literal>),
    /// A mapping, in its order, each name there once.
    Map(Vec<(String, Literal)>),
}

impl Literal {
    /// The value of a JSON text; `None` if it is none.
    pub fn from_json(json: &[u8]) -> Option<Literal> {
        let mut reader = Reader { text: std::str::from_utf8(json).ok()?, at: 0 };
        let value = reader.value(0)?;
        (reader.next_byte().is_none()).then_some(value)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        *self == Literal::Null
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Literal::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Literal::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The entries, if it is a mapping.
    pub fn as_map(&self) -> Option<&[(String, Literal)]> {
        match self {
            Literal::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// What stands under a name, if it is a mapping.
    pub fn get(&self, name: &str) -> Option<&Literal> {
        self.as_map()?.iter().find(|(of, _)| of == name).map(|(_, value)| value)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Number(text) => f.write_str(text),
            Literal::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Literal::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Literal::Map(entries) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    let name = serde_json::Value::from(name.as_str());
                    write!(f, "{}{name}:{value}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A number by its value: whether it is below zero, its digits without zeros at either end, and the power of ten of the
/// last of them. `None` if the text is no decimal number.
fn exact(text: &str) -> Option<(bool, String, i64)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0').to_owned();
    if significant.is_empty() {
        return Some((false, significant, 0));
    }
    let exponent = exponent.checked_add(dropped as i64)?.checked_sub(fraction.len() as i64)?;
    Some((negative, significant, exponent))
}

/// Whether two texts are decimal numbers of the same value, to the last digit.
pub fn is_same_number(a: &str, b: &str) -> bool {
    exact(a).is_some_and(|a| exact(b) == Some(a))
}

/// The JSON text of a number that YAML writes as `text`, of which nothing is lost.
fn json_number(text: &str) -> Option<String> {
    if let Some((radix, digits)) = [(16, "0x"), (8, "0o")].iter().find_map(|&(r, p)| Some((r, text.strip_prefix(p)?))) {
        return u64::from_str_radix(digits, radix).ok().map(|value| value.to_string());
    }
    exact(text)?;
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.find(['e', 'E']).map_or((unsigned, ""), |at| unsigned.split_at(at));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}{exponent}"))
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(LITERAL, LiteralVisitor)
    }
}

struct LiteralVisitor;

impl<'de> Visitor<'de> for LiteralVisitor {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Literal, E> {
        Ok(Literal::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Literal, E> {
        Ok(Literal::Bool(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Literal, E> {
        Ok(Literal::Text(text.to_owned()))
    }

    /// A number, by its text.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, number: D) -> Result<Literal, D::Error> {
        let text = String::deserialize(number)?;
        json_number(&text).map(Literal::Number).ok_or_else(|| serde::de::Error::custom(format!("{text} is no number")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Literal, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Literal::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Literal, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Literal::Map(map))
    }
}

impl JsonSchema for Literal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// Reads JSON, numbers as text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no white space, which stays.
    fn next_byte(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next_byte()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        if depth > DEEPEST {
            return None;
        }
        match self.next_byte()? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Literal::Text),
            _ => self.word(),
        }
    }

    fn map(&mut self, depth: usize) -> Option<Literal> {
        let mut entries: Vec<(String, Literal)> = Vec::new();
        self.take(b'{')?;
        while self.next_byte()? != b'}' {
            if !entries.is_empty() {
                self.take(b',')?;
                self.next_byte()?;
            }
            let name = self.string()?;
            self.take(b':')?;
            let value = self.value(depth + 1)?;
            match entries.iter_mut().find(|(before, _)| *before == name) {
                // As readers of JSON do: the last of a name counts.
                Some((_, before)) => *before = value,
                None => entries.push((name, value)),
            }
        }
        self.at += 1;
        Some(Literal::Map(entries))
    }

    fn list(&mut self, depth: usize) -> Option<Literal> {
        let mut items = Vec::new();
        self.take(b'[')?;
        while self.next_byte()? != b']' {
            if !items.is_empty() {
                self.take(b',')?;
            }
            items.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Some(Literal::List(items))
    }

    fn string(&mut self) -> Option<String> {
        let begin = self.at;
        self.take(b'"')?;
        let bytes = self.text.as_bytes();
        while *bytes.get(self.at)? != b'"' {
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        serde_json::from_str(self.text.get(begin..self.at)?).ok()
    }

    /// A number, a boolean or null.
    fn word(&mut self) -> Option<Literal> {
        let rest = &self.text[self.at..];
        let end = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += end;
        match &rest[..end] {
            "null" => Some(Literal::Null),
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            number => {
                serde_json::from_str::<serde_json::Number>(number).ok().map(|_| Literal::Number(number.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_are_written_as_json() {
        for (yaml, json) in [
            ("1234567890123456.7891", "1234567890123456.7891"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-0.10", "-0.10"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007", "7"),
            ("1e3", "1e3"),
            ("-.5e-2", "-0.5e-2"),
            ("0x1F", "31"),
            ("0o17", "15"),
        ] {
            assert_eq!(json_number(yaml).as_deref(), Some(json), "{yaml}");
            assert!(serde_json::from_str::<serde_json::Number>(json).is_ok());
        }
        assert_eq!(json_number("1.2.3"), None);
    }

    #[test]
    fn numbers_are_the_same_by_value() {
        for (a, b) in [("10", "10.0"), ("1e3", "1000"), ("0", "-0.00"), ("0.10", "1e-1"), ("-5", "-5.0")] {
            assert!(is_same_number(a, b), "{a} {b}");
        }
        for (a, b) in
            [("1234567890123456.7891", "1234567890123456.7899"), ("1", "-1"), ("x", "x"), ("", "0"), ("1", "10")]
        {
            assert!(!is_same_number(a, b), "{a} {b}");
        }
    }

    #[test]
    fn json_is_read_and_written_as_it_was() {
        let json = r#"{"a":[1,2.50,-3e7,true,null,[]],"b":{"c":"x\"\\ü€"},"d":{},"e":12345678901234567890.123456789}"#;
        let value = Literal::from_json(json.as_bytes()).unwrap();
        assert_eq!(value.to_string(), json);
        assert_eq!(value.get("e"), Some(&Literal::Number("12345678901234567890.123456789".to_owned())));
        assert_eq!(Literal::from_json(br#" { "a" : 1 , "a" : 2 } "#).unwrap().to_string(), r#"{"a":2}"#);
        for wrong in
            ["", "{", "[1,]", "[1 2]", "{\"a\"}", "{,\"a\":1}", "01", "nul", "\"a", "\"\\", "1 2", "{\"a\":1,}"]
        {
            assert_eq!(Literal::from_json(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Literal::from_json("[".repeat(10_000).as_bytes()), None);
    }
}
