//! The types of columns as SQL writes them, and the Arrow types behind them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use millstream_engine::types::sql_name;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error};

/// The type of a column, in SQL's words.
///
/// | type | holds |
/// |---|---|
/// | `boolean` | true or false |
/// | `int`, `bigint` | whole numbers of 32 and 64 bits |
/// | `float`, `double` | floating-point numbers of 32 and 64 bits |
/// | `decimal(p, s)` | exact numbers of `p` digits (at most 38), `s` of them behind the point |
/// | `string` | text (UTF-8) |
/// | `bytes` | any bytes |
/// | `date` | a day |
/// | `timestamp(ms)`, `timestamp(us)` | a point in time, UTC, in milliseconds or microseconds |
/// | `struct<a: int, b: string>` | named fields |
/// | `array<int>` | a list |
/// | `map<string, int>` | values by key; keys are strings |
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(extend("format" = "column-type"))]
pub struct ColumnType(#[schemars(with = "String")] pub DataType);

impl ColumnType {
    /// The Arrow type.
    pub fn data_type(&self) -> &DataType {
        &self.0
    }
}

/// How deep types may stand in each other.
const MAX_DEPTH: usize = 32;

const NAMES: &[&str] = &[
    "boolean",
    "int",
    "bigint",
    "float",
    "double",
    "decimal",
    "string",
    "bytes",
    "date",
    "timestamp",
    "struct",
    "array",
    "map",
];

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text };
        let data_type = parser.data_type(0)?;
        parser.skip_space();
        if !parser.rest.is_empty() {
            return Err(format!("unexpected `{}` behind the type in `{text}`", parser.rest));
        }
        Ok(ColumnType(data_type))
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn data_type(&mut self, depth: usize) -> Result<DataType, String> {
        if depth > MAX_DEPTH {
            return Err(format!("types stand in each other more than {MAX_DEPTH} deep"));
        }
        let name = self.word();
        Ok(match name.to_ascii_lowercase().as_str() {
            "boolean" => DataType::Boolean,
            "int" => DataType::Int32,
            "bigint" => DataType::Int64,
            "float" => DataType::Float32,
            "double" => DataType::Float64,
            "string" => DataType::Utf8,
            "bytes" => DataType::Binary,
            "date" => DataType::Date32,
            "decimal" => self.decimal()?,
            "timestamp" => self.timestamp()?,
            "struct" => self.fields(depth)?,
            "array" => {
                self.expect('<')?;
                let item = self.data_type(depth + 1)?;
                self.expect('>')?;
                DataType::List(Arc::new(Field::new_list_field(item, true)))
            }
            "map" => self.map(depth)?,
            _ => return Err(self.unknown(&name)),
        })
    }

    fn decimal(&mut self) -> Result<DataType, String> {
        let bad = "decimal takes a precision from 1 to 38 and a scale up to it, as in `decimal(18, 4)`";
        if !self.accept('(') {
            return Err(bad.into());
        }
        let precision = self.word().parse::<u8>().map_err(|_| bad)?;
        self.expect(',')?;
        let scale = self.word().parse::<u8>().map_err(|_| bad)?;
        self.expect(')')?;
        if !(1..=38).contains(&precision) || scale > precision {
            return Err(bad.into());
        }
        Ok(DataType::Decimal128(precision, scale as i8))
    }

    fn timestamp(&mut self) -> Result<DataType, String> {
        let bad = "timestamp takes its unit, `timestamp(ms)` or `timestamp(us)`";
        if !self.accept('(') {
            return Err(bad.into());
        }
        let unit = match self.word().as_str() {
            "ms" => TimeUnit::Millisecond,
            "us" => TimeUnit::Microsecond,
            _ => return Err(bad.into()),
        };
        self.expect(')')?;
        Ok(DataType::Timestamp(unit, Some("UTC".into())))
    }

    fn fields(&mut self, depth: usize) -> Result<DataType, String> {
        self.expect('<')?;
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let name = self.word();
            if name.is_empty() {
                return Err(format!("expected the name of a field at `{}` in `{}`", self.rest, self.text));
            }
            if fields.iter().any(|field| field.name() == &name) {
                return Err(format!("the field `{name}` stands twice in `{}`", self.text));
            }
            self.expect(':')?;
            fields.push(Field::new(name, self.data_type(depth + 1)?, true));
            if !self.accept(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(DataType::Struct(Fields::from(fields)))
    }

    fn map(&mut self, depth: usize) -> Result<DataType, String> {
        self.expect('<')?;
        let key = self.data_type(depth + 1)?;
        if key != DataType::Utf8 {
            return Err("the keys of a map are strings, as in `map<string, int>`".into());
        }
        self.expect(',')?;
        let value = self.data_type(depth + 1)?;
        self.expect('>')?;
        let entry = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
        Ok(DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false))
    }

    /// A word of letters, digits and underscores, or any text between double quotes; empty if there is none.
    fn word(&mut self) -> String {
        self.skip_space();
        if let Some((word, rest)) = self.rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            self.rest = rest;
            return word.to_owned();
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) {
            return Ok(());
        }
        match self.rest {
            "" => Err(format!("expected `{wanted}` at the end of `{}`", self.text)),
            rest => Err(format!("expected `{wanted}` at `{rest}` in `{}`", self.text)),
        }
    }

    fn unknown(&self, name: &str) -> String {
        if name.is_empty() {
            return format!("a type is missing in `{}`", self.text);
        }
        let meant = match name.to_ascii_lowercase().as_str() {
            "bool" => Some("boolean"),
            "integer" | "int32" | "i32" | "smallint" | "tinyint" => Some("int"),
            "long" | "int64" | "i64" => Some("bigint"),
            "real" | "float32" | "f32" => Some("float"),
            "float64" | "f64" | "number" => Some("double"),
            "text" | "varchar" | "char" | "utf8" | "str" => Some("string"),
            "binary" | "blob" | "varbinary" => Some("bytes"),
            "numeric" => Some("decimal(p, s)"),
            "datetime" | "time" => Some("timestamp(ms)"),
            "list" => Some("array<..>"),
            "object" | "record" | "row" => Some("struct<..>"),
            _ => crate::suggest::nearest(name, NAMES.iter().copied()),
        };
        match meant {
            Some(meant) => format!("`{name}` is no type; did you mean `{meant}`?"),
            None => format!("`{name}` is no type: there are {}", NAMES.join(", ")),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sql_name(&self.0))
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_what_it_shows() {
        for text in [
            "boolean",
            "decimal(18,4)",
            "timestamp(us)",
            "struct<a: int, b: array<map<string, double>>>",
            "array<struct<x: string>>",
        ] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn explains_what_is_wrong() {
        let why = |text: &str| text.parse::<ColumnType>().unwrap_err();
        assert!(why("integer").contains("did you mean `int`"));
        assert!(why("doubel").contains("did you mean `double`"));
        assert!(why("timestamp").contains("timestamp(ms)"));
        assert!(why("decimal(50, 2)").contains("38"));
        assert!(why("array<int").contains("expected `>` at the end"));
        assert!(why("map<int, int>").contains("strings"));
        assert!(why("struct<a: int, a: int>").contains("twice"));
        assert!(why("int int").contains("unexpected"));
        assert!(why(&"array<".repeat(10_000)).contains("deep"));
    }
}
