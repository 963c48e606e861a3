//! The section `schema_registry` as settings: addresses are checked, and what may be a secret becomes one.

use std::path::PathBuf;

use super::layers::Layers;
use super::properties::Property;
use super::secret::Secret;
use super::{file, load};
use crate::registry::{RegistrySettings, parse_urls};

pub(super) const SECTION: &str = "schema_registry";

/// The section as it is written; and where it contradicts itself: the key, why, and what to do.
pub(super) fn settings(section: file::SchemaRegistry, layers: &Layers) -> (RegistrySettings, Vec<load::Contradiction>) {
    let defaults = RegistrySettings::default();
    let mut wrong: Vec<load::Contradiction> = Vec::new();
    let urls = parse_urls(section.urls.as_ref().map_or("", |urls| urls.as_str())).unwrap_or_else(|error| {
        let message = format!("`schema_registry.urls` {error}");
        wrong.push((&[SECTION, "urls"], message, "Without a registry, leave it out.".into()));
        Vec::new()
    });
    let hidden = |key: &str| {
        let key = [SECTION.to_owned(), key.to_owned()];
        layers.get(&key).is_some_and(|leaf| leaf.from_placeholder)
    };
    let settings = RegistrySettings {
        urls,
        username: section.username.map(|name| match hidden("username") {
            true => Property::Secret(Secret::new(name.0)),
            false => Property::Plain(name.0),
        }),
        password: section.password.map(|password| Secret::new(password.0)),
        token: section.token.map(|token| Secret::new(token.0)),
        ca_file: section.ca_file.map(PathBuf::from),
        connect_timeout: load::span(section.connect_timeout, defaults.connect_timeout),
        request_timeout: load::span(section.request_timeout, defaults.request_timeout),
    };
    if settings.password.is_some() && settings.username.is_none() {
        let message = "`schema_registry.password` stands without a username".to_owned();
        wrong.push((&[SECTION, "password"], message, "Basic authentication has both.".into()));
    }
    if let Some(token) = &settings.token {
        let is_token = !token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            let message = "`schema_registry.token` is empty, or has characters that no token has".to_owned();
            wrong.push((&[SECTION, "token"], message, "Write the token alone, without `Bearer` before it.".into()));
        } else if settings.username.is_some() || settings.password.is_some() {
            let message = "`schema_registry.token` stands beside a username or password".to_owned();
            wrong.push((
                &[SECTION, "token"],
                message,
                "A registry is asked with one of them: leave out the other.".into(),
            ));
        }
    }
    for (key, span) in [
        (&[SECTION, "connect_timeout"], settings.connect_timeout),
        (&[SECTION, "request_timeout"], settings.request_timeout),
    ] {
        if span.is_zero() {
            wrong.push((key, format!("`{}` cannot be 0", key.join(".")), "Leave it out for the default.".into()));
        }
    }
    (settings, wrong)
}
