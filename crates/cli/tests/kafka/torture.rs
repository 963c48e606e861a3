//! Kills, stops, sleeps, wiped state, more and fewer processes of one or several threads, in a seeded order, for as long as
//! asked: `just torture KILLS=10000`. After each round everything must be readable, once and right.

use std::time::{Duration, Instant};

use millstream_harness::process::{Signal, ended_by};
use millstream_harness::random::Random;
use millstream_harness::{Broker, Daemon, Result, ensure, suite};

use crate::scenario::Scenario;

/// Without `KILLS` in the environment: what every run of the suite does.
const KILLS: u64 = 30;

/// Between two looks of the oracle there are half of all kills, and at most this many.
const KILLS_A_ROUND: u64 = 60;

const INSTANCES: [&str; 4] = ["a", "b", "c", "d"];

/// A daemon has at most so many threads: with four instances at times more than there are partitions, so that some have none.
const MOST_THREADS: u64 = 3;

pub(crate) fn tests() -> Vec<suite::Trial> {
    vec![suite::test("torture::everything_at_random", torture)]
}

/// A number from the environment.
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn torture() -> Result {
    let (kills, seed) = (asked("KILLS").unwrap_or(KILLS), asked("SEED").unwrap_or(1));
    let broker = Broker::start()?;
    let scenario = Scenario::on("torture", &broker)?;
    let mut torture = Torture {
        scenario,
        broker,
        random: Random::new(seed),
        daemons: INSTANCES.iter().map(|_| None).collect(),
        done: Done::default(),
    };
    let began = Instant::now();
    let a_round = kills.div_ceil(2).min(KILLS_A_ROUND);
    let mut round = 0;
    while torture.done.kills < kills {
        round += 1;
        torture.round(a_round.min(kills - torture.done.kills)).map_err(|trouble| {
            format!("SEED={seed}, round {round}, after {:?} in {:?}: {trouble}", torture.done, began.elapsed())
        })?;
        if asked("KILLS").is_some() {
            tell(&format!("round {round}, {:.0?}: {:?}", began.elapsed(), torture.done));
        }
    }
    Ok(())
}

#[allow(clippy::print_stderr)]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// What has been done so far.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "shown by Debug")]
struct Done {
    kills: u64,
    stops: u64,
    sleeps: u64,
    wipes: u64,
    broker_restarts: u64,
    broker_kills: u64,
    /// How many daemons were started with one thread, with two, ..
    starts_by_threads: [u64; MOST_THREADS as usize],
    events: usize,
    results: usize,
}

struct Torture {
    scenario: Scenario,
    broker: Broker,
    random: Random,
    /// By instance.
    daemons: Vec<Option<Daemon>>,
    done: Done,
}

impl Torture {
    /// So many kills and whatever else comes, then a look.
    fn round(&mut self, kills: u64) -> Result {
        let load = self.scenario.begin_load(500)?;
        let until = self.done.kills + kills;
        while self.done.kills < until {
            self.one()?;
            std::thread::sleep(Duration::from_millis(self.random.below(1200)));
        }
        self.scenario.end_load(load)?;
        // Whoever is left goes on; somebody must.
        self.start(0)?;
        let settled = self.scenario.settle()?;
        self.done.events += settled.events;
        self.done.results += settled.results;
        for daemon in self.daemons.iter_mut().flatten() {
            let ended = daemon.process.ended();
            ensure!(ended.is_none(), "a daemon ended by itself ({ended:?}): {}", daemon.output.tail(20));
        }
        Ok(())
    }

    fn one(&mut self) -> Result {
        let instance = self.random.below(INSTANCES.len() as u64) as usize;
        match self.random.below(100) {
            0..50 => self.kill(instance),
            50..62 => self.stop(instance),
            62..70 => self.sleep(instance),
            70..78 => self.wipe(instance),
            78..96 => self.start(instance),
            96..98 => {
                self.done.broker_restarts += 1;
                self.broker.restart()
            }
            _ => {
                self.done.broker_kills += 1;
                self.broker.kill();
                self.broker.restart()
            }
        }
    }

    fn start(&mut self, instance: usize) -> Result {
        if self.daemons[instance].is_none() {
            let threads = 1 + self.random.below(MOST_THREADS);
            let daemon = self.scenario.daemon(INSTANCES[instance]).env("MILLSTREAM_THREADS", threads.to_string());
            self.daemons[instance] = Some(daemon.start()?);
            self.done.starts_by_threads[threads as usize - 1] += 1;
        }
        Ok(())
    }

    /// Kills an instance that runs, and starts it again at once or leaves it to later.
    fn kill(&mut self, instance: usize) -> Result {
        let Some(mut daemon) = self.daemons[instance].take() else { return self.start(instance) };
        let ended = daemon.process.ended();
        ensure!(ended.is_none(), "a daemon ended by itself ({ended:?}): {}", daemon.output.tail(20));
        daemon.kill();
        self.done.kills += 1;
        if self.random.below(3) > 0 { self.start(instance) } else { Ok(()) }
    }

    fn stop(&mut self, instance: usize) -> Result {
        let Some(mut daemon) = self.daemons[instance].take() else { return Ok(()) };
        let status = daemon.stop(Duration::from_secs(10))?;
        // One that has not begun yet ends by the signal itself, and one that waits for a broker at last by its own clock.
        let has_begun = !daemon.output.text().is_empty();
        let is_cut_short = status.code() == Some(130) || (!has_begun && ended_by(status, Signal::TERM));
        let is_well = status.success() || is_cut_short;
        ensure!(is_well, "a stop ended with {status}: {}", daemon.output.tail(20));
        self.done.stops += 1;
        Ok(())
    }

    /// Mostly short; now and then longer than the session time-out.
    fn sleep(&mut self, instance: usize) -> Result {
        let Some(daemon) = &mut self.daemons[instance] else { return Ok(()) };
        let time = if self.random.below(4) == 0 { 8000 } else { self.random.below(1500) };
        daemon.pause();
        std::thread::sleep(Duration::from_millis(time));
        daemon.resume();
        self.done.sleeps += 1;
        Ok(())
    }

    /// Another machine with the same name: it is killed and comes back without its state.
    fn wipe(&mut self, instance: usize) -> Result {
        if let Some(mut daemon) = self.daemons[instance].take() {
            daemon.kill();
            self.done.kills += 1;
        }
        let _ = std::fs::remove_dir_all(self.scenario.state(INSTANCES[instance]));
        self.done.wipes += 1;
        self.start(instance)
    }
}
