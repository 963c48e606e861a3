//! The folder of topics (the embedded log) that a command works on, and hints that name it.

use std::path::Path;

use millstream_runtime::log::LogError;
use millstream_runtime::log::embedded::{Access, EmbeddedLog, Options};

use crate::exit::Failure;

/// Opens the log in a folder. Only [`create`] makes a folder: a slip in a path should not leave one behind.
pub(crate) fn open(dir: &Path, access: Access) -> Result<EmbeddedLog, Failure> {
    match EmbeddedLog::open(dir, Options::new(access)) {
        Err(LogError::NotALog { .. }) if is_empty(dir) => {
            Err(Failure::run(format!("there are no topics in {}", dir.display()))
                .help(format!("Create one: `{}`, or name another folder with --local.", command("create NAME", dir))))
        }
        opened => Ok(opened?),
    }
}

/// Opens the log in a folder for producing and consuming; it is made if it is not there.
pub(crate) fn create(dir: &Path) -> Result<EmbeddedLog, Failure> {
    Ok(EmbeddedLog::open_or_create(dir, Options::new(Access::Client))?)
}

/// A `millstream topic` command to try on that folder.
pub(crate) fn command(topic_command: &str, dir: &Path) -> String {
    format!("millstream topic {topic_command} --local {}", dir.display())
}

/// There is no such topic in the folder.
pub(crate) fn no_topic(topic: &str, dir: &Path) -> Failure {
    Failure::run(format!("there is no topic {topic} in {}", dir.display())).help(format!(
        "`{}` shows those that there are; `{}` makes it.",
        command("list", dir),
        command(&format!("create {topic}"), dir)
    ))
}

fn is_empty(dir: &Path) -> bool {
    !dir.exists() || dir.read_dir().is_ok_and(|mut entries| entries.next().is_none())
}
