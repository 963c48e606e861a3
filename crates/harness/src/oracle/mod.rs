//! Says from what was written what must be readable, and compares: each result once, with the right value, and nothing else. It
//! never asks the daemon and shares no code with the engine.

mod at_least;
mod expect;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::foreign::{Client, Isolation, Positions, Read};
use crate::load::Event;

use at_least::Promise;
pub use expect::{Bag, Totals};

/// The topics of `tests/kafka/torture.yaml` whose every record is decided by the events.
const DECIDED: [(&str, expect::Columns); 4] = [
    ("copied", expect::Columns(&["id", "key", "user", "amount", "ts"])),
    ("rolling", expect::Columns(&["key", "window_start", "window_end", "n", "total"])),
    ("sums", expect::Columns(&["user", "window_start", "window_end", "n", "total"])),
    ("visits", expect::Columns(&["user", "window_start", "window_end", "n", "total"])),
];

/// The topic that the pipeline reads.
const INPUT: &str = "events";

/// How many examples a complaint names.
const EXAMPLES: usize = 8;

/// What is known of one pipeline's input and output.
#[derive(Debug)]
pub struct Oracle {
    prefix: String,
    promise: Promise,
    /// Events whose windows were left open by the last round.
    open: Vec<Event>,
    /// Events since.
    fresh: Vec<Event>,
    /// The last events of this round: they close the windows of all others.
    ending: Vec<Event>,
    totals: Totals,
    /// Totals as they were read last.
    shown: Totals,
    positions: BTreeMap<String, Positions>,
}

/// What was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Events written in the round.
    pub events: usize,
    /// Results compared.
    pub results: usize,
    /// Totals read.
    pub totals: usize,
}

/// The results that are there, and what is wrong with them already.
#[derive(Debug, Default)]
struct Found {
    bags: BTreeMap<&'static str, Bag>,
    totals: usize,
    wrong: Vec<String>,
}

impl Oracle {
    /// For the pipeline whose topics begin with this.
    pub fn new(prefix: &str) -> Oracle {
        Oracle {
            prefix: prefix.to_owned(),
            promise: Promise::default(),
            open: Vec::new(),
            fresh: Vec::new(),
            ending: Vec::new(),
            totals: Totals::new(),
            shown: Totals::new(),
            positions: BTreeMap::new(),
        }
    }

    /// The same for a pipeline that promises its results at least once: none may be missing.
    #[must_use]
    pub fn at_least_once(self) -> Oracle {
        Oracle { promise: Promise::AtLeastOnce, ..self }
    }

