//! A trial of settings without a broker: much of what the library has against them it says only when a client is made.

use std::collections::BTreeMap;

use super::defaults::{self, BatchLimits, TOPIC_MESSAGE_BYTES};
use super::native::{Client, ClientKind};
use super::settings::{Guarantee, KafkaLogSettings};

/// Makes each kind of client that a run needs, and drops it.
///
/// # Errors
/// What the library says of the first that it refuses. It may quote values.
pub fn try_clients(properties: &BTreeMap<String, String>, guarantee: Guarantee) -> Result<(), String> {
    let mut properties = properties.clone();
    // Without an address it connects to nobody.
    properties.remove("bootstrap.servers");
    let settings = KafkaLogSettings {
        properties,
        group: "trial".to_owned(),
        transactional_id: "trial".to_owned(),
        client_id: "millstream-trial".to_owned(),
        guarantee,
        output_topics: Vec::new(),
        headerless_topics: Default::default(),
    };
    let limits = BatchLimits { least: TOPIC_MESSAGE_BYTES, most: TOPIC_MESSAGE_BYTES };
    for (kind, properties) in [
        (ClientKind::Consumer, defaults::member(&settings)),
        (ClientKind::Consumer, defaults::restore(&settings)),
        (ClientKind::Consumer, defaults::control(&settings)),
        (ClientKind::Producer, defaults::producer(&settings, limits)),
        (ClientKind::Producer, defaults::plain_producer(&settings, limits)),
    ] {
        Client::new(kind, &properties).map_err(|error| error.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(properties: &[(&str, &str)]) -> Result<(), String> {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        try_clients(&properties, Guarantee::ExactlyOnce)
    }

    #[test]
    fn what_goes_together_is_tried_by_all_clients() {
        assert_eq!(tried(&[("bootstrap.servers", "127.0.0.1:1")]), Ok(()));
        assert_eq!(tried(&[("security.protocol", "SSL")]), Ok(()));
        for (wrong, said) in [
            // Consumers alone refuse the first, and producers the second.
            (("fetch.max.bytes", "1000"), "fetch.max.bytes"),
            (("max.in.flight", "6"), "max.in.flight"),
        ] {
            let refused = tried(&[wrong]).expect_err("refused");
            assert!(refused.contains(said), "{refused}");
        }
    }
}
