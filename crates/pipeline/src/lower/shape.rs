//! The shape of a state: what must be equal for a state to be continued, as text.

use std::fmt::Write;

use millstream_engine::plan::{Emit, WindowKind};
use millstream_engine::types::sql_name;

use super::columns::Columns;
use super::graph::Grouping;

/// The shape of the state of a step over rows of `columns`: window, when results leave, keys, aggregates. Neither the grace is
/// part of it, as state says how far windows are closed, nor how often changes leave.
pub(crate) fn of(grouping: &Grouping, columns: &Columns) -> String {
    let grace = match grouping.window.as_ref().map(|window| window.kind) {
        None | Some(WindowKind::Count(_)) => String::new(),
        Some(_) => " any grace".to_owned(),
    };
    written(grouping, columns, &grace)
}

/// The shape of state that does not say how far windows are closed: it can be continued with the same grace only.
pub(crate) fn with_grace(grouping: &Grouping, columns: &Columns) -> String {
    let grace = grouping.window.as_ref().map(|window| window.grace).filter(|grace| grace.0 > 0);
    written(grouping, columns, &grace.map_or_else(String::new, |grace| format!(" grace={grace}ms")))
}

fn written(grouping: &Grouping, columns: &Columns, grace: &str) -> String {
    let mut shape = match grouping.window.as_ref().map(|window| window.kind) {
        None => "aggregate".to_owned(),
        Some(WindowKind::Tumbling { size, offset }) => format!("tumbling size={size}ms offset={offset}ms"),
        Some(WindowKind::Hopping { size, every, offset }) => {
            format!("hopping size={size}ms every={every}ms offset={offset}ms")
        }
        Some(WindowKind::Sliding(span)) => format!("sliding {span}ms"),
        Some(WindowKind::Over(span)) => format!("over {span}ms"),
        Some(WindowKind::Session(gap)) => format!("session {gap}ms"),
        Some(WindowKind::Count(rows)) => format!("count {rows}"),
    };
    shape.push_str(grace);
    match grouping.emit {
        Emit::Final => {}
        Emit::Changes | Emit::Every(_) => shape.push_str(" emit=changes"),
        Emit::Arrival => shape.push_str(" emit=arrival"),
    }
    let typed = |name: &String| {
        let data_type = columns.type_of(name).map_or_else(|| "?".to_owned(), |data_type| sql_name(&data_type));
        format!("{name} {data_type}")
    };
    let keys = grouping.keys.iter().map(typed).collect::<Vec<_>>();
    let _ = write!(shape, "; by {}", keys.join(", "));
    for (name, checked) in &grouping.aggregates {
        let sql = checked.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let reads = checked.reads.iter().map(typed).collect::<Vec<_>>().join(", ");
        let _ = write!(shape, "; {name} {} = {sql} ({reads})", sql_name(&checked.data_type));
    }
    shape
}

/// A hash that is the same on every machine and in every version: FNV-1a of 64 bits.
pub(crate) fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_tells_texts_apart_and_stays_what_it_is() {
        assert_eq!(fingerprint([]), 0xcbf2_9ce4_8422_2325);
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
        assert_eq!(fingerprint(["a"]), fingerprint(["a"]));
    }
}
