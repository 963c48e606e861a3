//! Other libraries of Avro and Protobuf in processes of their own, Java's official ones (`tests/codecs/Codecs.java`) and Python's
//! fastavro (`tests/codecs/codecs.py`): they write what we read and read what we wrote, and share no code with us.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use crate::jars::{Jars, Lifetime};
use crate::process::{self, Output, Process};
use crate::{Result, Trouble, codecs_folder};

/// The process. It answers one question at a time.
#[derive(Debug)]
pub struct Codecs {
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// Ended by the reaper where this lives in a static.
    _process: Mutex<Process>,
}

impl Codecs {
    /// Java's, one for this process, started when it is first asked for.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Java or the libraries cannot be had.
    pub fn shared() -> Result<&'static Codecs> {
        static SHARED: OnceLock<std::result::Result<Codecs, String>> = OnceLock::new();
        let jars = Jars::codecs()?;
        let shared = SHARED.get_or_init(|| Codecs::start(jars).map_err(|trouble| trouble.to_string()));
        shared.as_ref().map_err(|message| Trouble::Wrong(message.clone()))
    }

    /// Python's fastavro.
    ///
    /// # Errors
    /// [`Trouble::Skip`] if Python does not have it.
    pub fn fastavro() -> Result<Codecs> {
        let found = Command::new("python3").args(["-c", "import fastavro"]).output();
        match found {
            Ok(output) if output.status.success() => {}
            _ => return Err(Trouble::skip("python3 does not have fastavro (pip install fastavro)")),
        }
        let mut python = Command::new("python3");
        python.arg(codecs_folder().join("codecs.py"));
        Codecs::talk_to(python)
    }

    fn start(jars: &Jars) -> Result<Codecs> {
        let mut java = jars.java(512, Lifetime::Short);
        java.arg(codecs_folder().join("Codecs.java"));
        Codecs::talk_to(java)
    }

    fn talk_to(command: Command) -> Result<Codecs> {
        let folder = process::temp_folder("codecs")?.keep();
        let (process, stdin, stdout) =
            Process::start_talking("codecs", command, &Output::in_folder(&folder, "codecs"))?;
        Ok(Codecs { talk: Mutex::new((stdin, BufReader::new(stdout))), _process: Mutex::new(process) })
    }

    /// The rows of the answer to one request; see `Codecs.java`.
    ///
    /// # Errors
    /// What the libraries said of the schema, in the inner result; a process that is gone, in the outer one.
    pub fn ask(&self, request: &Value) -> Result<std::result::Result<Vec<Value>, String>> {
        let mut talk: MutexGuard<'_, _> = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *talk;
        stdin.write_all(format!("{request}\n").as_bytes()).map_err(Trouble::io("tell the codecs"))?;
        let mut line = String::new();
        stdout.read_line(&mut line).map_err(Trouble::io("hear the codecs"))?;
        let mut answer: Value = serde_json::from_str(&line)
            .map_err(|error| Trouble::Wrong(format!("the codecs said {line:?}: {error}")))?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            return Ok(Err(error.to_owned()));
        }
        match answer["rows"].take() {
            Value::Array(rows) => Ok(Ok(rows)),
            other => Err(Trouble::Wrong(format!("the codecs said {other}"))),
        }
    }
}
