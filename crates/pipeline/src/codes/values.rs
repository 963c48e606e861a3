//! Codes about single values.

use super::{Code, Entry, Group};

codes! { "Values":
    BAD_DURATION = "MS0301" "bad-duration",
        "a duration cannot be read",
        "A duration is a number with a unit, or several of them, greatest first: `100ms`, `10s`, `1m30s`, \
         `2h`, `7d`. `0` needs no unit.",
        "tumbling: 1 minute";

    BAD_TYPE = "MS0302" "bad-type",
        "a column type cannot be read",
        "There are boolean, int, bigint, float, double, decimal(p, s), string, bytes, date, timestamp(ms), \
         timestamp(us), struct<a: int, ..>, array<..> and map<string, ..>.",
        "schema: {price: number}";

    BAD_START = "MS0303" "bad-start",
        "a start cannot be read",
        "A source starts at `earliest`, `latest`, or a time such as `2026-01-01T00:00:00Z`.",
        "start: beginning";

    BAD_SHARE = "MS0304" "bad-share",
        "a share of failures cannot be read",
        "A share is a percentage and a span of time: `1%/5m`.",
        "fail_above: 5";

    BAD_SIZE = "MS0305" "bad-size",
        "a size cannot be read",
        "A size is a whole number with a unit: `64KiB`, `512MiB`, `1GB`, or `100B` for bytes.",
        "state_memory: 1 gig";

    BAD_ADDRESS = "MS0306" "bad-address",
        "an address cannot be read",
        "It is an IP address and a port: `127.0.0.1:9464`, `0.0.0.0:9464` (everywhere) or `[::1]:9464`.",
        "http: {listen: 9464}";
}
