//! A set of buckets of one pane, as bits.

/// A set of bucket numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets(Vec<u64>);

impl Buckets {
    /// The set of `0..count`.
    pub(super) fn all(count: u32) -> Buckets {
        let mut all = Buckets(vec![0; count.div_ceil(64) as usize]);
        (0..count).for_each(|bucket| all.set(bucket));
        all
    }

    /// Adds a bucket.
    #[inline]
    pub(super) fn set(&mut self, bucket: u32) {
        let word = bucket as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (bucket % 64);
    }

    /// Takes a bucket out.
    pub(super) fn unset(&mut self, bucket: u32) {
        if let Some(word) = self.0.get_mut(bucket as usize / 64) {
            *word &= !(1 << (bucket % 64));
        }
    }

    /// Whether a bucket is in the set.
    pub(super) fn contains(&self, bucket: u32) -> bool {
        self.0.get(bucket as usize / 64).is_some_and(|word| word >> (bucket % 64) & 1 == 1)
    }

    /// Whether the set is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The buckets, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = |(at, &word): (usize, &u64)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}
