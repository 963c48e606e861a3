//! The page of all codes.

use super::NOTE;
use crate::codes::GROUPS;

pub(super) fn page() -> String {
    let mut text = format!(
        "{NOTE}# Diagnostics\n\nEvery mistake in a pipeline has a code that never changes its meaning. `millstream \
         check` shows all of them at once, each with its place; `--json` gives them to tools.\n"
    );
    for group in GROUPS {
        text += &format!("\n## {}\n", group.title);
        for code in group.codes {
            let entry = code.entry();
            text += &format!("\n### {} `{}`\n\n{}.\n", entry.id, entry.name, sentence(entry.title));
            if !entry.explanation.is_empty() {
                text += &format!("\n{}\n", entry.explanation);
            }
            if !entry.example.is_empty() {
                text += &format!("\n```yaml\n# wrong\n{}\n```\n", entry.example);
            }
        }
    }
    text
}

fn sentence(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
