//! Properties of librdkafka as the user set them: checked by name and by value, with secrets that show stars only.

use std::collections::BTreeMap;
use std::fmt;

use millstream_pipeline::codes::{self, Code};
use millstream_pipeline::{kafka, suggest};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::brokers;
use super::secret::{STARS, Secret};

/// The property that says where the brokers are.
const BROKERS: &str = "bootstrap.servers";

/// Properties of librdkafka by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Property>);

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// One that anybody may see.
    Plain(String),
    /// One that nobody may see.
    Secret(Secret),
}

impl Property {
    /// The value itself, for the client: never for a message, a log line or a metric.
    pub fn expose(&self) -> &str {
        match self {
            Property::Plain(text) => text,
            Property::Secret(secret) => secret.expose(),
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Plain(text) => f.write_str(text),
            Property::Secret(_) => f.write_str(STARS),
        }
    }
}

impl Properties {
    /// Sets a property. It is a secret if its name says so.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        let property = match kafka::is_secret(&name) {
            true => Property::Secret(Secret::new(value)),
            false => Property::Plain(value.into()),
        };
        self.0.insert(name, property);
    }

    /// Sets a property whose value nobody may see, whatever its name is.
    pub fn set_secret(&mut self, name: impl Into<String>, value: Secret) {
        self.0.insert(name.into(), Property::Secret(value));
    }

    /// The value of a property, if it was set.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.0.get(name)
    }

    /// The properties that were set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Property)> {
        self.0.iter().map(|(name, property)| (name.as_str(), property))
    }

    /// The brokers to begin with (`bootstrap.servers`), for messages.
    pub fn brokers(&self) -> &str {
        self.get(BROKERS).map_or("", |property| match property {
            Property::Plain(text) => text,
            Property::Secret(_) => STARS,
        })
    }

    /// All properties with their values, secrets too, for a client: never for a message.
    pub(super) fn expose(&self) -> BTreeMap<String, String> {
        self.iter().map(|(name, property)| (name.to_owned(), property.expose().to_owned())).collect()
    }
}

/// What is wrong with a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongProperty {
    /// The code of the mistake.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The name that was meant, where one is near.
    pub meant: Option<&'static str>,
}

/// Checks a property by its name, and its value by what librdkafka says. Messages never hold the value of a secret.
///
/// # Errors
/// If there is no such property, if it is not the user's to set, or if its value is refused.
pub fn check(name: &str, value: &str, hidden: bool) -> Result<(), WrongProperty> {
    if let Some(why) = kafka::refused(name) {
        return Err(WrongProperty {
            code: codes::REFUSED_PROPERTY,
            message: format!("the property `{name}` cannot be set: {why}"),
            help: "Leave it out.".to_owned(),
            meant: None,
        });
    }
    let mut client = ClientConfig::new();
    // Or the client says on standard error what it thinks of a property.
    client.set_log_level(RDKafkaLogLevel::Emerg);
    client.set(name, value);
    let Err(error) = client.create_native_config() else {
        return if name == BROKERS { brokers::check(value, hidden) } else { Ok(()) };
    };
    let (unknown, why) = match error {
        KafkaError::ClientConfig(outcome, why, ..) => (outcome == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, why),
        other => (false, other.to_string()),
    };
    if unknown {
        return Err(WrongProperty {
            code: codes::UNKNOWN_PROPERTY,
            message: format!("the Kafka client has no property `{name}`"),
            help: "Properties are those of librdkafka 2.12: see its CONFIGURATION.md.".to_owned(),
            meant: suggest::nearest(name, kafka::settable()),
        });
    }
    // What it says may quote the value, or a part of it.
    let may_be_said = !hidden && !kafka::is_secret(name) || why.contains("not supported in this build");
    let why = if may_be_said { format!(": {why}") } else { String::new() };
    Err(WrongProperty {
        code: codes::BAD_PROPERTY,
        message: format!("the Kafka client refuses the value of `{name}`{why}"),
        help: "See CONFIGURATION.md of librdkafka 2.12 for what it may be.".to_owned(),
        meant: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_names_that_are_known_are_those_of_the_client_that_is_built_in() {
        // No property takes this, but one that is not there is not even asked.
        let code = |name| check(name, "\u{1}", false).err().map(|wrong| wrong.code);
        for name in kafka::settable() {
            assert_ne!(code(name), Some(codes::UNKNOWN_PROPERTY), "{name}");
        }
        assert_eq!(code("sasl.pasword"), Some(codes::UNKNOWN_PROPERTY));
    }

    #[test]
    fn names_and_values_are_checked() {
        check("linger.ms", "5", false).unwrap();
        check("sasl.mechanism", "SCRAM-SHA-512", false).unwrap();
        let wrong = check("fetch.min.byte", "1", false).unwrap_err();
        assert_eq!((wrong.code, wrong.meant), (codes::UNKNOWN_PROPERTY, Some("fetch.min.bytes")));
        let wrong = check("isolation.level", "read_committed", false).unwrap_err();
        assert_eq!(wrong.code, codes::REFUSED_PROPERTY);
        let wrong = check("linger.ms", "soon", false).unwrap_err();
        assert_eq!(wrong.code, codes::BAD_PROPERTY);
        assert!(wrong.message.contains("linger.ms"), "{}", wrong.message);
    }

    #[test]
    fn a_refused_value_is_not_shown_where_it_may_be_a_secret() {
        for (name, hidden) in [("linger.ms", true), ("security.protocol", true)] {
            let wrong = check(name, "hunter2", hidden).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hunter2"), "{wrong:?}");
        }
    }

    #[test]
    fn secrets_show_stars() {
        let mut properties = Properties::default();
        properties.set("sasl.password", "hunter2");
        properties.set("sasl.username", "me");
        properties.set_secret("bootstrap.servers", Secret::new("hunter2:9092"));
        assert!(!format!("{properties:?}").contains("hunter2"));
        assert_eq!(properties.brokers(), "***");
        assert_eq!(properties.expose()["sasl.password"], "hunter2");
    }
}
