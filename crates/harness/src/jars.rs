//! Finds Java and the broker's jars: `KAFKA_HOME`, our cache, Maven, in this order; what cannot be had is a skip with a reason,
//! never a failure to be puzzled over.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, process};

use crate::{Result, Trouble, kafka_folder};

/// The release that `tests/kafka/pom.xml` pins.
pub const VERSION: &str = "4.1.0";

/// The oldest Java that runs it.
const OLDEST_JAVA: u32 = 17;

/// Where the broker's classes are.
#[derive(Debug, Clone)]
pub struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// Looks once per process.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Java or the jars cannot be had.
    pub fn find() -> Result<&'static Jars> {
        static FOUND: OnceLock<std::result::Result<Jars, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            check_java()?;
            find_folder().map(|folder| Jars { folder })
        });
        found.as_ref().map_err(Trouble::skip)
    }

    /// A `java` of a small heap and a quick start, with the jars in its class path.
    pub fn java(&self, heap_mb: u32) -> Command {
        let mut java = Command::new("java");
        java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
        java.arg(format!("-Xmx{heap_mb}m"));
        java.arg("-cp").arg(self.folder.join("*"));
        java
    }
}

/// `java -version` says `openjdk version "17.0.15" …` on stderr.
fn check_java() -> std::result::Result<(), String> {
    let output =
        Command::new("java").arg("-version").output().map_err(|error| format!("java does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.split('"').nth(1).and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match version {
        Some(version) if version >= OLDEST_JAVA => Ok(()),
        _ => {
            Err(format!("Kafka {VERSION} needs Java {OLDEST_JAVA} or later, and `java -version` says: {}", text.trim()))
        }
    }
}

fn find_folder() -> std::result::Result<PathBuf, String> {
    if let Some(home) = env::var_os("KAFKA_HOME") {
        let folder = Path::new(&home).join("libs");
        return if has_broker(&folder) {
            Ok(folder)
        } else {
            Err(format!("KAFKA_HOME is set and {} holds no kafka_*.jar", folder.display()))
        };
    }
    let cache = cache_folder().join(format!("kafka-{VERSION}"));
    let libs = cache.join("libs");
    if has_broker(&libs) {
        return Ok(libs);
    }
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    // Several test binaries may come here at once: one fetches, the others wait for it.
    let lock = File::create(cache.join("lock")).map_err(|error| format!("{}: {error}", cache.display()))?;
    lock.lock().map_err(|error| format!("{}: {error}", cache.display()))?;
    if has_broker(&libs) {
        return Ok(libs);
    }
    let fresh = cache.join(format!("libs.{}", process::id()));
    let fetched =
        fetch(&fresh).and_then(|()| fs::rename(&fresh, &libs).map_err(|error| format!("{}: {error}", libs.display())));
    if fetched.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    fetched.map(|()| libs)
}

/// `$XDG_CACHE_HOME/millstream` or `~/.cache/millstream`.
pub fn cache_folder() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("millstream")
}

fn fetch(into: &Path) -> std::result::Result<(), String> {
    let pom = kafka_folder().join("pom.xml");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", into.display()));
    let output = maven.output().map_err(|error| format!("no broker in KAFKA_HOME or the cache, and mvn: {error}"))?;
    if output.status.success() && has_broker(into) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or_default();
    Err(format!("mvn could not fetch Kafka {VERSION}: {first}"))
}

fn has_broker(folder: &Path) -> bool {
    let is_broker = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("kafka_2.13-") && name.ends_with(".jar")
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| is_broker(&e.file_name()))))
}
