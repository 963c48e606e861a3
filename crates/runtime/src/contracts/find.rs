//! Finds the schemas that a pipeline wants: files beside it, versions in a registry. What is not there is said, not guessed.

use std::collections::BTreeSet;
use std::path::Path;

use millstream_pipeline::found::{Document, Found, Registered, Wanted};

use super::Subjects;

/// Finds what is `wanted`: files from `folder`, subjects in `registry`. Without a registry subjects are not looked for.
pub fn find(wanted: &[Wanted], folder: &Path, registry: Option<&dyn Subjects>) -> Found {
    let mut found = Found::nothing();
    for wanted in wanted {
        let document = match (wanted, registry) {
            (Wanted::File(path), _) => file(folder, path),
            (Wanted::Subject { subject, version }, Some(registry)) => {
                registry.version(subject, super::version(*version)).map_err(|error| error.to_string()).map(|answer| {
                    let references = answer.schema.references.into_iter();
                    Document {
                        text: answer.schema.text,
                        references: references.map(|other| (other.reference.name, other.text)).collect(),
                        registered: Some(Registered {
                            subject: answer.subject,
                            version: answer.version,
                            id: answer.id,
                        }),
                    }
                })
            }
            (Wanted::Subject { .. }, None) => continue,
        };
        found.add(wanted.clone(), document);
    }
    found
}

fn file(folder: &Path, path: &str) -> Result<Document, String> {
    let text = read(&folder.join(path))?;
    let mut references = Vec::new();
    if path.ends_with(".proto") {
        let within = Path::new(path).parent().unwrap_or(Path::new(""));
        let roots = [folder.join(within), folder.to_owned()];
        imports(&text, &roots, &mut BTreeSet::new(), &mut references)?;
    }
    Ok(Document { text, references, registered: None })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    })
}

/// Adds what a `.proto` text imports, each behind what it imports itself. Google's own files come with the compiler.
fn imports(
    text: &str,
    roots: &[std::path::PathBuf],
    seen: &mut BTreeSet<String>,
    references: &mut Vec<(String, String)>,
) -> Result<(), String> {
    for name in text.lines().filter_map(imported) {
        if name.starts_with("google/protobuf/") || !seen.insert(name.to_owned()) {
            continue;
        }
        let found = roots.iter().map(|root| root.join(name)).find(|path| path.is_file());
        let path =
            found.ok_or_else(|| format!("it imports {name}, which is neither beside it nor beside the pipeline"))?;
        let text = read(&path).map_err(|error| format!("{name}: {error}"))?;
        imports(&text, roots, seen, references)?;
        references.push((name.to_owned(), text));
    }
    Ok(())
}

/// The file that a line imports.
fn imported(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("import")?.trim_start();
    let rest = rest.strip_prefix("public").or(rest.strip_prefix("weak")).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(['"', '\''])?;
    rest.split(['"', '\'']).next()
}

#[cfg(test)]
mod tests {
    use super::imported;

    #[test]
    fn imports_are_found() {
        assert_eq!(imported("import \"shop/order.proto\";"), Some("shop/order.proto"));
        assert_eq!(imported("  import public 'a.proto'; // so"), Some("a.proto"));
        assert_eq!(imported("message imported { string a = 1; }"), None);
    }
}
