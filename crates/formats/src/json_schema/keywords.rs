//! What keywords of JSON Schema mean for a comparison: which are understood, which bound values, which only leave fewer of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::branches::{Branch, Kind};

/// Keywords that say how small a value may be, and those of which one stands for the same.
pub(super) const LOWER: [(&str, &str); 5] = [
    ("minimum", "exclusiveMinimum"),
    ("exclusiveMinimum", "minimum"),
    ("minLength", ""),
    ("minItems", ""),
    ("minProperties", ""),
];
/// Keywords that say how large.
pub(super) const UPPER: [(&str, &str); 5] = [
    ("maximum", "exclusiveMaximum"),
    ("exclusiveMaximum", "maximum"),
    ("maxLength", ""),
    ("maxItems", ""),
    ("maxProperties", ""),
];
/// Keywords that validators may or may not hold values to, and from which columns get their types.
pub(super) const FORMATS: [&str; 4] = ["format", "contentEncoding", "contentMediaType", "connect.type"];
/// Keywords that are understood only where both sides have the same.
pub(super) const OPAQUE: [(&str, Kind); 19] = [
    ("pattern", Kind::String),
    ("multipleOf", Kind::Number),
    ("uniqueItems", Kind::Array),
    ("contains", Kind::Array),
    ("minContains", Kind::Array),
    ("maxContains", Kind::Array),
    ("prefixItems", Kind::Array),
    ("additionalItems", Kind::Array),
    ("unevaluatedItems", Kind::Array),
    ("patternProperties", Kind::Object),
    ("propertyNames", Kind::Object),
    ("dependencies", Kind::Object),
    ("dependentRequired", Kind::Object),
    ("dependentSchemas", Kind::Object),
    ("unevaluatedProperties", Kind::Object),
    ("contentSchema", Kind::String),
    ("extends", Kind::Object),
    ("disallow", Kind::Object),
    ("divisibleBy", Kind::Number),
];

/// Of these those that mean another thing beside other keywords.
pub(super) const CONTEXTUAL: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];

/// Whether `unevaluatedProperties` allows no others than those of `properties`: nothing else is there to evaluate one.
pub(super) fn is_closed_by_what_is_evaluated(from: &Branch<'_>) -> bool {
    const EVALUATING: [&str; 7] = ["additionalProperties", "allOf", "if", "then", "else", "not", "dependentSchemas"];
    from.get("unevaluatedProperties") == Some(&Value::Bool(false))
        && !EVALUATING.iter().any(|keyword| from.get(keyword).is_some())
}

/// Whether what a keyword of [`OPAQUE`] says is nothing.
pub(super) fn is_inert(keyword: &str, value: &Value) -> bool {
    match keyword {
        "uniqueItems" => *value == Value::Bool(false),
        "unevaluatedItems" | "unevaluatedProperties" | "propertyNames" => *value == Value::Bool(true),
        _ => false,
    }
}

/// The bound that a writer keeps to, where it names one or another keyword says as much; the inner `None` is no number.
pub(super) fn bound(from: &Branch<'_>, keyword: &str) -> Option<Option<f64>> {
    let named = from.get(keyword).map(Value::as_f64);
    let is_closed = from.get("additionalProperties") == Some(&Value::Bool(false));
    let implied = match (keyword, from.object("properties")) {
        ("minProperties", _) => Some(from.names("required").into_iter().collect::<BTreeSet<_>>().len()),
        ("maxProperties", known) if is_closed && from.get("patternProperties").is_none() => {
            Some(known.map_or(0, |known| known.len()))
        }
        _ => None,
    };
    match (named, implied.map(|count| count as f64)) {
        (named, None) => named,
        (None, implied) => Some(implied),
        (Some(named), Some(implied)) if keyword == "minProperties" => Some(named.map(|named| named.max(implied))),
        (Some(named), Some(implied)) => Some(named.map(|named| named.min(implied))),
    }
}

/// The keyword for which not all values are written that types, lists and bounds allow.
pub(super) fn narrowing(from: &Branch<'_>) -> Option<&'static str> {
    let opaque = OPAQUE.into_iter().find(|(keyword, kind)| kind.takes(from.kind) && from.get(keyword).is_some());
    opaque.map(|(keyword, _)| keyword)
}

/// The rule that a value breaks by a keyword.
pub(super) fn rule_of(keyword: &str) -> &'static str {
    let is_bound = LOWER.iter().chain(&UPPER).any(|(bound, _)| *bound == keyword);
    match keyword {
        "type" => "type",
        "required" => "required",
        "additionalProperties" => "closed",
        "not" => "not",
        _ if is_bound => "range",
        _ => OPAQUE.into_iter().find(|(opaque, _)| *opaque == keyword).map_or("enum", |(opaque, _)| opaque),
    }
}
