//! No text can make the check panic or hang: thousands of seeded mutations of right and wrong pipelines.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a test reads the files that it is about, and its clock")]

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use millstream_pipeline::diagnostic::Style;
use millstream_pipeline::interpolate::{Asked, NoValue};
use millstream_pipeline::reference::reference;
use millstream_pipeline::topology::PartitionCounts;

/// How many texts are tried; `MUTATIONS` sets another number, `SEED` another beginning.
const TRIES: u64 = 3_000;

/// Pieces that mean something to YAML, to placeholders or to SQL.
const PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "? ",
    "\n",
    "\n\n",
    "\t",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!!int ",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "#",
    "${env:",
    "${file:x}",
    "$${",
    "}",
    "\\",
    "\\u",
    "\u{feff}",
    "\u{0}",
    "é",
    "\u{1F980}",
    "\r\n",
    "~",
    "null",
    "0x",
    "1e999",
    "-9223372036854775809",
    "99999999999999999999d",
    "0",
    "(",
    ")",
    "sum(",
    "count(*)",
    "now()",
    " AND ",
    "CASE WHEN ",
    "::int",
    "--",
    "/*",
    "window",
    "tumbling: 1m",
    "by: []",
    "price",
    "_key",
    "otherwise: x",
    "steps:",
    "from: a",
];

/// A small generator with a fixed sequence for each seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<String> {
    let mut texts = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["tests/diagnostics", "pipelines"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let yaml = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        texts.extend(yaml.map(|path| fs::read_to_string(path).unwrap()));
    }
    for (_, page) in reference() {
        let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
        texts.extend(blocks.map(|(block, _)| block).filter(|block| block.starts_with("version:")).map(str::to_owned));
    }
    texts
}

fn mutate(random: &mut Random, texts: &[String]) -> String {
    let mut bytes = texts[random.below(texts.len())].clone().into_bytes();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copied = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
            5 => {
                let other = texts[random.below(texts.len())].as_bytes();
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => {
                let line_ends: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
                if let Some(&line) = line_ends.get(random.below(line_ends.len())) {
                    let spaces = vec![b' '; random.below(5)];
                    bytes.splice(line + 1..line + 1, spaces);
                }
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lookup(asked: Asked, name: &str) -> Result<String, NoValue> {
    match (asked, name.len() % 3) {
        (_, 0) => Ok("a: [b".into()),
        (Asked::Env, _) => Err(NoValue::NotSet),
        (Asked::File, _) => Err(NoValue::Unreadable("no such file".into())),
    }
}

fn check(text: &str) {
    match millstream_pipeline::check("mutated.yaml", text, &lookup, &PartitionCounts::unknown()) {
        Ok(checked) => assert!(!checked.topology.warnings.has_errors()),
        Err(diagnostics) => {
            assert!(diagnostics.has_errors());
            assert!(diagnostics.iter().is_sorted_by_key(|diagnostic| diagnostic.span.start));
            diagnostics.render(Style::Plain);
            serde_json::to_string(&diagnostics).unwrap();
        }
    }
    let _ = millstream_pipeline::parse_case("mutated.yaml", text, &lookup);
}

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn no_text_panics_or_hangs() {
    let texts = seeds();
    let first = number("SEED", 1);
    for seed in first..first + number("MUTATIONS", TRIES) {
        let text = mutate(&mut Random(seed), &texts);
        let begun = Instant::now();
        let outcome = catch_unwind(|| check(&text));
        assert!(outcome.is_ok(), "seed {seed} panics (SEED={seed} MUTATIONS=1):\n{text}");
        assert!(begun.elapsed() < Duration::from_secs(20), "seed {seed} takes {:?}:\n{text}", begun.elapsed());
    }
}
