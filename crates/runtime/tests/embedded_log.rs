//! The embedded log and the log in memory do the same, over random sequences of operations, handles and reopenings.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_runtime::log::embedded::{Access, Durability, EmbeddedLog, Options};
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{
    CommittedOffset, Header, Log, LogError, NewRecord, ReadLimit, Records, Retention, TopicSettings,
};

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(format!("{{\"n\":{},\"s\":\"x\"}}", self.next()).into_bytes()),
            3 => Some(format!("text \"{}\"\n", self.next()).into_bytes()),
            4 => Some((0..self.below(40)).map(|_| self.next() as u8).collect()),
            _ => Some(vec![b'z'; self.below(700) as usize]),
        }
    }
}

type Read = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn read_all(log: &mut dyn Log, topic: &str, partition: PartitionId, limit: ReadLimit) -> Vec<Read> {
    let mut next = log.extent(topic, partition).unwrap().earliest;
    let mut all = Vec::new();
    let mut records = Records::new();
    loop {
        records.clear();
        let read_to = log.read(topic, partition, next, limit, &mut records).unwrap();
        assert_eq!(read_to.0 - next.0, records.len() as i64);
        if records.is_empty() {
            return all;
        }
        all.extend(records.iter().map(|r| {
            let headers = r.headers.map(|h| (h.name.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
            (r.offset.0, r.timestamp.0, r.key.map(<[u8]>::to_vec), r.value.map(<[u8]>::to_vec), headers)
        }));
        next = read_to;
    }
}

fn options(access: Access) -> Options {
    Options { durability: Durability::Os, segment_bytes: 2000, compact_bytes: 3000, ..Options::new(access) }
}

const TOPICS: [(&str, u32); 3] = [("in", 2), ("out", 1), ("app-step-changelog", 3)];

/// The two logs side by side.
struct Pair {
    random: Random,
    model: MemoryLog,
    log: EmbeddedLog,
    other: EmbeddedLog,
}

impl Pair {
    fn new(seed: u64, dir: &Path) -> Pair {
        let mut model = MemoryLog::new();
        let mut log = EmbeddedLog::open_or_create(dir, options(Access::Run)).unwrap();
        for (topic, partitions) in TOPICS {
            model.create_topic(topic, TopicSettings::user(partitions)).unwrap();
            log.create_topic(topic, TopicSettings::user(partitions)).unwrap();
        }
        let other = EmbeddedLog::open(dir, options(Access::Client)).unwrap();
        Pair { random: Random(seed), model, log, other }
    }

    fn partition(&mut self) -> (&'static str, PartitionId) {
        let (topic, partitions) = TOPICS[self.random.below(3) as usize];
        (topic, PartitionId(self.random.below(u64::from(partitions)) as u32))
    }

    fn step(&mut self, dir: &Path) {
        let (topic, partition) = self.partition();
        match self.random.below(100) {
            0..45 => {
                let (key, value, header) = (self.random.bytes(), self.random.bytes(), self.random.bytes());
                let headers = [Header { name: "h", value: header.as_deref() }];
                let record = NewRecord {
                    key: key.as_deref(),
                    value: value.as_deref(),
                    timestamp: Millis(self.random.below(1000) as i64),
                    headers: &headers[..self.random.below(2) as usize],
                };
                self.model.append(topic, partition, record).unwrap();
                self.log.append(topic, partition, record).unwrap();
            }
            45..65 => {
                let committed = CommittedOffset { offset: Offset(self.random.below(50) as i64), metadata: "m".into() };
                let mut offsets = BTreeMap::from([((topic.to_owned(), partition), committed)]);
                if self.random.below(3) == 0 {
                    offsets.clear();
                }
                let model = self.model.commit("group", &offsets).unwrap();
                assert_eq!(self.log.commit("group", &offsets).unwrap(), model);
            }
            65..70 => {
                self.model.abort();
                self.log.abort();
            }
            70..80 => {
                let mut records = Records::new();
                for _ in 0..self.random.below(5) {
                    let value = self.random.bytes();
                    let record = NewRecord { key: None, value: value.as_deref(), timestamp: Millis(7), headers: &[] };
                    records.push(Offset(0), record);
                }
                let end = self.model.produce(topic, partition, &records).unwrap();
                let log = if self.random.below(2) == 0 { &mut self.log } else { &mut self.other };
                assert_eq!(log.produce(topic, partition, &records).unwrap(), end);
            }
            80..90 => self.compare_one(topic, partition),
            90..95 => {
                let time = Millis(self.random.below(1100) as i64);
                let expected = self.model.offset_at(topic, partition, time).unwrap();
                assert_eq!(self.log.offset_at(topic, partition, time).unwrap(), expected);
            }
            _ => {
                self.model = self.model.clone();
                // The lock is the old handle's.
                assert!(matches!(EmbeddedLog::open(dir, options(Access::Run)), Err(LogError::InUse { .. })));
                let client = EmbeddedLog::open(dir, options(Access::Client)).unwrap();
                self.log = client;
                self.log = EmbeddedLog::open(dir, options(Access::Run)).unwrap();
                assert_eq!(self.log.recovery(), Default::default());
            }
        }
    }

    fn compare_one(&mut self, topic: &str, partition: PartitionId) {
        let limit =
            ReadLimit { records: 1 + self.random.below(20) as usize, bytes: 1 + self.random.below(2000) as usize };
        let model = read_all(&mut self.model, topic, partition, limit);
        assert_eq!(read_all(&mut self.log, topic, partition, limit), model);
        assert_eq!(read_all(&mut self.other, topic, partition, limit), model);
        let end = self.log.extent(topic, partition).unwrap().end;
        if end.0 > 0 {
            let from = Offset(self.random.below(end.0 as u64 + 1) as i64);
            let mut records = Records::new();
            self.log.read(topic, partition, from, limit, &mut records).unwrap();
            assert!(records.iter().all(|r| r.value.map(<[u8]>::to_vec) == model[r.offset.0 as usize].3));
            assert_eq!(records.is_empty(), from == end);
        }
    }

    fn compare(&mut self) {
        for (topic, partitions) in TOPICS {
            for partition in (0..partitions).map(PartitionId) {
                self.compare_one(topic, partition);
            }
        }
        let expected = self.model.committed("group").unwrap();
        assert_eq!(self.log.committed("group").unwrap(), expected);
        assert_eq!(self.other.committed("group").unwrap(), expected);
    }
}

#[test]
fn both_logs_do_the_same() {
    for seed in 0..40 {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let mut pair = Pair::new(seed, dir.path());
        for _ in 0..250 {
            pair.step(dir.path());
        }
        pair.compare();
    }
}

fn records_of(values: &[&str], timestamp: i64) -> Records {
    let mut records = Records::new();
    for value in values {
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: Millis(timestamp), headers: &[] };
        records.push(Offset(0), record);
    }
    records
}

#[test]
fn a_second_run_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _log = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap();
    let error = EmbeddedLog::open(dir.path(), options(Access::Run)).unwrap_err().to_string();
    let expected = format!("is in use by another run (process {})", std::process::id());
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn a_folder_with_other_things_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    let error = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap_err().to_string();
    assert!(error.ends_with("it is not empty (it holds thesis.txt)"), "{error}");
    assert!(matches!(EmbeddedLog::open(dir.path(), options(Access::Client)), Err(LogError::NotALog { .. })));
}

