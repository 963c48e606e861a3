//! `millstream completions`: completions for shells.

use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;

/// Prints completions for a shell, such as `millstream completions bash > /etc/bash_completion.d/millstream`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> crate::Outcome {
        // It panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command_line(), "millstream", &mut script);
        out!("{}", String::from_utf8_lossy(&script));
        Ok(Exit::Well)
    }
}
