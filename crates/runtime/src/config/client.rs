//! What no client can be made with, or none that will ever connect: said at the start, as no time would mend it.
//!
//! What can be told by a rule of our own is said all at once, by its name; the rest is asked of the client itself.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;

use millstream_pipeline::{kafka, suggest};

use super::load::{ConfigError, Effective, Problem};
use super::properties::{Properties, Property};
use super::{Origin, Settings};
use crate::log::kafka::{Guarantee, try_clients};

const PROTOCOL: &str = "security.protocol";
const BROKERS: &str = "bootstrap.servers";
/// One property under two names; the client takes the later one.
const MECHANISM: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];
/// The mechanisms that the client which is built in knows and brokers have.
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
/// What names a file that TLS needs.
const FILES: [&str; 5] =
    [CA, "ssl.certificate.location", "ssl.crl.location", "ssl.key.location", "ssl.keystore.location"];
const CA: &str = "ssl.ca.location";

/// What is wrong with properties taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongClient {
    /// The property to look at, where there is one.
    pub property: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Effective {
    /// Whether clients can be made with the properties of Kafka. Needs no broker.
    ///
    /// # Errors
    /// What speaks against it, each with the place that its setting came from.
    pub fn check_client(&self) -> Result<(), ConfigError> {
        self.check_client_of("", &BTreeMap::new(), self.settings.guarantee)
    }

    /// As [`check_client`](Self::check_client), with what a pipeline sets for itself over it.
    ///
    /// # Errors
    /// As there.
    pub fn check_client_of(
        &self,
        pipeline: &str,
        own: &BTreeMap<String, String>,
        guarantee: Guarantee,
    ) -> Result<(), ConfigError> {
        let wrong = check(&self.settings, own, guarantee);
        let problems = wrong.into_iter().map(|wrong| {
            let place = wrong.property.and_then(|property| match own.contains_key(&property) {
                true => Some(format!("pipeline {pipeline}")),
                false => Some(self.origin(&["kafka", &property]))
                    .filter(|at| *at != Origin::Default)
                    .map(|at| at.to_string()),
            });
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            Problem { message: format!("{place}{}", wrong.message), help: Some(wrong.help) }
        });
        let error = ConfigError { diagnostics: None, problems: problems.collect() };
        if error.problems.is_empty() { Ok(()) } else { Err(error) }
    }
}

/// What speaks against clients with these settings, and `own` properties of a pipeline over them. Nothing of it shows a secret.
pub fn check(settings: &Settings, own: &BTreeMap<String, String>, guarantee: Guarantee) -> Vec<WrongClient> {
    let mut properties = settings.kafka.clone();
    own.iter().for_each(|(name, value)| properties.set(name, value));
    let client = Client::of(&properties);
    let mut wrong: Vec<WrongClient> = client.mechanism().into_iter().collect();
    wrong.extend(client.login());
    wrong.extend(client.files());
    wrong.extend(client.addresses());
    if wrong.is_empty() {
        let mut exposed = settings.client_properties();
        exposed.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        wrong.extend(try_clients(&exposed, guarantee).err().map(|said| client.refused(&said)));
    }
    wrong
}

/// The properties of a client, and what they say of how it connects.
struct Client<'a> {
    properties: &'a Properties,
    protocol: String,
    mechanism: Option<(&'static str, &'a Property)>,
}