#[test]
fn a_client_has_no_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open_or_create(dir.path(), options(Access::Client)).unwrap();
    log.create_topic("t", TopicSettings::user(1)).unwrap();
    let record = NewRecord { key: None, value: None, timestamp: Millis(0), headers: &[] };
    assert!(matches!(log.append("t", PartitionId(0), record), Err(LogError::NotTheRun { .. })));
    assert!(matches!(log.commit("g", &BTreeMap::new()), Err(LogError::NotTheRun { .. })));
}

#[test]
fn names_and_partitions_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let logs: [Box<dyn Log>; 2] =
        [Box::new(EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap()), Box::new(MemoryLog::new())];
    for mut log in logs {
        log.create_topic("t", TopicSettings::internal(2)).unwrap();
        assert!(matches!(log.create_topic("t", TopicSettings::user(1)), Err(LogError::TopicExists { .. })));
        for name in ["", ".", "..", "a/b", "a b", &"x".repeat(250)] {
            assert!(matches!(log.create_topic(name, TopicSettings::user(1)), Err(LogError::TopicName { .. })));
            assert_eq!(log.partitions(name).unwrap(), None);
        }
        assert!(matches!(log.create_topic("u", TopicSettings::user(0)), Err(LogError::PartitionCount { .. })));
        assert!(matches!(log.extent("u", PartitionId(0)), Err(LogError::UnknownTopic { .. })));
        assert!(matches!(log.extent("t", PartitionId(2)), Err(LogError::UnknownPartition { .. })));
        let records = records_of(&["a"], 1);
        assert!(matches!(log.produce("t", PartitionId(2), &records), Err(LogError::UnknownPartition { .. })));
        let mut into = Records::new();
        let limit = ReadLimit::default();
        let behind = log.read("t", PartitionId(0), Offset(1), limit, &mut into);
        assert!(matches!(behind, Err(LogError::OffsetOutOfRange { .. })));
        let topics = log.topics().unwrap();
        assert_eq!((topics.len(), topics[0].name.as_str()), (1, "t"));
        assert_eq!(topics[0].settings, TopicSettings::internal(2));
    }
}

