//! What the text of a schema refers to outside of itself, by name. Says nothing of whether the text is right.

use std::collections::BTreeSet;

use millstream_formats::protobuf::ProtobufSchema;
use serde_json::{Map, Value};

use crate::registry::SchemaKind;

/// How deep types may be nested in each other.
const DEPTH: usize = 100;

/// The names by which `text` refers to other schemas, in the order in which they are met: full names of Avro, imports of
/// Protobuf (but Google's own, which come with every compiler), documents of `$ref`s.
pub(super) fn names(kind: &SchemaKind, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    match (kind, serde_json::from_str(text)) {
        // What does not parse is refused by whoever compiles it, with the place.
        (SchemaKind::Protobuf, _) => names = ProtobufSchema::imports(text).unwrap_or_default(),
        (SchemaKind::Avro, Ok(json)) => avro(&json, "", &mut BTreeSet::new(), &mut names, 0),
        (SchemaKind::JsonSchema, Ok(json)) => {
            let own = json.get("$id").and_then(Value::as_str);
            documents(&json, &mut names, 0);
            names.retain(|name| Some(name.as_str()) != own);
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn documents(json: &Value, names: &mut Vec<String>, depth: usize) {
    if depth > DEPTH {
        return;
    }
    match json {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let document = reference.split('#').next().unwrap_or_default();
                names.extend((!document.is_empty()).then(|| document.to_owned()));
            }
            members.values().for_each(|member| documents(member, names, depth + 1));
        }
        Value::Array(items) => items.iter().for_each(|item| documents(item, names, depth + 1)),
        _ => {}
    }
}

/// Walks a type of Avro: `defined` are the names so far.
fn avro(json: &Value, namespace: &str, defined: &mut BTreeSet<String>, names: &mut Vec<String>, depth: usize) {
    if depth > DEPTH {
        return;
    }
    match json {
        Value::String(name) if !PRIMITIVE.contains(&name.as_str()) => {
            let full = full_name(name, namespace);
            // Old schemas name types of no namespace from within one.
            if !defined.contains(&full) && !defined.contains(name) {
                names.push(full);
            }
        }
        Value::Array(branches) => branches.iter().for_each(|branch| avro(branch, namespace, defined, names, depth + 1)),
        Value::Object(object) => avro_object(object, namespace, defined, names, depth),
        _ => {}
    }
}

fn avro_object(
    object: &Map<String, Value>,
    namespace: &str,
    defined: &mut BTreeSet<String>,
    names: &mut Vec<String>,
    depth: usize,
) {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    match text("type") {
        Some("record" | "error" | "enum" | "fixed") => {
            let full = full_name(text("name").unwrap_or_default(), text("namespace").unwrap_or(namespace));
            let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
            defined.insert(full);
            for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                field.get("type").into_iter().for_each(|of| avro(of, &namespace, defined, names, depth + 1));
            }
        }
        Some("array") => object.get("items").into_iter().for_each(|of| avro(of, namespace, defined, names, depth + 1)),
        Some("map") => object.get("values").into_iter().for_each(|of| avro(of, namespace, defined, names, depth + 1)),
        _ => object.get("type").into_iter().for_each(|of| avro(of, namespace, defined, names, depth + 1)),
    }
}

const PRIMITIVE: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

fn full_name(name: &str, namespace: &str) -> String {
    match name.contains('.') || namespace.is_empty() {
        true => name.to_owned(),
        false => format!("{namespace}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found() {
        let text = "syntax = \"proto3\"; import \"shop/order.proto\"; import public 'a.proto'; // import \"no.proto\";\n\
                    /*\nimport \"no.proto\";\n*/ message imported { string a = 1; }\n\
                    import \"google/protobuf/timestamp.proto\";\nimport weak\n\"b.proto\";";
        assert_eq!(names(&SchemaKind::Protobuf, text), ["shop/order.proto", "a.proto", "b.proto"]);
        assert_eq!(names(&SchemaKind::Protobuf, "import \"a.proto\"; message"), [""; 0]);
    }

    #[test]
    fn imports_of_a_descriptor_in_base64_are_found() {
        // A file that imports `shop/order.proto`.
        assert_eq!(names(&SchemaKind::Protobuf, "GhBzaG9wL29yZGVyLnByb3Rv\n"), ["shop/order.proto"]);
    }

    #[test]
    fn names_of_avro_are_those_that_nothing_before_defines() {
        let text = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
            {"name": "total", "type": "Money"}, {"name": "paid", "type": ["null", "shop.Money"]},
            {"name": "side", "type": {"type": "enum", "name": "Side", "symbols": ["A"]}}, {"name": "other", "type": "Side"},
            {"name": "next", "type": ["null", "Order"]},
            {"name": "items", "type": {"type": "array", "items": {"type": "map", "values": "stock.Item"}}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
        assert_eq!(names(&SchemaKind::Avro, text), ["shop.Money", "stock.Item"]);
        assert_eq!(names(&SchemaKind::Avro, "\"string\""), [""; 0]);
    }

    #[test]
    fn documents_are_what_stands_before_the_pointer() {
        let text = r##"{"$id": "own.json", "properties": {"a": {"$ref": "money.json"}, "b": {"$ref": "#/definitions/x"},
            "c": {"items": [{"$ref": "money.json#/definitions/y"}, {"$ref": "own.json#/a"}]}}}"##;
        assert_eq!(names(&SchemaKind::JsonSchema, text), ["money.json"]);
    }
}
