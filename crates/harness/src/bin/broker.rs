//! A local Kafka without Docker, until Ctrl-C: `broker [--port 19092] [--folder DIR] [TOPIC[:PARTITIONS]]…`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::process::ExitCode;

use millstream_harness::broker::{Broker, BrokerOptions};
use millstream_harness::jars::Lifetime;
use millstream_harness::{Result, Trouble};

const USAGE: &str = "usage: broker [--port 19092] [--folder DIR] [TOPIC[:PARTITIONS]]...";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Skip { reason }) => complain(&reason),
        Err(trouble) => complain(&trouble.to_string()),
    }
}

fn complain(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let mut options = BrokerOptions { port: Some(19092), lifetime: Lifetime::Long, ..BrokerOptions::default() };
    let mut topics = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--port" => options.port = Some(value()?.parse().map_err(|_| USAGE)?),
            "--folder" => options.folder = Some(std::path::absolute(value()?).map_err(Trouble::io("--folder"))?),
            option if option.starts_with('-') => return Err(USAGE.into()),
            topic => topics.push(parse_topic(topic)?),
        }
    }
    let folder: Option<PathBuf> = options.folder.clone();
    let mut broker = Broker::start_with(options)?;
    let client = broker.client();
    let there = client.topics()?;
    for (topic, partitions) in topics {
        if !there.contains(&topic) {
            client.create_topic(&topic, partitions)?;
        }
    }
    match folder {
        Some(folder) => println!("Kafka serves {} and keeps its data in {}", broker.bootstrap(), folder.display()),
        None => println!("Kafka serves {} and forgets everything at its end", broker.bootstrap()),
    }
    println!("Ctrl-C ends it");
    // Ctrl-C ends this process; the reaper ends the broker then. A broker that dies by itself is worth a word.
    while broker.is_running() {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    Err(format!("the broker ended:\n{}", broker.log_tail(20)).into())
}

fn parse_topic(text: &str) -> Result<(String, u32)> {
    match text.split_once(':') {
        None => Ok((text.to_owned(), 1)),
        Some((name, partitions)) => Ok((name.to_owned(), partitions.parse().map_err(|_| USAGE)?)),
    }
}
