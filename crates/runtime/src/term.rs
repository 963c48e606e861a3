//! Which owner of a task wrote a record of its changelog: terms are in order of ownership, by what the group's coordinator says.

use std::fmt;
use std::str::FromStr;

use millstream_engine::ids::Offset;

/// The time of one owner of a task. Whoever owns it later has a greater one, however long an earlier owner sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Term {
    /// Goes on where a group is made anew, and its generations begin again.
    pub era: u64,
    /// The generation of the group in which the owner got the task.
    pub generation: u32,
}

/// How a worker's generation stands to what it has found in a changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// It owns the task for this term.
    Owner(Term),
    /// A later generation has written: the group has been made anew, if it still counts this member in, and this is the term;
    /// else others have the task.
    Doubtful(Term),
}

impl Term {
    /// How many bytes it takes as text at the most.
    pub const MAX_TEXT: usize = 31;

    /// The term of who restores a changelog in `generation`, behind the greatest that was `found` in it; it ends at `end`.
    pub fn behind(found: Option<Term>, generation: u32, end: Offset) -> Succession {
        // No less than the end, which only grows, so that terms go on where a reset has emptied the changelog.
        let anew = |era: u64| Term { era: era.max(end.0.max(0).unsigned_abs()) + 1, generation };
        match found {
            None => Succession::Owner(anew(0)),
            Some(found) if generation >= found.generation => Succession::Owner(Term { generation, ..found }),
            Some(found) => Succession::Doubtful(anew(found.era)),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.era, self.generation)
    }
}

/// No term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTerm;

impl FromStr for Term {
    type Err = NoTerm;

    fn from_str(text: &str) -> Result<Term, NoTerm> {
        let (era, generation) = text.split_once('.').ok_or(NoTerm)?;
        match (era.parse(), generation.parse()) {
            (Ok(era), Ok(generation)) => Ok(Term { era, generation }),
            _ => Err(NoTerm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(era: u64, generation: u32) -> Term {
        Term { era, generation }
    }

    #[test]
    fn later_owners_have_greater_terms() {
        let end = Offset(40);
        assert_eq!(Term::behind(None, 3, end), Succession::Owner(term(41, 3)));
        assert_eq!(Term::behind(Some(term(7, 3)), 4, end), Succession::Owner(term(7, 4)));
        // Two who have found nothing, one behind the other.
        assert!(term(41, 3) < term(41, 4));
    }

    #[test]
    fn the_same_generation_has_the_same_owner() {
        assert_eq!(Term::behind(Some(term(7, 3)), 3, Offset(40)), Succession::Owner(term(7, 3)));
    }

    #[test]
    fn an_earlier_generation_is_of_a_sleeper_or_of_a_new_group() {
        let Succession::Doubtful(anew) = Term::behind(Some(term(7, 300)), 1, Offset(40)) else { unreachable!() };
        assert!(anew > term(7, 300) && anew > term(40, 300), "{anew}");
        let Succession::Doubtful(anew) = Term::behind(Some(term(70, 300)), 1, Offset(40)) else { unreachable!() };
        assert!(anew > term(70, 300), "{anew}");
    }

    #[test]
    fn they_can_be_written_and_read() {
        let greatest = term(u64::MAX, u32::MAX);
        assert_eq!(greatest.to_string().len(), Term::MAX_TEXT);
        assert_eq!(greatest.to_string().parse(), Ok(greatest));
        for wrong in ["", "7", "7.", ".7", "7.x", "-1.0"] {
            assert_eq!(wrong.parse::<Term>(), Err(NoTerm), "{wrong}");
        }
    }
}
