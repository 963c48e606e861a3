#!/usr/bin/env python3
"""Python's fastavro behind lines of JSON, as `Codecs.java` is: the operations `avro-write` (by one schema) and `avro-read`,
with values in the same form. Logical types are left to whoever asks: a decimal is its bytes, a time its number."""
import io, json, random, struct, sys

import fastavro

TEXTS = ["a", "Ulm", "é", "😀", "\n", '"', ""]


def kind(schema):
    return schema if isinstance(schema, str) else "union" if isinstance(schema, list) else schema["type"]


def plain(schema):
    """The schema without logical types."""
    if isinstance(schema, list):
        return [plain(branch) for branch in schema]
    if isinstance(schema, dict):
        own = {key: value for key, value in schema.items() if key != "logicalType"}
        for inner in ("type", "items", "values"):
            if isinstance(own.get(inner), (dict, list)):
                own[inner] = plain(own[inner])
        if "fields" in own:
            own["fields"] = [plain(field) for field in own["fields"]]
        return own
    return schema


def text(r):
    return "".join(r.choice(TEXTS) for _ in range(r.randrange(5)))


def value(s, r):
    t = kind(s)
    if t == "union":
        return value(r.choice(s), r)
    if t == "null":
        return None
    if t == "boolean":
        return r.random() < 0.5
    if t in ("int", "long"):
        bits = 31 if t == "int" else 63
        return r.randrange(-2**bits, 2**bits) >> r.randrange(bits)
    if t == "float":
        return struct.unpack("<f", struct.pack("<f", r.randrange(-2**31, 2**31) / 7))[0]
    if t == "double":
        return r.randrange(-2**63, 2**63) / 7
    if t == "string":
        return text(r)
    if t in ("bytes", "fixed"):
        if not isinstance(s, str) and s.get("logicalType") == "decimal":
            number = r.randrange(10 ** s["precision"]) * r.choice([-1, 1])
            return number.to_bytes(s.get("size", number.bit_length() // 8 + 1), "big", signed=True)
        return bytes(r.randrange(256) for _ in range(r.randrange(6) if t == "bytes" else s["size"]))
    if t == "enum":
        return r.choice(s["symbols"])
    if t == "array":
        return [value(s["items"], r) for _ in range(r.randrange(5))]
    if t == "map":
        return {f"{i}{text(r)}": value(s["values"], r) for i in range(r.randrange(5))}
    return {field["name"]: value(field["type"], r) for field in s["fields"]}


PYTHON = {"boolean": bool, "int": int, "long": int, "float": float, "double": float, "string": str, "bytes": bytes,
          "record": dict}


def as_json(v, s):
    t = kind(s)
    if v is None:
        return None
    if t == "union":
        others = [branch for branch in s if branch != "null"]
        if len(others) == 1:
            return as_json(v, others[0])
        place = next(i for i, branch in enumerate(others) if type(v) is PYTHON[kind(branch)])
        return {"": place, "value": as_json(v, others[place])}
    if t == "float":
        return struct.unpack("<i", struct.pack("<f", v))[0]
    if t == "double":
        return struct.unpack("<q", struct.pack("<d", v))[0]
    if t in ("bytes", "fixed"):
        return v.hex()
    if t == "array":
        return [as_json(item, s["items"]) for item in v]
    if t == "map":
        return {key: as_json(item, s["values"]) for key, item in v.items()}
    if t == "record":
        return {field["name"]: as_json(v[field["name"]], field["type"]) for field in s["fields"]}
    return v


def read(encoded, schema, parsed):
    stream = io.BytesIO(encoded)
    found = fastavro.schemaless_reader(stream, parsed, None)
    if stream.read():
        raise ValueError("bytes are left over")
    return as_json(found, schema)


def answer(request):
    rows = []
    if request["op"] == "avro-write":
        schema, r = request["writer"], random.Random(request["seed"])
        parsed = fastavro.parse_schema(plain(schema))
        for _ in range(request["count"]):
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed, value(schema, r))
            rows.append({"bytes": out.getvalue().hex(), "read": read(out.getvalue(), schema, parsed)})
    else:
        schema = request["schema"]
        parsed = fastavro.parse_schema(plain(schema))
        for encoded in request["rows"]:
            try:
                rows.append({"read": read(bytes.fromhex(encoded), schema, parsed)})
            except Exception as error:
                rows.append({"error": repr(error)})
    return {"rows": rows}


print("fastavro", fastavro.__version__, file=sys.stderr)
for line in sys.stdin:
    try:
        said = answer(json.loads(line))
    except Exception as error:
        said = {"error": repr(error)}
    print(json.dumps(said), flush=True)
