//! Finds the schemas that a pipeline wants: files beside it, versions in a registry, and what these refer to. What is not there
//! is said, not guessed.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use millstream_formats::protobuf::ProtobufSchema;
use millstream_pipeline::found::{Document, Found, NotFound, Referred, Registered, Wanted, subjects_of_file, wanted};
use millstream_pipeline::spec::Pipeline;

use super::{Subjects, refers};
use crate::registry::{
    Missing, Reference, RegisteredSchema, RegistryError, SchemaKind, SubjectVersion, Version, Which,
};

/// The most schemas that a file may refer to, all in all.
const REFERENCES: usize = 256;

/// What came of looking for schemas.
#[derive(Debug, Clone)]
pub struct Searched {
    /// What was found, and what was not.
    pub found: Found,
    /// Why there may be more another time: the registry did not answer, or not as one, or refused access.
    pub away: Option<RegistryError>,
}

/// Finds what `pipeline` wants: files from `folder`, subjects in `registry`. Without a registry subjects are not looked for.
pub fn find(pipeline: &Pipeline, folder: &Path, registry: Option<&dyn Subjects>) -> Searched {
    let mut found = Found::nothing();
    let asked = registry.map(|registry| Asked { registry, away: RefCell::default() });
    for wanted in wanted(pipeline) {
        let document = match (&wanted, &asked) {
            (Wanted::File(path), _) => {
                let subjects = subjects_of_file(pipeline, path);
                let asked = asked.as_ref().map(|registry| Beside { registry, subjects, known: OnceCell::new() });
                file(folder, path, asked)
            }
            (Wanted::Subject { subject, version }, Some(asked)) => {
                let version = super::version(*version);
                asked.version(subject, version).map(of_version).map_err(|error| not_found(subject, version, &error))
            }
            (Wanted::Subject { .. }, None) => continue,
        };
        found.add(wanted, document);
    }
    Searched { found, away: asked.and_then(|asked| asked.away.into_inner()) }
}

/// A registry, and the first time that it was away or let nobody in.
struct Asked<'a> {
    registry: &'a dyn Subjects,
    away: RefCell<Option<RegistryError>>,
}

impl Asked<'_> {
    fn version(&self, subject: &str, version: Version) -> Result<SubjectVersion, RegistryError> {
        let answer = self.registry.version(subject, version, Which::Present);
        let is_away = |error: &&RegistryError| error.may_pass() || error.is_refusal();
        if let Some(error) = answer.as_ref().err().filter(is_away) {
            self.away.borrow_mut().get_or_insert_with(|| error.clone());
        }
        answer
    }
}

/// The registry, for what a file refers to.
struct Beside<'a> {
    registry: &'a Asked<'a>,
    /// The subjects under which the file's schema stands.
    subjects: Vec<String>,
    /// What their latest versions refer to, once that was asked.
    known: OnceCell<Vec<Reference>>,
}

impl Beside<'_> {
    /// The version of a subject that a schema calls by `name`: where the latest version of the schema refers to that, it says
    /// which; else it is the latest of the subject of that name, as clients of registries name it.
    fn version(&self, name: &str) -> Result<SubjectVersion, RegistryError> {
        let known = match self.known.get() {
            Some(known) => known,
            None => {
                let asked = self.subjects.iter().map(|subject| super::references(&|of| self.latest(of), subject));
                let asked = asked.collect::<Result<Vec<_>, _>>()?;
                self.known.get_or_init(|| asked.concat())
            }
        };
        match known.iter().find(|reference| reference.name == name) {
            Some(place) => {
                let version = u32::try_from(place.version).map_or(Version::Latest, Version::Number);
                self.registry.version(&place.subject, version)
            }
            None => self.latest(name),
        }
    }

    fn latest(&self, subject: &str) -> Result<SubjectVersion, RegistryError> {
        self.registry.version(subject, Version::Latest)
    }
}

/// Why there is no such version, or why that is not known. A version that refers to something that is gone is not absent.
fn not_found(subject: &str, version: Version, error: &RegistryError) -> NotFound {
    let asked = Missing::Version { subject: subject.to_owned(), version };
    match error {
        RegistryError::NotFound { missing, .. } if *missing == asked => NotFound::Absent(error.to_string()),
        _ => NotFound::Unknown(error.to_string()),
    }
}

fn of_version(answer: SubjectVersion) -> Document {
    let (text, references) = of_registry(answer.schema);
    let registered = Registered { subject: answer.subject, version: answer.version, id: answer.id };
    Document { text, references, registered: Some(registered) }
}

/// A schema's text, and what it refers to.
fn of_registry(schema: RegisteredSchema) -> (String, Vec<Referred>) {
    let references = schema.references.into_iter().map(|other| {
        let place = u32::try_from(other.reference.version).ok().map(|version| (other.reference.subject, version));
        Referred { name: other.reference.name, text: other.text, place }
    });
    (schema.text, references.collect())
}

