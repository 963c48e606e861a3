//! Finds Java and jars: the broker's in `KAFKA_HOME`, our cache, Maven, in this order, those of other libraries in the latter two;
//! what cannot be had is a skip with a reason, never a failure to be puzzled over.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Result, Trouble, cache, codecs_folder, kafka_folder};

/// The release that `tests/kafka/pom.xml` pins.
pub const VERSION: &str = "4.1.0";

/// The releases of Avro and Protobuf that `tests/codecs/pom.xml` pins.
const CODECS: &str = "avro-1.12.1-protobuf-4.29.3";

/// The release of the schema registry that `tests/registry/pom.xml` pins.
pub(crate) const REGISTRY: &str = "3.0.9";

const COPY: &str = "dependency:copy-dependencies";

/// The oldest Java that runs it.
const OLDEST_JAVA: u32 = 17;

/// Where classes are.
#[derive(Debug, Clone)]
pub struct Jars {
    folder: PathBuf,
}

/// What a `java` is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// A test: it starts quickly and takes little memory.
    #[default]
    Short,
    /// Work, and measurements: it compiles what runs often as well as it can, and its collections are short.
    Long,
}

/// Jars that Maven fetches into a folder of our cache.
struct Wanted {
    what: String,
    /// The folder in the cache.
    name: String,
    /// Where the `pom.xml` is that names them.
    pom: PathBuf,
    /// What of Maven's dependency plugin fetches them.
    goal: &'static str,
    /// How the name of the jar begins without which the others are worth nothing.
    first: &'static str,
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

    /// The official libraries of Avro and Protobuf.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Java or the jars cannot be had.
    pub fn codecs() -> Result<&'static Jars> {
        static FOUND: OnceLock<std::result::Result<Jars, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            check_java()?;
            let name = format!("codecs-{CODECS}");
            let (what, pom) = ("the libraries of Avro and Protobuf".to_owned(), codecs_folder());
            find_cached(&Wanted { what, name, pom, goal: COPY, first: "avro-" }).map(|folder| Jars { folder })
        });
        found.as_ref().map_err(Trouble::skip)
    }

    /// The folder in which the schema registry is unpacked.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Java or the registry cannot be had.
    pub(crate) fn registry() -> Result<&'static Path> {
        static FOUND: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            check_java()?;
            let (what, name) = (format!("Apicurio Registry {REGISTRY}"), format!("apicurio-{REGISTRY}"));
            let pom = kafka_folder().join("../registry");
            find_cached(&Wanted { what, name, pom, goal: "dependency:unpack", first: "apicurio-registry-app-" })
        });
        found.as_deref().map_err(Trouble::skip)
    }

    /// A `java` of this heap, with the jars in its class path.
    pub fn java(&self, heap_mb: u32, lifetime: Lifetime) -> Command {
        let mut java = Command::new("java");
        match lifetime {
            Lifetime::Short => {
                java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
            }
            Lifetime::Long => {
                java.args(["-XX:+UseG1GC", "-XX:MaxGCPauseMillis=10"]).arg(format!("-Xms{heap_mb}m"));
            }
        }
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
        return if has(&folder, BROKER) {
            Ok(folder)
        } else {
            Err(format!("KAFKA_HOME is set and {} holds no kafka_*.jar", folder.display()))
        };
    }
    let (what, name) = (format!("Kafka {VERSION}"), format!("kafka-{VERSION}"));
    find_cached(&Wanted { what, name, pom: kafka_folder(), goal: COPY, first: BROKER })
}

fn find_cached(wanted: &Wanted) -> std::result::Result<PathBuf, String> {
    let libs = format!("{}/libs", wanted.name);
    cache::folder(&libs, |libs| has(libs, wanted.first), |fresh| fetch(wanted, fresh))
}

fn fetch(wanted: &Wanted, into: &Path) -> std::result::Result<(), String> {
    let pom = wanted.pom.join("pom.xml");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(&pom).arg(wanted.goal);
    maven.arg(format!("-DoutputDirectory={}", into.display()));
    let what = &wanted.what;
    let output = maven.output().map_err(|error| format!("{what} is not in the cache, and mvn: {error}"))?;
    if output.status.success() && has(into, wanted.first) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or_default();
    Err(format!("mvn could not fetch {what}: {first}"))
}

/// How the name of the broker's own jar begins.
const BROKER: &str = "kafka_2.13-";

fn has(folder: &Path, first: &str) -> bool {
    let is_it = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with(first) && name.ends_with(".jar")
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|e| is_it(&e.file_name()))))
}
