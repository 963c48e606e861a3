//! Properties of the Kafka client in a pipeline: there, its own, and none of those that belong to the configuration.

use std::collections::BTreeMap;

use crate::check::Findings;
use crate::codes;
use crate::kafka;
use crate::spec::{Entries, Text};

/// The properties by name. What a value may be, the client knows alone.
pub(crate) fn check(properties: &Entries<Text>, findings: &mut Findings) -> BTreeMap<String, String> {
    for name in properties.names() {
        if kafka::is_connection(name) {
            findings
                .error(codes::REFUSED_PROPERTY, name.span, format!("`{name}` is not for pipelines"))
                .help("Where the brokers are and how to sign in stands in the configuration, under `kafka:`.");
        } else if let Some(why) = kafka::refused(name) {
            findings
                .error(codes::REFUSED_PROPERTY, name.span, format!("the property `{name}` cannot be set: {why}"))
                .help("Leave it out.");
        } else if !kafka::is_property(name) {
            let names = kafka::settable().filter(|name| !kafka::is_connection(name));
            let finding = findings.error(
                codes::UNKNOWN_PROPERTY,
                name.span,
                format!("the Kafka client has no property `{name}`"),
            );
            match crate::suggest::nearest(name, names) {
                Some(meant) => finding.meant = Some(meant.to_owned()),
                None => {
                    finding.help("Properties are those of librdkafka 2.12: see its CONFIGURATION.md.");
                }
            }
        }
    }
    properties.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect()
}
