//! Which setting an environment variable means: `MILLSTREAM_HTTP__LISTEN` is `http.listen`.

use millstream_pipeline::{kafka, suggest};
use serde_json::Value;

use super::layers::Key;

/// What variables of settings begin with.
pub(super) const PREFIX: &str = "MILLSTREAM_";

/// The variable by which brokers are conventionally named.
pub(super) const BROKERS: &str = "KAFKA_BROKER_ADDRESS";

/// The variable by which a schema registry is conventionally named.
pub(super) const REGISTRY: &str = "SCHEMA_REGISTRY_URL";

/// Whether a variable is one of convention, over which ours go.
pub(super) fn is_conventional(variable: &str) -> bool {
    [BROKERS, REGISTRY].contains(&variable)
}

/// What a variable means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A setting.
    Setting(Key),
    /// Something that is not ours.
    Foreign,
    /// No setting, but meant as one; and the variable that was perhaps meant.
    Unknown(Option<String>),
    /// No setting, and nothing like one: perhaps another program's.
    Ignored,
}

/// What a variable means. `schema` is that of the settings file.
pub(super) fn meaning(variable: &str, schema: &Value) -> Meaning {
    if variable == BROKERS {
        return Meaning::Setting(key(&["kafka", "bootstrap.servers"]));
    }
    if variable == REGISTRY {
        return Meaning::Setting(key(&["schema_registry", "urls"]));
    }
    let Some(name) = variable.strip_prefix(PREFIX) else { return Meaning::Foreign };
    if is_foreign(name) {
        return Meaning::Foreign;
    }
    let parts: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["kafka", property] if !property.is_empty() => Meaning::Setting(key(&["kafka", &property_name(property)])),
        ["log", "targets", target] if !target.is_empty() => Meaning::Setting(key(&["log", "targets", target])),
        parts if keys(schema).iter().any(|key| key == parts) => Meaning::Setting(key(parts)),
        _ => {
            let properties = kafka::PROPERTIES.iter().filter(|_| name.starts_with("KAFKA_"));
            let properties = properties.map(|property| key(&["kafka", property]));
            let known: Vec<String> = keys(schema).into_iter().chain(properties).map(|key| variable_of(&key)).collect();
            let names = known.iter().filter_map(|variable| variable.strip_prefix(PREFIX));
            match suggest::nearest(name, names) {
                Some(meant) => Meaning::Unknown(Some(format!("{PREFIX}{meant}"))),
                None if name.contains("__") => Meaning::Unknown(None),
                None => Meaning::Ignored,
            }
        }
    }
}

/// The variable that sets a key.
pub(super) fn variable_of(key: &[String]) -> String {
    PREFIX.to_owned() + &key.join("__").replace(['.', '-'], "_").to_ascii_uppercase()
}

/// The settings of the file that are single values.
pub(super) fn keys(schema: &Value) -> Vec<Key> {
    let mut found = Vec::new();
    walk(schema, schema, &mut Vec::new(), &mut found);
    found
}

fn walk(schema: &Value, root: &Value, path: &mut Key, found: &mut Vec<Key>) {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    let schema = reference.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema);
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            for (name, schema) in properties {
                path.push(name.clone());
                walk(schema, root, path, found);
                path.pop();
            }
        }
        None if schema.get("additionalProperties").is_some() => {}
        None => found.push(path.clone()),
    }
}

fn key(parts: &[&str]) -> Key {
    parts.iter().map(|&part| part.to_owned()).collect()
}

/// The property of librdkafka that a variable's end means: dots are written as underscores there.
fn property_name(written: &str) -> String {
    let same = |name: &&&str| name.replace('_', ".") == written.replace('_', ".");
    kafka::PROPERTIES.iter().find(same).map_or_else(|| written.replace('_', "."), |name| (*name).to_owned())
}

/// What an orchestrator sets for a service that is called millstream or millstream-something, and what is for tests.
fn is_foreign(name: &str) -> bool {
    let port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.starts_with("TEST_")
        || name.ends_with("SERVICE_HOST")
        || name.contains("SERVICE_PORT")
        || name == "PORT"
        || name.ends_with("_PORT")
        || name.match_indices("PORT_").any(|(at, word)| port(&name[at + word.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(variable: &str) -> Meaning {
        meaning(variable, &super::super::SCHEMA)
    }

    fn setting(parts: &[&str]) -> Meaning {
        Meaning::Setting(key(parts))
    }

    #[test]
    fn variables_mean_settings() {
        assert_eq!(means("MILLSTREAM_THREADS"), setting(&["threads"]));
        assert_eq!(means("MILLSTREAM_HTTP__LISTEN"), setting(&["http", "listen"]));
        assert_eq!(means("MILLSTREAM_STATE_DIR"), setting(&["state_dir"]));
        assert_eq!(means("MILLSTREAM_LOG__TARGETS__LIBRDKAFKA"), setting(&["log", "targets", "librdkafka"]));
        assert_eq!(means("MILLSTREAM_KAFKA__SASL_PASSWORD"), setting(&["kafka", "sasl.password"]));
        assert_eq!(means("MILLSTREAM_KAFKA__LOG_LEVEL"), setting(&["kafka", "log_level"]));
        assert_eq!(means("MILLSTREAM_KAFKA__ssl.key.pem"), setting(&["kafka", "ssl.key.pem"]));
        assert_eq!(means("KAFKA_BROKER_ADDRESS"), setting(&["kafka", "bootstrap.servers"]));
        assert_eq!(means("MILLSTREAM_SCHEMA_REGISTRY__URLS"), setting(&["schema_registry", "urls"]));
        assert_eq!(means("SCHEMA_REGISTRY_URL"), setting(&["schema_registry", "urls"]));
    }

    #[test]
    fn a_slip_is_told_from_what_is_not_ours() {
        assert_eq!(means("MILLSTREAM_THREAD"), Meaning::Unknown(Some("MILLSTREAM_THREADS".to_owned())));
        assert_eq!(means("MILLSTREAM_HTTP__LISTN"), Meaning::Unknown(Some("MILLSTREAM_HTTP__LISTEN".to_owned())));
        let password = Meaning::Unknown(Some("MILLSTREAM_KAFKA__SASL_PASSWORD".to_owned()));
        assert_eq!(means("MILLSTREAM_KAFKA_SASL_PASSWORD"), password);
        assert_eq!(means("MILLSTREAM_NOTHING__LIKE_IT"), Meaning::Unknown(None));
        assert_eq!(means("MILLSTREAM_NOTHING_LIKE_IT"), Meaning::Ignored);
        assert_eq!(means("MILLSTREAM_SEED"), Meaning::Ignored);
        for foreign in [
            "HOME",
            "MILLSTREAM_SERVICE_HOST",
            "MILLSTREAM_SERVICE_PORT_HTTP",
            "MILLSTREAM_PORT",
            "MILLSTREAM_PORT_9464_TCP_ADDR",
            "MILLSTREAM_API_PORT_80_TCP",
            "MILLSTREAM_TEST_BROKER",
        ] {
            assert_eq!(means(foreign), Meaning::Foreign, "{foreign}");
        }
    }

    #[test]
    fn every_key_has_its_variable() {
        let keys = keys(&super::super::SCHEMA);
        assert!(keys.len() > 10, "{keys:?}");
        for key in keys {
            assert_eq!(means(&variable_of(&key)), Meaning::Setting(key));
        }
    }
}
