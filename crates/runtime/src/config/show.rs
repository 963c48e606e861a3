//! The effective settings as a list: key, value, origin; secrets are stars.

use millstream_engine::time::Millis;
use millstream_pipeline::spec::{self, Size};
use serde_json::{Value, json};

use super::load::Effective;
use super::origin::Origin;
use super::properties::Property;
use super::secret::{STARS, Secret};

/// What is shown where nothing is set and nothing stands for it.
pub(super) const NONE: &str = "none";

/// One effective setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The keys on the way to it.
    pub key: Vec<String>,
    /// Its value as it is written in the file; stars where it is secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl Effective {
    /// All settings in the order of the file.
    pub fn entries(&self) -> Vec<Entry> {
        let settings = &self.settings;
        let mut entries: Vec<Entry> =
            settings.kafka.iter().map(|(name, property)| self.entry(&["kafka", name], property.to_string())).collect();
        let plain: [(&[&str], String); 12] = [
            (&["state_dir"], settings.state_dir.display().to_string()),
            (&["state_memory"], Size(settings.state_memory as u64).to_string()),
            (&["threads"], settings.threads.to_string()),
            (&["guarantee"], settings.guarantee.word().to_owned()),
            (&["commit_interval"], span(settings.commit_interval)),
            (&["checkpoint_interval"], span(settings.checkpoint_interval)),
            (&["transaction_timeout"], span(settings.transaction_timeout)),
            (&["restart", "backoff"], span(settings.restart.backoff)),
            (&["restart", "max_backoff"], span(settings.restart.max_backoff)),
            (&["http", "enabled"], settings.http.enabled.to_string()),
            (&["http", "listen"], settings.http.listen.to_string()),
            (&["log", "format"], settings.log.format.word().to_owned()),
        ];
        entries.extend(plain.into_iter().map(|(key, value)| self.entry(key, value)));
        entries.push(self.entry(&["log", "level"], settings.log.level.word().to_owned()));
        for (target, level) in &settings.log.targets {
            entries.push(self.entry(&["log", "targets", target], level.word().to_owned()));
        }
        let registry = &settings.schema_registry;
        let text = |given: Option<String>| given.unwrap_or_else(|| NONE.to_owned());
        let of_registry: [(&str, String); 7] = [
            ("urls", text((!registry.urls.is_empty()).then(|| registry.urls.join(",")))),
            ("username", text(registry.username.as_ref().map(Property::to_string))),
            ("password", text(registry.password.as_ref().map(Secret::to_string))),
            ("token", text(registry.token.as_ref().map(Secret::to_string))),
            ("ca_file", text(registry.ca_file.as_ref().map(|path| path.display().to_string()))),
            ("connect_timeout", span(registry.connect_timeout)),
            ("request_timeout", span(registry.request_timeout)),
        ];
        let of_registry = of_registry.into_iter().map(|(key, value)| self.entry(&["schema_registry", key], value));
        entries.extend(of_registry);
        entries
    }

    fn entry(&self, key: &[&str], value: String) -> Entry {
        let key: Vec<String> = key.iter().map(|&part| part.to_owned()).collect();
        let leaf = self.layers.get(&key);
        let hidden = leaf.is_some_and(|leaf| leaf.from_placeholder);
        let origin = leaf.map_or(Origin::Default, |leaf| leaf.origin.clone());
        Entry { key, value: if hidden { STARS.to_owned() } else { value }, origin }
    }
}

/// The settings as JSON: a list of objects with `key`, `value` and `origin`.
pub fn as_json(entries: &[Entry]) -> Value {
    let entries = entries.iter().map(|entry| {
        let mut origin = json!({"kind": entry.origin.kind()});
        match &entry.origin {
            Origin::Default => {}
            Origin::File { path, line } => {
                origin["path"] = path.display().to_string().into();
                origin["line"] = (*line).into();
            }
            Origin::Environment { variable } => origin["variable"] = variable.as_str().into(),
            Origin::Flag { name } => origin["flag"] = name.as_str().into(),
        }
        json!({"key": entry.key.join("."), "value": entry.value, "origin": origin})
    });
    entries.collect()
}

/// A duration as it is written in the file.
pub(super) fn span(duration: std::time::Duration) -> String {
    spec::Duration(Millis(duration.as_millis() as i64)).to_string()
}
