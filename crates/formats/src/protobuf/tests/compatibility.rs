//! What a reader does not expect of a writer's messages, rule by rule: what each pair of fields comes to.

use crate::Gravity;
use crate::protobuf::{ProtobufMessage, ProtobufSchema, is_read_by, reads};

const TYPES: &str = "
message Inner { string zip = 1; }
message Same { string zip = 1; }
message Other { int64 zip = 1; }
enum Side { SELL = 0; BUY = 1; }
enum More { SELL_ = 0; BUY_ = 1; HOLD = 2; }
";

fn proto3(fields: &str) -> ProtobufMessage {
    message(&format!("syntax = \"proto3\";\npackage shop;\nmessage Row {{ {fields} }}\n{TYPES}"))
}

fn proto2(fields: &str) -> ProtobufMessage {
    message(&format!("syntax = \"proto2\";\npackage shop;\nmessage Row {{ {fields} }}\n"))
}

fn message(text: &str) -> ProtobufMessage {
    let schema = ProtobufSchema::compile(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
    schema.message(None).unwrap()
}

/// What is found, and the same whichever end is asked about the other.
fn found(reader: &ProtobufMessage, writer: &ProtobufMessage) -> Vec<String> {
    let differences = is_read_by(writer, reader.schema());
    assert_eq!(differences, reads(reader, writer.schema()));
    let gravity = |gravity| match gravity {
        Gravity::Note => "note",
        Gravity::NotJudged => "not judged",
        Gravity::Breaks => "breaks",
    };
    let shown = differences.iter().map(|found| format!("{} {} {}", gravity(found.gravity), found.rule, found.path));
    shown.collect()
}

/// Reader, writer, what is found.
type Row<'a> = (&'a str, &'a str, &'a [&'a str]);

fn hold(rows: &[Row<'_>], schema: fn(&str) -> ProtobufMessage) {
    for (reader, writer, expected) in rows {
        assert_eq!(found(&schema(reader), &schema(writer)), *expected, "read as {reader}, written as {writer}");
    }
}

#[test]
fn types_are_held_against_each_other_by_what_stands_on_the_wire() {
    const ROWS: &[Row<'_>] = &[
        ("string a = 1;", "string a = 1;", &[]),
        // Numbers of varying length hold each other as far as they reach.
        ("int64 a = 1;", "int32 a = 1;", &[]),
        ("int64 a = 1;", "uint32 a = 1;", &[]),
        ("uint64 a = 1;", "uint32 a = 1;", &[]),
        ("int64 a = 1;", "bool a = 1;", &[]),
        ("int32 a = 1;", "Side a = 1;", &[]),
        ("int32 a = 1;", "int64 a = 1;", &["note range a"]),
        ("uint64 a = 1;", "int32 a = 1;", &["note range a"]),
        ("bool a = 1;", "int32 a = 1;", &["note range a"]),
        ("Side a = 1;", "int32 a = 1;", &["note range a"]),
        // Those that are written in zigzag hold only each other.
        ("sint64 a = 1;", "sint32 a = 1;", &[]),
        ("sint32 a = 1;", "sint64 a = 1;", &["note range a"]),
        ("int64 a = 1;", "sint64 a = 1;", &["breaks type a"]),
        ("sint32 a = 1;", "int32 a = 1;", &["breaks type a"]),
        ("fixed32 a = 1;", "sfixed32 a = 1;", &["note range a"]),
        ("sfixed64 a = 1;", "fixed64 a = 1;", &["note range a"]),
        // As many bytes, and other numbers.
        ("float a = 1;", "fixed32 a = 1;", &["breaks type a"]),
        ("double a = 1;", "sfixed64 a = 1;", &["breaks type a"]),
        ("double a = 1;", "float a = 1;", &["breaks type a"]),
        ("int64 a = 1;", "fixed64 a = 1;", &["breaks type a"]),
        ("int64 a = 1;", "string a = 1;", &["breaks type a"]),
        ("bytes a = 1;", "string a = 1;", &[]),
        ("string a = 1;", "bytes a = 1;", &["note utf8 a"]),
        ("bytes a = 1;", "Inner a = 1;", &["note embedded a"]),
        ("Inner a = 1;", "bytes a = 1;", &["not judged embedded a"]),
        ("Inner a = 1;", "string a = 1;", &["breaks type a"]),
        // A message of another name is one if its fields are; what is wrong within is named there.
        ("Inner a = 1;", "Same a = 1;", &[]),
        ("Inner a = 1;", "Other a = 1;", &["breaks type a.zip"]),
        ("map<string, Inner> a = 1;", "map<string, Other> a = 1;", &["breaks type a{}.zip"]),
        ("map<string, int64> a = 1;", "map<int32, int32> a = 1;", &["breaks type a{} key"]),
        ("Side a = 1;", "More a = 1;", &["note symbols a", "note symbols a", "note symbols a"]),
    ];
    hold(ROWS, proto3);
}

#[test]
fn labels_numbers_and_names_are_held_against_each_other() {
    const ROWS: &[Row<'_>] = &[
        // A field that one side does not have has its default, or is passed over.
        ("string a = 1; string b = 2;", "string a = 1;", &[]),
        ("string a = 1;", "string a = 1; string b = 2;", &[]),
        ("optional string a = 1;", "string a = 1;", &[]),
        ("repeated string a = 1;", "string a = 1;", &["note label a"]),
        ("string a = 1;", "repeated string a = 1;", &["note label a"]),
        ("repeated int32 a = 1;", "int32 a = 1;", &["note label a"]),
        // Many numbers are packed into one field of bytes.
        ("int32 a = 1;", "repeated int32 a = 1;", &["breaks label a"]),
        ("int32 a = 1;", "repeated int32 a = 1 [packed = false];", &["note label a"]),
        ("repeated int32 a = 1;", "repeated int32 a = 1 [packed = false];", &[]),
        ("repeated int32 a = 1;", "repeated string a = 1;", &["breaks type a[]"]),
        // The number is what counts.
        ("string b = 1;", "string a = 1;", &["note name b"]),
        ("string a = 2;", "string a = 1;", &["breaks number a"]),
        ("string a = 1; string b = 2;", "string b = 1; string a = 2;", &["breaks number a", "breaks number b"]),
        ("string a = 1; string b = 2;", "string b = 1;", &["breaks number a", "breaks number b"]),
    ];
    hold(ROWS, proto3);
}

#[test]
fn oneofs_lose_what_they_do_not_know_and_what_was_beside_each_other() {
    const ROWS: &[Row<'_>] = &[
        ("oneof o { string a = 1; string b = 2; }", "oneof o { string a = 1; string b = 2; }", &[]),
        // Which is in force is seen by which field is there.
        ("string a = 1; string b = 2;", "oneof o { string a = 1; string b = 2; }", &[]),
        ("oneof o { string a = 1; }", "string a = 1;", &[]),
        ("oneof o { string a = 1; string b = 2; }", "string a = 1; string b = 2;", &["breaks oneof o"]),
        ("oneof o { string a = 1; string b = 2; }", "oneof o { string a = 1; } string b = 2;", &["breaks oneof o"]),
        ("oneof o { string a = 1; }", "oneof o { string a = 1; string b = 2; }", &["breaks oneof o"]),
        ("oneof o { string a = 1; string b = 2; }", "oneof o { string a = 1; }", &[]),
        ("optional string a = 1;", "optional string a = 1; optional string b = 2;", &[]),
    ];
    hold(ROWS, proto3);
}

#[test]
fn what_is_required_must_be_written() {
    const ROWS: &[Row<'_>] = &[
        ("required string a = 1;", "required string a = 1;", &[]),
        ("optional string a = 1;", "required string a = 1;", &[]),
        ("required string a = 1;", "optional string a = 1;", &["breaks required a"]),
        ("required string a = 1;", "optional string b = 2;", &["breaks required a"]),
        ("repeated int32 a = 1;", "repeated int32 a = 1 [packed = true];", &[]),
        ("optional int32 a = 1;", "repeated int32 a = 1;", &["note label a"]),
        ("optional group A = 1 { optional int32 x = 1; }", "optional string a = 1;", &["breaks type a"]),
        (
            "optional group A = 1 { optional int32 x = 1; }",
            "optional group A = 1 { optional string x = 1; }",
            &["breaks type a.x"],
        ),
    ];
    hold(ROWS, proto2);
}

#[test]
fn messages_are_found_where_they_have_been_moved_to() {
    let text =
        |package: &str, messages: &str| message(&format!("syntax = \"proto3\";\npackage {package};\n{messages}"));
    let shop = text("shop", "message Row { string a = 1; }");
    let store = text("store", "message Other { int32 x = 1; } message Row { string a = 1; }").schema().clone();
    let store = store.message(Some("store.Row")).unwrap();
    assert_eq!(found(&store, &shop), ["note moved "]);
    let nested = text("shop", "message Out { message Row { int64 a = 1; } }");
    assert_eq!(is_read_by(&shop, nested.schema()).len(), 2);
    let gone = text("shop", "message Line { string a = 1; }");
    let said = is_read_by(&shop, gone.schema()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said, ["written as shop.Row, read as shop.Line (rule message)"]);
    let said = reads(&shop, gone.schema()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said, ["written as shop.Line, read as shop.Row (rule message)"]);
}

#[test]
fn a_difference_names_field_types_and_rule() {
    let reader = proto3("Inner home = 1; repeated int64 n = 2; Side side = 3; map<string, bool> flags = 4;");
    let writer = proto3("Other home = 1; repeated string n = 2; More side = 3; map<string, float> flags = 4;");
    let said = is_read_by(&writer, reader.schema()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said,
        [
            "home.zip: written as int64, read as string (rule type)",
            "n[]: written as repeated string, read as repeated int64 (rule type)",
            "side: written as SELL_ = 0, read as SELL = 0 (rule symbols)",
            "side: written as BUY_ = 1, read as BUY = 1 (rule symbols)",
            "side: written as HOLD = 2, read as shop.Side without it (rule symbols)",
            "flags{}: written as float, read as bool (rule type)",
        ]
    );
    let bytes = is_read_by(&proto3("bytes a = 1;"), proto3("Inner a = 1;").schema());
    assert_eq!(bytes[0].to_string(), "a: not judged: written as bytes, read as message shop.Inner (rule embedded)");
}

#[test]
fn recursive_messages_end() {
    let tree = |leaf: &str| {
        message(&format!("syntax = \"proto3\"; message Tree {{ {leaf} a = 1; repeated Tree below = 2; }}"))
    };
    assert_eq!(found(&tree("string"), &tree("string")), [""; 0]);
    assert_eq!(found(&tree("string"), &tree("int32")), ["breaks type a"]);
}
