//! `millstream config`: the settings in force, and where each came from.

use clap::Args;
use millstream_runtime::config::{self, PLACES};
use serde_json::json;

use crate::exit::Exit;
use crate::render::{DIM, RESET};
use crate::settings::{self, SettingsArguments};

/// Shows the settings in force and where each of them came from: default, file and line, environment, command line.
///
/// Secrets are shown as ***, and so is whatever a placeholder of the file stands for.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// The JSON Schema of the settings file instead, for editors.
    #[arg(long, conflicts_with = "json")]
    schema: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl Config {
    pub(crate) fn run(self) -> crate::Outcome {
        if self.schema {
            outln!("{:#}", config::json_schema());
            return Ok(Exit::Well);
        }
        let effective = self.settings.load()?;
        settings::check_client(&effective)?;
        let entries = effective.entries();
        let file = effective.file.as_ref().map(|file| file.display().to_string());
        if self.json {
            outln!("{:#}", json!({"file": file, "settings": config::as_json(&entries)}));
            return Ok(Exit::Well);
        }
        match file {
            Some(file) => outln!("{DIM}file: {file}{RESET}"),
            None => outln!("{DIM}file: none ({} are not there){RESET}", PLACES.join(", ")),
        }
        let keys: Vec<String> = entries.iter().map(|entry| entry.key.join(".")).collect();
        let width =
            |texts: &mut dyn Iterator<Item = &String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let key_width = width(&mut keys.iter());
        let value_width = width(&mut entries.iter().map(|entry| &entry.value)).min(40);
        for (key, entry) in keys.iter().zip(&entries) {
            outln!("{key:key_width$}  {:value_width$}  {DIM}{}{RESET}", entry.value, entry.origin);
        }
        Ok(Exit::Well)
    }
}
