// The official Avro and Protobuf libraries behind lines of JSON: they make random values of a schema, write them, and read
// what they or we wrote.
//
//   java -cp '<libs>/*' Codecs.java
//
// Each line on stdin is a request, each line on stdout its answer: {"rows": [...]}, or {"error": "..."} where a schema is none.
//
//   {"op": "avro-write", "writer": schema, "reader": schema, "seed": n, "count": n}   rows: {"bytes": hex, "read": value} or
//                                                                                      {"bytes": hex, "error": text}
//   {"op": "avro-read", "schema": schema, "rows": [hex]}                               rows: {"read": value} or {"error": text}
//   {"op": "avro-compatible", "writer": schema, "reader": schema}                      one row: {"compatible": boolean, "why": text}
//   {"op": "protobuf-write", "files": hex, "message": name, "seed": n, "count": n}     likewise
//   {"op": "protobuf-read", "files": hex, "message": name, "rows": [hex]}              likewise
//
// A value is given as a column has it: bytes and decimals as hex, floats and doubles as the number that their bits are, a union
// of several types as {"": place among those that are not null, "value": ...}. The end of stdin ends the process.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.protobuf.ByteString;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.Message;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

public class Codecs {
    static final ObjectMapper JSON = new ObjectMapper();
    static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    static final HexFormat HEX = HexFormat.of();
    static final String[] TEXTS = {"a", "Ulm", "é", "😀", "\n", "\"", ""};

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        // Whatever a library prints must not get between our lines.
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = NODES.objectNode();
            try {
                JsonNode request = JSON.readTree(line);
                ArrayNode rows = answer.putArray("rows");
                switch (request.get("op").asText()) {
                    case "avro-write" -> avroWrite(request, rows);
                    case "avro-read" -> avroRead(request, rows);
                    case "avro-compatible" -> avroCompatible(request, rows);
                    case "protobuf-write" -> protobufWrite(request, rows);
                    case "protobuf-read" -> protobufRead(request, rows);
                    default -> throw new IllegalArgumentException("no such op");
                }
            } catch (Exception error) {
                answer = NODES.objectNode().put("error", error.toString());
            }
            out.println(JSON.writeValueAsString(answer));
            out.flush();
        }
    }

    static Schema schema(JsonNode json) {
        return new Schema.Parser().parse(json.toString());
    }

    static void avroWrite(JsonNode request, ArrayNode rows) throws Exception {
        Schema writer = schema(request.get("writer"));
        Schema reader = schema(request.get("reader"));
        Random random = new Random(request.get("seed").asLong());
        for (int i = 0; i < request.get("count").asInt(); i++) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            // Blocks of arrays and maps with and without their length.
            BinaryEncoder encoder = random.nextInt(4) == 0
                ? new EncoderFactory().configureBlockSize(64).blockingBinaryEncoder(bytes, null)
                : new EncoderFactory().binaryEncoder(bytes, null);
            new GenericDatumWriter<Object>(writer).write(value(writer, random), encoder);
            encoder.flush();
            ObjectNode row = rows.addObject().put("bytes", HEX.formatHex(bytes.toByteArray()));
            avroRow(row, writer, reader, bytes.toByteArray());
        }
    }

    static void avroRead(JsonNode request, ArrayNode rows) {
        Schema schema = schema(request.get("schema"));
        for (JsonNode row : request.get("rows")) {
            avroRow(rows.addObject(), schema, schema, HEX.parseHex(row.asText()));
        }
    }

    static void avroCompatible(JsonNode request, ArrayNode rows) {
        var found = SchemaCompatibility.checkReaderWriterCompatibility(schema(request.get("reader")), schema(request.get("writer")));
        rows.addObject().put("compatible", found.getType() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE)
            .put("why", found.getDescription());
    }

    static void avroRow(ObjectNode row, Schema writer, Schema reader, byte[] bytes) {
        try {
            BinaryDecoder decoder = new DecoderFactory().binaryDecoder(bytes, null);
            Object read = new GenericDatumReader<Object>(writer, reader).read(null, decoder);
            if (!decoder.isEnd()) {
                throw new IllegalStateException("bytes are left over");
            }
            row.set("read", json(read, reader));
        } catch (Exception error) {
            row.put("error", error.toString());
        }
    }

    static Object value(Schema schema, Random random) {
        switch (schema.getType()) {
            case NULL: return null;
            case BOOLEAN: return random.nextBoolean();
            case INT: return random.nextInt() >> random.nextInt(32);
            case LONG: return random.nextLong() >> random.nextInt(64);
            case FLOAT: return (float) (random.nextInt() >> random.nextInt(32)) / 7;
            case DOUBLE: return (double) (random.nextLong() >> random.nextInt(64)) / 7;
            case STRING:
                if (schema.getLogicalType() instanceof LogicalTypes.Uuid) {
                    return new java.util.UUID(random.nextLong(), random.nextLong()).toString();
                }
                return text(random);
            case BYTES:
                return ByteBuffer.wrap(schema.getLogicalType() instanceof LogicalTypes.Decimal decimal
                    ? decimal(decimal, random).toByteArray() : text(random).getBytes(StandardCharsets.UTF_8));
            case FIXED: {
                byte[] bytes = new byte[schema.getFixedSize()];
                random.nextBytes(bytes);
                if (schema.getLogicalType() instanceof LogicalTypes.Decimal decimal) {
                    BigInteger number = decimal(decimal, random);
                    java.util.Arrays.fill(bytes, (byte) (number.signum() < 0 ? 0xff : 0));
                    byte[] digits = number.toByteArray();
                    System.arraycopy(digits, 0, bytes, bytes.length - digits.length, digits.length);
                }
                return new GenericData.Fixed(schema, bytes);
            }
            case ENUM: {
                List<String> symbols = schema.getEnumSymbols();
                return new GenericData.EnumSymbol(schema, symbols.get(random.nextInt(symbols.size())));
            }
            case ARRAY: {
                List<Object> items = new ArrayList<>();
                for (int i = random.nextInt(5); i > 0; i--) items.add(value(schema.getElementType(), random));
                return items;
            }
            case MAP: {
                Map<String, Object> entries = new HashMap<>();
                for (int i = random.nextInt(5); i > 0; i--) entries.put(i + text(random), value(schema.getValueType(), random));
                return entries;
            }
            case UNION: return value(schema.getTypes().get(random.nextInt(schema.getTypes().size())), random);
            case RECORD: {
                GenericData.Record record = new GenericData.Record(schema);
                for (Schema.Field field : schema.getFields()) record.put(field.pos(), value(field.schema(), random));
                return record;
            }
            default: throw new IllegalArgumentException(schema.toString());
        }
    }

    static BigInteger decimal(LogicalTypes.Decimal decimal, Random random) {
        BigInteger bound = BigInteger.TEN.pow(1 + random.nextInt(decimal.getPrecision()));
        BigInteger number = new BigInteger(bound.bitLength() + 8, random).mod(bound);
        return random.nextBoolean() ? number : number.negate();
    }

    static String text(Random random) {
        StringBuilder text = new StringBuilder();
        for (int i = random.nextInt(5); i > 0; i--) text.append(TEXTS[random.nextInt(TEXTS.length)]);
        return text.toString();
    }

    static JsonNode json(Object value, Schema schema) {
        switch (schema.getType()) {
            case NULL: return NODES.nullNode();
            case BOOLEAN: return NODES.booleanNode((Boolean) value);
            case INT: return NODES.numberNode((Integer) value);
            case LONG: return NODES.numberNode((Long) value);
            case FLOAT: return NODES.numberNode(Float.floatToRawIntBits((Float) value));
            case DOUBLE: return NODES.numberNode(Double.doubleToRawLongBits((Double) value));
            case STRING: case ENUM: return NODES.textNode(value.toString());
            case BYTES: {
                ByteBuffer buffer = ((ByteBuffer) value).duplicate();
                byte[] bytes = new byte[buffer.remaining()];
                buffer.get(bytes);
                return NODES.textNode(HEX.formatHex(bytes));
            }
            case FIXED: return NODES.textNode(HEX.formatHex(((GenericFixed) value).bytes()));
            case ARRAY: {
                ArrayNode items = NODES.arrayNode();
                for (Object item : (Iterable<?>) value) items.add(json(item, schema.getElementType()));
                return items;
            }
            case MAP: {
                ObjectNode entries = NODES.objectNode();
                ((Map<?, ?>) value).forEach((key, item) -> entries.set(key.toString(), json(item, schema.getValueType())));
                return entries;
            }
            case UNION: {
                int branch = GenericData.get().resolveUnion(schema, value);
                JsonNode read = json(value, schema.getTypes().get(branch));
                long others = schema.getTypes().stream().filter(type -> type.getType() != Schema.Type.NULL).count();
                if (others < 2 || value == null) return read;
                long place = schema.getTypes().stream().limit(branch).filter(type -> type.getType() != Schema.Type.NULL).count();
                ObjectNode member = NODES.objectNode().put("", place);
                return member.set("value", read);
            }
            case RECORD: {
                ObjectNode fields = NODES.objectNode();
                for (Schema.Field field : schema.getFields()) {
                    fields.set(field.name(), json(((IndexedRecord) value).get(field.pos()), field.schema()));
                }
                return fields;
            }
            default: throw new IllegalArgumentException(schema.toString());
        }
    }

    static Descriptor descriptor(JsonNode request) throws Exception {
        Map<String, FileDescriptor> files = new HashMap<>();
        Descriptor found = null;
        for (FileDescriptorProto file : FileDescriptorSet.parseFrom(HEX.parseHex(request.get("files").asText())).getFileList()) {
            FileDescriptor[] imports = file.getDependencyList().stream().map(files::get).toArray(FileDescriptor[]::new);
            FileDescriptor built = FileDescriptor.buildFrom(file, imports);
            files.put(file.getName(), built);
            Descriptor message = built.findMessageTypeByName(request.get("message").asText());
            found = message == null ? found : message;
        }
        return found;
    }

    static void protobufWrite(JsonNode request, ArrayNode rows) throws Exception {
        Descriptor descriptor = descriptor(request);
        Random random = new Random(request.get("seed").asLong());
        for (int i = 0; i < request.get("count").asInt(); i++) {
            byte[] bytes = message(descriptor, random).toByteArray();
            ObjectNode row = rows.addObject().put("bytes", HEX.formatHex(bytes));
            row.set("read", json(DynamicMessage.parseFrom(descriptor, bytes)));
        }
    }

    static void protobufRead(JsonNode request, ArrayNode rows) throws Exception {
        Descriptor descriptor = descriptor(request);
        for (JsonNode row : request.get("rows")) {
            ObjectNode answer = rows.addObject();
            try {
                Message message = DynamicMessage.parseFrom(descriptor, HEX.parseHex(row.asText()));
                if (!message.getUnknownFields().asMap().isEmpty()) {
                    throw new IllegalStateException("fields that the schema does not have");
                }
                answer.set("read", json(message));
            } catch (Exception error) {
                answer.put("error", error.toString());
            }
        }
    }

    static Message message(Descriptor descriptor, Random random) {
        DynamicMessage.Builder builder = DynamicMessage.newBuilder(descriptor);
        for (FieldDescriptor field : descriptor.getFields()) {
            if (!field.isRequired() && random.nextInt(4) == 0) continue;
            if (field.isMapField()) {
                Map<Object, Message> entries = new HashMap<>();
                for (int i = random.nextInt(4); i > 0; i--) {
                    Message entry = entry(field.getMessageType(), random);
                    entries.put(entry.getField(field.getMessageType().findFieldByNumber(1)), entry);
                }
                entries.values().forEach(entry -> builder.addRepeatedField(field, entry));
            } else if (field.isRepeated()) {
                for (int i = random.nextInt(4); i > 0; i--) builder.addRepeatedField(field, value(field, random));
            } else {
                builder.setField(field, value(field, random));
            }
        }
        return builder.build();
    }

    static Message entry(Descriptor entry, Random random) {
        DynamicMessage.Builder builder = DynamicMessage.newBuilder(entry);
        for (FieldDescriptor part : entry.getFields()) builder.setField(part, value(part, random));
        return builder.build();
    }

    static Object value(FieldDescriptor field, Random random) {
        switch (field.getJavaType()) {
            case INT: return random.nextInt() >> random.nextInt(32);
            case LONG: {
                long value = random.nextLong() >> random.nextInt(64);
                boolean unsigned = field.getType() == FieldDescriptor.Type.UINT64 || field.getType() == FieldDescriptor.Type.FIXED64;
                return unsigned ? value & Long.MAX_VALUE : value;
            }
            case FLOAT: return (float) (random.nextInt() >> random.nextInt(32)) / 7;
            case DOUBLE: return (double) (random.nextLong() >> random.nextInt(64)) / 7;
            case BOOLEAN: return random.nextBoolean();
            case STRING: return text(random);
            case BYTE_STRING: {
                byte[] bytes = new byte[random.nextInt(6)];
                random.nextBytes(bytes);
                return ByteString.copyFrom(bytes);
            }
            case ENUM: {
                List<EnumValueDescriptor> values = field.getEnumType().getValues();
                boolean closed = field.getEnumType().isClosed();
                return closed || random.nextInt(5) > 0
                    ? values.get(random.nextInt(values.size()))
                    : field.getEnumType().findValueByNumberCreatingIfUnknown(random.nextInt() >> random.nextInt(32));
            }
            case MESSAGE: return message(field.getMessageType(), random);
            default: throw new IllegalArgumentException(field.toString());
        }
    }

    static JsonNode json(Message message) {
        ObjectNode fields = NODES.objectNode();
        for (FieldDescriptor field : message.getDescriptorForType().getFields()) {
            if (field.isMapField()) {
                ObjectNode entries = fields.putObject(field.getName());
                FieldDescriptor key = field.getMessageType().findFieldByNumber(1);
                FieldDescriptor value = field.getMessageType().findFieldByNumber(2);
                for (Object each : (List<?>) message.getField(field)) {
                    Message entry = (Message) each;
                    entries.set(json(entry.getField(key), key).asText(), json(entry.getField(value), value));
                }
            } else if (field.isRepeated()) {
                ArrayNode items = fields.putArray(field.getName());
                for (Object item : (List<?>) message.getField(field)) items.add(json(item, field));
            } else if (field.hasPresence() && !message.hasField(field) && !field.hasDefaultValue()) {
                fields.putNull(field.getName());
            } else {
                fields.set(field.getName(), json(message.getField(field), field));
            }
        }
        return fields;
    }

    static JsonNode json(Object value, FieldDescriptor field) {
        switch (field.getJavaType()) {
            case INT: {
                boolean unsigned = field.getType() == FieldDescriptor.Type.UINT32 || field.getType() == FieldDescriptor.Type.FIXED32;
                return unsigned ? NODES.numberNode(Integer.toUnsignedLong((Integer) value)) : NODES.numberNode((Integer) value);
            }
            case LONG: return NODES.numberNode((Long) value);
            case FLOAT: return NODES.numberNode(Float.floatToRawIntBits((Float) value));
            case DOUBLE: return NODES.numberNode(Double.doubleToRawLongBits((Double) value));
            case BOOLEAN: return NODES.booleanNode((Boolean) value);
            case STRING: return NODES.textNode((String) value);
            case BYTE_STRING: return NODES.textNode(HEX.formatHex(((ByteString) value).toByteArray()));
            case ENUM: {
                EnumValueDescriptor symbol = (EnumValueDescriptor) value;
                boolean known = field.getEnumType().findValueByNumber(symbol.getNumber()) != null;
                return NODES.textNode(known ? symbol.getName() : String.valueOf(symbol.getNumber()));
            }
            case MESSAGE: return json((Message) value);
            default: throw new IllegalArgumentException(field.toString());
        }
    }
}
