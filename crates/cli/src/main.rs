//! The `millstream` command: arguments, exit codes, printing; nothing that a user of the libraries would need.

#![allow(clippy::disallowed_methods)] // the command line reads files, the environment and the clock
#![allow(clippy::print_stdout, clippy::print_stderr)] // and it prints

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

use exit::Exit;

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
    let outcome = match Arguments::parse().command {
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
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}

/// The command line as clap sees it, for completions.
fn command_line() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// What a command returns: how it ended, or why it could not go on.
type Outcome = Result<Exit, exit::Failure>;
