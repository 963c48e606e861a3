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
    /// No pane that rows stand in is longer.
    longest: i64,
}

impl Panes {
    /// Panes that are multiples of `part` milliseconds long, for rows that are kept for `kept`.
    pub(super) fn new(part: i64, kept: Millis) -> Panes {
        let parts = (kept.0 / PANES).max(0) / part + 1;
        let width = part.saturating_mul(parts);
        Panes { width, longest: width }
    }

    /// A row of `time` was found in `pane`, which may have been longer: for how long rows are kept has changed since.
    pub(super) fn found(&mut self, pane: i64, time: i64) {
        self.longest = self.longest.max(time.saturating_sub(pane).saturating_add(1));
    }

    /// The pane of an event time.
    #[inline]
    pub(super) fn of(self, time: i64) -> i64 {
        time.div_euclid(self.width).saturating_mul(self.width)
    }

    /// Drops the panes all of whose rows are before `time`. Returns how many rows of input were remembered in them.
    pub(super) fn drop_before(self, time: i64, table: &mut Table) -> u64 {
        let gone = table.panes().take_while(|&pane| pane.saturating_add(self.longest) <= time).collect::<Vec<_>>();
        gone.into_iter().map(|pane| table.drop_pane(pane)).sum()
    }
}
