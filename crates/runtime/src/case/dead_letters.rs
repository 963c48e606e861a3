//! Dead letters in an order that does not depend on batches: in one batch, what does not decode is told before what a step
//! refuses, whatever stood first.

use millstream_pipeline::topology::Topology;

use super::changes::Changes;
use super::message::Message;
use super::world::Outcome;

/// Where the record stands that failed: topic, partition, offset.
type Place<'a> = (&'a [u8], i64, i64);

/// Puts the dead letters of a topic in the order of the records that failed, within each partition. Those of results, which
/// are no record's, come first, as they were written.
pub(super) fn sort(topology: &Topology, topic: &str, messages: &mut [Message]) {
    if topology.on_error.dead_letters() == Some(topic) {
        messages.sort_by(|a, b| (a.partition, place(a)).cmp(&(b.partition, place(b))));
    }
}

/// Takes out the dead letters of results that the straight run has not seen: with other commits there are other results on
/// the way.
pub(super) fn forget_passing(topology: &Topology, straight: &Outcome, outcome: &mut Outcome) {
    let changes = Changes::of(topology);
    for ((topic, expected), (_, found)) in straight.topics.iter().zip(&mut outcome.topics) {
        if !changes.are_among_dead_letters(topic) {
            continue;
        }
        let mut known: Vec<&Message> = expected.iter().collect();
        found.retain(|message| {
            let is_passing = place(message).is_none() && changes.come_through(&step(message));
            let at = known.iter().position(|known| {
                (&known.key, &known.value, &known.headers) == (&message.key, &message.value, &message.headers)
            });
            at.map(|at| known.swap_remove(at)).is_some() || !is_passing
        });
    }
}

fn place(message: &Message) -> Option<Place<'_>> {
    let number = |name| std::str::from_utf8(header(message, name)?).ok()?.parse().ok();
    let topic = header(message, "millstream.error.topic")?;
    Some((topic, number("millstream.error.partition")?, number("millstream.error.offset")?))
}

fn step(message: &Message) -> String {
    String::from_utf8_lossy(header(message, "millstream.error.step").unwrap_or_default()).into_owned()
}

/// A header; the last of a name counts.
fn header<'a>(message: &'a Message, name: &str) -> Option<&'a [u8]> {
    let mut named = message.headers.iter().rev().filter(|(of, _)| of == name);
    named.next().and_then(|(_, value)| value.as_deref())
}
