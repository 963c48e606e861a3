//! The state folder is a cache: wiped, cut short or with bits flipped it is rebuilt from the changelog; without the changelog
//! nothing is made up.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millstream_harness::admin::Which;
use millstream_harness::load::Shape;
use millstream_harness::process::Output;
use millstream_harness::random::Random;
use millstream_harness::{Result, Trouble, ensure, suite, tests, wait};

use crate::scenario::{READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    let mut tests = tests![
        a_wiped_folder_is_rebuilt,
        damaged_files_are_put_aside,
        a_deleted_changelog_is_refused,
        a_truncated_changelog_is_refused_without_the_state,
    ];
    // Needs the right to mount.
    tests.push(suite::extra("state::a_full_disk_is_said_and_survived", a_full_disk_is_said_and_survived));
    tests
}

/// Some state, settled, and the daemon gone.
pub(crate) fn with_state(name: &str) -> Result<Scenario> {
    let mut scenario = Scenario::new(name)?;
    let mut daemon = scenario.start("a")?;
    scenario.write(4000)?;
    scenario.settle()?;
    // Until a checkpoint has written it.
    std::thread::sleep(Duration::from_millis(800));
    daemon.kill();
    // Windows that stay open, so that state matters.
    scenario.write(500)?;
    let mut daemon = scenario.start("a")?;
    scenario.wait_for_input()?;
    std::thread::sleep(Duration::from_millis(800));
    daemon.stop(Duration::from_secs(5))?;
    Ok(scenario)
}

fn goes_on(mut scenario: Scenario) -> Result<Output> {
    let daemon = scenario.start("a")?;
    scenario.write(1000)?;
    scenario.settle()?;
    Ok(daemon.output.clone())
}

fn a_wiped_folder_is_rebuilt() -> Result {
    let scenario = with_state("wiped")?;
    let state = scenario.state("a");
    fs::remove_dir_all(&state).map_err(Trouble::io(state.display()))?;
    let begins = scenario.client.offsets(&scenario.topic("torture-sums-changelog"), Which::Earliest)?;
    ensure!(begins.values().any(|earliest| *earliest > 0), "no changelog was ever cut: {begins:?}");
    goes_on(scenario).map(drop)
}