impl Client<'_> {
    fn of(properties: &Properties) -> Client<'_> {
        let mechanism = MECHANISM.into_iter().find_map(|name| Some((name, given(properties, name)?)));
        let protocol = given(properties, PROTOCOL).map_or("PLAINTEXT", Property::expose).to_ascii_uppercase();
        Client { properties, protocol, mechanism }
    }

    fn signs_in(&self) -> bool {
        self.protocol.starts_with("SASL_")
    }

    fn mechanism(&self) -> Option<WrongClient> {
        let known = MECHANISMS.join(", ");
        let Some((name, mechanism)) = self.mechanism else {
            let protocol = given(self.properties, PROTOCOL).filter(|_| self.signs_in())?;
            let message = format!("`{PROTOCOL}` is {protocol}, and `sasl.mechanism` is not set");
            let why = "without one the client takes GSSAPI (Kerberos), which is not built in";
            return Some(wrong(PROTOCOL, message, format!("Set it to one of {known}: {why}.")));
        };
        let written = mechanism.expose();
        if MECHANISMS.contains(&written) || written == "SCRAM-SHA-1" {
            return None;
        }
        let why = if written == "GSSAPI" { "is not built in" } else { "the Kafka client does not know" };
        let meant = suggest::nearest(written, MECHANISMS).filter(|_| matches!(mechanism, Property::Plain(_)));
        let help = match meant {
            Some(meant) => format!("Did you mean {meant}? It is one of {known}."),
            None => format!("It is one of {known}."),
        };
        Some(wrong(name, format!("`{name}` is {mechanism}, which {why}"), help))
    }

    /// Whoever signs in says who it is.
    fn login(&self) -> Option<WrongClient> {
        let (name, mechanism) = self.mechanism.filter(|_| self.signs_in())?;
        let needed: &[&str] = match mechanism.expose() {
            "OAUTHBEARER" => {
                let own = given(self.properties, "enable.sasl.oauthbearer.unsecure.jwt");
                if !own.is_some_and(|own| ["true", "t", "1"].contains(&own.expose())) {
                    let message = format!("`{name}` is {mechanism}, and nobody would give the client a token");
                    let help = "Tokens of a server are not built in: the client makes its own, unsigned, where \
                                `enable.sasl.oauthbearer.unsecure.jwt` is true. Sign in by SCRAM otherwise.";
                    return Some(wrong(name, message, help));
                }
                &["sasl.oauthbearer.config"]
            }
            known if MECHANISMS.contains(&known) || known == "SCRAM-SHA-1" => &["sasl.username", "sasl.password"],
            _ => return None,
        };
        let missing: Vec<&str> = needed.iter().copied().filter(|name| given(self.properties, name).is_none()).collect();
        let (last, named) = (missing.last()?, missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>());
        let are = if named.len() == 1 { "is" } else { "are" };
        let message = format!("`{name}` is {mechanism}, and {} {are} not set", named.join(" and "));
        let variable = format!("MILLSTREAM_KAFKA__{}", last.to_uppercase().replace('.', "_"));
        let help = format!(
            "Set what is missing under `kafka:` in the settings file, a secret by `${{file:PATH}}`, or in the environment \
             ({variable})."
        );
        Some(wrong(name, message, help))
    }

    /// The client reads them when it is made, if it speaks TLS.
    fn files(&self) -> Vec<WrongClient> {
        if !self.protocol.ends_with("SSL") {
            return Vec::new();
        }
        let check = |name: &'static str| {
            let path = given(self.properties, name)?;
            let why = unreadable(name, path.expose())?;
            let message = format!("`{name}` is {path}, which cannot be read: {why}");
            let help = "Name a file that is there and that this user may read. A relative path begins at the folder that the \
                        program was started in.";
            Some(wrong(name, message, help))
        };
        FILES.into_iter().filter_map(check).collect()
    }

    /// The client passes over an address of another protocol, and then has none.
    fn addresses(&self) -> Option<WrongClient> {
        let brokers = given(self.properties, BROKERS)?;
        let other = |address: &&str| {
            let protocol = address.trim().split_once("://").map(|(protocol, _)| protocol);
            protocol.is_some_and(|protocol| !protocol.eq_ignore_ascii_case(&self.protocol))
        };
        let address = brokers.expose().split(',').find(other)?.trim();
        let shown: &dyn Display = if matches!(brokers, Property::Plain(_)) { &address } else { brokers };
        let protocol = given(self.properties, PROTOCOL).map_or("PLAINTEXT".to_owned(), ToString::to_string);
        let message = format!("{shown} in `{BROKERS}` has another protocol than `{PROTOCOL}`, which is {protocol}");
        let help =
            format!("The client passes over such a broker: say by `{PROTOCOL}` alone how brokers are spoken to.");
        Some(wrong(BROKERS, message, help))
    }

    /// What the client has said, without what nobody may see, and which property it is about.
    fn refused(&self, said: &str) -> WrongClient {
        let words = said.split(|letter: char| !(letter.is_ascii_alphanumeric() || "._".contains(letter)));
        let named: Vec<&str> =
            words.map(|word| word.trim_end_matches('.')).filter(|word| kafka::is_property(word)).collect();
        let is_given = |name: &&str| given(self.properties, name).is_some();
        // It does not say whose key it has tried.
        let keys = ["ssl.key.location", "ssl.key.pem"].into_iter().filter(|_| said.contains("rivate key"));
        let property = named.iter().copied().chain(keys).find(is_given).or(named.first().copied());
        let said = self.without_secrets(said);
        match property {
            Some(property) => WrongClient {
                property: Some(property.to_owned()),
                message: format!("the Kafka client refuses `{property}`: {said}"),
                help: help_for(property).to_owned(),
            },
            None => WrongClient {
                property: None,
                message: format!("the Kafka client refuses its properties: {said}"),
                help: help_for("").to_owned(),
            },
        }
    }

    fn without_secrets(&self, said: &str) -> String {
        let secrets = self.properties.iter().filter(|(_, property)| matches!(property, Property::Secret(_)));
        secrets
            .map(|(_, property)| property.expose())
            .filter(|value| !value.is_empty())
            .fold(said.to_owned(), |said, value| said.replace(value, super::STARS))
    }
}

