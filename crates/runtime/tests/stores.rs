//! The state store in sled and its twin in memory do the same, and damaged folders are put aside.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::state::PageId;
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::store::{Position, StateStore, StateStores, StoreBatch, StoreError, StoreKey};
use millstream_runtime::term::Term;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn key(random: &mut Random) -> StoreKey {
    let step = ["a", "b", "aa"][random.below(3) as usize].to_owned();
    if random.below(6) == 0 {
        return StoreKey::Scalars { step };
    }
    let pane = [-60_000, 0, 60_000, i64::MIN, i64::MAX][random.below(5) as usize];
    StoreKey::Page { step, page: PageId { pane, bucket: random.below(3) as u32 } }
}

fn position(n: u64) -> Position {
    Position {
        changelog_bytes: n * 3,
        term: Some(Term { era: n * 5, generation: 3 }),
        changelog: Offset(n as i64),
        inputs: BTreeMap::from([(("in".to_owned(), PartitionId(1)), Offset(n as i64 * 2))]),
    }
}

fn batch(random: &mut Random) -> StoreBatch {
    let writes = (0..random.below(8)).map(|_| {
        let content = (random.below(4) > 0).then(|| vec![random.below(256) as u8; random.below(3000) as usize]);
        (key(random), content)
    });
    let writes = writes.collect();
    StoreBatch { writes, position: (random.below(2) == 0).then(|| position(random.below(1000))) }
}

fn content(store: &dyn StateStore) -> Result<BTreeMap<StoreKey, Vec<u8>>, StoreError> {
    let mut all = BTreeMap::new();
    store.scan(&mut |key, value| assert!(all.insert(key, value.to_vec()).is_none()))?;
    for (key, value) in &all {
        assert_eq!(store.get(key)?.as_ref(), Some(value));
    }
    Ok(all)
}

#[test]
fn both_stores_do_the_same() {
    for seed in 0..12 {
        println!("seed {seed}");
        let random = &mut Random(seed);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let memory = MemoryStores::new();
        let mut sled = SledStores::open(&path).unwrap().0;
        let tasks = ["0_0", "0_1"];
        let mut models: Vec<_> = tasks.iter().map(|task| memory.open_task(task).unwrap()).collect();
        let mut stores: Vec<_> = tasks.iter().map(|task| sled.open_task(task).unwrap()).collect();
        for _ in 0..60 {
            let task = random.below(2) as usize;
            match random.below(20) {
                0 => {
                    models[task].clear().unwrap();
                    stores[task].clear().unwrap();
                }
                1 => {
                    sled.flush().unwrap();
                    drop(stores);
                    drop(sled);
                    let (opened, quarantined) = SledStores::open(&path).unwrap();
                    assert_eq!(quarantined, None);
                    sled = opened;
                    stores = tasks.iter().map(|task| sled.open_task(task).unwrap()).collect();
                }
                _ => {
                    let batch = batch(random);
                    models[task].apply(batch.clone()).unwrap();
                    stores[task].apply(batch).unwrap();
                }
            }
            let absent = key(random);
            assert_eq!(stores[task].get(&absent).unwrap(), models[task].get(&absent).unwrap());
            assert_eq!(stores[task].position().unwrap(), models[task].position().unwrap());
            assert_eq!(content(&*stores[task]).unwrap(), content(&*models[task]).unwrap());
        }
    }
}

#[test]
fn the_last_write_to_a_key_in_a_batch_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (stores, _) = SledStores::open(&dir.path().join("state")).unwrap();
    let key = StoreKey::Scalars { step: "a".to_owned() };
    let writes = vec![(key.clone(), Some(vec![1])), (key.clone(), None), (key.clone(), Some(vec![3]))];
    let mut store = stores.open_task("t").unwrap();
    store.apply(StoreBatch { writes, position: None }).unwrap();
    assert_eq!(store.get(&key).unwrap(), Some(vec![3]));
    assert!(stores.open_task("t").is_err(), "a task has one owner at a time");
    drop(store);
    assert_eq!(content(&*stores.open_task("t").unwrap()).unwrap().len(), 1);
}

#[test]
fn what_others_have_taken_over_for_long_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let (stores, _) = SledStores::open(&path).unwrap();
    let write = StoreBatch {
        writes: vec![(StoreKey::Scalars { step: "a".to_owned() }, Some(vec![1]))],
        position: Some(position(1)),
    };
    let mut kept = stores.open_task("kept").unwrap();
    kept.apply(write.clone()).unwrap();
    stores.open_task("gone").unwrap().apply(write.clone()).unwrap();
    let long = Duration::from_secs(3600);
    assert_eq!(stores.forget_unused(long).unwrap(), [] as [&str; 0], "it may come back");
    assert_eq!(stores.forget_unused(Duration::ZERO).unwrap(), ["gone"]);
    assert_eq!(stores.forget_unused(Duration::ZERO).unwrap(), [] as [&str; 0]);
    // It begins anew where it comes back all the same.
    let mut back = stores.open_task("gone").unwrap();
    assert_eq!(back.position().unwrap(), None);
    back.apply(write).unwrap();
    drop((kept, back, stores));
    let (stores, quarantined) = SledStores::open(&path).unwrap();
    assert_eq!((stores.open_task("kept").unwrap().position().unwrap(), quarantined), (Some(position(1)), None));
    assert_eq!(stores.forget_unused(long).unwrap(), [] as [&str; 0], "a start does not count as use, nor as disuse");
    assert_eq!(stores.forget_unused(Duration::ZERO).unwrap(), ["gone", "kept"], "nobody has them open");
}

