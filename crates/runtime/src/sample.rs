//! Seeded sample data: the same seed gives the same bytes on every machine.

/// A small, quick generator of random numbers (SplitMix64): good enough for sample data, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound`, exclusive. A bound of 0 counts as 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }
}

/// A trade as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The symbol, which is the record's key.
    pub symbol: &'static str,
    /// When it was made, in milliseconds since 1970.
    pub ts_ms: i64,
    /// The message: a JSON object.
    pub value: String,
}

const SYMBOLS: [&str; 5] = ["ACME", "BOLT", "CRUX", "DUNE", "ECHO"];

/// When the first trade is made: 2026-01-01T09:30:00Z.
pub const FIRST_TRADE_MS: i64 = 1_767_259_800_000;

/// Trades in order of arrival: prices that wander, some two dozen milliseconds apart, one in ten a little out of order, one
/// in eight of another venue.
#[derive(Debug, Clone)]
pub struct Trades {
    random: Random,
    now_ms: i64,
    cents: [i64; SYMBOLS.len()],
}

impl Trades {
    /// The trades of a seed.
    pub fn new(seed: u64) -> Trades {
        Trades { random: Random::new(seed), now_ms: FIRST_TRADE_MS, cents: [10_000, 5_250, 31_875, 1_499, 20_010] }
    }
}

impl Iterator for Trades {
    type Item = Trade;

    fn next(&mut self) -> Option<Trade> {
        let random = &mut self.random;
        self.now_ms += random.below(48) as i64;
        let which = random.below(SYMBOLS.len() as u64) as usize;
        let step = random.below(21) as i64 - 10;
        self.cents[which] = (self.cents[which] + step).max(100);
        let behind = if random.below(10) == 0 { random.below(4_000) as i64 } else { 0 };
        let ts_ms = (self.now_ms - behind).max(FIRST_TRADE_MS);
        let venue = if random.below(8) == 0 { "XLON" } else { "XNAS" };
        let qty = 1 + random.below(500);
        let (symbol, cents) = (SYMBOLS[which], self.cents[which]);
        let value = format!(
            "{{\"symbol\":\"{symbol}\",\"venue\":\"{venue}\",\"price\":{}.{:02},\"qty\":{qty},\"ts\":{ts_ms}}}",
            cents / 100,
            cents % 100
        );
        Some(Trade { symbol, ts_ms, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_trades_everywhere() {
        let first = Trades::new(7).next();
        assert_eq!(first, Trades::new(7).next());
        assert_ne!(first, Trades::new(8).next());
        let last = Trades::new(7).nth(999).map(|trade| trade.ts_ms);
        assert!(last.is_some_and(|ts| (FIRST_TRADE_MS + 10_000..FIRST_TRADE_MS + 48_000).contains(&ts)));
    }
}
