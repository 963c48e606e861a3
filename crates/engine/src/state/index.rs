//! The rows of one pane by their identity, bucket by bucket, so that a page is found without looking at the others.

use hashbrown::HashTable;

use super::PageId;
use super::table::{self, Slot};

/// From an identity to its slot. What is asked for by *hash* is the bucket: the hash of the group key; by *place*, the
/// identity within it.
#[derive(Debug)]
pub(super) struct Index {
    bits: u8,
    /// `1 << bits` of them.
    buckets: Vec<HashTable<Slot>>,
    len: usize,
}

impl Default for Index {
    fn default() -> Index {
        Index { bits: 0, buckets: vec![HashTable::new()], len: 0 }
    }
}

impl Index {
    /// There are `1 << bits` buckets.
    pub(super) fn bits(&self) -> u8 {
        self.bits
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot at a place for which `same` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, place: u64, same: impl FnMut(&Slot) -> bool) -> Option<Slot> {
        self.buckets[table::bucket(hash, self.bits) as usize].find(spread(place), same).copied()
    }

    /// Adds a slot that is not there; `place_of` tells the place of any slot.
    pub(super) fn insert(&mut self, hash: u64, place: u64, slot: Slot, place_of: impl Fn(Slot) -> u64) {
        self.len += 1;
        let bucket = &mut self.buckets[table::bucket(hash, self.bits) as usize];
        bucket.insert_unique(spread(place), slot, |&slot| spread(place_of(slot)));
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, hash: u64, place: u64, slot: Slot) {
        let bucket = &mut self.buckets[table::bucket(hash, self.bits) as usize];
        if let Ok(found) = bucket.find_entry(spread(place), |&other| other == slot) {
            found.remove();
            self.len -= 1;
        }
    }

    /// Takes a bucket out whole.
    pub(super) fn take_bucket(&mut self, bucket: u32) {
        self.len -= std::mem::take(&mut self.buckets[bucket as usize]).len();
    }

    /// All slots, in no order that may reach a result.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.buckets.iter().flat_map(|bucket| bucket.iter().copied())
    }

    /// The slots of one bucket.
    pub(super) fn of_bucket(&self, bucket: u32) -> impl Iterator<Item = Slot> + '_ {
        self.buckets.get(bucket as usize).into_iter().flat_map(|bucket| bucket.iter().copied())
    }

    /// The buckets that have rows, ascending.
    pub(super) fn filled(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.buckets).filter(|(_, bucket)| !bucket.is_empty()).map(|(bucket, _)| bucket)
    }

    /// The slots of a page of this pane, also when it was named while there were fewer buckets.
    pub(super) fn of_page(&self, id: PageId) -> impl Iterator<Item = Slot> + '_ {
        let narrower = self.bits.saturating_sub(table::bits_of(id));
        let first = (id.bucket & table::BUCKET) << narrower;
        (first..first + (1 << narrower)).flat_map(|bucket| self.of_bucket(bucket))
    }

    /// Spreads the rows over `1 << bits` buckets.
    pub(super) fn split(&mut self, bits: u8, hash_of: impl Fn(Slot) -> u64, place_of: impl Fn(Slot) -> u64) {
        let slots = self.iter().collect::<Vec<_>>();
        *self = Index { bits, buckets: (0..1 << bits).map(|_| HashTable::new()).collect(), len: 0 };
        for slot in slots {
            self.insert(hash_of(slot), place_of(slot), slot, &place_of);
        }
    }

    /// Bytes of memory, estimated.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<HashTable<Slot>>() * self.buckets.len()
            + self.buckets.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}

/// Slots of a bucket share the first bits of their hash: the table must see others.
#[inline]
fn spread(place: u64) -> u64 {
    place.rotate_left(32)
}
