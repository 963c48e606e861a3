"""Confluent's own Python client: writes rows to a topic in a format by its serializers, or reads a topic by its deserializers.

    python3 confluent.py <request>

The request is a JSON object: do (write, read), bootstrap, registry, topic, format (avro, protobuf, json_schema), and rows to be
written, or count, how many to read. Rows that were read are printed, one JSON object a line. The times `at` are milliseconds.
"""

import datetime
import json
import sys
import time

from confluent_kafka import DeserializingConsumer, SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

AVRO = json.dumps({
    "type": "record", "name": "Row", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "amount", "type": "double"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
})

JSON_SCHEMA = json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Row", "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "note": {"type": ["null", "string"]},
        "amount": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "string", "format": "date-time"},
    },
})

UTC = datetime.timezone.utc


def to_time(ms):
    return datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(milliseconds=ms)


def to_ms(moment):
    return round((moment - datetime.datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def row_class():
    """The message type `shop.Book.Row`, as protoc would make it of

        message Book {
          map<string, int32> pages = 1;
          message Note { string text = 1; }
          message Row {
            int64 id = 1; optional string note = 2; double amount = 3; repeated string tags = 4;
            google.protobuf.Timestamp at = 5;
          }
        }

    The map makes a message `PagesEntry` of its own, which has the first place within Book, so that Row has the third.
    """
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="row.proto", package="shop", syntax="proto3", dependency=[timestamp_pb2.DESCRIPTOR.name])
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    book = file.message_type.add(name="Book")
    book.field.add(
        name="pages", number=1, label=many, type=field.TYPE_MESSAGE, type_name=".shop.Book.PagesEntry")
    entry = book.nested_type.add(name="PagesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=field.TYPE_STRING)
    entry.field.add(name="value", number=2, label=one, type=field.TYPE_INT32)
    book.nested_type.add(name="Note").field.add(name="text", number=1, label=one, type=field.TYPE_STRING)
    row = book.nested_type.add(name="Row")
    row.oneof_decl.add(name="_note")
    row.field.add(name="id", number=1, label=one, type=field.TYPE_INT64)
    row.field.add(name="note", number=2, label=one, type=field.TYPE_STRING, proto3_optional=True, oneof_index=0)
    row.field.add(name="amount", number=3, label=one, type=field.TYPE_DOUBLE)
    row.field.add(name="tags", number=4, label=many, type=field.TYPE_STRING)
    row.field.add(
        name="at", number=5, label=one, type=field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Book.Row"))


def serializer(format, registry):
    """What makes bytes of a row."""
    if format == "avro":
        return AvroSerializer(registry, AVRO, lambda row, _: {**row, "at": to_time(row["at"])})
    if format == "json_schema":
        return JSONSerializer(JSON_SCHEMA, registry, lambda row, _: {**row, "at": to_time(row["at"]).isoformat()})
    Row = row_class()
    write = ProtobufSerializer(Row, registry, {"use.deprecated.format": False, "skip.known.types": True})

    def message(row):
        made = Row(id=row["id"], amount=row["amount"], tags=row["tags"])
        if row["note"] is not None:
            made.note = row["note"]
        made.at.FromMilliseconds(row["at"])
        return made

    return lambda row, context: write(message(row), context)


def deserializer(format, registry):
    """What makes rows of bytes."""
    if format == "avro":
        return AvroDeserializer(registry, None, lambda row, _: {**row, "at": to_ms(row["at"])})
    if format == "json_schema":
        def plain(row, _):
            return {**row, "at": to_ms(datetime.datetime.fromisoformat(row["at"]))}
        return JSONDeserializer(None, from_dict=plain, schema_registry_client=registry)
    read = ProtobufDeserializer(row_class(), {"use.deprecated.format": False})

    def row(bytes, context):
        message = read(bytes, context)
        note = message.note if message.HasField("note") else None
        return {"id": message.id, "note": note, "amount": message.amount, "tags": list(message.tags),
                "at": message.at.ToMilliseconds()}

    return row


def write(request, registry):
    """Writes all rows and waits until the brokers have them."""
    producer = SerializingProducer({
        "bootstrap.servers": request["bootstrap"], "value.serializer": serializer(request["format"], registry)})
    failed = []
    for row in request["rows"]:
        producer.produce(request["topic"], value=row, on_delivery=lambda error, _: error and failed.append(error))
        producer.poll(0)
    left = producer.flush(60)
    if left or failed:
        sys.exit(f"{left} rows are left, and {len(failed)} failed: {failed[:1]}")


def read(request, registry):
    """Prints as many rows as are asked for, and any that come in the second behind them."""
    consumer = DeserializingConsumer({
        "bootstrap.servers": request["bootstrap"], "group.id": request["topic"] + "-confluent",
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "value.deserializer": deserializer(request["format"], registry)})
    consumer.subscribe([request["topic"]])
    count, until = 0, time.monotonic() + 60
    while time.monotonic() < until:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            sys.exit(str(message.error()))
        print(json.dumps(message.value()))
        count += 1
        if count == request["count"]:
            until = time.monotonic() + 1
    consumer.close()


request = json.loads(sys.argv[1])
{"write": write, "read": read}[request["do"]](request, SchemaRegistryClient({"url": request["registry"]}))
