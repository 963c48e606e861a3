//! Codes about files and YAML itself.

use super::{Code, Entry, Group};

codes! { "Files and YAML":
    FILE_TOO_LARGE = "MS0101" "file-too-large",
        "the file is too large",
        "A pipeline is at most 1 MB of text. Something else was probably named.",
        "";

    TOO_DEEP = "MS0102" "too-deep",
        "values stand in each other too deep",
        "Lists and mappings stand in each other at most 64 deep.",
        "steps: [[[[[[[[[[..]]]]]]]]]]";

    YAML_SYNTAX = "MS0103" "yaml-syntax",
        "the file is not YAML",
        "The text cannot be read as YAML. Often the indentation is off, a quote or bracket is not closed, or \
         a text that holds `: ` or ` #`, or begins with a special character, wants quotes.",
        "steps:\n  - filter: 'price > 0";

    DUPLICATE_KEY = "MS0104" "duplicate-key",
        "a key stands twice in one mapping",
        "Most readers of YAML silently take the last one. Keep one of them.",
        "sources:\n  trades: {format: json}\n  trades: {format: csv}";

    ANCHOR = "MS0105" "anchor",
        "anchors and aliases are not supported",
        "A pipeline says what it means where it means it: write the value out.",
        "a: &x 1\nb: *x";

    TAG = "MS0106" "tag",
        "YAML tags are not supported",
        "Types are declared in the schema, so `!!int` and the like have no meaning. Leave the tag out, or put \
         the text in quotes.",
        "version: !!int 1";

    SEVERAL_DOCUMENTS = "MS0107" "several-documents",
        "a file holds one pipeline",
        "Everything behind a second `---` would not be read. Use one file for each pipeline; `run` takes \
         several files or a folder.",
        "version: 1\n---\nversion: 1";

    KEY_NOT_TEXT = "MS0108" "key-not-text",
        "a key must be a name",
        "Keys of mappings are text: no lists, mappings or nulls.",
        "steps:\n  - {[a, b]: c}";

    EMPTY_FILE = "MS0109" "empty-file",
        "the file is empty",
        "There is no pipeline in it.",
        "# only a comment";
}
