//! The default of a field as the bytes that a writer would have written for it. A default that is not of its type is
//! an error where it is needed, and no trouble where it is not.

use serde_json::Value;

use super::schema::{AvroSchema, Fixed, Kind, NodeId};
use crate::wire::put_zigzag;

/// The most values of one default: a record's fields have defaults of their own.
const VALUES: usize = 100_000;
const LEN: usize = 1 << 20;

/// The bytes of `json` as a value of type `id`.
pub(super) fn bytes(schema: &AvroSchema, id: NodeId, json: &Value) -> Result<Vec<u8>, String> {
    let mut writer = Writer { schema, left: VALUES, out: Vec::new() };
    writer.value(id, json, 0)?;
    Ok(writer.out)
}

/// Whether `json` is a value of type `id`.
pub(super) fn is_valid(schema: &AvroSchema, id: NodeId, json: &Value) -> bool {
    bytes(schema, id, json).is_ok()
}

struct Writer<'a> {
    schema: &'a AvroSchema,
    left: usize,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, id: NodeId, json: &Value, depth: usize) -> Result<(), String> {
        if self.left == 0 || self.out.len() > LEN || depth > 64 {
            return Err("a default without measure".to_owned());
        }
        self.left -= 1;
        let kind = &self.schema.node(id).kind;
        match (kind, json) {
            (Kind::Null, Value::Null) => {}
            (Kind::Boolean, Value::Bool(value)) => self.out.push(u8::from(*value)),
            (Kind::Int | Kind::Long, Value::Number(_)) => {
                let value = json.as_i64().filter(|value| *kind == Kind::Long || i32::try_from(*value).is_ok());
                put_zigzag(value.ok_or_else(|| self.mismatch(id, json))?, &mut self.out);
            }
            (Kind::Float, Value::Number(number)) => {
                let value = number.as_f64().ok_or_else(|| self.mismatch(id, json))?;
                self.out.extend_from_slice(&(value as f32).to_le_bytes());
            }
            (Kind::Double, Value::Number(number)) => {
                let value = number.as_f64().ok_or_else(|| self.mismatch(id, json))?;
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            (Kind::String, Value::String(text)) => self.sized(text.as_bytes()),
            (Kind::Bytes, Value::String(text)) => {
                let bytes = latin(text).ok_or_else(|| self.mismatch(id, json))?;
                self.sized(&bytes);
            }
            (Kind::Fixed(Fixed { size, .. }), Value::String(text)) => {
                let bytes = latin(text).filter(|bytes| bytes.len() == *size).ok_or_else(|| self.mismatch(id, json))?;
                self.out.extend_from_slice(&bytes);
            }
            (Kind::Enum(symbols), Value::String(text)) => {
                let index = symbols.symbols.iter().position(|symbol| symbol == text);
                put_zigzag(index.ok_or_else(|| self.mismatch(id, json))? as i64, &mut self.out);
            }
            (Kind::Array(items), Value::Array(list)) => {
                if !list.is_empty() {
                    put_zigzag(list.len() as i64, &mut self.out);
                    list.iter().try_for_each(|item| self.value(*items, item, depth + 1))?;
                }
                self.out.push(0);
            }
            (Kind::Map(values), Value::Object(object)) => {
                if !object.is_empty() {
                    put_zigzag(object.len() as i64, &mut self.out);
                    for (key, value) in object {
                        self.sized(key.as_bytes());
                        self.value(*values, value, depth + 1)?;
                    }
                }
                self.out.push(0);
            }
            (Kind::Union(branches), json) => {
                let start = self.out.len();
                for (index, &branch) in branches.iter().enumerate() {
                    put_zigzag(index as i64, &mut self.out);
                    if self.value(branch, json, depth + 1).is_ok() {
                        return Ok(());
                    }
                    self.out.truncate(start);
                }
                return Err(self.mismatch(id, json));
            }
            (Kind::Record(record), Value::Object(object)) => {
                for field in &record.fields {
                    let value = object.get(&field.name).or(field.default.as_ref());
                    let value = value.ok_or_else(|| format!("the default has no value for field {}", field.name))?;
                    self.value(field.node, value, depth + 1)?;
                }
            }
            _ => return Err(self.mismatch(id, json)),
        }
        Ok(())
    }

    fn sized(&mut self, bytes: &[u8]) {
        put_zigzag(bytes.len() as i64, &mut self.out);
        self.out.extend_from_slice(bytes);
    }

    fn mismatch(&self, id: NodeId, json: &Value) -> String {
        format!("default {} is not {}", crate::fault::excerpt(&json.to_string()), self.schema.describe(id))
    }
}

/// Bytes in a schema's JSON: each character is a byte.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
