# The broker for recipes that need one; the conventional host port of the compose file.
broker := env_var_or_default("KAFKA_BROKER_ADDRESS", "localhost:19092")

# What there is.
default:
    @just --list

# Trades, candles, a table: no broker needed.
demo:
    cargo run --release -- demo

# The same, killed in the middle and resumed.
demo-crash:
    cargo run --release -- demo --crash

# Run pipelines over a folder of topics on this machine.
run-local dir="./data" pipelines="pipelines/trades-ohlc.yaml":
    cargo run --release -- run --local {{dir}} {{pipelines}}

# A Kafka of one node on this machine, without Docker (needs Java 17; Maven fetches it once): `just broker trades:4 quotes`.
broker *topics:
    cargo run --release -p millstream-harness --bin broker -- --port 19092 --folder ./data/kafka {{topics}}

# The whole suite, as CI runs it. Tests on a real broker say so when they are skipped for want of Java.
test:
    cargo test --workspace

# The examples' own tests.
test-pipelines:
    cargo run --release -- test pipelines/

# Everything that must hold before a change lands.
ci:
    .ci/run

# Seeded Nexmark workloads in memory: records/s, CPU-seconds per million records, peak memory.
bench *args:
    cargo run --release -- bench {{args}}

# Kernels, by Criterion.
bench-kernels:
    cargo bench --workspace

# The reference pages, written anew from the doc comments.
reference:
    UPDATE_REFERENCE=1 cargo test -p millstream-pipeline --test reference
    UPDATE_REFERENCE=1 cargo test -p millstream-runtime --test operations
