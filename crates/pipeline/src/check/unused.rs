//! Sources and streams that nothing reads.

use super::Findings;
use crate::codes;
use crate::spec::names::Name;

/// What it is that nothing reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// A source.
    Source,
    /// A stream.
    Stream,
    /// A stream that a branch names.
    Arm,
}

/// Reports that nothing reads `name`.
pub(crate) fn report(name: &Name, what: Unread, findings: &mut Findings) {
    match what {
        Unread::Source => findings
            .warning(codes::UNUSED_SOURCE, name.span, format!("nothing reads the source `{name}`"))
            .help("Remove it, or name it under `from`."),
        Unread::Stream => findings
            .warning(codes::UNUSED_STREAM, name.span, format!("nothing reads the stream `{name}`"))
            .help("Remove it, or write it to a sink."),
        Unread::Arm => findings
            .error(codes::UNUSED_BRANCH, name.span, format!("nothing reads the stream `{name}` of this branch"))
            .help("Read it by `from`, or remove the arm: rows that no arm takes are left out."),
    };
}
