//! Codes about columns and expressions.

use super::{Code, Entry, Group};

codes! { "Columns and expressions":
    SQL_SYNTAX = "MS0601" "sql-syntax",
        "the expression is not SQL",
        "",
        "filter: price >";

    UNKNOWN_COLUMN = "MS0602" "unknown-column",
        "there is no such column",
        "Columns are case-sensitive, and only those that the steps before leave can be read.",
        "filter: prise > 0";

    UNKNOWN_FUNCTION = "MS0603" "unknown-function",
        "there is no such function",
        "",
        "map: {a: uper(symbol)}";

    SQL_TYPE = "MS0604" "sql-type",
        "types do not fit",
        "",
        "map: {a: price + symbol}";

    VOLATILE_FUNCTION = "MS0605" "volatile-function",
        "a function whose value is not decided by the row",
        "`now()`, `random()`, `uuid()` would give another result after a restart. Read `_timestamp` or a \
         column instead.",
        "filter: ts > now()";

    UNSUPPORTED_SQL = "MS0606" "unsupported-sql",
        "SQL that has no place in a pipeline",
        "Expressions are scalars over one row: no subqueries, no OVER; aggregates stand in `aggregates` only.",
        "filter: sum(price) > 0";

    NOT_BOOLEAN = "MS0607" "not-boolean",
        "a condition is not boolean",
        "",
        "filter: price";

    RESERVED_COLUMN = "MS0608" "reserved-column",
        "a column has a reserved name",
        "Names of system columns (`_key`, `_timestamp`, `_topic`, `_partition`, `_offset`, `_headers`, `_schema`), and \
         `window_start` and `window_end` of a window, are taken.",
        "map: {_key: symbol}";

    COLUMN_NAME = "MS0609" "column-name",
        "the name of a column is not valid",
        "",
        "map: {\"\": price}";

    DUPLICATE_COLUMN = "MS0610" "duplicate-column",
        "a column stands twice",
        "",
        "select: [a, a]";

    COLUMN_CLASH = "MS0611" "column-clash",
        "two columns would have one name",
        "",
        "rename: {a: b}";

    UNTYPED_COLUMN = "MS0612" "untyped-column",
        "the type of a column cannot be told",
        "A bare `null` has no type: write `cast(null as string)`.",
        "map: {a: null}";

    NOT_A_LIST = "MS0613" "not-a-list",
        "only a list can be unnested",
        "",
        "unnest: price";

    BAD_CAST = "MS0614" "bad-cast",
        "the type cannot be changed so",
        "",
        "cast: {tags: int}";
}
