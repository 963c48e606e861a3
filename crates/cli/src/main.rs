//! The `millstream` command: arguments, exit codes, printing; nothing that a user of the libraries would need.

#![allow(clippy::disallowed_methods)] // the command line reads files, the environment and the clock

#[macro_use]
mod stdout;

mod commands;
mod exit;
mod folder;
mod load;
mod logs;
mod place;
mod render;
mod schemas;
mod settings;

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs YAML pipelines over streams with exactly-once results.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Run(commands::run::Run),
    Check(commands::check::Check),
    Test(commands::test::Test),
    Plan(commands::plan::PlanCommand),
    Contract(commands::contract::Contract),
    Graph(commands::graph::Graph),
    Schema(commands::schema::Schema),
    Topic(commands::topic::Topic),
    Reset(commands::reset::Reset),
    Config(commands::config::Config),
    Status(commands::status::Status),
    Bench(commands::bench::Bench),
    Completions(commands::completions::Completions),
}

fn main() -> std::process::ExitCode {
    millstream_runtime::crash::arm();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => error.exit(),
        // Help and the version are output as any other.
        Err(asked_for) => {
            out!("{}", asked_for.render().ansi());
            return ended(Exit::Well);
        }
    };
    let outcome = match arguments.command {
        Command::Demo(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Contract(command) => command.run(),
        Command::Graph(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Topic(command) => command.run(),
        Command::Reset(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    ended(outcome.unwrap_or_else(Failure::report))
}

/// The exit code of a command that ended so, if what it printed was written.
fn ended(exit: Exit) -> std::process::ExitCode {
    let exit = match stdout::finish() {
        Ok(()) => exit,
        Err(failure) => {
            let unwritten = failure.report();
            if exit == Exit::Well { unwritten } else { exit }
        }
    };
    exit.into()
}

/// The command line as clap sees it, for completions.
fn command_line() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// What a command returns: how it ended, or why it could not go on.
type Outcome = Result<Exit, Failure>;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }

    /// What stands as `millstream ..` in the texts of a file; comments are for others.
    fn commands(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let mut joined = String::new();
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            match line.strip_suffix('\\') {
                Some(begun) => joined.push_str(begun),
                None => joined.push_str(&format!("{line}\n")),
            }
        }
        let spans = joined.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        spans.filter(|span| span.starts_with("millstream ")).map(str::to_owned).collect()
    }

    /// Somebody in trouble types what an error says.
    #[test]
    fn commands_that_errors_name_are_whole() {
        let mut files = Vec::new();
        for krate in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
            sources(&krate.unwrap().path().join("src"), &mut files);
        }
        // The commands themselves, in sentences about them.
        let named = ["millstream run", "millstream check"];
        let mut seen = 0;
        for file in files {
            for command in commands(&file) {
                if named.contains(&command.as_str()) {
                    continue;
                }
                seen += 1;
                if let Err(error) = Arguments::try_parse_from(command.split(' ')) {
                    panic!("{}: `{command}`: {error}", file.display());
                }
            }
        }
        assert!(seen > 10, "only {seen} were found");
    }
}