/// A property that has a value. To the client an empty one is none.
fn given<'a>(properties: &'a Properties, name: &str) -> Option<&'a Property> {
    properties.get(name).filter(|property| !property.expose().is_empty())
}

fn wrong(property: &str, message: impl Into<String>, help: impl Into<String>) -> WrongClient {
    WrongClient { property: Some(property.to_owned()), message: message.into(), help: help.into() }
}

/// Why a file cannot be read, if it cannot. Certificates to trust may be a folder of them, or wherever the system has them.
fn unreadable(name: &str, path: &str) -> Option<io::Error> {
    if name == CA && path == "probe" {
        return None;
    }
    match fs::metadata(path) {
        Ok(found) if found.is_dir() && name == CA => fs::read_dir(path).err(),
        Ok(found) if found.is_dir() => Some(io::ErrorKind::IsADirectory.into()),
        Ok(_) => fs::File::open(path).err(),
        Err(error) => Some(error),
    }
}

fn help_for(property: &str) -> &'static str {
    match property {
        CA | "ssl.ca.pem" | "ssl.certificate.location" | "ssl.certificate.pem" => {
            "It must be certificates in PEM form."
        }
        "ssl.key.location" | "ssl.key.pem" => {
            "It must be the private key of the certificate, in PEM form; where it is encrypted, `ssl.key.password` opens it."
        }
        "ssl.keystore.location" => "It must be a PKCS#12 file that `ssl.keystore.password` opens.",
        "ssl.crl.location" => "It must be lists of revoked certificates in PEM form.",
        _ => "See CONFIGURATION.md of librdkafka 2.12 for what it may be, and beside what.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    type Given<'a> = &'a [(&'a str, &'a str)];

    fn checked(properties: Given<'_>) -> Vec<WrongClient> {
        let mut settings = Settings::default();
        properties.iter().for_each(|(name, value)| settings.kafka.set(*name, *value));
        check(&settings, &BTreeMap::new(), Guarantee::ExactlyOnce)
    }

    fn said(wrong: &[WrongClient]) -> String {
        wrong.iter().map(|wrong| format!("{:?}: {}\n{}\n", wrong.property, wrong.message, wrong.help)).collect()
    }

    #[test]
    fn every_way_to_sign_in_that_is_documented_passes() {
        let login = [("sasl.username", "me"), ("sasl.password", "hunter2")];
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            for protocol in ["SASL_PLAINTEXT", "sasl_ssl"] {
                let properties = [("security.protocol", protocol), ("sasl.mechanism", mechanism), login[0], login[1]];
                assert_eq!(checked(&properties), []);
            }
        }
        let oauth = [
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "OAUTHBEARER"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.oauthbearer.config", "principal=me"),
        ];
        assert_eq!(checked(&oauth), []);
        assert!(said(&checked(&oauth[..3])).contains("`sasl.oauthbearer.config` is not set"));
        assert!(said(&checked(&oauth[..2])).contains("nobody would give the client a token"));
        assert_eq!(checked(&[("security.protocol", "SSL"), (BROKERS, "SSL://a:1,ssl://b:1,c:1")]), []);
    }

    #[test]
    fn what_no_client_can_be_made_with_is_named() {
        let sasl = ("security.protocol", "SASL_SSL");
        let ssl = ("security.protocol", "SSL");
        let scram = ("sasl.mechanism", "SCRAM-SHA-512");
        let cases: &[(Given<'_>, &[&str])] = &[
            (
                &[("sasl.mechanism", "SCRAM-512")],
                &["which the Kafka client does not know", "Did you mean SCRAM-SHA-512?"],
            ),
            (&[("sasl.mechanism", "plain")], &["`sasl.mechanism` is plain", "Did you mean PLAIN?"]),
            (&[("sasl.mechanisms", "GSSAPI")], &["`sasl.mechanisms` is GSSAPI, which is not built in"]),
            (&[sasl], &["`security.protocol` is SASL_SSL, and `sasl.mechanism` is not set"]),
            (&[sasl, scram], &["`sasl.username` and `sasl.password` are not set", "MILLSTREAM_KAFKA__SASL_PASSWORD"]),
            (&[sasl, scram, ("sasl.username", "me"), ("sasl.password", "")], &["and `sasl.password` is not set"]),
            (&[ssl, (CA, "gone.pem")], &["`ssl.ca.location` is gone.pem, which cannot be read: No such file"]),
            (&[ssl, ("ssl.key.location", "/")], &["`ssl.key.location` is /, which cannot be read: is a directory"]),
            (&[ssl, (CA, "/dev/null")], &["refuses `ssl.ca.location`", "certificates in PEM form"]),
            (&[ssl, ("ssl.cipher.suites", "none")], &["the Kafka client refuses `ssl.cipher.suites`"]),
            (&[("fetch.max.bytes", "1000")], &["the Kafka client refuses `fetch.max.bytes`"]),
            (
                &[(BROKERS, "a:1, SSL://b:1")],
                &["SSL://b:1 in `bootstrap.servers` has another protocol", "is PLAINTEXT"],
            ),
        ];
        for (properties, parts) in cases {
            let said = said(&checked(properties));
            assert!(parts.iter().all(|part| said.contains(part)), "{properties:?}: {said}");
        }
        // What the client does not read it has nothing against.
        assert_eq!(checked(&[(CA, "gone.pem")]), []);
    }

    #[test]
    fn all_mistakes_are_named_at_once_and_no_secret_is() {
        let mut settings = Settings::default();
        for (name, value) in
            [(PROTOCOL, "SASL_SSL"), ("sasl.mechanism", "canary"), (CA, "/canary"), (BROKERS, "canary://a:1")]
        {
            settings.kafka.set_secret(name, Secret::new(value));
        }
        let wrong = check(&settings, &BTreeMap::new(), Guarantee::ExactlyOnce);
        let said = said(&wrong);
        assert_eq!(wrong.len(), 3, "{said}");
        assert!(!said.contains("canary"), "{said}");
        settings.kafka = Properties::default();
        settings.kafka.set(PROTOCOL, "SSL");
        settings.kafka.set_secret("ssl.keystore.location", Secret::new("/etc/hostname"));
        settings.kafka.set("ssl.keystore.password", "canary");
        let said = self::said(&check(&settings, &BTreeMap::new(), Guarantee::ExactlyOnce));
        assert!(said.contains("`ssl.keystore.location`") && !said.contains("hostname"), "{said}");
    }
}
