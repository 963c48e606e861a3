# What there is.
default:
    @just --list

# Trades, candles, a table: no broker needed.
demo:
    cargo run --release -- demo

# The same, killed in the middle and resumed.
demo-crash:
    cargo run --release -- demo --crash

# Run pipelines over a folder of topics on this machine, without a broker.
run-folder dir="./data" pipelines="pipelines/trades-ohlc.yaml":
    cargo run --release -- run --local {{dir}} {{pipelines}}

# Run pipelines over the broker on this machine (KAFKA_BROKER_ADDRESS, by default localhost:19092).
run-local pipelines="pipelines/trades-ohlc.yaml" *args:
    KAFKA_BROKER_ADDRESS="${KAFKA_BROKER_ADDRESS:-localhost:19092}" cargo run --release -- run {{args}} {{pipelines}}

# The same from a container in the compose network (by default redpanda:9092).
run-docker pipelines="pipelines/trades-ohlc.yaml" *args:
    KAFKA_BROKER_ADDRESS="${KAFKA_BROKER_ADDRESS:-redpanda:9092}" cargo run --release -- run {{args}} {{pipelines}}

# The same from container to container (by default redpanda:29092).
run-internal pipelines="pipelines/trades-ohlc.yaml" *args:
    KAFKA_BROKER_ADDRESS="${KAFKA_BROKER_ADDRESS:-redpanda:29092}" cargo run --release -- run {{args}} {{pipelines}}

# Broker, millstream, Prometheus and Grafana in containers.
up:
    docker compose -f deploy/docker-compose.yaml up --build --detach

# End them; their volumes stay.
down:
    docker compose -f deploy/docker-compose.yaml down

# A Kafka of one node on this machine, without Docker (needs Java 17; Maven fetches it once): `just broker trades:4 quotes`.
broker *topics:
    cargo run --release -p millstream-harness --bin broker -- --port 19092 --folder ./data/kafka {{topics}}

# The whole suite, as CI runs it. Tests on a real broker say so when they are skipped for want of Java.
test:
    cargo test --workspace

# Kills, stops, sleeps, wiped state, brokers that die, by a seed: `just torture KILLS=10000 SEED=7`. The oracle looks after
# every fifteen.
torture *settings:
    env KILLS=1000 {{settings}} cargo test -p millstream-cli --test kafka torture

# Steady load for as long as asked, to see whether memory grows: `just soak MINUTES=60 RATE=500`.
soak *settings:
    env MINUTES=60 {{settings}} cargo test -p millstream-cli --test kafka soak

# All tests of all case files over a real broker, with a commit and with a crash after every record. The suite takes a third.
cases:
    CASES_SHARE=1 cargo test -p millstream-cli --test kafka cases::case_files

# How long a lone record takes over a real broker, behind short and long silences, with TLS and without. Five minutes.
lone-records:
    RECORDS=20 cargo test -p millstream-cli --test kafka latency

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
