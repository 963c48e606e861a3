//! Steady load for as long as asked: `just soak MINUTES=60`. Memory must not grow, and everything must be right at the end.

use std::time::{Duration, Instant};

use millstream_harness::{Broker, Daemon, Result, Trouble, ensure, suite};

use crate::scenario::{READY, Scenario};

/// Events a second, unless `RATE` in the environment says otherwise.
const RATE: u32 = 500;

/// Without `MINUTES` in the environment: what every run of the suite does.
const SHORT: Duration = Duration::from_secs(20);

/// How many samples of memory are taken over the time.
const SAMPLES: u32 = 60;

/// Behind the first quarter, in which pools and windows fill, memory may grow by at most this part of what it was.
const GROWTH_PERCENT: u64 = 10;

/// In a short run, what any instance stays below.
const MOST_BYTES: u64 = 512 << 20;

pub(crate) fn tests() -> Vec<suite::Trial> {
    vec![suite::test("soak::memory_stays_flat", soak)]
}

fn soak() -> Result {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let span = asked("MINUTES").map_or(SHORT, |minutes| Duration::from_secs(60 * u64::from(minutes)));
    let broker = Broker::start()?;
    let mut scenario = Scenario::on("soak", &broker)?;
    // The settings of an operator, not those by which the other tests hurry.
    let daemon = scenario.daemon("a").env("FAILPOINTS", "").env("MILLSTREAM_CHECKPOINT_INTERVAL", "5s");
    let mut daemon = daemon.env("MILLSTREAM_KAFKA__LINGER_MS", "100").start()?;
    daemon.wait_until_ready(READY)?;
    let load = scenario.begin_load(asked("RATE").unwrap_or(RATE))?;
    let samples = sample(&mut daemon, span)?;
    scenario.end_load(load)?;
    let settled = scenario.settle()?;
    tell(&samples, &format!("{} events, {} results", settled.events, settled.results));
    let (filling, steady) = samples.split_at(samples.len() / 4);
    let most = |samples: &[u64]| samples.iter().copied().max().unwrap_or_default();
    ensure!(most(&samples) < MOST_BYTES, "{} bytes are resident", most(&samples));
    if span > SHORT {
        let bound = most(filling) * (100 + GROWTH_PERCENT) / 100;
        ensure!(most(steady) <= bound, "memory grew from {} to {} bytes", most(filling), most(steady));
    }
    Ok(())
}

/// Resident bytes at equal distances of time.
fn sample(daemon: &mut Daemon, span: Duration) -> Result<Vec<u64>> {
    let began = Instant::now();
    let mut samples = Vec::new();
    for number in 1..=SAMPLES {
        let due = span * number / SAMPLES;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let ended = daemon.process.ended();
        ensure!(ended.is_none(), "the daemon ended by itself ({ended:?}): {}", daemon.output.tail(20));
        samples.push(resident(daemon.process.id())?);
    }
    Ok(samples)
}

fn resident(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).map_err(Trouble::io(&path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a process has no resident size")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| format!("not a size: {line}"))?;
    Ok(kilobytes << 10)
}

#[allow(clippy::print_stderr)]
fn tell(samples: &[u64], what: &str) {
    let curve: Vec<String> = samples.iter().map(|bytes| (bytes >> 20).to_string()).collect();
    eprintln!("{what}; resident MB: {}", curve.join(" "));
}
