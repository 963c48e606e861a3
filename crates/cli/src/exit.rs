//! How the command ends: exit codes, and the errors behind them.

use std::process::ExitCode;

use millstream_runtime::log::LogError;
use millstream_runtime::registry::RegistryError;
use millstream_runtime::worker::WorkerError;

/// An exit code and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Well = 0,
    /// The run failed, or somebody who is needed could not be asked.
    RunFailed = 1,
    /// The command line or the settings are wrong (clap uses the same).
    Usage = 2,
    /// A pipeline is wrong.
    PipelineWrong = 3,
    /// A test failed.
    TestFailed = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not go on.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    help: Option<String>,
    /// What a schema registry said, if it was that.
    registry: Option<Box<RegistryError>>,
    /// The files that are wrong, with their diagnostics, if it was those.
    wrong: Vec<serde_json::Value>,
}

impl Failure {
    /// A failure of the run, in lower case, without a final stop.
    pub(crate) fn run(message: impl Into<String>) -> Failure {
        Failure::new(Exit::RunFailed, message.into())
    }

    /// A command line that cannot be followed.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message.into())
    }

    /// Pipelines whose diagnostics have been printed already; `wrong` has them for tools.
    pub(crate) fn pipelines_wrong(wrong: Vec<serde_json::Value>) -> Failure {
        Failure { wrong, ..Failure::pipeline_wrong() }
    }

    /// A pipeline whose diagnostics have been printed already.
    pub(crate) fn pipeline_wrong() -> Failure {
        Failure::new(Exit::PipelineWrong, String::new())
    }

    /// Settings whose mistakes have been printed already.
    pub(crate) fn settings_wrong() -> Failure {
        Failure::new(Exit::Usage, String::new())
    }

    /// A schema registry that did not give what was asked for.
    pub(crate) fn registry(error: &RegistryError) -> Failure {
        Failure { registry: Some(Box::new(error.clone())), ..Failure::run(error.to_string()) }
    }

    fn new(exit: Exit, message: String) -> Failure {
        Failure { exit, message, help: None, registry: None, wrong: Vec::new() }
    }

    /// The files that are wrong, each with its diagnostics.
    pub(crate) fn wrong(&self) -> &[serde_json::Value] {
        &self.wrong
    }

    /// Whether the same may go well another time: a schema registry is away.
    pub(crate) fn may_pass(&self) -> bool {
        self.registry.as_deref().is_some_and(RegistryError::may_pass)
    }

    /// Whether a schema registry let nobody in.
    pub(crate) fn is_refusal(&self) -> bool {
        self.registry.as_deref().is_some_and(RegistryError::is_refusal)
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds what to do about it, as a full sentence.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// Says what happened in other words.
    pub(crate) fn with(self, message: String) -> Failure {
        Failure { message, ..self }
    }

    /// Adds to what happened.
    pub(crate) fn and(mut self, more: &str) -> Failure {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// Prints the failure to standard error and says the exit code.
    pub(crate) fn report(self) -> Exit {
        if !self.message.is_empty() {
            errln!("{}error:{} {}", crate::render::ERROR, crate::render::RESET, self.message);
        }
        if let Some(help) = self.help {
            errln!("{}help:{} {help}", crate::render::HINT, crate::render::RESET);
        }
        self.exit
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        let failure = match error {
            LogError::TopicName { .. } | LogError::PartitionCount { .. } => Failure::usage(error.to_string()),
            _ => Failure::run(error.to_string()),
        };
        match error {
            LogError::InUse { .. } => {
                failure.help("Stop the other run, or give this one another folder with --local DIR.")
            }
            LogError::OutcomeUnknown { .. } => failure.help("Start again: the log is read anew and nothing is lost."),
            _ => failure,
        }
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Failure {
        match error {
            WorkerError::Log(error) => error.into(),
            other => Failure::run(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::run(error.to_string())
    }
}