#[test]
fn a_trim_frees_whole_segments_with_the_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap();
    log.create_topic("t", TopicSettings::user(1)).unwrap();
    let partition = PartitionId(0);
    let value = "v".repeat(300);
    for _ in 0..100 {
        log.produce("t", partition, &records_of(&[&value], 1)).unwrap();
    }
    let before = log.segment_files("t", partition).unwrap().len();
    log.trim("t", partition, Offset(50)).unwrap();
    log.commit("g", &BTreeMap::new()).unwrap();
    let extent = log.extent("t", partition).unwrap();
    assert_eq!((extent.earliest, extent.end), (Offset(50), Offset(100)));
    let after = log.segment_files("t", partition).unwrap();
    assert!(before > 15 && after.len() <= before / 2 + 1, "{before} {}", after.len());
    assert_eq!(std::fs::read_dir(after[0].parent().unwrap()).unwrap().count(), after.len());
    assert_eq!(read_all(&mut log, "t", partition, ReadLimit::default()).len(), 50);
    let mut into = Records::new();
    let early = log.read("t", partition, Offset(49), ReadLimit::default(), &mut into);
    assert!(matches!(early, Err(LogError::OffsetOutOfRange { .. })));
    // Everything can go, and the offsets go on.
    log.trim("t", partition, Offset(1_000)).unwrap();
    log.produce("t", partition, &records_of(&["last"], 1)).unwrap();
    drop(log);
    let mut log = EmbeddedLog::open(dir.path(), options(Access::Run)).unwrap();
    let left = read_all(&mut log, "t", partition, ReadLimit::default());
    assert_eq!((left.len(), left[0].0), (1, 100));
}

#[test]
fn retention_by_size_and_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap();
    let by_size = Retention { bytes: Some(6_000), age_ms: None };
    let by_age = Retention { bytes: None, age_ms: Some(3_600_000) };
    log.create_topic("size", TopicSettings { retention: by_size, ..TopicSettings::user(1) }).unwrap();
    log.create_topic("age", TopicSettings { retention: by_age, ..TopicSettings::user(1) }).unwrap();
    let partition = PartitionId(0);
    let value = "v".repeat(300);
    for _ in 0..60 {
        log.produce("size", partition, &records_of(&[&value], 1)).unwrap();
        log.produce("age", partition, &records_of(&[&value], 1)).unwrap();
    }
    let bytes = |log: &EmbeddedLog, topic: &str| -> u64 {
        let files = log.segment_files(topic, partition).unwrap();
        files.iter().map(|path| std::fs::metadata(path).unwrap().len()).sum()
    };
    assert!((3_000..=8_000).contains(&bytes(&log, "size")), "{}", bytes(&log, "size"));
    assert!(bytes(&log, "age") <= 2_000);
    assert_eq!(log.extent("age", partition).unwrap().end, Offset(60));
    // What is newest is young forever.
    for _ in 0..60 {
        log.produce("age", partition, &records_of(&[&value], i64::MAX)).unwrap();
    }
    assert!(bytes(&log, "age") > 15_000);
}

/// A log of some commits, closed.
fn small_log(dir: &Path) {
    let mut log = EmbeddedLog::open_or_create(dir, options(Access::Run)).unwrap();
    log.create_topic("t", TopicSettings::user(1)).unwrap();
    for n in 0..6 {
        let value = format!("{{\"n\":{n}}}");
        let record = NewRecord { key: Some(b"k"), value: Some(value.as_bytes()), timestamp: Millis(n), headers: &[] };
        log.append("t", PartitionId(0), record).unwrap();
        let offset = CommittedOffset { offset: Offset(n), metadata: String::new() };
        log.commit("g", &BTreeMap::from([(("t".to_owned(), PartitionId(0)), offset)])).unwrap();
    }
}

/// Opens and reads everything: what it says must be a prefix of the truth, or an error.
fn read_damaged(dir: &Path) -> Result<usize, LogError> {
    let mut log = EmbeddedLog::open(dir, options(Access::Run))?;
    let mut records = Records::new();
    if log.partitions("t")?.is_none() {
        return Ok(0);
    }
    let end = log.read("t", PartitionId(0), Offset(0), ReadLimit::default(), &mut records)?;
    for (n, record) in records.iter().enumerate() {
        assert_eq!(record.value, Some(format!("{{\"n\":{n}}}").as_bytes()));
    }
    let committed = log.committed("g")?;
    let offset = committed.get(&("t".to_owned(), PartitionId(0))).map_or(0, |committed| committed.offset.0 + 1);
    assert_eq!(offset, end.0, "offsets and records belong together");
    Ok(records.len())
}

