//! Rows of two senders, and what waits for what.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::batch::RowClock;
use crate::batch::{OwnTime, RowMeta, RowOrigin};
use crate::error::{RecordError, RecordErrorKind};
use crate::ids::Origin;
use crate::operator::End;
use crate::time::Watermark;

/// Two senders, and what waits of them.
struct Waiting {
    heads: Heads,
    heard: Heard,
}

fn senders() -> Waiting {
    let sender = |input: u32| (InputId(input), format!("s/{input}"));
    Waiting { heads: Heads::new(vec![0; 2]), heard: Heard::new(2, vec![sender(0), sender(1)]) }
}

impl Waiting {
    fn are_at_end(&self) -> bool {
        self.heads.are_empty() && self.heard.all_at_end()
    }
}

/// A frame with rows at `times`, behind which its sender says `after`, and how it stands.
fn push(waiting: &mut Waiting, input: u32, times: &[i64], after: i64, end: End) {
    let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Int64, false)]));
    let column = Int64Array::from(times.to_vec());
    let batch = Batch {
        rows: RecordBatch::try_new(schema, vec![Arc::new(column.clone())]).unwrap(),
        meta: RowMeta {
            input: InputId(input),
            event_time: column.clone(),
            origin: RowOrigin::One(Origin::default()),
            offset: column,
            clock: RowClock { after: Watermark(after), ..RowClock::new(OwnTime::Silent) },
            position: None,
            mixture: None,
            tombstone: None,
        },
    };
    let frame = Some(FrameChunk { first: Position::default(), end, idle: false });
    let chunk = Chunk { batch, rejected: Vec::new(), null_values: Vec::new(), next: Position::default(), frame };
    waiting.heads.push(InputId(input), chunk, times.to_vec());
}

/// (input, time) of all rows that need not wait, in their order, where nothing more has been written for anyone.
fn ready(waiting: &mut Waiting) -> Vec<(u32, i64)> {
    let mut rows = Vec::new();
    while let Some(gathered) = waiting.heads.next(&mut waiting.heard, MOST_WAITING, &|_| true) {
        rows.extend(gathered.picks.iter().map(|&(part, row)| {
            let Part { input, batch, .. } = &gathered.parts[part];
            (input.0, batch.meta.event_time.value(row))
        }));
    }
    rows
}

#[test]
fn rows_wait_for_a_sender_that_has_said_nothing() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[5, 9], 9, End::Reached);
    assert_eq!(ready(&mut waiting), []);
    push(&mut waiting, 1, &[7], 7, End::Ahead);
    assert_eq!(ready(&mut waiting), [(0, 5), (1, 7)], "what comes behind 7 may be before 9");
    push(&mut waiting, 1, &[], 8, End::Ahead);
    assert_eq!(ready(&mut waiting), [], "8 is not 9");
    push(&mut waiting, 1, &[], 8, End::Reached);
    assert_eq!(ready(&mut waiting), [(0, 9)]);
    assert!(waiting.are_at_end());
}

#[test]
fn rows_do_not_wait_for_a_sender_whose_time_is_further() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[8], 8, End::Ahead);
    push(&mut waiting, 1, &[], 8, End::Ahead);
    assert_eq!(ready(&mut waiting), [(0, 8)], "at equal times the first input comes first");
    push(&mut waiting, 1, &[9], 9, End::Ahead);
    push(&mut waiting, 0, &[], 9, End::Ahead);
    assert_eq!(ready(&mut waiting), [], "the first input may have a row at 9 yet");
    push(&mut waiting, 0, &[], 10, End::Ahead);
    assert_eq!(ready(&mut waiting), [(1, 9)]);
    assert!(!waiting.are_at_end());
}

#[test]
fn a_sender_that_goes_on_is_waited_for_again() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[1], 1, End::Reached);
    push(&mut waiting, 1, &[], 0, End::Reached);
    assert_eq!(ready(&mut waiting), [(0, 1)]);
    push(&mut waiting, 1, &[2], 2, End::Ahead);
    assert_eq!(ready(&mut waiting), [(1, 2)], "the other has nothing");
    push(&mut waiting, 0, &[3], 3, End::Reached);
    assert_eq!(ready(&mut waiting), [], "this one has more");
}

#[test]
fn what_senders_have_said_is_known_behind_a_restart() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[], 4, End::Ahead);
    push(&mut waiting, 1, &[], 2, End::Reached);
    assert_eq!(ready(&mut waiting), []);
    let mut saved = Vec::new();
    waiting.heard.save(&mut saved);
    assert!(waiting.heard.take_changed() && !waiting.heard.take_changed(), "nothing has changed since");
    let mut restored = senders();
    restored.heard.load(&saved).unwrap();
    for cut in 1..saved.len() {
        assert!(cut == saved.len() / 2 || restored.heard.load(&saved[..cut]).is_none(), "cut at {cut}");
    }
    push(&mut restored, 1, &[4], 4, End::Reached);
    assert_eq!(ready(&mut restored), []);
    push(&mut restored, 0, &[], 5, End::Ahead);
    assert_eq!(ready(&mut restored), [(1, 4)]);
}

