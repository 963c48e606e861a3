//! Nexmark's events, seeded: bids, auctions and persons with its default ratios and hot keys, as JSON.
//!
//! After Nexmark (Tucker et al.) as Apache Beam and Flink generate it: of 50 events one is a person, three are auctions
//! and 46 are bids; half of the bids go to the newest hundredth auction, the others to one of the last hundred or so;
//! three in four are by a hot bidder. Ten thousand events make a second of event time.

use millstream_engine::ids::Offset;
use millstream_engine::time::Millis;

use crate::log::{NewRecord, Records};
use crate::sample::Random;

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody offers a price: about 360 bytes.
    Bid,
    /// Something is for sale.
    Auction,
    /// Somebody registers.
    Person,
}

const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
const TOTAL: u64 = 50;
const FIRST_ID: u64 = 1000;
const IN_FLIGHT_AUCTIONS: u64 = 100;
const ACTIVE_PEOPLE: u64 = 1000;
const EVENTS_PER_SECOND: u64 = 10_000;
/// Event time begins at 2026-01-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_767_225_600_000;
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// The events of one kind, in order of event time.
#[derive(Debug, Clone)]
pub struct Nexmark {
    kind: Event,
    random: Random,
    number: u64,
    text: String,
}

impl Nexmark {
    /// The events of `kind` that a seed gives.
    pub fn new(kind: Event, seed: u64) -> Nexmark {
        Nexmark { kind, random: Random::new(seed), number: 0, text: String::new() }
    }

    /// Appends the next `count` events to `records`, at offsets from `first` on.
    pub fn fill(&mut self, count: usize, first: Offset, records: &mut Records) {
        for index in 0..count {
            let (time, number) = self.next_event();
            self.write(time, number);
            let value = Some(self.text.as_bytes());
            let record = NewRecord { key: None, value, timestamp: Millis(time), headers: &[] };
            records.push(Offset(first.0 + index as i64), record);
        }
    }

    /// Event time and number of the next event of the kind.
    fn next_event(&mut self) -> (i64, u64) {
        loop {
            let number = self.number;
            self.number += 1;
            let kind = match number % TOTAL {
                rest if rest < PERSONS => Event::Person,
                rest if rest < PERSONS + AUCTIONS => Event::Auction,
                _ => Event::Bid,
            };
            if kind == self.kind {
                return (BEGINNING_MS + (number * 1000 / EVENTS_PER_SECOND) as i64, number);
            }
        }
    }

    fn write(&mut self, time: i64, number: u64) {
        use std::fmt::Write;
        let auctions = number / TOTAL * AUCTIONS + (number % TOTAL).clamp(1, 3);
        let people = number / TOTAL + 1;
        let random = &mut self.random;
        self.text.clear();
        let text = &mut self.text;
        let written = match self.kind {
            Event::Bid => {
                let auction = match random.below(2) {
                    0 => auctions / 100 * 100,
                    _ => auctions.saturating_sub(random.below(IN_FLIGHT_AUCTIONS)),
                };
                let bidder = match random.below(4) {
                    0 => people.saturating_sub(random.below(ACTIVE_PEOPLE)),
                    _ => people / 100 * 100 + 1,
                };
                let price = price(random);
                let channel = CHANNELS[random.below(4) as usize];
                write!(
                    text,
                    "{{\"auction\":{},\"bidder\":{},\"price\":{price},\"channel\":\"{channel}\",\
                     \"url\":\"https://www.nexmark.com/{}/item.htm?query=1&channel_id={}\",\"date_time\":{time},\"extra\":\"",
                    FIRST_ID + auction,
                    FIRST_ID + bidder,
                    letters(random, 12),
                    random.below(1 << 30),
                )
            }
            Event::Auction => write!(
                text,
                "{{\"id\":{},\"item_name\":\"{}\",\"initial_bid\":{},\"reserve\":{},\"date_time\":{time},\"expires\":{},\
                 \"seller\":{},\"category\":{},\"extra\":\"",
                FIRST_ID + auctions,
                letters(random, 20),
                price(random),
                price(random),
                time + 1 + random.below(20_000) as i64,
                FIRST_ID + people.saturating_sub(random.below(ACTIVE_PEOPLE)),
                10 + random.below(5),
            ),
            Event::Person => write!(
                text,
                "{{\"id\":{},\"name\":\"{}\",\"email\":\"{}@{}.com\",\"city\":\"{}\",\"state\":\"OR\",\"date_time\":{time},\
                 \"extra\":\"",
                FIRST_ID + people,
                letters(random, 10),
                letters(random, 7),
                letters(random, 5),
                letters(random, 9),
            ),
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        let padding = 358usize.saturating_sub(text.len());
        text.push_str(&letters(random, padding));
        text.push_str("\"}");
    }
}

/// Prices are spread over six orders of magnitude, as Nexmark's are.
fn price(random: &mut Random) -> u64 {
    let fraction = random.below(1 << 20) as f64 / f64::from(1 << 20);
    (10f64.powf(fraction * 6.0) * 100.0) as u64
}

fn letters(random: &mut Random, count: usize) -> String {
    let mut text = String::with_capacity(count + 8);
    while text.len() < count {
        let mut bits = random.next_u64();
        for _ in 0..8 {
            text.push((b'a' + (bits % 26) as u8) as char);
            bits >>= 8;
        }
    }
    text.truncate(count);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bids_are_seeded_documents_of_about_360_bytes() {
        let fill = |seed| {
            let mut records = Records::new();
            Nexmark::new(Event::Bid, seed).fill(1000, Offset(0), &mut records);
            records
        };
        let (one, same, other) = (fill(1), fill(1), fill(2));
        let values = |records: &Records| records.iter().map(|r| r.value.map(<[u8]>::to_vec)).collect::<Vec<_>>();
        assert_eq!(values(&one), values(&same));
        assert_ne!(values(&one), values(&other));
        for record in one.iter() {
            let value = record.value.expect("a bid has a value");
            assert_eq!(value.len(), 360);
            let bid: serde_json::Value = serde_json::from_slice(value).expect("a bid is JSON");
            assert_eq!(bid["date_time"].as_i64(), Some(record.timestamp.0));
            assert_eq!(bid.as_object().map(serde_json::Map::len), Some(7));
        }
        let last = one.get(999).timestamp.0 - one.get(0).timestamp.0;
        assert_eq!(last, 108, "1,000 bids are about 1,087 events, a tenth of a second");
    }
}
