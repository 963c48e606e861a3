//! Confluent's own Python client with its serializers (`tests/codecs/confluent.py`), fetched from the registry of packages: it
//! writes what our daemon reads and reads what it wrote, and shares no code with us but librdkafka.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::{Broker, Result, SchemaRegistry, Trouble, cache, codecs_folder};

const VERSION: &str = "2.6.1";
/// It calls what later ones have not.
const PROTOBUF: &str = "4.25.8";

/// The client, for one broker and one registry.
#[derive(Debug)]
pub struct Confluent {
    packages: &'static PathBuf,
    bootstrap: String,
    registry: String,
}

impl Confluent {
    /// For these.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Python or the packages cannot be had.
    pub fn new(broker: &Broker, registry: &SchemaRegistry) -> Result<Confluent> {
        static FOUND: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
        let packages = FOUND.get_or_init(find).as_ref().map_err(Trouble::skip)?;
        Ok(Confluent { packages, bootstrap: broker.bootstrap(), registry: registry.url().to_owned() })
    }

    /// Writes rows (`id`, `note`, `amount`, `tags`, `at` in milliseconds) in a format, and waits until the broker has them.
    ///
    /// # Errors
    /// What the client said.
    pub fn write(&self, topic: &str, format: &str, rows: &[Value]) -> Result {
        self.ask(json!({"do": "write", "topic": topic, "format": format, "rows": rows})).map(drop)
    }

    /// Reads as many committed rows as there must be, and what comes in the second behind them.
    ///
    /// # Errors
    /// What the client said.
    pub fn read(&self, topic: &str, format: &str, count: usize) -> Result<Vec<Value>> {
        let said = self.ask(json!({"do": "read", "topic": topic, "format": format, "count": count}))?;
        let row = |line: &str| serde_json::from_str(line).map_err(|error| Trouble::Wrong(format!("{line}: {error}")));
        said.lines().map(row).collect()
    }

    fn ask(&self, mut request: Value) -> Result<String> {
        request["bootstrap"] = self.bootstrap.as_str().into();
        request["registry"] = self.registry.as_str().into();
        let output = Command::new("python3")
            .env("PYTHONPATH", self.packages)
            .arg(codecs_folder().join("confluent.py"))
            .arg(request.to_string())
            .output()
            .map_err(Trouble::io("python3"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Trouble::Wrong(format!("confluent.py: {}", String::from_utf8_lossy(&output.stderr)))),
        }
    }
}

/// The folder with the packages, filled when it is first asked for.
fn find() -> std::result::Result<PathBuf, String> {
    cache::folder(&format!("confluent-kafka-{VERSION}/packages"), Path::is_dir, fetch)
}

fn fetch(into: &Path) -> std::result::Result<(), String> {
    let wanted = format!("confluent-kafka[avro,json,protobuf]=={VERSION}");
    let fetched = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(into)
        .args([&wanted, &format!("protobuf=={PROTOBUF}")])
        .output()
        .map_err(|error| format!("python3 does not run: {error}"))?;
    if fetched.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
    Err(format!("pip could not fetch {wanted}: {}", said.lines().last().unwrap_or_default()))
}