#[test]
fn a_folder_in_use_is_not_taken_for_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let _stores = SledStores::open(&path).unwrap();
    let error = SledStores::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Folder { .. }), "{error}");
    assert!(error.to_string().ends_with("another process uses it"), "{error}");
}

#[test]
fn a_quarantined_folder_is_kept_and_a_new_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let mut stores = SledStores::open(&path).unwrap().0;
    let batch = StoreBatch { writes: Vec::new(), position: Some(position(1)) };
    stores.open_task("t").unwrap().apply(batch.clone()).unwrap();
    for n in 1..3 {
        let quarantined = stores.quarantine("a test says so").unwrap();
        assert_eq!(quarantined.moved_to, dir.path().join(format!("state.quarantined-{n}")));
        assert_eq!(quarantined.reason, "a test says so");
        assert_eq!(stores.open_task("t").unwrap().position().unwrap(), None);
        stores.open_task("t").unwrap().apply(batch.clone()).unwrap();
    }
    drop(stores);
    let (stores, quarantined) = SledStores::open(&path).unwrap();
    assert_eq!((stores.open_task("t").unwrap().position().unwrap(), quarantined), (Some(position(1)), None));
}

#[test]
fn another_version_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let foreign = sled::open(&path).unwrap();
    foreign.open_tree("millstream.format").unwrap().insert("version", &[9]).unwrap();
    foreign.flush().unwrap();
    drop(foreign);
    let (_, quarantined) = SledStores::open(&path).unwrap();
    assert_eq!(quarantined.unwrap().reason, "its format is [9], not [1]");
}

/// Whole pages changed behind our back, with sled none the wiser, are found when the folder is opened.
#[test]
fn pages_that_are_not_what_was_written_put_the_folder_aside() {
    type Damage = fn(&sled::Tree);
    let damages: [(&str, Damage); 5] = [
        ("an entry does not match its checksum", |tree| {
            let (key, mut value) = tree.iter().next().unwrap().unwrap();
            let last = value.len() - 1;
            value[last] ^= 1;
            tree.insert(key, value).unwrap();
        }),
        ("entries are missing, or older than they should be", |tree| {
            tree.pop_min().unwrap();
        }),
        ("an entry has version 2, not 1", |tree| {
            let (key, mut value) = tree.iter().next().unwrap().unwrap();
            value[0] = 2;
            tree.insert(key, value).unwrap();
        }),
        ("an entry is cut off", |tree| drop(tree.insert(tree.iter().next().unwrap().unwrap().0, b"xy").unwrap())),
        ("an entry has a key that is not ours", |tree| drop(tree.insert(b"key", b"value").unwrap())),
    ];
    for (reason, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let stores = SledStores::open(&path).unwrap().0;
        let random = &mut Random(5);
        let mut store = stores.open_task("t").unwrap();
        (0..5).for_each(|_| store.apply(batch(random)).unwrap());
        stores.flush().unwrap();
        drop((store, stores));
        // sled lets go of its own lock a moment after the last handle is gone.
        let db = (0..).find_map(|_| sled::open(&path).ok()).unwrap();
        damage(&db.open_tree("t").unwrap());
        db.flush().unwrap();
        drop(db);
        let (stores, quarantined) = SledStores::open(&path).unwrap();
        assert!(quarantined.unwrap().reason.ends_with(reason), "{reason}");
        assert_eq!(stores.open_task("t").unwrap().position().unwrap(), None);
    }
}

/// All that a store says.
type Content = (Option<Position>, BTreeMap<StoreKey, Vec<u8>>);

/// Opens and reads everything; `None` where it was refused.
fn read(path: &Path) -> Option<Content> {
    let (stores, quarantined) = SledStores::open(path).unwrap();
    if quarantined.is_some() {
        return None;
    }
    let untrusted = |error| assert!(matches!(error, StoreError::Untrusted { .. }), "{error}");
    let store = stores.open_task("t").map_err(untrusted).ok()?;
    let all = content(&*store).map_err(untrusted).ok()?;
    Some((store.position().map_err(untrusted).ok()?, all))
}

/// Whatever is done to its files, a store says what it was at some moment, or refuses.
#[test]
fn damaged_folders_never_panic_and_never_lie() {
    let original = tempfile::tempdir().unwrap();
    let mut moments = vec![(None, BTreeMap::new())];
    {
        let random = &mut Random(3);
        let (stores, _) = SledStores::open(&original.path().join("state")).unwrap();
        let mut store = stores.open_task("t").unwrap();
        for n in 0..20 {
            store.apply(StoreBatch { position: Some(position(n)), ..batch(random) }).unwrap();
            moments.push((store.position().unwrap(), content(&*store).unwrap()));
            stores.flush().unwrap();
        }
    }
    let (mut refused, mut whole, mut older) = (0, 0, 0);
    let random = &mut Random(4);
    for _ in 0..80 {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        let path = dir.path().join("state");
        let file = path.join(if random.below(8) == 0 { "conf" } else { "db" });
        let mut bytes = std::fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        let at = random.below(used) as usize;
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + 512);
                bytes[at..end].fill(0);
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        match read(&path) {
            None => refused += 1,
            Some(found) if found == *moments.last().unwrap() => whole += 1,
            Some(found) => {
                assert!(moments.contains(&found), "state that never was");
                older += 1;
            }
        }
    }
    println!("{refused} refused, {whole} whole, {older} older");
    assert!(refused > 0 && refused + older > 40);
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
