#!/usr/bin/env python3
"""Writes `fastavro.jsonl`: pairs of schemas that have grown apart, a value written by the one, and what fastavro reads by
the other (or that it refuses). Seeded: the same fastavro writes the same file. Run by hand: pip install fastavro==1.13.1,
then `./fastavro_pairs.py > fastavro.jsonl`.

Left out, because there fastavro differs from the specification or from Java by choice: two numbers (or string and bytes) in
one union of the reader, where it takes the first and not the nearest; integers of more digits than a float has; defaults of
bytes, which it gives as text; reader's types that are always null, which are no columns and so are not read.
"""
import base64, copy, io, json, random, sys
import fastavro

R = random.Random(20260101)
PAIRS = 700
names = 0


def name(prefix):
    global names
    names += 1
    return f"{prefix}{names}"


def kind(depth):
    k = R.choice(["int", "int", "long", "long", "float", "double", "string", "string", "bytes", "boolean", "enum", "fixed"]
                 + (["array", "map", "record", "null", "union"] if depth else []))
    if k == "enum":
        return {"type": "enum", "name": name("E"), "symbols": R.sample(["A", "B", "C", "D"], R.randint(1, 4))}
    if k == "fixed":
        return {"type": "fixed", "name": name("F"), "size": R.randint(1, 3)}
    if k == "array":
        return {"type": "array", "items": kind(depth - 1)}
    if k == "map":
        return {"type": "map", "values": kind(depth - 1)}
    if k == "record":
        return record(depth - 1)
    if k == "null":
        other = kind(depth - 1)
        if isinstance(other, list):
            return other
        return R.choice([["null", other], [other, "null"]])
    if k == "union":
        branches = [R.choice(["int", "long", "float", "double"]), R.choice(["string", "bytes"]), "boolean", "null"]
        R.shuffle(branches)
        return branches[:R.randint(2, 4)]
    return k


def record(depth):
    return {"type": "record", "name": name("R"),
            "fields": [{"name": f"f{i}", "type": kind(depth)} for i in range(R.randint(1, 4))]}


PROMOTED = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"],
            "string": ["bytes"], "bytes": ["string"]}


def evolve(s, chance=0.3):
    """The schema, somewhat changed: mostly so that it can still be read."""
    if isinstance(s, list):
        out = [evolve(b, chance / 2) for b in s]
        if R.random() < chance:
            R.shuffle(out)
        if R.random() < chance / 2 and len(out) > 1:
            out.pop()
        if not distinct(out) or out == ["null"]:
            out = copy.deepcopy(s)
        if R.random() < chance / 3:
            return R.choice([b for b in out if b != "null"])
        return out
    if isinstance(s, str):
        if R.random() < chance:
            if s in PROMOTED and R.random() < 0.8:
                s = R.choice(PROMOTED[s])
            elif R.random() < 0.3:
                s = R.choice(["int", "long", "float", "double", "string", "bytes", "boolean"])
        return wrapped(s, chance)
    s = copy.deepcopy(s)
    t = s["type"]
    if t == "array":
        s["items"] = evolve(s["items"], chance)
    elif t == "map":
        s["values"] = evolve(s["values"], chance)
    elif t == "enum" and R.random() < chance:
        s["symbols"] = R.sample(["A", "B", "C", "D", "X"], R.randint(1, 5))
        if R.random() < 0.6:
            s["default"] = R.choice(s["symbols"])
    elif t == "fixed" and R.random() < chance / 4:
        s["size"] += 1
    elif t == "record":
        fields = []
        for f in s["fields"]:
            if R.random() < chance / 2:
                continue
            f["type"] = evolve(f["type"], chance)
            if R.random() < chance / 2:
                f["aliases"] = ["other", f["name"]]
                f["name"] = f["name"] + "_new"
            fields.append(f)
        for i in range(R.randint(0, 2) if R.random() < chance else 0):
            fields.append(added(f"n{i}"))
        if R.random() < chance:
            R.shuffle(fields)
        s["fields"] = fields or [added("n9")]
    if t in ("record", "enum", "fixed") and R.random() < chance / 4:
        old = s["name"]
        s["name"] = name("Z")
        if R.random() < 0.7:
            s["aliases"] = [old]
    return wrapped(s, chance)


