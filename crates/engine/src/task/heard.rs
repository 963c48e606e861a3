//! What the senders of a task's repartitions have said of themselves, in frames that have been processed: how far time has
//! come there, and whether they have anything more.

use crate::error::TaskError;
use crate::ids::InputId;
use crate::operator::End;
use crate::state::{Delta, StateHandle, scalars};
use crate::time::Watermark;

/// What it is called in errors.
const STEP: &str = "order of senders";

/// How a sender stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It has more, or has said nothing yet.
    Ahead,
    /// It had processed all that there was.
    AtEnd,
    /// All its inputs have been silent for long.
    Idle,
}

/// What is committed with the position up to which frames have been processed: a restart knows what was known.
#[derive(Debug)]
pub(super) struct Heard {
    /// By the number of the input; `None` of sources.
    senders: Vec<Option<Sender>>,
    changed: bool,
}

#[derive(Debug)]
struct Sender {
    /// The name under which state remembers it.
    label: String,
    w: Watermark,
    stand: Stand,
}

impl Stand {
    /// What a frame says.
    pub(super) fn of(end: End, idle: bool) -> Stand {
        match end {
            _ if idle => Stand::Idle,
            End::Reached => Stand::AtEnd,
            End::Ahead | End::Parting => Stand::Ahead,
        }
    }
}

impl Heard {
    /// Of so many inputs; those of `senders`, each with the name that state knows it by, have said nothing yet.
    pub(super) fn new(inputs: usize, senders: Vec<(InputId, String)>) -> Heard {
        let mut all: Vec<_> = (0..inputs).map(|_| None).collect();
        for (input, label) in senders {
            all[input.0 as usize] = Some(Sender { label, w: Watermark::UNKNOWN, stand: Stand::Ahead });
        }
        Heard { senders: all, changed: false }
    }

    /// Notes what stands behind the last row of a frame.
    pub(super) fn note(&mut self, input: InputId, after: Watermark, stand: Stand) {
        let Some(sender) = &mut self.senders[input.0 as usize] else { return };
        let heard = (sender.w.max(after), stand);
        self.changed |= heard != (sender.w, sender.stand);
        (sender.w, sender.stand) = heard;
    }

    /// What a sender's next rows are not before, and how it stands; `None` of a source.
    pub(super) fn of(&self, input: InputId) -> Option<(Watermark, Stand)> {
        self.senders[input.0 as usize].as_ref().map(|sender| (sender.w, sender.stand))
    }

    /// Whether no sender has more, as far as they have said.
    pub(super) fn all_at_end(&self) -> bool {
        self.senders.iter().flatten().all(|sender| sender.stand != Stand::Ahead)
    }
}

impl StateHandle for Heard {
    fn take_delta(&mut self) -> Result<Delta, TaskError> {
        let scalars = std::mem::take(&mut self.changed).then(|| self.scalars());
        Ok(Delta { scalars, ..Delta::default() })
    }

    /// For each sender W, how it stands, and its name with its length.
    fn scalars(&self) -> Vec<u8> {
        let mut scalars = scalars::begin();
        for sender in self.senders.iter().flatten() {
            scalars.extend(sender.w.0.to_le_bytes());
            scalars.push(match sender.stand {
                Stand::Ahead => 0,
                Stand::AtEnd => 1,
                Stand::Idle => 2,
            });
            scalars.extend((sender.label.len() as u32).to_le_bytes());
            scalars.extend(sender.label.as_bytes());
        }
        scalars
    }

    /// Senders that are not named have said nothing.
    fn load_scalars(&mut self, scalars: &[u8]) -> Result<(), TaskError> {
        let mut rest = scalars::open(STEP, scalars)?;
        while !rest.is_empty() {
            let (w, stand, label) = next(&mut rest).ok_or_else(|| TaskError::State {
                step: STEP.to_owned(),
                message: "what senders have said cannot be read".to_owned(),
            })?;
            let mut senders = self.senders.iter_mut().flatten();
            if let Some(sender) = senders.find(|sender| sender.label.as_bytes() == label) {
                (sender.w, sender.stand) = (w, stand);
            }
        }
        Ok(())
    }
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(Watermark, Stand, &'a [u8])> {
    let (w, after) = rest.split_first_chunk()?;
    let (&stand, after) = after.split_first()?;
    let (length, after) = after.split_first_chunk()?;
    let (label, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    let stand = match stand {
        0 => Stand::Ahead,
        1 => Stand::AtEnd,
        2 => Stand::Idle,
        _ => return None,
    };
    Some((Watermark(i64::from_le_bytes(*w)), stand, label))
}
