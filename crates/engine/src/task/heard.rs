//! What the senders of a task's repartitions have said of themselves, in frames that have been processed: how far time has
//! come there, and whether they have anything more.

use crate::ids::InputId;
use crate::operator::End;
use crate::time::Watermark;

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
    /// By the number of the input; `None` of those that are not waited for by what they say: sources, and all of a task that
    /// reads as it comes.
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

    /// Whether it has changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Writes for each sender W, how it stands, and its name with its length.
    pub(super) fn save(&self, bytes: &mut Vec<u8>) {
        for sender in self.senders.iter().flatten() {
            bytes.extend(sender.w.0.to_le_bytes());
            bytes.push(match sender.stand {
                Stand::Ahead => 0,
                Stand::AtEnd => 1,
                Stand::Idle => 2,
            });
            bytes.extend((sender.label.len() as u32).to_le_bytes());
            bytes.extend(sender.label.as_bytes());
        }
    }

    /// Takes over what [`save`](Self::save) wrote; `None` if that cannot be read. Senders that are not named have said nothing.
    pub(super) fn load(&mut self, mut rest: &[u8]) -> Option<()> {
        while !rest.is_empty() {
            let (w, stand, label) = next(&mut rest)?;
            let mut senders = self.senders.iter_mut().flatten();
            if let Some(sender) = senders.find(|sender| sender.label.as_bytes() == label) {
                (sender.w, sender.stand) = (w, stand);
            }
        }
        Some(())
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
