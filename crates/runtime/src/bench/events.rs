//! The events as a topic holds them: in a format, with keys or without.

use millstream_engine::ids::Offset;
use millstream_engine::key::partition_for;
use millstream_formats::avro::{AvroSchema, AvroWrite};
use millstream_formats::{DecodeFormat, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message};

use crate::log::{NewRecord, Records};
use crate::nexmark::{Event, Nexmark};

/// The format of the events, and of a workload's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventFormat {
    /// Objects of JSON, padded to 360 bytes.
    #[default]
    Json,
    /// Avro of the same fields, without an id before it.
    Avro,
}

/// The keys of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventKeys {
    /// What the windows group by, as text: a topic as whoever wants to group it would write it. No row has to move.
    #[default]
    Group,
    /// None: windows send the rows through a repartition first.
    None,
}

/// How events stand in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Their format.
    pub format: EventFormat,
    /// Their keys.
    pub keys: EventKeys,
}

impl Shape {
    /// A name for topics that hold such events.
    pub(super) fn name(self) -> &'static str {
        match (self.format, self.keys) {
            (EventFormat::Json, EventKeys::Group) => "json-keyed",
            (EventFormat::Json, EventKeys::None) => "json",
            (EventFormat::Avro, EventKeys::Group) => "avro-keyed",
            (EventFormat::Avro, EventKeys::None) => "avro",
        }
    }
}

impl Event {
    /// The columns of the event as JSON.
    pub(super) fn json_columns(self) -> &'static str {
        match self {
            Event::Bid => {
                "{auction: bigint, bidder: bigint, price: bigint, channel: string, url: string, \
                 date_time: timestamp(ms), extra: string}"
            }
            Event::Auction => {
                "{id: bigint, item_name: string, initial_bid: bigint, reserve: bigint, date_time: timestamp(ms), \
                 expires: timestamp(ms), seller: bigint, category: bigint, extra: string}"
            }
            Event::Person => {
                "{id: bigint, name: string, email: string, city: string, state: string, date_time: timestamp(ms), \
                 extra: string}"
            }
        }
    }

    /// The schema of the event as Avro: the same columns.
    pub(super) fn avro_schema(self) -> String {
        let columns = self.json_columns().trim_matches(['{', '}']);
        let field = |column: &str| {
            let (name, kind) = column.trim().split_once(": ").expect("a column has a type");
            let kind = match kind {
                "bigint" => "\"long\"",
                "timestamp(ms)" => "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
                _ => "\"string\"",
            };
            format!("{{\"name\":\"{name}\",\"type\":{kind}}}")
        };
        let fields: Vec<String> = columns.split(',').map(field).collect();
        format!("{{\"type\":\"record\",\"name\":\"{self:?}\",\"fields\":[{}]}}", fields.join(","))
    }

    /// What the workloads group the event by.
    pub(super) fn group(self) -> &'static str {
        match self {
            Event::Bid => "auction",
            Event::Auction => "category",
            Event::Person => "city",
        }
    }
}

/// Seeded events in a shape.
pub(super) struct Events {
    events: Nexmark,
    event: Event,
    keys: EventKeys,
    avro: Option<Avro>,
}

/// Makes Avro of JSON.
struct Avro {
    decoder: Decoder,
    encoder: Encoder,
    encoded: Encoded,
}

impl Events {
    pub(super) fn new(event: Event, seed: u64, shape: Shape) -> Events {
        let avro = (shape.format == EventFormat::Avro).then(|| Avro::new(event));
        Events { events: Nexmark::new(event, seed), event, keys: shape.keys, avro }
    }

    /// Appends the next `count` events to `records`, at offsets from `first` on.
    pub(super) fn fill(&mut self, count: usize, first: Offset, records: &mut Records) {
        let mut made = Records::new();
        self.events.fill(count, first, &mut made);
        let avro = self.avro.as_mut().map(|avro| avro.encode(&made));
        for (row, json) in made.iter().enumerate() {
            let text = json.value.unwrap_or_default();
            let key = match self.keys {
                EventKeys::Group => Some(group_of(text, self.event.group())),
                EventKeys::None => None,
            };
            let value = Some(avro.as_ref().map_or(text, |avro| avro.payload(row)));
            let key = key.as_deref().map(str::as_bytes);
            records.push(json.offset, NewRecord { key, value, timestamp: json.timestamp, headers: &[] });
        }
    }
}

