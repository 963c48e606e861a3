//! `millstream demo`: seeded trades, one-minute candles, no broker.

mod crash;
mod trades;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_pipeline::topology::PartitionCounts;
use millstream_runtime::clock;
use millstream_runtime::log::embedded::{Access, EmbeddedLog, Options};
use millstream_runtime::log::{Log, LogError, ReadLimit, Records};
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::worker::{Progress, Worker, WorkerSettings};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::load;
use crate::render::{DIM, GOOD, RESET};
use crate::schemas::Schemas;

/// Makes trades, runs a pipeline over them in a fresh folder, and shows one-minute candles as they close. No broker needed.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Kills the pipeline several times on the way, and proves that nothing was lost or doubled.
    #[arg(long)]
    crash: bool,
    /// How many trades.
    #[arg(long, default_value_t = 20_000)]
    trades: usize,
    /// The seed of the trades.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder; a new one under the system's temporary folder if it is not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The example pipeline that the demo runs, as it stands in `pipelines/`.
pub(super) const PIPELINE: &str = include_str!("../../../../pipelines/trades-ohlc.yaml");
/// Partitions of the topic of trades.
pub(super) const PARTITIONS: u32 = 2;
/// The topic of candles.
pub(super) const CANDLES: &str = "ohlc-1m";

impl Demo {
    pub(crate) fn run(self) -> crate::Outcome {
        let dir = self.fresh_folder()?;
        if self.crash {
            return crash::run(&dir, self.trades, self.seed);
        }
        let file = write_pipeline(&dir)?;
        let data = dir.join("data");
        let mut log = EmbeddedLog::open_or_create(&data, Options::new(Access::Run))?;
        trades::create_topic(&mut log)?;
        trades::produce(&mut log, self.seed, 0..self.trades)?;
        outln!("{} trades in {}", self.trades, data.display());
        outln!("pipeline {} (filter, one-minute window per symbol)\n", file.display());

        let loaded = load::load_one(&file, &Schemas::none())?;
        let counts: PartitionCounts = [("trades", PARTITIONS)].into_iter().collect();
        let topology = Arc::new(loaded.lower(&counts).map_err(Failure::run)?);
        let stores =
            Box::new(SledStores::open(&data.join(".state")).map_err(|error| Failure::run(error.to_string()))?.0);
        // Small bites, so that candles can be seen to close one after the other.
        let read = ReadLimit { records: 1024, ..ReadLimit::default() };
        let settings = WorkerSettings { read, ..WorkerSettings::default() };
        let mut worker = Worker::start(topology, log.handle(), stores, settings, clock::steady(), &mut |_, _| {})?;
        let mut candles = Candles::new(log);
        candles.head();
        while worker.step(clock::steady())? == Progress::Made {
            worker.commit(clock::steady())?;
            candles.print_new()?;
        }
        worker.commit(clock::steady())?;
        worker.checkpoint(clock::steady())?;
        candles.print_new()?;

        outln!(
            "\n{} candles closed; the last minutes stay open, as the end of input is not the end of time\n",
            candles.count
        );
        crate::render::ledger("trades-ohlc", &worker.standing(), &worker.ledger());
        next_things(&file, &data);
        Ok(Exit::Well)
    }

    fn fresh_folder(&self) -> Result<PathBuf, Failure> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => std::env::temp_dir().join(format!("millstream-demo-{}", std::process::id())),
        };
        let is_empty = !dir.exists() || dir.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty {
            return Err(Failure::usage(format!("{} is not empty", dir.display()))
                .help("The demo wants a fresh folder: name another with --dir, or none."));
        }
        std::fs::create_dir_all(&dir).map_err(|error| {
            Failure::run(format!("cannot make the folder {}: {error}", dir.display()))
                .help("Name a folder that may be made with --dir.")
        })?;
        Ok(dir)
    }
}

/// Puts the example pipeline beside the data, to be looked at and changed.
pub(super) fn write_pipeline(dir: &std::path::Path) -> Result<PathBuf, Failure> {
    let file = dir.join("trades-ohlc.yaml");
    std::fs::write(&file, PIPELINE)
        .map_err(|error| Failure::run(format!("cannot write {}: {error}", file.display())))?;
    Ok(file)
}

/// Prints candles as they become visible.
struct Candles {
    log: EmbeddedLog,
    next: Vec<Offset>,
    count: u64,
}

impl Candles {
    fn new(log: EmbeddedLog) -> Candles {
        Candles { log, next: vec![Offset(0); PARTITIONS as usize], count: 0 }
    }

    fn head(&self) {
        let head = ["minute", "symbol", "open", "high", "low", "close", "volume", "trades"];
        outln!("{DIM}{}{RESET}", columns(head.map(str::to_owned)));
    }

    fn print_new(&mut self) -> Result<(), LogError> {
        let mut records = Records::new();
        for (partition, next) in self.next.iter_mut().enumerate() {
            records.clear();
            *next = self.log.read(CANDLES, PartitionId(partition as u32), *next, ReadLimit::default(), &mut records)?;
            for record in records.iter() {
                self.count += 1;
                let candle: Value =
                    record.value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default();
                outln!("{}", row(&candle));
            }
        }
        Ok(())
    }
}

fn row(candle: &Value) -> String {
    let text = |name: &str| candle[name].as_str().unwrap_or_default().to_owned();
    let price = |name: &str| format!("{:.2}", candle[name].as_f64().unwrap_or_default());
    let minute = text("window_start").get(11..16).unwrap_or_default().to_owned();
    columns([
        minute,
        text("symbol"),
        price("open"),
        price("high"),
        price("low"),
        price("close"),
        candle["volume"].to_string(),
        candle["trades"].to_string(),
    ])
}

fn columns(cells: [String; 8]) -> String {
    let [minute, symbol, open, high, low, close, volume, trades] = cells;
    format!("{minute:<7} {symbol:<7} {open:>8} {high:>8} {low:>8} {close:>8} {volume:>8} {trades:>7}")
}

fn next_things(file: &std::path::Path, data: &std::path::Path) {
    let (file, data) = (file.display(), data.display());
    outln!("\n{GOOD}three things to try next{RESET}");
    let millstream = std::env::args().next().unwrap_or_else(|| "millstream".to_owned());
    outln!("  {millstream} topic consume ohlc-1m --local {data} -n 3 --json");
    outln!("  {millstream} test {file} --ledger");
    outln!("  {millstream} demo --crash");
}
