//! The open sessions of each key, found by time.

use std::collections::VecDeque;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::{END, START};
use crate::aggregate::Slot;
use crate::state::table::Table;

/// The open sessions of all keys.
#[derive(Default)]
pub(super) struct Open {
    keys: HashTable<OfKey>,
}

/// Sessions that were looked for, and among how many.
pub(super) type Found = (SmallVec<[Slot; 4]>, Among);

/// How many open sessions a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// None or one: its bounds may change and nobody need be told.
    Few,
    /// Several.
    Many,
}

/// The open sessions of one key: mostly one, never none.
struct OfKey {
    hash: u64,
    sessions: Sessions,
}

/// Sessions of one key by (start, serial number).
enum Sessions {
    One(Slot),
    Many(VecDeque<Entry>),
}

/// One of several sessions. They lie one behind another, but for one that is closed for a row and waits only for W: rows
/// behind it may make a new one that comes to overlap it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    slot: Slot,
    /// The last event time of this one and of those before it.
    reach: i64,
}

impl Open {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }

    /// The sessions of a key that begin at or before `last` and end at or behind `first`, by start, and how many it has.
    pub(super) fn between(&self, table: &Table, (hash, key): (u64, &[u8]), first: i64, last: i64) -> Found {
        let touches = |slot: &Slot| table.extra(*slot, START) <= last && first <= table.extra(*slot, END);
        match self.keys.find(hash, |of_key| of_key.is(table, hash, key)).map(|of_key| &of_key.sessions) {
            None => (SmallVec::new(), Among::Few),
            Some(Sessions::One(slot)) => (Some(*slot).filter(touches).into_iter().collect(), Among::Few),
            Some(Sessions::Many(entries)) => {
                let behind = entries.partition_point(|entry| table.extra(entry.slot, START) <= last);
                let reaching = entries.range(..behind).rev().take_while(|entry| first <= entry.reach);
                let mut found = reaching.map(|entry| entry.slot).filter(touches).collect::<SmallVec<[Slot; 4]>>();
                found.reverse();
                (found, Among::Many)
            }
        }
    }

    /// Adds a session.
    pub(super) fn insert(&mut self, table: &Table, slot: Slot) {
        let (hash, key) = (table.hash(slot), table.key(slot));
        match self.keys.find_mut(hash, |of_key| of_key.is(table, hash, key)) {
            Some(of_key) => of_key.sessions.insert(table, slot),
            None => {
                let of_key = OfKey { hash, sessions: Sessions::One(slot) };
                self.keys.insert_unique(hash, of_key, |of_key| of_key.hash);
            }
        }
    }

    /// Takes a session out. Its bounds must be those that it was added or given by [`set_bounds`](Self::set_bounds).
    pub(super) fn remove(&mut self, table: &Table, slot: Slot) {
        let (hash, key) = (table.hash(slot), table.key(slot));
        let Ok(mut found) = self.keys.find_entry(hash, |of_key| of_key.is(table, hash, key)) else { return };
        match &mut found.get_mut().sessions {
            Sessions::One(only) if *only == slot => drop(found.remove()),
            Sessions::One(_) => {}
            Sessions::Many(entries) => {
                let at = place(entries, table, rank(table, slot));
                debug_assert!(entries.get(at).is_some_and(|entry| entry.slot == slot), "a session that is not open");
                entries.remove(at);
                reach_from(entries, table, at);
                if let [last] = entries.make_contiguous() {
                    found.get_mut().sessions = Sessions::One(last.slot);
                }
            }
        }
    }

    /// Sets the bounds of one of several sessions of a key.
    pub(super) fn set_bounds(&mut self, table: &mut Table, slot: Slot, start: i64, end: i64) {
        let (hash, key) = (table.hash(slot), table.key(slot));
        let found = self.keys.find_mut(hash, |of_key| of_key.is(table, hash, key)).map(|of_key| &mut of_key.sessions);
        let entries = if let Some(Sessions::Many(entries)) = found { Some(entries) } else { None };
        let (old, new) = (rank(table, slot), (start, table.serial(slot)));
        let at = entries.as_ref().map(|entries| place(entries, table, old));
        table.set_extra(slot, START, start);
        table.set_extra(slot, END, end);
        let (Some(entries), Some(mut at)) = (entries, at) else { return };
        if at > 0 && rank(table, entries[at - 1].slot) > new {
            entries.remove(at);
            let to = place(entries, table, new);
            entries.insert(to, Entry { slot, reach: end });
            reach_from(entries, table, to);
            at += 1;
        }
        reach_from(entries, table, at);
    }
}

impl OfKey {
    fn is(&self, table: &Table, hash: u64, key: &[u8]) -> bool {
        let any = match &self.sessions {
            Sessions::One(slot) => Some(*slot),
            Sessions::Many(entries) => entries.front().map(|entry| entry.slot),
        };
        self.hash == hash && any.is_some_and(|slot| table.key(slot) == key)
    }
}

impl Sessions {
    fn insert(&mut self, table: &Table, slot: Slot) {
        if let Sessions::One(only) = *self {
            let reach = table.extra(only, END);
            *self = Sessions::Many(VecDeque::from([Entry { slot: only, reach }]));
        }
        if let Sessions::Many(entries) = self {
            let at = place(entries, table, rank(table, slot));
            entries.insert(at, Entry { slot, reach: table.extra(slot, END) });
            reach_from(entries, table, at);
        }
    }
}

/// What sessions are ordered by.
fn rank(table: &Table, slot: Slot) -> (i64, u64) {
    (table.extra(slot, START), table.serial(slot))
}

/// Where a session of this rank stands, or would.
fn place(entries: &VecDeque<Entry>, table: &Table, rank_of: (i64, u64)) -> usize {
    entries.partition_point(|entry| rank(table, entry.slot) < rank_of)
}

/// How far the sessions from `at` on reach has changed: of `at` for certain, of those behind as long as it shows.
fn reach_from(entries: &mut VecDeque<Entry>, table: &Table, at: usize) {
    let mut reach = at.checked_sub(1).map_or(i64::MIN, |before| entries[before].reach);
    for (behind, entry) in entries.range_mut(at.min(entries.len())..).enumerate() {
        reach = reach.max(table.extra(entry.slot, END));
        if behind > 0 && entry.reach == reach {
            break;
        }
        entry.reach = reach;
    }
}