impl Avro {
    fn new(event: Event) -> Avro {
        let schema = AvroSchema::parse(&event.avro_schema(), &[]).expect("the schema of an event is one");
        let columns = schema.columns().nullable();
        let decoder = Decoder::new(DecodeFormat::Json, columns.clone()).expect("events have no strange types");
        let format = EncodeFormat::Avro(AvroWrite { schema, id: None });
        let encoder = Encoder::new(format, &columns).expect("events have no strange types");
        Avro { decoder, encoder, encoded: Encoded::default() }
    }

    fn encode(&mut self, events: &Records) -> &Encoded {
        let messages: Vec<Message<'_>> = events.iter().map(|event| message(event.value)).collect();
        let decoded = self.decoder.decode("events", 0, &messages).expect("JSON has no ids of schemas");
        assert!(decoded.faults.is_empty(), "an event is not as its columns say");
        self.encoded.clear();
        let faults = self.encoder.encode(&decoded.rows, &mut self.encoded);
        assert!(faults.is_empty(), "an event does not fit its schema");
        &self.encoded
    }
}

fn message(value: Option<&[u8]>) -> Message<'_> {
    Message { key: None, value, timestamp: 0, offset: 0, headers: Headers::NONE }
}

/// The text of what an event is grouped by.
fn group_of(event: &[u8], field: &str) -> String {
    let fields: serde_json::Value = serde_json::from_slice(event).expect("an event is JSON");
    match &fields[field] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The records of each partition: by key as Kafka's clients place them, and in runs of a hundred where there is no key.
pub(super) fn spread(records: &Records, partitions: u32) -> Vec<Records> {
    let mut parts: Vec<Records> = (0..partitions).map(|_| Records::new()).collect();
    for (index, record) in records.iter().enumerate() {
        let partition = match record.key {
            Some(key) => partition_for(key, partitions).0 as usize,
            None => index / 100 % partitions as usize,
        };
        parts[partition].push_view(record);
    }
    parts
}

#[cfg(test)]
mod tests {
    use millstream_formats::avro::{AvroRead, Framing};

    use super::*;

    fn records(event: Event, shape: Shape) -> Records {
        let mut records = Records::new();
        Events::new(event, 3, shape).fill(200, Offset(0), &mut records);
        records
    }

    #[test]
    fn avro_and_json_hold_the_same_events() {
        for event in [Event::Bid, Event::Auction, Event::Person] {
            let schema = AvroSchema::parse(&event.avro_schema(), &[]).unwrap();
            let columns = schema.columns().nullable();
            let read = AvroRead { framing: Framing::Bare(schema.clone()), readers: vec![schema], types: None };
            let rows = |format, decode: DecodeFormat| {
                let records = records(event, Shape { format, keys: EventKeys::None });
                let messages: Vec<_> = records.iter().map(|record| message(record.value)).collect();
                let decoded = Decoder::new(decode, columns.clone()).unwrap().decode("events", 0, &messages).unwrap();
                assert_eq!((decoded.rows.num_rows(), decoded.faults.len()), (200, 0));
                decoded.rows
            };
            assert_eq!(rows(EventFormat::Json, DecodeFormat::Json), rows(EventFormat::Avro, DecodeFormat::Avro(read)));
        }
    }

    #[test]
    fn all_events_of_a_group_are_in_one_partition() {
        let keyed = records(Event::Bid, Shape::default());
        let parts = spread(&keyed, 4);
        assert_eq!(parts.iter().map(Records::len).sum::<usize>(), 200);
        for (number, part) in parts.iter().enumerate() {
            for record in part.iter() {
                let fields: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
                assert_eq!(fields["auction"].to_string().as_bytes(), record.key.unwrap());
                assert_eq!(partition_for(record.key.unwrap(), 4).0 as usize, number);
            }
        }
    }
}
