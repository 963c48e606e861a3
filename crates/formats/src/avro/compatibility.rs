//! Whether what one schema writes can be read by another, and if not, every reason with its place. Pure: asks no
//! registry. The rules are those of the specification, which registries apply too; two more say where a reader would
//! silently take a wrong value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::decode::records;
use super::default;
use super::resolve::source;
use super::schema::{AvroSchema, Enumeration, Kind, Logical, NodeId, Record, Unit};
use crate::difference::{Difference, Gravity};

/// The most findings of one comparison.
const FINDINGS: usize = 1_000;
/// When less of the stack than this is left, more is taken.
pub(super) const RED_ZONE: usize = 64 << 10;
pub(super) const STACK: usize = 1 << 20;

/// One reason why a reader cannot read what a writer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, with those that it stands in: `customer.address.zip`, `tags[]` for items, `labels{}` for values; empty
    /// for the schema itself.
    pub path: String,
    /// The rule that is broken.
    pub rule: Rule,
    /// What the reader has there.
    pub reader: String,
    /// What the writer has there.
    pub writer: String,
}

/// What two schemas must agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The writer's type is the reader's, or a number or text that may be read as it.
    Type,
    /// Records, enums and fixed have the same name, or the reader's has the writer's as an alias.
    Name,
    /// A field that the writer does not have has a default.
    Default,
    /// The reader's enum has every symbol of the writer's, or a default.
    Symbols,
    /// Fixed are of one length.
    Size,
    /// Every branch of the writer's union can be read.
    Branch,
    /// Decimals are of one scale. Registries do not ask for it, and most readers take the wrong number.
    Scale,
    /// Times count the same parts of a second. Registries do not ask for it, and most readers take the wrong time.
    TimeUnit,
}

impl Rule {
    /// Whether registries refuse a schema that breaks it.
    pub fn is_of_registries(self) -> bool {
        !matches!(self, Rule::Scale | Rule::TimeUnit)
    }

    /// What breaking it does: what registries do not ask for is only noted.
    pub fn gravity(self) -> Gravity {
        if self.is_of_registries() { Gravity::Breaks } else { Gravity::Note }
    }

    /// The rule's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Type => "type",
            Rule::Name => "name",
            Rule::Default => "default",
            Rule::Symbols => "symbols",
            Rule::Size => "size",
            Rule::Branch => "branch",
            Rule::Scale => "scale",
            Rule::TimeUnit => "time_unit",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, rule, reader, writer } = self;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        match rule {
            Rule::Type => write!(f, "{writer} cannot be read as {reader}"),
            Rule::Name => write!(f, "{writer} has another name than {reader}"),
            Rule::Default => write!(f, "the writer has no such field, and {reader} has no default"),
            Rule::Symbols => write!(f, "{reader} lacks {writer} and has no default"),
            Rule::Size => write!(f, "{writer} is not as long as {reader}"),
            Rule::Branch => write!(f, "{reader} has no place for {writer}"),
            Rule::Scale => write!(f, "{writer} and {reader} put the point in different places"),
            Rule::TimeUnit => write!(f, "{writer} and {reader} count different parts of a second"),
        }
    }
}

impl From<Finding> for Difference {
    fn from(finding: Finding) -> Difference {
        let Finding { path, rule, reader, writer } = finding;
        Difference { path, rule: rule.as_str(), writer, reader, gravity: rule.gravity() }
    }
}

/// Every reason why `reader` cannot read what was written by `writer`; none if it can.
pub fn compatibility(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Finding> {
    let mut comparison = Comparison::new(reader, writer);
    comparison.compare(reader.root(), writer.root(), "");
    comparison.findings
}

/// As [`compatibility`], of one record type of the writer: against the reader that messages of it are read by, which is the
/// only one, or the one of its name. None if there is no such reader, or the writer has no such type.
pub fn compatibility_of_type(readers: &[AvroSchema], writer: &AvroSchema, name: &str) -> Vec<Finding> {
    let written = |(schema, id): &(AvroSchema, NodeId)| schema.named(*id).is_some_and(|found| found.full == name);
    let Some((writer, w)) = records(writer).into_iter().find(written) else { return Vec::new() };
    let readers = readers.iter().flat_map(records).collect::<Vec<_>>();
    let fit = |(reader, r): &(AvroSchema, NodeId)| reader.named(*r)?.fit(writer.named(w)?);
    let best = match &readers[..] {
        [only] => Some(only),
        several => several
            .iter()
            .filter_map(|reader| Some((fit(reader)?, reader)))
            .rev()
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, reader)| reader),
    };
    let Some((reader, r)) = best else { return Vec::new() };
    let mut comparison = Comparison::new(reader, &writer);
    comparison.compare(*r, w, "");
    comparison.findings
}

