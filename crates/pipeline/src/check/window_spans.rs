//! The spans of a window: exactly one kind, sizes that are not 0, grids that make sense, a grace that means something.

use crate::codes;
use millstream_engine::plan::WindowKind;
use millstream_engine::time::Millis;

use super::Findings;
use crate::spec::duration::Duration;
use crate::spec::steps::{Window, WindowShape};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// The longest span that may be written: a hundred years.
const LONGEST_MS: i64 = 100 * 366 * 86_400_000;

/// In how many windows of a grid a row may be.
const MOST_WINDOWS: i64 = 100_000;
/// Event times lie below this.
const TIMES: i64 = 1 << 48;

/// The kind of the window, if exactly one is given.
pub(crate) fn check(window: &Window, at: Span, findings: &mut Findings) -> Option<WindowKind> {
    let shape = one_shape(window, at, findings)?;
    if let Some(grace) = &window.grace {
        longest(grace, "grace", findings);
    }
    let kind = match shape {
        WindowShape::Tumbling(tumbling) => {
            let size = positive(tumbling.size(), "size", findings);
            WindowKind::Tumbling { size, offset: offset(tumbling.offset(), size, "size", findings) }
        }
        WindowShape::Hopping(hopping) => {
            let size = positive(&hopping.size, "size", findings);
            let every = positive(&hopping.every, "every", findings);
            grid(hopping.every.span, size, every, findings);
            WindowKind::Hopping { size, every, offset: offset(hopping.offset.as_ref(), every, "every", findings) }
        }
        WindowShape::Sliding(span) => WindowKind::Sliding(longest(span, "sliding", findings)),
        WindowShape::Over(span) => WindowKind::Over(longest(span, "over", findings)),
        WindowShape::Session(gap) => WindowKind::Session(longest(gap, "session", findings)),
        WindowShape::Count(rows) => {
            count(window, rows, findings);
            WindowKind::Count(rows.value)
        }
    };
    Some(kind)
}

fn one_shape<'a>(window: &'a Window, at: Span, findings: &mut Findings) -> Option<WindowShape<'a>> {
    let shapes = window.shapes();
    match shapes.as_slice() {
        [shape] => Some(*shape),
        [] => {
            findings
                .error(codes::WINDOW_KIND, at, "this window does not say which windows there are")
                .help("Add one of `tumbling`, `hopping`, `sliding`, `over`, `session` or `count`.");
            None
        }
        [first, second, ..] => {
            findings
                .error(
                    codes::WINDOW_KIND,
                    second.span(),
                    format!("a window is either `{}` or `{}`", first.name(), second.name()),
                )
                .help("Keep one of them.")
                .related(first.span(), "the first is here");
            None
        }
    }
}

fn positive(span: &Spanned<Duration>, what: &str, findings: &mut Findings) -> Millis {
    if span.millis() == Millis(0) {
        findings
            .error(codes::ZERO_SPAN, span.span, format!("the {what} of a window is 0"))
            .help("Write a span such as `1m`.");
    }
    longest(span, what, findings)
}

fn longest(span: &Spanned<Duration>, what: &str, findings: &mut Findings) -> Millis {
    if span.millis().0 > LONGEST_MS {
        findings
            .error(codes::LONG_SPAN, span.span, format!("the {what} of {} is longer than a hundred years", span.value))
            .help("Write a shorter one, or use `aggregate` for results that never end.");
    }
    span.millis()
}

fn offset(offset: Option<&Spanned<Duration>>, below: Millis, of: &str, findings: &mut Findings) -> Millis {
    let Some(offset) = offset else { return Millis(0) };
    if offset.millis() >= below && below > Millis(0) {
        findings
            .error(codes::WINDOW_OFFSET, offset.span, format!("the offset of {} is not below the {of}", offset.value))
            .help(format!("The grid repeats itself: write an offset below {}.", Duration(below)));
    }
    offset.millis()
}

fn grid(at: Span, size: Millis, every: Millis, findings: &mut Findings) {
    if every > size {
        findings
            .error(
                codes::HOPPING_GAPS,
                at,
                format!("windows of {} every {} leave gaps", Duration(size), Duration(every)),
            )
            .help("Write an `every` of at most the size, or leave rows out by `filter`.");
    } else if every > Millis(0) {
        let windows = size.0 / every.0 + i64::from(size.0 % every.0 != 0);
        let most = most_windows(size, every);
        if windows > most {
            findings
                .error(codes::HOPPING_MANY, at, format!("each row would be in {windows} windows"))
                .help(format!("Choose a greater `every`: in this grid a row may be in at most {most} windows."));
        }
    }
}

/// In how many windows of this grid a row may be. The engine numbers the parts of which windows are made, for all times and for
/// each window that a part may be in, by whole numbers of 63 bits.
fn most_windows(size: Millis, every: Millis) -> i64 {
    let part = greatest_common_divisor(size.0, every.0);
    MOST_WINDOWS.min(i64::MAX / (TIMES / part).max(1))
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn count(window: &Window, rows: &Spanned<u64>, findings: &mut Findings) {
    if rows.value == 0 {
        findings.error(codes::ZERO_COUNT, rows.span, "a window of 0 rows").help("Write at least `count: 1`.");
    }
    if rows.value > u64::from(u32::MAX) {
        findings
            .error(codes::LONG_COUNT, rows.span, "a window of so many rows never fills")
            .help("Write a smaller number.");
    }
    if let Some(grace) = &window.grace {
        findings
            .error(codes::COUNT_GRACE, grace.span, "`grace` has no meaning for `count`: its rows are never late")
            .help("Remove `grace`.");
    }
    if let Some(late) = window.late.as_ref() {
        findings
            .error(codes::COUNT_LATE, late.span, "`late` has no meaning for `count`: its rows are never late")
            .help("Remove `late`.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_as_many_windows_as_the_engine_can_number() {
        let most = |size, every| most_windows(Millis(size), Millis(every));
        // 2^48 parts of a millisecond leave 15 bits of 63.
        assert_eq!(most(40_000, 1), 32_767);
        assert_eq!(most(40_000, 3), 32_767);
        assert_eq!(most(40_000, 2), 65_535);
        assert_eq!(most(86_400_000, 1_000), MOST_WINDOWS);
        assert_eq!(most(i64::MAX, i64::MAX), MOST_WINDOWS);
    }
}
