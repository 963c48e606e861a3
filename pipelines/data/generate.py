#!/usr/bin/env python3
"""Writes the sample data of the example pipelines beside this script: seeded, so always the same.

    python3 pipelines/data/generate.py

Each file is the input of one source and named as its topic. To run a pipeline over it:

    millstream topic create --local DIR trades
    millstream topic produce --local DIR --key-field symbol trades pipelines/data/trades.jsonl
    millstream run --local DIR --until-end pipelines/trades-ohlc.yaml
    millstream topic consume --local DIR ohlc-1m
"""

import base64
import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).parent
BEGIN = datetime(2026, 1, 1, 8, 0, 0, tzinfo=timezone.utc)


def at(seconds: float) -> str:
    """The time so many seconds after the beginning, to the millisecond."""
    time = BEGIN + timedelta(milliseconds=round(seconds * 1000))
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def write_json(topic: str, rows: list[dict]) -> None:
    lines = [json.dumps(row, separators=(",", ":")) for row in rows]
    (HERE / f"{topic}.jsonl").write_text("\n".join(lines) + "\n")


def trades(seed: random.Random) -> None:
    prices = {"AAPL": 190.0, "MSFT": 410.0, "NVDA": 875.0}
    rows = []
    for second in range(0, 300, 2):
        symbol = seed.choice(sorted(prices))
        prices[symbol] = round(prices[symbol] * (1 + seed.gauss(0, 0.0008)), 2)
        behind = seed.choice([0, 0, 0, 1.5, 4])
        rows.append({
            "symbol": symbol,
            "venue": seed.choice(["XNAS", "XNAS", "XNAS", "XLON"]),
            "price": prices[symbol],
            "qty": seed.randrange(1, 20) * 10,
            "ts": at(max(0, second + seed.random() - behind)),
        })
    write_json("trades", rows)


def telemetry(seed: random.Random) -> None:
    rows = []
    for second in range(120):
        brake = seed.choice([0, 0, 0, round(seed.random() * 0.5, 2), round(0.5 + seed.random() * 0.5, 2), None])
        vehicle = seed.choice(["truck-7", "truck-9", "van-2"])
        rows.append({"vehicle": vehicle, "speed": round(seed.uniform(30, 110), 1), "brake": brake, "ts": at(second)})
    write_json("telemetry", rows)


def g_forces(seed: random.Random) -> None:
    streams = ["front-left", "front-right", "rear"]
    write_json("g-forces", [{"stream_id": seed.choice(streams), "g_force": round(seed.gauss(0, 1), 3)} for _ in range(120)])


def accelerations(seed: random.Random) -> None:
    rows = []
    for step in range(150):
        x, y, z = (round(seed.gauss(mean, 0.3), 3) for mean in (0, 0, 1))
        rows.append({"vehicle": seed.choice("ab"), "x": x, "y": y, "z": z, "ts": at(step * 12 + seed.random())})
    write_json("accelerations", rows)


def radar(seed: random.Random) -> None:
    rows = []
    for second in range(0, 600, 6):
        photo = base64.b64encode(seed.randbytes(12)).decode()
        number = seed.randrange(100, 999)
        rows.append({
            "plate": f"M-{seed.choice('ABCDE')}{seed.choice('KLM')} {number}",
            "speed": round(seed.gauss(122, 15), 1),
            "road": seed.choice(["A8", "A9", "A99"]),
            "photo": photo,
            "driver": {"name": seed.choice(["Ada", "Grace", "Alan", "Edsger"]), "license": f"L-{number}"},
            "ts": at(second),
        })
    write_json("radar", rows)


def clicks(seed: random.Random) -> None:
    pages = ["/home", "/search", "/product/1", "/product/2", "/cart", "/checkout"]
    rows = []
    for user in ("u1", "u2", "u3", "u4"):
        second = seed.uniform(0, 1800)
        for _ in range(seed.randrange(20, 40)):
            rows.append((second, {"user_id": user, "page": seed.choice(pages), "ts": at(second)}))
            second += seed.choice([20, 45, 90, 300, 2400]) * seed.uniform(0.5, 1.5)
    write_json("clicks", [row for _, row in sorted(rows, key=lambda row: row[0])])


def bids(seed: random.Random) -> None:
    prices = {"vase": 1_000, "lamp": 2_500, "chair": 4_000}
    rows = []
    for second in range(0, 1800, 12):
        item = seed.choice(sorted(prices))
        prices[item] += seed.randrange(0, 200)
        bidder = f"bidder-{seed.randrange(1, 12)}"
        rows.append({"item": item, "bidder": bidder, "price": prices[item], "ts": at(second + seed.random())})
    write_json("bids", rows)


def transactions(seed: random.Random) -> None:
    rows = []
    for number in range(120):
        rows.append({
            "user_id": seed.randrange(1, 9),
            "transaction_id": f"t-{number}",
            "region": seed.choice(["eu", "us", "asia"]),
            "amount": f"{seed.randrange(100, 20_000) / 100:.2f}",
        })
    write_json("transactions", rows)


def shop_events(seed: random.Random) -> None:
    skus = ["cup", "pot", "bowl", "plate"]
    rows = []
    for order in range(1, 41):
        items = [{"sku": sku, "qty": seed.randrange(1, 5)} for sku in seed.sample(skus, seed.randrange(1, 4))]
        rows.append({"type": "order", "order_id": order, "customer": seed.choice(["ada", "bob", "eve"]), "items": items})
        if seed.random() < 0.9:
            amount = round(seed.uniform(5, 200), 2)
            rows.append({"type": "payment", "order_id": order, "amount": amount, "method": seed.choice(["card", "cash"])})
        if seed.random() < 0.8:
            rows.append({"type": "shipment", "order_id": order, "carrier": seed.choice(["post", "courier"])})
        if seed.random() < 0.1:
            rows.append({"type": "refund", "order_id": order, "amount": 5.0})
    write_json("shop-events", rows)


def temperatures(seed: random.Random) -> None:
    celsius = {"hall": 21.0, "oven": 79.0, "cellar": 12.0}
    lines = []
    for second in range(0, 600, 4):
        sensor = seed.choice(sorted(celsius))
        celsius[sensor] += seed.gauss(0, 1.2)
        reading = "NA" if seed.random() < 0.03 else f"{celsius[sensor]:.1f}"
        lines.append(f"{sensor};{reading};{at(second + seed.random())}")
    (HERE / "temperatures.csv").write_text("\n".join(lines) + "\n")


def main() -> None:
    for number, make in enumerate((
        trades, telemetry, g_forces, accelerations, radar, clicks, bids, transactions, shop_events, temperatures,
    )):
        make(random.Random(f"millstream-{number}"))


if __name__ == "__main__":
    main()