/// Which earlier versions a new version must agree with, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// With none.
    None,
    /// The new version reads what the last one wrote.
    Backward,
    /// The new version reads what any earlier one wrote.
    BackwardTransitive,
    /// The last version reads what the new one writes.
    Forward,
    /// Every earlier version reads what the new one writes.
    ForwardTransitive,
    /// Both, with the last version.
    Full,
    /// Both, with every earlier version.
    FullTransitive,
}

impl Level {
    /// The level of a registry's name for it, such as `BACKWARD_TRANSITIVE`.
    pub fn named(name: &str) -> Option<Level> {
        Some(match name {
            "NONE" => Level::None,
            "BACKWARD" => Level::Backward,
            "BACKWARD_TRANSITIVE" => Level::BackwardTransitive,
            "FORWARD" => Level::Forward,
            "FORWARD_TRANSITIVE" => Level::ForwardTransitive,
            "FULL" => Level::Full,
            "FULL_TRANSITIVE" => Level::FullTransitive,
            _ => return None,
        })
    }

    /// What speaks against `new` behind `earlier` versions, given in their order: for each finding the index of the
    /// version and whether it is the new schema that cannot read (else it is the earlier one).
    pub fn findings(self, new: &AvroSchema, earlier: &[AvroSchema]) -> Vec<(usize, NewIs, Finding)> {
        let first = earlier.len() - self.compared(earlier).len();
        let mut findings = Vec::new();
        for (index, old) in earlier.iter().enumerate().skip(first) {
            for &new_is in self.directions() {
                let (reader, writer) = match new_is {
                    NewIs::Reader => (new, old),
                    NewIs::Writer => (old, new),
                };
                findings.extend(compatibility(reader, writer).into_iter().map(|finding| (index, new_is, finding)));
            }
        }
        findings
    }

    /// On which sides a new version is asked to agree with one that it is compared with.
    pub fn directions(self) -> &'static [NewIs] {
        match self {
            Level::None => &[],
            Level::Backward | Level::BackwardTransitive => &[NewIs::Reader],
            Level::Forward | Level::ForwardTransitive => &[NewIs::Writer],
            Level::Full | Level::FullTransitive => &[NewIs::Reader, NewIs::Writer],
        }
    }

    /// Which of the `earlier` versions, given in their order, a new one is compared with.
    pub fn compared<T>(self, earlier: &[T]) -> &[T] {
        match self {
            Level::None => &[],
            Level::Backward | Level::Forward | Level::Full => &earlier[earlier.len().saturating_sub(1)..],
            Level::BackwardTransitive | Level::ForwardTransitive | Level::FullTransitive => earlier,
        }
    }
}

/// On which side of a comparison the new version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewIs {
    /// The new version cannot read what was written (backward).
    Reader,
    /// What the new version writes cannot be read (forward).
    Writer,
}

struct Comparison<'a> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    /// Pairs that have been compared or are being compared: a recursive type is taken to agree with itself.
    seen: BTreeSet<(NodeId, NodeId)>,
    /// What is known of a branch against a type, so that unions within unions are not compared again and again.
    known: BTreeMap<(NodeId, NodeId), bool>,
    findings: Vec<Finding>,
}