#[test]
fn no_more_rows_wait_than_there_is_room_for() {
    let mut waiting = senders();
    let times: Vec<i64> = (0..MOST_WAITING as i64).collect();
    push(&mut waiting, 0, &times, 0, End::Ahead);
    assert_eq!(ready(&mut waiting), []);
    push(&mut waiting, 0, &[MOST_WAITING as i64], 0, End::Ahead);
    assert!(waiting.heads.is_full());
    assert!(!ready(&mut waiting).is_empty());
    assert!(!waiting.heads.is_full());
}

#[test]
fn nor_do_more_bytes() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[1, 2], 2, End::Ahead);
    assert_eq!(waiting.heads.waiting_bytes, 16);
    waiting.heads.waiting_bytes += MOST_WAITING_BYTES;
    waiting.heads.queues[0][0].bytes += MOST_WAITING_BYTES;
    assert!(waiting.heads.is_full());
    assert_eq!(ready(&mut waiting), [(0, 1), (0, 2)]);
    assert!(!waiting.heads.is_full());
    assert_eq!(waiting.heads.waiting_bytes, 0);
}

#[test]
fn a_sender_that_waits_is_told_of_time_without_taking_room() {
    let mut waiting = senders();
    push(&mut waiting, 0, &[5], 5, End::Ahead);
    for time in 6..100 {
        push(&mut waiting, 0, &[], time, End::Ahead);
    }
    push(&mut waiting, 0, &[], 100, End::Reached);
    assert_eq!(waiting.heads.queues[0].len(), 1);
    push(&mut waiting, 1, &[60], 60, End::Ahead);
    assert_eq!(ready(&mut waiting), [(0, 5), (1, 60)], "what was said behind the row counts when the row has gone");
    push(&mut waiting, 1, &[], 60, End::Reached);
    assert!(ready(&mut waiting).is_empty() && waiting.are_at_end());
}

/// Rows of a source: (offset, time) each, records that do not decode, and messages without a value, by their offsets.
fn read(waiting: &mut Waiting, input: u32, rows: &[(i64, i64)], rejected: &[i64], null_values: &[i64]) {
    let times: Vec<i64> = rows.iter().map(|row| row.1).collect();
    let offsets: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
    push(waiting, input, &times, i64::MIN, End::Ahead);
    let head = waiting.heads.queues[input as usize].back_mut().unwrap();
    let reject = |&offset: &i64| Rejected {
        step: "s".to_owned(),
        error: RecordError { kind: RecordErrorKind::Decode, message: String::new() },
        origin: Origin::default(),
        offset: Offset(offset),
        row: None,
    };
    head.batch.meta.offset = offsets;
    head.rejected = rejected.iter().map(reject).collect();
    head.null_values = null_values.iter().copied().collect();
    head.next = Position { offset: Offset(100), rows: 0 };
    head.frame = None;
    waiting.heads.waiting_rows = 0;
}

/// What stands before a row that is not taken is taken with the row before it, and the position is no further.
#[test]
fn rows_of_sources_are_taken_with_what_stands_between_them() {
    let mut waiting = Waiting { heads: Heads::new(vec![0; 2]), heard: Heard::new(2, Vec::new()) };
    read(&mut waiting, 0, &[(0, 1), (3, 5), (6, 20)], &[1, 4], &[2, 5]);
    read(&mut waiting, 1, &[(0, 2), (1, 2), (2, 9)], &[], &[]);
    let mut gather = || waiting.heads.next(&mut waiting.heard, 8, &|_| false);
    let gathered = gather().unwrap();
    assert_eq!(gathered.picks, [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2)]);
    let told = |part: &Part| (part.position.offset.0, part.rejected.len(), part.null_values);
    assert_eq!(gathered.parts.iter().map(told).collect::<Vec<_>>(), [(6, 2, 2), (100, 0, 0)]);
    assert!(gather().is_none(), "the second input may have more");
    let gathered = waiting.heads.next(&mut waiting.heard, 8, &|_| true).unwrap();
    assert_eq!(gathered.parts.iter().map(told).collect::<Vec<_>>(), [(100, 0, 0)]);
}

#[test]
fn rows_of_different_groups_are_not_taken_together() {
    let mut waiting = Waiting { heads: Heads::new(vec![0, 1]), heard: Heard::new(2, Vec::new()) };
    read(&mut waiting, 0, &[(0, 1), (1, 5)], &[], &[]);
    read(&mut waiting, 1, &[(0, 2)], &[], &[]);
    let mut taken = Vec::new();
    while let Some(gathered) = waiting.heads.next(&mut waiting.heard, 8, &|_| true) {
        taken.push((gathered.parts[0].input.0, gathered.picks.len()));
        assert_eq!(gathered.parts.len(), 1);
    }
    assert_eq!(taken, [(0, 1), (1, 1), (0, 1)]);
}
