//! From a tree to types: a serde deserializer that hands out positions, and a node's shape where a type asks for it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Kind, Meaning, Node};
use super::span::Span;
use super::spanned::{SPANNED, SPANNED_FIELDS};
use crate::literal::LITERAL;

/// The name of an enum whose variants `scalar`, `list` and `map` stand for the shape of the node.
const SHAPE: &str = "$shape";

/// Why a tree is not of a type: the first thing found.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
}

impl Error {
    fn at(mut self, span: Span) -> Error {
        self.span.get_or_insert(span);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error { message: message.to_string(), span: None }
    }
}

/// The value that a tree stands for.
///
/// # Errors
/// The first thing that does not fit.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Error> {
    T::deserialize(De { node }).map_err(|error| error.at(node.span))
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Node,
}

impl<'de> De<'de> {
    fn is_number(self) -> bool {
        let Kind::Scalar(scalar) = &self.node.kind else { return false };
        match scalar.meaning() {
            Meaning::Int(_) | Meaning::Uint(_) => true,
            Meaning::Float(value) => !scalar.value.contains(['n', 'N']) || value.is_finite(),
            Meaning::Null | Meaning::Bool(_) | Meaning::Text(_) => false,
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Scalar(scalar) => visitor.visit_str(&scalar.value).map_err(|error: Error| error.at(self.node.span)),
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for De<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let span = self.node.span;
        let value = match &self.node.kind {
            Kind::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => visitor.visit_unit(),
                Meaning::Bool(value) => visitor.visit_bool(value),
                Meaning::Int(value) => visitor.visit_i64(value),
                Meaning::Uint(value) => visitor.visit_u64(value),
                Meaning::Float(value) if value.is_finite() => visitor.visit_f64(value),
                Meaning::Float(value) if value.is_nan() => visitor.visit_str("NaN"),
                Meaning::Float(value) => visitor.visit_str(if value > 0.0 { "Infinity" } else { "-Infinity" }),
                Meaning::Text(text) => visitor.visit_str(text),
            },
            Kind::Sequence(items) => visitor.visit_seq(Items { items: items.iter() }),
            Kind::Mapping(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
            Kind::Unknown => Err(unknown()),
        };
        value.map_err(|error: Error| error.at(span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == LITERAL && !self.is_number() {
            return self.deserialize_any(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == SPANNED {
            return visitor.visit_map(WithPlace { node: self.node, next: 0 });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.node;
        let access = match &node.kind {
            kind if name == SHAPE => Variant { name: shape(kind), value: Some(node) },
            Kind::Scalar(scalar) => Variant { name: &scalar.value, value: None },
            Kind::Mapping(entries) => match entries.as_slice() {
                [(key, value)] => Variant { name: key.text().unwrap_or_default(), value: Some(value) },
                _ => return Err(Error::custom("expected a mapping with one key").at(node.span)),
            },
            Kind::Sequence(_) => return Err(Error::custom("a list is not expected here").at(node.span)),
            Kind::Unknown => return Err(unknown().at(node.span)),
        };
        visitor.visit_enum(access).map_err(|error| error.at(node.span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map ignored_any
    }
}

fn unknown() -> Error {
    Error::custom("this could not be read")
}

fn shape(kind: &Kind) -> &'static str {
    match kind {
        Kind::Scalar(_) | Kind::Unknown => "scalar",
        Kind::Sequence(_) => "list",
        Kind::Mapping(_) => "map",
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.items.next().map(|node| seed.deserialize(De { node }).map_err(|error| error.at(node.span))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Node, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(De { node: key }).map(Some).map_err(|error| error.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().ok_or_else(|| Error::custom("a value without a key"))?;
        seed.deserialize(De { node }).map_err(|error| error.at(node.span))
    }
}

/// A node as the fields that [`super::spanned::Spanned`] asks for.
struct WithPlace<'de> {
    node: &'de Node,
    next: usize,
}

impl<'de> MapAccess<'de> for WithPlace<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = SPANNED_FIELDS.get(self.next) else { return Ok(None) };
        let field: StrDeserializer<'_, Error> = (*field).into_deserializer();
        seed.deserialize(field).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Span { start, end, line, column } = self.node.span;
        let place = [start, end, line, column];
        let index = self.next;
        self.next += 1;
        match place.get(index) {
            Some(number) => seed.deserialize(number.into_deserializer()),
            None => seed.deserialize(De { node: self.node }).map_err(|error| error.at(self.node.span)),
        }
    }
}

struct Variant<'de> {
    name: &'de str,
    value: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None => Ok(()),
            Some(node) => Err(Error::custom(format!("`{}` takes no value", self.name)).at(node.span)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let node = self.value.ok_or_else(|| Error::custom(format!("`{}` takes a value", self.name)))?;
        seed.deserialize(De { node }).map_err(|error| error.at(node.span))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a list is not expected here"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let node = self.value.ok_or_else(|| Error::custom(format!("`{}` takes a value", self.name)))?;
        De { node }.deserialize_any(visitor)
    }
}
