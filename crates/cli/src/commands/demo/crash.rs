//! `millstream demo --crash`: a run that is killed again and again, and a proof that nobody can tell.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_runtime::log::embedded::{Access, EmbeddedLog, Options};
use millstream_runtime::log::{Log, ReadLimit, Records};

use super::{CANDLES, PARTITIONS, trades, write_pipeline};
use crate::exit::{Exit, Failure};
use crate::render::{GOOD, RESET};

/// How often the run is killed.
const KILLS: usize = 3;
/// How long the demo waits for a run to get anywhere.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every message of a topic, partition by partition: key, value, timestamp.
type Content = Vec<Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>>;

/// Runs the pipeline in a process of its own while trades come in, kills it (SIGKILL) a few times, lets it end, and compares
/// the candles with those of a run that nobody disturbed.
pub(super) fn run(dir: &Path, count: usize, seed: u64) -> crate::Outcome {
    let file = write_pipeline(dir)?;
    let killed = dir.join("killed");
    let undisturbed = dir.join("undisturbed");
    let mut log = open_with_topic(&killed)?;
    let slice = count / (KILLS + 1);
    outln!("{count} trades for a run in {} that is killed {KILLS} times", killed.display());
    for kill in 0..KILLS {
        let mut child = start(&file, &killed, &[])?;
        trades::produce(&mut log, seed, kill * slice..(kill + 1) * slice)?;
        let before = candles(&mut log)?;
        let seen = wait_for_more_candles(&mut log, &mut child, before)?;
        child.kill()?;
        child.wait()?;
        outln!("kill {}: after {} trades and {seen} visible candles", kill + 1, (kill + 1) * slice);
    }
    trades::produce(&mut log, seed, KILLS * slice..count)?;
    finish(&file, &killed)?;
    outln!("resumed, and ran to the end");

    let mut other = open_with_topic(&undisturbed)?;
    trades::produce(&mut other, seed, 0..count)?;
    finish(&file, &undisturbed)?;
    let (found, expected) = (content(&mut log)?, content(&mut other)?);
    let candles: usize = expected.iter().map(Vec::len).sum();
    if found != expected {
        return Err(Failure::run(format!(
            "the candles differ: {} after kills, {candles} without (see {} and {})",
            found.iter().map(Vec::len).sum::<usize>(),
            killed.display(),
            undisturbed.display()
        )));
    }
    if candles == 0 {
        return Err(Failure::usage(format!("{count} trades close no candle, so that there is nothing to compare"))
            .help("Ask for more of them: `--trades 50000`."));
    }
    outln!(
        "{GOOD}nothing lost, nothing doubled{RESET}: {candles} candles, the same bytes in the same order as in a run \
         that nobody killed"
    );
    Ok(Exit::Well)
}

fn open_with_topic(dir: &Path) -> Result<EmbeddedLog, Failure> {
    let mut log = EmbeddedLog::open_or_create(dir, Options::new(Access::Client))?;
    trades::create_topic(&mut log)?;
    Ok(log)
}

fn start(file: &PathBuf, dir: &Path, more: &[&str]) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--json", "--local"]).arg(dir).args(more).arg(file);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

fn finish(file: &PathBuf, dir: &Path) -> Result<(), Failure> {
    let status = start(file, dir, &["--until-end"])?.wait()?;
    if status.success() { Ok(()) } else { Err(Failure::run(format!("the run over {} failed", dir.display()))) }
}

/// Waits until the run has made some progress, so that a kill hits it in the middle of things.
fn wait_for_more_candles(log: &mut EmbeddedLog, child: &mut Child, before: i64) -> Result<i64, Failure> {
    let began = Instant::now();
    loop {
        let now = candles(log)?;
        if now > before {
            return Ok(now);
        }
        if let Some(status) = child.try_wait()? {
            return Err(Failure::run(format!("the run ended by itself ({status})")));
        }
        if began.elapsed() > PATIENCE {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn candles(log: &mut EmbeddedLog) -> Result<i64, Failure> {
    let Some(partitions) = log.partitions(CANDLES)? else { return Ok(0) };
    let mut count = 0;
    for partition in (0..partitions).map(PartitionId) {
        count += log.extent(CANDLES, partition)?.end.0;
    }
    Ok(count)
}

fn content(log: &mut EmbeddedLog) -> Result<Content, Failure> {
    let mut content = Vec::new();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let mut messages = Vec::new();
        let end = log.extent(CANDLES, partition)?.end;
        let mut next = Offset(0);
        let mut records = Records::new();
        while next < end {
            records.clear();
            next = log.read(CANDLES, partition, next, ReadLimit::default(), &mut records)?;
            messages.extend(
                records.iter().map(|record| {
                    (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), record.timestamp.0)
                }),
            );
        }
        content.push(messages);
    }
    Ok(content)
}
