//! Codes about placeholders.

use super::{Code, Entry, Group};

codes! { "Placeholders":
    PLACEHOLDER_UNRESOLVED = "MS0401" "placeholder-unresolved",
        "a placeholder has no value",
        "The environment variable is not set, or the file cannot be read. `${env:NAME:-default}` gives a \
         default.",
        "topic: ${env:TOPIC}";

    PLACEHOLDER_SYNTAX = "MS0402" "placeholder-syntax",
        "a placeholder cannot be read",
        "Placeholders are `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}`. A literal `${` is written \
         `$${`.",
        "topic: ${TOPIC}";
}
