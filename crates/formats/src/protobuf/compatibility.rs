//! Whether messages that one Protobuf schema describes can be read by another, field by field, by what stands on the wire.
//! Pure: asks no registry. It is stricter than registries where bytes are read and mean something else.

use std::collections::BTreeSet;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor, Syntax};

use super::schema::{ProtobufMessage, ProtobufSchema};
use crate::difference::{Difference, Gravity};

/// The most differences of one comparison.
const MOST: usize = 1_000;
/// When less of the stack than this is left, more is taken.
const RED_ZONE: usize = 64 << 10;
const STACK: usize = 1 << 20;

/// What those who read by `reader`, a schema that has the same message or has had it elsewhere, do not expect of what `writer`
/// writes; none if they expect all.
pub fn is_read_by(writer: &ProtobufMessage, reader: &ProtobufSchema) -> Vec<Difference> {
    let theirs = counterpart(writer.name(), reader);
    compare(
        theirs.as_ref().map(|theirs| (&theirs.descriptor, &writer.descriptor)).ok_or((writer.name(), reader)),
        End::Writer,
    )
}

/// What `reader` does not expect of messages that were written by `writer`, a schema that has the same message or has had it
/// elsewhere; none if it expects all.
pub fn reads(reader: &ProtobufMessage, writer: &ProtobufSchema) -> Vec<Difference> {
    let theirs = counterpart(reader.name(), writer);
    compare(
        theirs.as_ref().map(|theirs| (&reader.descriptor, &theirs.descriptor)).ok_or((reader.name(), writer)),
        End::Reader,
    )
}

/// On which end the message stands that is looked for at the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Writer,
    Reader,
}

/// Reader and writer; or the message that the other schema does not have.
type Pair<'a> = Result<(&'a MessageDescriptor, &'a MessageDescriptor), (&'a str, &'a ProtobufSchema)>;

fn compare(pair: Pair<'_>, end: End) -> Vec<Difference> {
    let mut comparison = Comparison { seen: BTreeSet::new(), found: Vec::new() };
    match pair {
        Ok((reader, writer)) => {
            if reader.full_name() != writer.full_name() {
                let (reader, writer) = (reader.full_name().to_owned(), writer.full_name().to_owned());
                comparison.find("", "moved", Gravity::Note, (reader, writer));
            }
            comparison.messages(reader, writer, "");
        }
        Err((name, other)) => {
            let names = other.message_names();
            let others = if names.is_empty() { "no message".to_owned() } else { names.join(", ") };
            let (reader, writer) = match end {
                End::Writer => (others, name.to_owned()),
                End::Reader => (name.to_owned(), others),
            };
            comparison.find("", "message", Gravity::Breaks, (reader, writer));
        }
    }
    comparison.found
}

/// The message of that full name; else the only one whose own name is the same: it has been moved.
fn counterpart(name: &str, schema: &ProtobufSchema) -> Option<ProtobufMessage> {
    let names = schema.message_names();
    let own = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let found = match names.iter().any(|other| other == name) {
        true => name,
        false => {
            let alike = names.iter().filter(|other| own(other) == own(name)).collect::<Vec<_>>();
            let [only] = alike[..] else { return None };
            only
        }
    };
    schema.message(Some(found)).ok()
}

struct Comparison {
    /// Message types that have been compared or are being compared: a recursive one is taken to agree with itself.
    seen: BTreeSet<(String, String)>,
    found: Vec<Difference>,
}

impl Comparison {
    fn find(&mut self, path: &str, rule: &'static str, gravity: Gravity, (reader, writer): (String, String)) {
        if self.found.len() < MOST {
            self.found.push(Difference { path: path.to_owned(), rule, writer, reader, gravity });
        }
    }

