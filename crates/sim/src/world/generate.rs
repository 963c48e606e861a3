//! Random histories: few keys, small spans, times close to each other, so that every edge is met often.

use super::{Case, Clock, End, When};
use crate::model::{Event, Kind, Row, Rules};
use crate::random::Random;

/// The history of a seed.
pub fn generate(seed: u64) -> Case {
    let mut random = Random::new(seed);
    // Mostly each millisecond counts; sometimes spans are so long that an operator cuts them into parts.
    let scale = *random.pick(&[1, 1, 1, 40]);
    let kind = kind(&mut random, scale);
    let rules = Rules {
        inputs: random.between(1, 3) as usize,
        out_of_order: *random.pick(&[0, 0, 1, 7]) * scale,
        grace: *random.pick(&[0, 0, 1, 3, 12]) * scale,
        kind,
    };
    let can_change = !matches!(kind, Kind::OverArrival(_) | Kind::OverFinal(_) | Kind::Count(_));
    let emit = if can_change && random.once_in(4) { When::Changes } else { When::Final };
    let clock = if random.once_in(4) { Clock::Sender } else { Clock::Own };
    let end = if random.once_in(4) { End::Close } else { End::Open };
    Case { rules, events: events(&mut random, rules, scale), emit, clock, end }
}

fn kind(random: &mut Random, scale: i64) -> Kind {
    let span = |random: &mut Random| *random.pick(&[0, 1, 2, 5, 10, 17]) * scale;
    match random.below(7) {
        0 => Kind::Tumbling { size: random.between(1, 12) * scale, offset: random.between(-5, 20) },
        1 => {
            let every = random.between(1, 6);
            let size = every * random.between(1, 5) + random.between(0, every - 1);
            Kind::Hopping { size: size * scale, every: every * scale, offset: random.between(-5, 20) }
        }
        2 => Kind::Sliding(span(random)),
        3 => Kind::OverArrival(span(random)),
        4 => Kind::OverFinal(span(random)),
        5 => Kind::Session(span(random)),
        _ => Kind::Count(random.between(1, 4) as usize),
    }
}

fn events(random: &mut Random, rules: Rules, scale: i64) -> Vec<Event> {
    let length = *random.pick(&[3, 8, 20, 60]);
    // Sometimes many rows stand in what an operator takes for one part of a long span.
    let pace = *random.pick(&[scale, scale, scale.min(4)]);
    let mut offsets = vec![0; rules.inputs];
    // Rows of sources are never from before 1970; what stands behind a window may be.
    let (first, least) = if random.once_in(4) { (-30, i64::MIN) } else { (0, 0) };
    let mut now = vec![random.between(first, first + 30) * scale; rules.inputs];
    let mut events = Vec::new();
    for _ in 0..length {
        let input = random.below(rules.inputs as u64) as usize;
        if rules.inputs > 1 && random.once_in(12) {
            events.push(Event::Idle(input));
            continue;
        }
        now[input] += match random.below(12) {
            0 => random.between(0, 60) * scale,
            1..=3 => 0,
            _ => random.between(0, 4 * pace),
        };
        let back = if random.once_in(3) { random.between(0, 20 * pace) } else { 0 };
        let key = (!random.once_in(15)).then(|| random.pick(&["a", "a", "b", "c"]).to_string());
        let value = (!random.once_in(8)).then(|| random.between(-5, 20));
        events.push(Event::Row(Row { input, offset: offsets[input], key, t: (now[input] - back).max(least), value }));
        offsets[input] += 1;
    }
    events
}
