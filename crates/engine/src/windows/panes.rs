//! Panes of time for rows that are kept one by one: so long that there are few of them, so short that little outlives its
//! use.

use crate::state::table::Table;
use crate::time::Millis;

/// Into how many panes the time is cut for which rows are kept, about.
const PANES: i64 = 32;

/// Panes of one length, aligned to the epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panes {
    width: i64,
}

impl Panes {
    /// Panes that are multiples of `part` milliseconds long, for rows that are kept for `kept`.
    pub(super) fn new(part: i64, kept: Millis) -> Panes {
        let parts = (kept.0 / PANES).max(0) / part + 1;
        Panes { width: part.saturating_mul(parts) }
    }

    /// The pane of an event time.
    #[inline]
    pub(super) fn of(self, time: i64) -> i64 {
        time.div_euclid(self.width).saturating_mul(self.width)
    }

    /// Drops the panes that end at or before `time`. Returns how many rows of input were remembered in them.
    pub(super) fn drop_before(self, time: i64, table: &mut Table) -> u64 {
        let gone = table.panes().take_while(|&pane| pane.saturating_add(self.width) <= time).collect::<Vec<_>>();
        gone.into_iter().map(|pane| table.drop_pane(pane)).sum()
    }
}