impl<'a> Comparison<'a> {
    fn new(reader: &'a AvroSchema, writer: &'a AvroSchema) -> Comparison<'a> {
        Comparison { reader, writer, seen: BTreeSet::new(), known: BTreeMap::new(), findings: Vec::new() }
    }

    fn compare(&mut self, r: NodeId, w: NodeId, path: &str) {
        if self.findings.len() < FINDINGS && self.seen.insert((r, w)) {
            // Two recursive types may walk in step for long before they are where they began.
            stacker::maybe_grow(RED_ZONE, STACK, || self.compare_new(r, w, path));
        }
    }

    fn compare_new(&mut self, r: NodeId, w: NodeId, path: &str) {
        let (reader, writer) = (self.reader, self.writer);
        match (&reader.node(r).kind, &writer.node(w).kind) {
            (_, Kind::Union(branches)) => {
                for &branch in branches {
                    match self.reads(r, branch) {
                        true => self.compare(r, branch, path),
                        false => self.find(r, branch, path, Rule::Branch),
                    }
                }
            }
            (Kind::Union(branches), _) => {
                let found = branches.iter().any(|&branch| self.reads(branch, w));
                let near = branches.iter().filter(|&&branch| self.is_alike(branch, w)).collect::<Vec<_>>();
                match (found, &near[..]) {
                    (true, _) => {}
                    // One branch is meant, and what is wrong is within it.
                    (false, [near]) => self.compare(**near, w, path),
                    (false, _) => self.find(r, w, path, Rule::Branch),
                }
            }
            (Kind::Array(to), Kind::Array(from)) => self.compare(*to, *from, &format!("{path}[]")),
            (Kind::Map(to), Kind::Map(from)) => self.compare(*to, *from, &format!("{path}{{}}")),
            (Kind::Record(to), Kind::Record(from)) => self.records(r, w, (to, from), path),
            (Kind::Enum(to), Kind::Enum(from)) => {
                if to.name.fit(&from.name).is_none() {
                    self.find(r, w, path, Rule::Name);
                }
                self.symbols(r, (to, from), path);
            }
            (Kind::Fixed(to), Kind::Fixed(from)) => {
                if to.name.fit(&from.name).is_none() {
                    self.find(r, w, path, Rule::Name);
                }
                if to.size != from.size {
                    self.find(r, w, path, Rule::Size);
                }
                self.logical(r, w, path);
            }
            (to, from) => match promotes(from, to) {
                true => self.logical(r, w, path),
                false => self.find(r, w, path, Rule::Type),
            },
        }
    }

    fn records(&mut self, r: NodeId, w: NodeId, (to, from): (&Record, &Record), path: &str) {
        if to.name.fit(&from.name).is_none() {
            self.find(r, w, path, Rule::Name);
        }
        for (place, field) in to.fields.iter().enumerate() {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            match source(from, to, place) {
                Some(place) => self.compare(field.node, from.fields[place].node, &path),
                None => {
                    let json = field.default.as_ref();
                    if !json.is_some_and(|json| default::is_valid(self.reader, field.node, json)) {
                        let reader = self.reader.describe(field.node);
                        self.findings.push(Finding { path, rule: Rule::Default, reader, writer: "nothing".to_owned() });
                    }
                }
            }
        }
    }

    fn symbols(&mut self, r: NodeId, (to, from): (&Enumeration, &Enumeration), path: &str) {
        let known = to.symbols.iter().collect::<BTreeSet<_>>();
        let missing = from.symbols.iter().filter(|symbol| !known.contains(symbol)).map(String::as_str);
        let missing = missing.collect::<Vec<_>>();
        if !missing.is_empty() && to.default.is_none() {
            let writer = missing[..missing.len().min(20)].join(", ");
            let reader = self.reader.describe(r);
            self.findings.push(Finding { path: path.to_owned(), rule: Rule::Symbols, reader, writer });
        }
    }

    fn logical(&mut self, r: NodeId, w: NodeId, path: &str) {
        let (to, from) = (self.reader.node(r).logical, self.writer.node(w).logical);
        match (to, from) {
            (Some(Logical::Decimal { scale: to, .. }), Some(Logical::Decimal { scale: from, .. })) if to != from => {
                self.find(r, w, path, Rule::Scale);
            }
            (Some(to), Some(from))
                if differ(to.unit(), from.unit()) || differ(to.unit_of_day(), from.unit_of_day()) =>
            {
                self.find(r, w, path, Rule::TimeUnit);
            }
            _ => {}
        }
    }

    /// Whether `r` reads `w` by the rules of registries.
    fn reads(&mut self, r: NodeId, w: NodeId) -> bool {
        if let Some(&known) = self.known.get(&(r, w)) {
            return known;
        }
        let mut trial = Comparison::new(self.reader, self.writer);
        trial.known = std::mem::take(&mut self.known);
        // What is met again below itself is taken to agree.
        trial.known.insert((r, w), true);
        trial.compare(r, w, "");
        let reads = !trial.findings.iter().any(|finding| finding.rule.is_of_registries());
        self.known = trial.known;
        self.known.insert((r, w), reads);
        reads
    }

    /// Whether a branch is of the same type, and where it has a name, of the same name.
    fn is_alike(&self, r: NodeId, w: NodeId) -> bool {
        let names = match (self.reader.named(r), self.writer.named(w)) {
            (Some(reader), Some(writer)) => reader.fit(writer).is_some(),
            _ => true,
        };
        names && self.reader.kind_name(r) == self.writer.kind_name(w)
    }

    fn find(&mut self, r: NodeId, w: NodeId, path: &str, rule: Rule) {
        let (reader, writer) = (self.reader.describe(r), self.writer.describe(w));
        self.findings.push(Finding { path: path.to_owned(), rule, reader, writer });
    }
}

/// Whether both count parts of a second, and other ones.
fn differ(reader: Option<Unit>, writer: Option<Unit>) -> bool {
    reader.zip(writer).is_some_and(|(reader, writer)| reader != writer)
}

/// Whether a value that is neither nested nor named may be read as another.
fn promotes(from: &Kind, to: &Kind) -> bool {
    matches!(
        (from, to),
        (Kind::Null, Kind::Null)
            | (Kind::Boolean, Kind::Boolean)
            | (Kind::Int, Kind::Int | Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Float | Kind::Double)
            | (Kind::Double, Kind::Double)
            | (Kind::String | Kind::Bytes, Kind::String | Kind::Bytes)
    )
}