fn file(folder: &Path, path: &str, registry: Option<Beside<'_>>) -> Result<Document, NotFound> {
    let text = read(&folder.join(path)).map_err(NotFound::Absent)?;
    let kind = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("proto") => SchemaKind::Protobuf,
        Some("json") => SchemaKind::JsonSchema,
        _ => SchemaKind::Avro,
    };
    let within = Path::new(path).parent().unwrap_or(Path::new(""));
    let roots = vec![folder.join(within), folder.to_owned()];
    let mut search = Search { kind, roots, registry, seen: BTreeSet::new(), found: Vec::new() };
    search.follow(&text)?;
    Ok(Document { text, references: search.found, registered: None })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    })
}

/// Finds what the text of a file refers to.
struct Search<'a> {
    kind: SchemaKind,
    /// Where files are looked for.
    roots: Vec<PathBuf>,
    registry: Option<Beside<'a>>,
    seen: BTreeSet<String>,
    found: Vec<Referred>,
}

impl Search<'_> {
    /// Adds what `text` refers to, each behind what it refers to itself.
    fn follow(&mut self, text: &str) -> Result<(), NotFound> {
        for name in refers::names(&self.kind, text) {
            if !self.seen.insert(name.clone()) {
                continue;
            }
            if self.seen.len() > REFERENCES {
                return Err(NotFound::Unknown(format!("it refers to more than {REFERENCES} others")));
            }
            let file = file_of(&self.kind, &name);
            match self.roots.iter().map(|root| root.join(&file)).find(|path| path.is_file()) {
                Some(path) => {
                    let text = read(&path).map_err(|error| NotFound::Absent(format!("{name}: {error}")))?;
                    self.follow(&text)?;
                    self.found.push(Referred { name, text, place: None });
                }
                None => self.ask(&name, &file)?,
            }
        }
        Ok(())
    }

    /// What is no file is in the registry.
    fn ask(&mut self, name: &str, file: &str) -> Result<(), NotFound> {
        let nowhere = format!("it refers to {name}: there is no {file} beside it or beside the pipeline");
        let answer = match &self.registry {
            Some(registry) => registry.version(name).map_err(|error| {
                let said = format!("{nowhere}, and {error}");
                match error {
                    // Registries do not take every name.
                    RegistryError::NotFound { .. } | RegistryError::Rejected { .. } => NotFound::Absent(said),
                    _ => NotFound::Unknown(said),
                }
            }),
            None => Err(NotFound::Absent(nowhere)),
        };
        match answer {
            Ok(answer) => {
                let (text, references) = of_registry(answer.schema);
                for reference in references {
                    if self.seen.insert(reference.name.clone()) {
                        self.found.push(reference);
                    }
                }
                let place = Some((answer.subject, answer.version));
                self.found.push(Referred { name: name.to_owned(), text, place });
                Ok(())
            }
            // Much may stand behind a `$ref` that is never followed.
            Err(NotFound::Absent(_)) if self.kind == SchemaKind::JsonSchema => Ok(()),
            Err(NotFound::Absent(_)) if self.kind == SchemaKind::Protobuf && ProtobufSchema::is_at_hand(name) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The file in which something of this name stands.
fn file_of(kind: &SchemaKind, name: &str) -> String {
    match kind {
        SchemaKind::Avro => format!("{name}.avsc"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_beside_a_file_that_is_a_text_or_a_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let found = |name: &str| {
            let document = file(folder.path(), name, None).map_err(|error| error.to_string())?;
            let references = document.references.iter().map(|other| (other.name.as_str(), other.text.as_str()));
            let references = references.collect::<Vec<_>>();
            ProtobufSchema::compile(&document.text, &references).map_err(|error| error.to_string())?;
            Ok::<_, String>(references.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>())
        };
        let text = "syntax = \"proto3\"; import \"a.proto\"; import \"b.proto\"; import \"confluent/meta.proto\";
                    /* import \"no.proto\"; */ message M { A a = 1; B b = 2; }";
        write("order.proto", text);
        // A file that imports `a.proto` and has the message `M`.
        write("encoded.proto", "GgdhLnByb3RvIgMKAU1iBnByb3RvMw==");
        write("a.proto", "syntax = \"proto3\"; message A { int32 x = 1; }");
        assert_eq!(
            found("order.proto").unwrap_err(),
            "it refers to b.proto: there is no b.proto beside it or beside the pipeline"
        );
        write("b.proto", "syntax = \"proto3\"; message B { int32 x = 1; }");
        assert_eq!(found("order.proto").unwrap(), ["a.proto", "b.proto"]);
        assert_eq!(found("encoded.proto").unwrap(), ["a.proto"]);
    }
}
