//! What comes of one version of a subject, made up from all that was found.

use millstream_formats::Gravity;

/// What comes of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is read.
    Good,
    /// Something is not as it was written, or records of some values fail; none of it is read by the pipeline, or not
    /// always.
    Note(Vec<String>),
    /// Nothing that was judged breaks, and not all was judged.
    NotJudged(Vec<String>),
    /// Records of the version cannot be read.
    Breaks(Vec<String>),
}

impl Verdict {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Note(_) => "note",
            Verdict::NotJudged(_) => "not judged",
            Verdict::Breaks(_) => "breaks",
        }
    }

    /// What was found, the gravest first.
    pub fn findings(&self) -> &[String] {
        match self {
            Verdict::Good => &[],
            Verdict::Note(findings) | Verdict::NotJudged(findings) | Verdict::Breaks(findings) => findings,
        }
    }

    /// The gravest of what was found decides.
    pub(super) fn of(mut found: Vec<(Gravity, String)>) -> Verdict {
        found.sort_by_key(|(gravity, _)| std::cmp::Reverse(*gravity));
        let gravest = found.first().map(|(gravity, _)| *gravity);
        let findings = found.into_iter().map(|(_, finding)| finding).collect();
        match gravest {
            None => Verdict::Good,
            Some(Gravity::Note) => Verdict::Note(findings),
            Some(Gravity::NotJudged) => Verdict::NotJudged(findings),
            Some(Gravity::Breaks) => Verdict::Breaks(findings),
        }
    }
}