def wrapped(s, chance):
    if s == "null" or R.random() > chance / 2:
        return s
    return ["null", s]


def added(n):
    t, d = R.choice([("int", 5), ("string", "d"), (["null", "long"], None), ("double", 1.5), ("boolean", True),
                     ({"type": "array", "items": "long"}, [1, 2]), ({"type": "map", "values": "string"}, {"k": "v"}),
                     ({"type": "record", "name": name("N"), "fields": [{"name": "x", "type": "long"}]}, {"x": 7}),
                     ("int", ...)])
    return {"name": n, "type": t} if d is ... else {"name": n, "type": t, "default": d}


def distinct(branches):
    group = {"int": "number", "long": "number", "float": "number", "double": "number", "string": "text", "bytes": "text"}
    keys = [group.get(b, b) if isinstance(b, str) else b.get("name", b["type"]) if isinstance(b, dict) else "union"
            for b in branches]
    return len(set(keys)) == len(keys) and "union" not in keys


def value(s):
    if isinstance(s, list):
        return value(R.choice(s))
    t = s if isinstance(s, str) else s["type"]
    if t == "null":
        return None
    if t == "boolean":
        return R.random() < 0.5
    if t in ("int", "long"):
        return R.randint(-2**20, 2**20)
    if t in ("float", "double"):
        return R.randint(-2**16, 2**16) / 8
    if t == "string":
        return "".join(R.choice("abé") for _ in range(R.randint(0, 4)))
    if t == "bytes":
        return bytes(R.choice([0x61, 0x62, 0x63, 0xff] if R.random() < 0.2 else [0x61, 0x62, 0x63]) for _ in range(R.randint(0, 4)))
    if t == "enum":
        return R.choice(s["symbols"])
    if t == "fixed":
        return bytes(R.randint(0, 255) for _ in range(s["size"]))
    if t == "array":
        return [value(s["items"]) for _ in range(R.randint(1, 3))]
    if t == "map":
        return {f"k{i}": value(s["values"]) for i in range(R.randint(1, 3))}
    return {f["name"]: value(f["type"]) for f in s["fields"]}


def branch_of(v, s):
    for b in s:
        t = b if isinstance(b, str) else b["type"]
        if isinstance(v, bool):
            if t == "boolean":
                return b
        elif isinstance(v, (int, float)):
            if t in ("int", "long", "float", "double"):
                return b
        elif isinstance(v, (str, bytes)):
            if t in ("string", "bytes"):
                return b
    raise AssertionError((v, s))


def as_json(v, s):
    """The value as our columns have it, in JSON."""
    if isinstance(s, list):
        others = [b for b in s if b != "null"]
        if not others or v is None:
            return None
        if len(others) == 1:
            return as_json(v, others[0])
        b = branch_of(v, others)
        return {o: (as_json(v, o) if o == b else None) for o in others}
    t = s if isinstance(s, str) else s["type"]
    if t in ("bytes", "fixed"):
        raw = v if isinstance(v, bytes) else v.encode()
        return base64.b64encode(raw).decode()
    if t in ("float", "double"):
        return float(v)
    if t == "array":
        return [as_json(x, s["items"]) for x in v]
    if t == "map":
        return {k: as_json(x, s["values"]) for k, x in v.items()}
    if t == "record":
        return {f["name"]: as_json(v[f["name"]], f["type"]) for f in s["fields"] if f["type"] not in ("null", ["null"])}
    return v


def main():
    done = 0
    while done < PAIRS:
        writer = record(2)
        reader = evolve(writer)
        if isinstance(reader, list):
            reader = reader[1]
        v = value(writer)
        out = io.BytesIO()
        w, r = fastavro.parse_schema(copy.deepcopy(writer)), fastavro.parse_schema(copy.deepcopy(reader))
        fastavro.schemaless_writer(out, w, v)
        line = {"writer": writer, "reader": reader, "bytes": out.getvalue().hex()}
        try:
            read = fastavro.schemaless_reader(io.BytesIO(out.getvalue()), w, r)
        except Exception as error:
            line["refused"] = type(error).__name__
        else:
            line["read"] = as_json(read, reader)
        print(json.dumps(line, separators=(",", ":"), ensure_ascii=False))
        done += 1


main()
