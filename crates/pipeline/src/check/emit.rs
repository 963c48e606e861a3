//! When results leave: not every kind of window can do everything.

use crate::codes;
use millstream_engine::plan::Emit;
use millstream_engine::time::Millis;

use super::Findings;
use crate::spec::steps::{Emit as EmitSpec, EmitWord, WindowShape};
use crate::yaml::spanned::Spanned;

/// When the results of a window leave.
pub(crate) fn of_window(
    emit: Option<&Spanned<EmitSpec>>,
    shape: Option<WindowShape<'_>>,
    findings: &mut Findings,
) -> Emit {
    let over = matches!(shape, Some(WindowShape::Over(_)));
    let Some(written) = emit else { return if over { Emit::Arrival } else { Emit::Final } };
    let emit = as_written(written, findings);
    let name = shape.map_or("this window", |shape| shape.name());
    let wrong = match (shape, emit) {
        (None, _) => None,
        (Some(WindowShape::Over(_)), Emit::Changes | Emit::Every(_)) => {
            Some("Write `emit: arrival` (with each row, the default) or `emit: final`.")
        }
        (Some(WindowShape::Count(_)), Emit::Changes | Emit::Every(_) | Emit::Arrival) => {
            Some("Leave `emit` out: a window of `count` is written when it is full.")
        }
        (Some(WindowShape::Over(_)), _) => None,
        (Some(_), Emit::Arrival) => Some("Write `final`, `changes` or `{every: 10s}`; `arrival` is for `over` only."),
        _ => None,
    };
    if let Some(help) = wrong {
        findings.error(codes::EMIT_KIND, written.span, format!("`{name}` cannot emit so")).help(help);
    }
    emit
}

/// When the results of an aggregate without windows leave.
pub(crate) fn of_aggregate(emit: Option<&Spanned<EmitSpec>>, findings: &mut Findings) -> Emit {
    let Some(written) = emit else { return Emit::Changes };
    let emit = as_written(written, findings);
    if matches!(emit, Emit::Final | Emit::Arrival) {
        findings
            .error(codes::EMIT_KIND, written.span, "an aggregate without windows is never final")
            .help("Write `changes` (the default) or `{every: 10s}`, or use `window`.");
    }
    emit
}

fn as_written(written: &Spanned<EmitSpec>, findings: &mut Findings) -> Emit {
    match &written.value {
        EmitSpec::Word(EmitWord::Final) => Emit::Final,
        EmitSpec::Word(EmitWord::Changes) => Emit::Changes,
        EmitSpec::Word(EmitWord::Arrival) => Emit::Arrival,
        EmitSpec::Every(every) => {
            if every.every.millis() == Millis(0) {
                findings
                    .error(codes::ZERO_SPAN, every.every.span, "`every` is 0")
                    .help("Write `emit: changes` for results at each commit.");
            }
            Emit::Every(every.every.millis())
        }
    }
}