    fn messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        let is_google = reader.full_name().starts_with("google.protobuf.");
        if is_google && reader.full_name() == writer.full_name() {
            return;
        }
        if self.seen.insert((reader.full_name().to_owned(), writer.full_name().to_owned())) {
            stacker::maybe_grow(RED_ZONE, STACK, || self.new_messages(reader, writer, path));
        }
    }

    fn new_messages(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        for to in reader.fields() {
            match writer.get_field(to.number()) {
                Some(from) => self.fields((&to, &from), (reader, writer), &within(path, to.name())),
                None => self.missing(&to, writer, &within(path, to.name())),
            }
        }
        self.oneofs(reader, writer, path);
    }

    /// A field of the reader whose number the writer does not have.
    fn missing(&mut self, to: &FieldDescriptor, writer: &MessageDescriptor, path: &str) {
        if to.cardinality() == Cardinality::Required {
            self.find(path, "required", Gravity::Breaks, (shown(to), "nothing".to_owned()));
        } else if let Some(from) = writer.get_field_by_name(to.name()) {
            self.find(path, "number", Gravity::Breaks, (numbered(to), numbered(&from)));
        }
    }

    fn fields(
        &mut self,
        (to, from): (&FieldDescriptor, &FieldDescriptor),
        (reader, writer): (&MessageDescriptor, &MessageDescriptor),
        path: &str,
    ) {
        if to.name() != from.name() {
            // Where the names have changed places, values do too.
            let elsewhere =
                reader.get_field_by_name(from.name()).is_some() || writer.get_field_by_name(to.name()).is_some();
            let (rule, gravity) = if elsewhere { ("number", Gravity::Breaks) } else { ("name", Gravity::Note) };
            let named = |field: &FieldDescriptor| format!("{} with number {}", field.name(), field.number());
            self.find(path, rule, gravity, (named(to), named(from)));
        }
        if to.cardinality() == Cardinality::Required && from.cardinality() != Cardinality::Required {
            self.find(path, "required", Gravity::Breaks, (shown(to), shown(from)));
        }
        if let Some(gravity) = labels(to, from) {
            self.find(path, "label", gravity, (shown(to), shown(from)));
        }
        if to.is_group() != from.is_group() {
            return self.find(path, "type", Gravity::Breaks, (shown(to), shown(from)));
        }
        let path = match (to.is_map(), to.is_list()) {
            (true, _) => format!("{path}{{}}"),
            (_, true) => format!("{path}[]"),
            _ => path.to_owned(),
        };
        self.kinds((to, from), &path);
    }

    fn kinds(&mut self, (to, from): (&FieldDescriptor, &FieldDescriptor), path: &str) {
        match (to.kind(), from.kind()) {
            (Kind::Message(reader), Kind::Message(writer)) => {
                if to.is_map() && from.is_map() {
                    // The entry itself is named by the compiler.
                    let (key, value) = (reader.map_entry_key_field(), reader.map_entry_value_field());
                    self.kinds((&key, &writer.map_entry_key_field()), &format!("{path} key"));
                    return self.kinds((&value, &writer.map_entry_value_field()), path);
                }
                self.messages(&reader, &writer, path);
            }
            (Kind::Enum(reader), Kind::Enum(writer)) => self.symbols(&reader, &writer, path),
            (reader, writer) => {
                if let Some((rule, gravity)) = scalars(&reader, &writer) {
                    self.find(path, rule, gravity, (shown(to), shown(from)));
                }
            }
        }
    }

    /// Numbers without a name, and with another.
    fn symbols(&mut self, reader: &EnumDescriptor, writer: &EnumDescriptor, path: &str) {
        for value in writer.values() {
            let written = format!("{} = {}", value.name(), value.number());
            let named = reader.values().filter(|known| known.number() == value.number());
            let named = named.map(|known| known.name().to_owned()).collect::<Vec<_>>();
            if named.is_empty() {
                self.find(path, "symbols", Gravity::Note, (format!("{} without it", reader.full_name()), written));
            } else if !named.iter().any(|known| known == value.name()) {
                self.find(
                    path,
                    "symbols",
                    Gravity::Note,
                    (format!("{} = {}", named.join(", "), value.number()), written),
                );
            }
        }
    }

    fn oneofs(&mut self, reader: &MessageDescriptor, writer: &MessageDescriptor, path: &str) {
        for to in reader.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let path = within(path, to.name());
            let written = to.fields().filter_map(|field| writer.get_field(field.number())).collect::<Vec<_>>();
            let mut theirs = written.iter().map(real_oneof).collect::<Vec<_>>();
            theirs.dedup_by(|one, other| one.is_some() && one == other);
            if theirs.len() > 1 {
                let beside = written.iter().map(|field| field.name().to_owned()).collect::<Vec<_>>().join(" and ");
                let pair = (format!("oneof {}", to.name()), format!("{beside} beside each other"));
                self.find(&path, "oneof", Gravity::Breaks, pair);
            }
            let Some(from) = written.iter().find_map(real_oneof) else { continue };
            for unknown in from.fields().filter(|field| reader.get_field(field.number()).is_none()) {
                let written = format!("oneof {} with {}", from.name(), numbered(&unknown));
                self.find(&path, "oneof", Gravity::Breaks, (format!("oneof {} without it", to.name()), written));
            }
        }
    }
}