#[test]
fn damaged_files_are_errors_and_never_wrong_records() {
    let original = tempfile::tempdir().unwrap();
    small_log(original.path());
    let mut random = Random(7);
    let files = ["commits", "topics/t/topic.json", "topics/t/0/00000000000000000000.jsonl"];
    let (mut errors, mut whole) = (0, 0);
    for file in files {
        let good = std::fs::read(original.path().join(file)).unwrap();
        for _ in 0..150 {
            let dir = tempfile::tempdir().unwrap();
            copy(original.path(), dir.path());
            let mut bad = good.clone();
            let at = random.below(bad.len() as u64) as usize;
            match random.below(3) {
                0 => bad[at] ^= 1 << random.below(8),
                1 => bad.truncate(at),
                _ => bad[at..].fill(0),
            }
            std::fs::write(dir.path().join(file), &bad).unwrap();
            match read_damaged(dir.path()) {
                Ok(6) => whole += 1,
                Ok(_) => assert_eq!(file, "commits", "only a commit log may lose its tail"),
                Err(_) => errors += 1,
            }
        }
    }
    assert!(errors > 200, "{errors} errors, {whole} whole");
}

#[test]
fn a_folder_with_records_and_without_a_commit_log_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let commits = dir.path().join("commits");
    let kept = std::fs::read(&commits).unwrap();
    std::fs::remove_file(&commits).unwrap();
    for access in [Access::Run, Access::Client] {
        let error = EmbeddedLog::open_or_create(dir.path(), options(access)).unwrap_err().to_string();
        assert!(error.contains("it holds records of topic t, and the file `commits`"), "{error}");
    }
    std::fs::write(&commits, kept).unwrap();
    assert_eq!(read_damaged(dir.path()).unwrap(), 6);
}

#[test]
fn topics_without_records_do_not_need_the_commit_log() {
    let dir = tempfile::tempdir().unwrap();
    EmbeddedLog::open_or_create(dir.path(), options(Access::Run))
        .unwrap()
        .create_topic("t", TopicSettings::user(1))
        .unwrap();
    std::fs::remove_file(dir.path().join("commits")).unwrap();
    let log = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap();
    assert_eq!(log.partitions("t").unwrap(), Some(1));
}

#[test]
fn a_last_commit_that_is_whole_but_for_a_bit_is_damage_and_one_that_is_torn_is_none() {
    let dir = tempfile::tempdir().unwrap();
    small_log(dir.path());
    let commits = dir.path().join("commits");
    let good = std::fs::read_to_string(&commits).unwrap();
    let last = good.trim_end().rfind('\n').unwrap() + 1;
    let digit = last + good[last..].find(|c: char| c.is_ascii_digit()).unwrap();
    let mut flipped = good.clone().into_bytes();
    flipped[digit] ^= 1;
    std::fs::write(&commits, &flipped).unwrap();
    for access in [Access::Run, Access::Client] {
        let error = EmbeddedLog::open(dir.path(), options(access)).unwrap_err().to_string();
        let expected =
            format!("is damaged at byte {last}: the last commit is not torn, but the line does not match its checksum");
        assert!(error.contains(&expected), "{error}");
    }
    let mut zeros = good.clone().into_bytes();
    zeros[digit..good.len() - 1].fill(0);
    for torn in [&zeros[..], &good.as_bytes()[..good.len() - 1], &good.as_bytes()[..digit]] {
        std::fs::write(&commits, torn).unwrap();
        assert_eq!(read_damaged(dir.path()).unwrap(), 5);
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn producers_beside_a_run_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open_or_create(dir.path(), options(Access::Run)).unwrap();
    log.create_topic("t", TopicSettings::user(1)).unwrap();
    let producers: Vec<_> = (0..3)
        .map(|producer| {
            let path = dir.path().to_owned();
            std::thread::spawn(move || {
                let mut log = EmbeddedLog::open(&path, options(Access::Client)).unwrap();
                for n in 0..100 {
                    log.produce("t", PartitionId(0), &records_of(&[&format!("{producer}-{n}")], 1)).unwrap();
                }
            })
        })
        .collect();
    for n in 0..100 {
        let value = format!("run-{n}");
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: Millis(1), headers: &[] };
        log.append("t", PartitionId(0), record).unwrap();
        log.commit("g", &BTreeMap::new()).unwrap();
    }
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let all = read_all(&mut log, "t", PartitionId(0), ReadLimit::default());
    assert_eq!(all.len(), 400);
    for who in ["run", "0", "1", "2"] {
        let own = all.iter().filter_map(|r| r.3.as_deref()).map(|v| std::str::from_utf8(v).unwrap());
        let own: Vec<_> = own.filter_map(|v| v.strip_prefix(who)?.strip_prefix('-')).collect();
        assert_eq!(own, (0..100).map(|n| n.to_string()).collect::<Vec<_>>(), "{who}");
    }
}