/// All files under a folder that are not empty.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if entry.metadata().is_ok_and(|metadata| metadata.len() > 0) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn damaged_files_are_put_aside() -> Result {
    let mut random = Random::new(11);
    let mut scenario = with_state("damaged")?;
    for (count, damage) in ["cut", "flip", "flip", "flip", "zero", "junk"].into_iter().enumerate() {
        let files = files(&scenario.state("a"));
        ensure!(files.len() >= 3, "only {files:?} are there");
        for path in &files {
            let mut bytes = fs::read(path).map_err(Trouble::io(path.display()))?;
            match damage {
                "cut" => bytes.truncate(bytes.len() / 2),
                "zero" => bytes.fill(0),
                "junk" => bytes.extend_from_slice(b"junk junk junk"),
                _ => {
                    for _ in 0..1 + bytes.len() / 2000 {
                        let at = random.below(bytes.len() as u64) as usize;
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
            }
            fs::write(path, bytes).map_err(Trouble::io(path.display()))?;
        }
        let mut daemon = scenario.start("a").map_err(|trouble| format!("{damage} {count}: {trouble}"))?;
        scenario.write(500)?;
        scenario.settle().map_err(|trouble| format!("{damage} {count}: {trouble}"))?;
        std::thread::sleep(Duration::from_millis(800));
        daemon.stop(Duration::from_secs(5))?;
    }
    Ok(())
}

/// Starts, and expects to be refused with a sentence that holds all of this.
fn is_refused(scenario: &Scenario, words: &[&str]) -> Result {
    let mut daemon = scenario.daemon("a").start()?;
    for word in words {
        daemon.wait_until_it_says(word, READY)?;
    }
    ensure!(daemon.get("/ready")?.status == 503, "it says that it is ready");
    let status = daemon.get("/status")?.body;
    ensure!(words.iter().all(|word| status.contains(word)), "/status does not say why: {status}");
    daemon.kill();
    Ok(())
}

/// Where the results are that can be read.
fn results(scenario: &Scenario) -> Result<Vec<(u32, i64)>> {
    let read = scenario.client.read(&scenario.topic("sums"))?;
    Ok(read.iter().map(|record| (record.partition, record.offset)).collect())
}

fn a_deleted_changelog_is_refused() -> Result {
    let scenario = with_state("forgotten")?;
    let topic = scenario.topic("torture-sums-changelog");
    let before = results(&scenario)?;
    scenario.client.delete_topic(&topic)?;
    let gone = || Ok(!scenario.client.topics()?.contains(&topic));
    wait::until_true("the topic to be gone", READY, gone)?;
    is_refused(&scenario, &[&topic])?;
    // Nor does a second try, without the folder, begin from nothing.
    let state = scenario.state("a");
    fs::remove_dir_all(&state).map_err(Trouble::io(state.display()))?;
    is_refused(&scenario, &[&topic])?;
    ensure!(gone()?, "the changelog was made anew in silence");
    ensure!(before == results(&scenario)?, "results were written");
    Ok(())
}

fn a_truncated_changelog_is_refused_without_the_state() -> Result {
    let scenario = with_state("shortened")?;
    let topic = scenario.topic("torture-sums-changelog");
    for partition in 0..crate::scenario::PARTITIONS {
        scenario.client.delete_records(&topic, partition, -1)?;
    }
    let state = scenario.state("a");
    fs::remove_dir_all(&state).map_err(Trouble::io(state.display()))?;
    let before = results(&scenario)?;
    is_refused(&scenario, &[&topic])?;
    ensure!(before == results(&scenario)?, "results were written");
    Ok(())
}

/// A file system of its own, with a file in it that takes what it is told to take; gone when dropped.
struct SmallDisk(PathBuf);

/// Of so many megabytes.
const DISK_MB: usize = 64;

impl SmallDisk {
    fn mount(at: &Path) -> Result<SmallDisk> {
        fs::create_dir_all(at).map_err(Trouble::io(at.display()))?;
        let size = format!("size={DISK_MB}m");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Ok(SmallDisk(at.to_owned())),
            Ok(output) => Err(Trouble::skip(format!("no tmpfs: {}", String::from_utf8_lossy(&output.stderr).trim()))),
            Err(error) => Err(Trouble::skip(format!("mount: {error}"))),
        }
    }

    /// Takes all space that is left.
    fn fill(&self) -> Result {
        let path = self.0.join("filler");
        let mut file = File::create(&path).map_err(Trouble::io(path.display()))?;
        let zeros = vec![0; 1 << 16];
        for _ in 0..DISK_MB * 16 {
            if file.write_all(&zeros).is_err() {
                return Ok(());
            }
        }
        Err("the small disk is not small".into())
    }

    fn make_room(&self) -> Result {
        let path = self.0.join("filler");
        fs::remove_file(&path).map_err(Trouble::io(path.display()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn a_full_disk_is_said_and_survived() -> Result {
    let shape = Shape { users: 100_000, users_at_once: 50_000, keys: 5_000, step_ms: 1 };
    let mut scenario = Scenario::new("full")?.shape(3, shape);
    let disk = SmallDisk::mount(&scenario.state("a"))?;
    let mut daemon = scenario.start("a")?;
    scenario.write(2000)?;
    scenario.settle()?;
    disk.fill()?;
    let load = scenario.begin_load(2000)?;
    wait::until("the full disk to show", READY, || Ok(daemon.get("/ready")?.status), |status| *status == 503)?;
    let ready = daemon.get("/ready")?.body;
    ensure!(ready.contains("disk_full"), "/ready does not say why: {ready}");
    ensure!(daemon.get("/live")?.status == 200, "it is not alive");
    std::thread::sleep(Duration::from_secs(3));
    disk.make_room()?;
    scenario.end_load(load)?;
    daemon.wait_until_ready(READY)?;
    scenario.settle()?;
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    // The folder must not be in use when the disk goes.
    drop(daemon);
    drop(disk);
    Ok(())
}