fn real_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_many(field: &FieldDescriptor) -> bool {
    field.is_list() || field.is_map()
}

/// What becomes of many values where one is expected, or of one where many are; none if both have the same.
fn labels(to: &FieldDescriptor, from: &FieldDescriptor) -> Option<Gravity> {
    match (is_many(to), is_many(from)) {
        // As a list of none or one.
        (true, false) => Some(Gravity::Note),
        // Many numbers stand in one field, which is none of a number.
        (false, true) if is_packed(from) => Some(Gravity::Breaks),
        // The last one counts, or all that are messages are merged.
        (false, true) => Some(Gravity::Note),
        (true, true) if to.is_map() != from.is_map() => Some(Gravity::Note),
        _ => None,
    }
}

/// Whether many values are written as one field of bytes. The library's own answer does not know what options say.
fn is_packed(field: &FieldDescriptor) -> bool {
    let is_number = !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_));
    let said = field.field_descriptor_proto().options.as_ref().and_then(|options| options.packed);
    is_number && field.is_list() && said.unwrap_or(field.parent_file().syntax() == Syntax::Proto3)
}

/// What becomes of a value of one type that is read as another; none if it is the same value.
fn scalars(to: &Kind, from: &Kind) -> Option<(&'static str, Gravity)> {
    use Kind::*;
    let is_varint = |kind: &Kind| matches!(kind, Bool | Int32 | Int64 | Uint32 | Uint64 | Enum(_));
    match (from, to) {
        (from, to) if from == to => None,
        (Bool, Int32 | Int64 | Uint32 | Uint64) | (Int32 | Uint32 | Enum(_), Int64) | (Enum(_), Int32) => None,
        (Uint32, Uint64) | (Sint32, Sint64) | (String, Bytes) => None,
        (from, to) if is_varint(from) && is_varint(to) => Some(("range", Gravity::Note)),
        (Sint64, Sint32) => Some(("range", Gravity::Note)),
        (Fixed32, Sfixed32) | (Sfixed32, Fixed32) | (Fixed64, Sfixed64) | (Sfixed64, Fixed64) => {
            Some(("range", Gravity::Note))
        }
        (Bytes, String) => Some(("utf8", Gravity::Note)),
        (Message(_), Bytes) => Some(("embedded", Gravity::Note)),
        // It depends on what the bytes are.
        (Bytes, Message(_)) => Some(("embedded", Gravity::NotJudged)),
        _ => Some(("type", Gravity::Breaks)),
    }
}

/// A field's type with its label, as it is declared.
fn shown(field: &FieldDescriptor) -> String {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let (key, value) =
            (kind_name(&entry.map_entry_key_field().kind()), kind_name(&entry.map_entry_value_field().kind()));
        return format!("map<{key}, {value}>");
    }
    let kind = if field.is_group() { format!("group {}", field.name()) } else { kind_name(&field.kind()) };
    match field.cardinality() {
        Cardinality::Repeated => format!("repeated {kind}"),
        Cardinality::Required => format!("required {kind}"),
        Cardinality::Optional => kind,
    }
}

fn numbered(field: &FieldDescriptor) -> String {
    format!("{} with number {}", shown(field), field.number())
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(symbols) => format!("enum {}", symbols.full_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