    /// The topics that the pipeline writes, without their prefix.
    pub fn topics() -> impl Iterator<Item = &'static str> {
        DECIDED.iter().map(|(topic, _)| *topic).chain(["totals"])
    }

    /// These events have been written.
    pub fn written(&mut self, events: impl IntoIterator<Item = Event>) {
        self.fresh.extend(events);
    }

    /// These events, of [`crate::load::Events::ending`], have been written behind all others.
    pub fn ended(&mut self, ending: Vec<Event>) {
        self.ending = ending;
    }

    /// Waits until everything that must be readable is, and for a moment longer; the next round begins then.
    ///
    /// # Errors
    /// If a result is missing when the time is up, or one is there that must not be, or that is not what it must be.
    pub fn settle(&mut self, client: &Client, within: Duration) -> Result<Settled> {
        let mut expected = BTreeMap::new();
        let windowed: Vec<Event> = self.open.iter().chain(&self.fresh).cloned().collect();
        let at_once: Vec<Event> = self.fresh.iter().chain(&self.ending).cloned().collect();
        expected.insert("copied", expect::copied(&at_once));
        expected.insert("rolling", expect::rolling(&windowed));
        expected.insert("sums", expect::sums(&windowed));
        expected.insert("visits", expect::visits(&windowed));
        expect::add_up(&mut self.totals, &at_once);

        let mut found = Found::default();
        let deadline = Instant::now() + within;
        loop {
            self.look(client, &mut found)?;
            let complaints = self.compare(&expected, &found);
            let complete = complaints.iter().all(|complaint| !complaint.is_missing);
            let hopeless = complaints.iter().any(|complaint| !complaint.is_missing);
            if complete || hopeless || Instant::now() >= deadline {
                self.complain(client, complaints)?;
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        // What is written twice is written late, if at all.
        thread::sleep(Duration::from_millis(300));
        self.look(client, &mut found)?;
        let complaints = self.compare(&expected, &found);
        self.complain(client, complaints)?;

        let results = found.bags.values().map(Bag::len).sum();
        let settled = Settled { events: at_once.len(), results, totals: found.totals };
        self.open = std::mem::take(&mut self.ending);
        self.fresh.clear();
        Ok(settled)
    }

    /// Reads what has come since the last look.
    fn look(&mut self, client: &Client, found: &mut Found) -> Result {
        for (topic, columns) in DECIDED {
            for record in self.read(client, topic)? {
                found.bags.entry(topic).or_default().add(columns.shown(&record.json()?), record.place());
            }
        }
        for record in self.read(client, "totals")? {
            found.totals += 1;
            found.wrong.extend(self.take_total(&record)?);
        }
        Ok(())
    }

    fn read(&mut self, client: &Client, topic: &str) -> Result<Vec<Read>> {
        let name = format!("{}{topic}", self.prefix);
        let from = self.positions.entry(topic.to_owned()).or_default();
        let (read, to) = client.read_from(&name, Isolation::Committed, from)?;
        *from = to;
        Ok(read)
    }

    /// A user's total may skip steps, as it leaves at commits, but never goes back and is never told twice.
    fn take_total(&mut self, record: &Read) -> Result<Option<String>> {
        let value = record.json()?;
        let number =
            |name: &str| value[name].as_i64().ok_or_else(|| format!("totals: {}: no {name}: {value}", record.place()));
        let user = value["user"].as_str().unwrap_or_default().to_owned();
        let (n, total) = (number("n")?, number("total")?);
        if self.promise == Promise::AtLeastOnce {
            // It may go back with a crash: the greatest counts.
            let shown = self.shown.entry(user).or_insert((n, total));
            *shown = (*shown).max((n, total));
            return Ok(None);
        }
        let before = self.shown.insert(user, (n, total));
        Ok(before
            .filter(|(before, _)| *before >= n)
            .map(|(before, _)| format!("totals: {}: {value} comes behind a total of {before} events", record.place())))
    }

    fn compare(&self, expected: &BTreeMap<&'static str, Bag>, found: &Found) -> Vec<Complaint> {
        match self.promise {
            Promise::ExactlyOnce => self.compare_exactly(expected, found),
            Promise::AtLeastOnce => self.compare_at_least(expected, found),
        }
    }

    fn compare_at_least(&self, expected: &BTreeMap<&'static str, Bag>, found: &Found) -> Vec<Complaint> {
        let nothing = Bag::default();
        let missing = expected.iter().flat_map(|(topic, expected)| {
            let found = found.bags.get(topic).unwrap_or(&nothing);
            match *topic {
                "copied" => at_least::missing_copies(expected, found),
                topic => at_least::missing_windows(topic, expected, found),
            }
        });
        missing.chain(at_least::missing_totals(&self.totals, &self.shown)).map(Complaint::missing).collect()
    }

    fn compare_exactly(&self, expected: &BTreeMap<&'static str, Bag>, found: &Found) -> Vec<Complaint> {
        let nothing = Bag::default();
        let mut complaints: Vec<Complaint> = found.wrong.iter().cloned().map(Complaint::wrong).collect();
        for (topic, expected) in expected {
            let found = found.bags.get(topic).unwrap_or(&nothing);
            for (result, count) in expected.without(found) {
                complaints.push(Complaint::missing(format!("{topic}: missing {count} times: {result}")));
            }
            for (result, count) in found.without(expected) {
                let places = found.places(&result);
                complaints.push(Complaint::wrong(format!("{topic}: {count} times too often: {result} ({places})")));
            }
        }
        for (user, total) in &self.totals {
            let shown = self.shown.get(user);
            if shown != Some(total) {
                let text = format!("totals: {user}: (count, sum) is {shown:?} and must be {total:?}");
                let too_far =
                    shown.is_some_and(|shown| shown.0 > total.0 || (shown.0 == total.0 && shown.1 != total.1));
                complaints.push(if too_far { Complaint::wrong(text) } else { Complaint::missing(text) });
            }
        }
        let strangers = self.shown.keys().filter(|user| !self.totals.contains_key(*user));
        complaints.extend(strangers.map(|user| Complaint::wrong(format!("totals: nobody is called {user}"))));
        complaints
    }

    fn complain(&self, client: &Client, complaints: Vec<Complaint>) -> Result {
        if complaints.is_empty() {
            return Ok(());
        }
        // What is wrong says more than what is missing.
        let (missing, wrong): (Vec<_>, Vec<_>) = complaints.into_iter().partition(|complaint| complaint.is_missing);
        let examples = |list: &[Complaint]| {
            list.iter().take(EXAMPLES).map(|complaint| format!("\n  {}", complaint.text)).collect::<String>()
        };
        let report = format!(
            "the oracle ({}): {} wrong, {} missing{}{}{}",
            self.prefix,
            wrong.len(),
            missing.len(),
            examples(&wrong),
            examples(&missing),
            self.written_twice(client)?
        );
        Err(report.into())
    }

    /// Events that stand in the input more than once: then it is the load that is wrong, not the results.
    fn written_twice(&self, client: &Client) -> Result<String> {
        let mut places: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for record in client.read(&format!("{}{INPUT}", self.prefix))? {
            let id = record.json()?["id"].as_i64().unwrap_or(-1);
            places.entry(id).or_default().push(record.place());
        }
        let twice = places.iter().filter(|(_, places)| places.len() > 1);
        let examples =
            twice.clone().take(EXAMPLES).map(|(id, places)| format!("\n  event {id}: {}", places.join(", ")));
        Ok(match twice.clone().count() {
            0 => String::new(),
            count => format!("\nthe input itself has {count} events more than once:{}", examples.collect::<String>()),
        })
    }
}

/// Something that is not as it must be.
#[derive(Debug)]
struct Complaint {
    /// It may still come.
    is_missing: bool,
    text: String,
}

impl Complaint {
    fn missing(text: String) -> Complaint {
        Complaint { is_missing: true, text }
    }

    fn wrong(text: String) -> Complaint {
        Complaint { is_missing: false, text }
    }
}

/// Milliseconds since 1970 of `2026-01-01T00:00:00[.123]Z`.
fn millis(value: &Value) -> Option<i64> {
    let text = value.as_str()?.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let numbers =
        |text: &str, by: char| text.split(by).map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let ([year, month, day], [hour, minute, second]) =
        (numbers(date, '-')?.try_into().ok()?, numbers(time, ':')?.try_into().ok()?);
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // Days from the civil calendar: years begin in March, so that a leap day is a year's last.
    let (year, month): (i64, i64) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
            - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + thousandths)
}
