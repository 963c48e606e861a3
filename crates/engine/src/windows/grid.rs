//! Points in time at a fixed distance: where windows and panes begin.

use crate::time::Watermark;

/// The points ≡ offset mod every, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Distance of neighbouring points, at least 1.
    pub(crate) every: i64,
    offset: i64,
}

impl Grid {
    /// A grid; a distance below 1 counts as 1.
    pub(crate) fn new(every: i64, offset: i64) -> Grid {
        let every = every.max(1);
        Grid { every, offset: offset.rem_euclid(every) }
    }

    /// The greatest point that is not after `t`.
    #[inline]
    pub(crate) fn floor(&self, t: i64) -> i64 {
        t.saturating_sub(t.saturating_sub(self.offset).rem_euclid(self.every))
    }

    /// The number of a point, counted from the offset.
    pub(crate) fn index(&self, point: i64) -> i64 {
        point.saturating_sub(self.offset).div_euclid(self.every)
    }

    /// The point of a number.
    pub(crate) fn point(&self, index: i64) -> i64 {
        index.saturating_mul(self.every).saturating_add(self.offset)
    }

    /// The start of the first window of `size` on this grid that is open where those are closed that end at or before `closed`:
    /// the least start with start + size > closed. No result that is still to come is older.
    pub(crate) fn first_open(&self, size: i64, closed: Watermark) -> Watermark {
        match closed {
            Watermark::UNKNOWN | Watermark::END => closed,
            Watermark(closed) => {
                let last_closed = closed.saturating_sub(size);
                Watermark(self.floor(last_closed).saturating_add(self.every))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_before_zero() {
        let grid = Grid::new(10, 3);
        assert_eq!([-8, -7, 2, 3, 12, 13].map(|t| grid.floor(t)), [-17, -7, -7, 3, 3, 13]);
        assert_eq!(grid.point(grid.index(-17)), -17);
        assert_eq!(Grid::new(10, -7), grid);
        assert_eq!(Grid::new(10, 23), grid);
    }

    #[test]
    fn a_window_is_open_until_its_end_is_reached() {
        let grid = Grid::new(10, 0);
        assert_eq!(grid.first_open(10, Watermark(9)), Watermark(0));
        assert_eq!(grid.first_open(10, Watermark(10)), Watermark(10));
        assert_eq!(grid.first_open(20, Watermark(29)), Watermark(10));
        assert_eq!(grid.first_open(20, Watermark(30)), Watermark(20));
        assert_eq!(grid.first_open(10, Watermark::UNKNOWN), Watermark::UNKNOWN);
    }
}
