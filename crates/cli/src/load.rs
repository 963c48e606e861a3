//! Pipeline files from the command line: found, read, parsed and checked, with their diagnostics printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_pipeline::case::TestSpec;
use millstream_pipeline::codes;
use millstream_pipeline::diagnostic::{Diagnostic, Diagnostics, Severity, Style};
use millstream_pipeline::found::Found;
use millstream_pipeline::interpolate::{Asked, NoValue};
use millstream_pipeline::lower;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::{PartitionCounts, SinkDef, Topology};
use millstream_pipeline::yaml::source_map::{SourceFile, SourceMap};
use millstream_pipeline::yaml::spanned::Spanned;
use millstream_runtime::config::{Settings, check_client};
use millstream_runtime::contracts::{self, Searched, SinkReport};
use millstream_runtime::registry::RegistryError;
use serde_json::json;

use crate::exit::Failure;
use crate::schemas::Schemas;

/// A pipeline file that was read and is right.
pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) pipeline: Pipeline,
    /// The topology for topics of whatever number of partitions.
    pub(crate) topology: Topology,
    /// What was found of the schemas that it wants.
    pub(crate) found: Found,
    map: SourceMap,
}

impl Loaded {
    /// The topology for topics that have so many partitions.
    ///
    /// # Errors
    /// The first mistake: none, for a pipeline that was checked.
    pub(crate) fn lower(&self, counts: &PartitionCounts) -> Result<Topology, String> {
        lower::lower_with(&self.pipeline, &self.map, counts, &self.found)
            .map_err(|wrong| wrong.iter().next().map_or_else(String::new, |diagnostic| diagnostic.message.clone()))
    }

    /// Makes the topology anew with what was found since.
    pub(crate) fn refresh(&mut self) -> Result<(), Failure> {
        self.topology = self.lower(&PartitionCounts::unknown()).map_err(Failure::run)?;
        Ok(())
    }

    /// Whether it writes by schemas of which it is not known yet where they are registered.
    pub(crate) fn is_open(&self) -> bool {
        self.topology.sinks.iter().flat_map(SinkDef::schemas).any(|(_, _, schema)| schema.is_open())
    }

    /// What is wrong with its own tests.
    fn mistakes_in_tests(&self) -> Diagnostics {
        millstream_pipeline::check_tests(&self.pipeline.tests, &self.pipeline, &self.topology, &self.map)
    }

    /// What reports of its sinks come to.
    pub(crate) fn diagnose(&self, reports: &[SinkReport]) -> Diagnostics {
        contracts::diagnostics(reports, &self.topology, &self.pipeline, &self.map)
    }
}

/// A pipeline file that was read: either it is right, perhaps with warnings, or it is not.
pub(crate) struct Checked {
    pub(crate) path: PathBuf,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) right: Option<Loaded>,
    /// Why it may be right another time: the registry did not answer when schemas were asked for, or refused access.
    pub(crate) away: Option<RegistryError>,
}

impl Checked {
    /// Its own tests are to be right too.
    pub(crate) fn with_tests(mut self) -> Checked {
        let wrong = self.right.as_ref().map(Loaded::mistakes_in_tests);
        if let Some(wrong) = wrong.filter(Diagnostics::has_errors) {
            self.diagnostics.extend(wrong.iter().cloned());
            self.right = None;
        }
        self
    }

    /// Why it is not known whether it is right, if that is all that is to be said: the registry could not be asked.
    pub(crate) fn unknown(&self) -> Option<&RegistryError> {
        let mut errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        self.away.as_ref().filter(|_| errors.all(|error| error.code == codes::SCHEMA_UNAVAILABLE))
    }
}

/// What speaks against files, one after the other.
#[derive(Default)]
struct Verdict {
    /// Those that are wrong, with their diagnostics.
    wrong: Vec<serde_json::Value>,
    /// Those of which nothing is known, as the registry could not be asked, and why it could not.
    unknown: Vec<PathBuf>,
    why: Option<RegistryError>,
}

impl Verdict {
    fn add(&mut self, path: &Path, diagnostics: &Diagnostics, unknown: Option<&RegistryError>) {
        match unknown {
            Some(error) => {
                self.unknown.push(path.to_owned());
                self.why.get_or_insert_with(|| error.clone());
            }
            None => self.wrong.push(json!({"file": path.display().to_string(), "diagnostics": diagnostics})),
        }
    }

    fn into_result(self, schemas: &Schemas) -> Result<(), Failure> {
        match self.why {
            _ if !self.wrong.is_empty() => Err(Failure::pipelines_wrong(self.wrong)),
            Some(error) => Err(schemas.not_asked(&self.unknown, &error)),
            None => Ok(()),
        }
    }
}

/// The files that `paths` name: files as they are, folders with the `.yaml` and `.yml` files in and under them, sorted.
pub(crate) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            find_yaml(path, &mut found)?;
            if found.is_empty() {
                return Err(Failure::usage(format!("there is no .yaml file in {}", path.display())));
            }
            found.sort();
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// The `.yaml` and `.yml` files in a folder and the folders in it. What is hidden is left out: Kubernetes mounts a ConfigMap as
/// links into a folder `..data`, so that each file would be found again and again.
fn find_yaml(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::run(format!("cannot read {}: {error}", folder.display())))?;
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            find_yaml(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            found.push(path);
        }
    }
    Ok(())
}

/// A case file that was read: a pipeline that is right, and tests of it.
pub(crate) struct Case {
    pub(crate) path: PathBuf,
    pub(crate) pipeline: Loaded,
    pub(crate) tests: Vec<Spanned<TestSpec>>,
}

/// Reads files of either kind, pipelines (whose own tests are meant) and case files, and checks them; prints what is wrong
/// with them, and goes on only if nothing is.
pub(crate) fn load_cases(paths: &[PathBuf], schemas: &Schemas) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    let mut verdict = Verdict::default();
    for path in files(paths)? {
        let text = read(&path)?;
        let (checked, tests) = match is_case_file(&text) {
            true => check_case(&path, &text, schemas)?,
            false => (check_text(&path, &text, schemas), Vec::new()),
        };
        let checked = checked.with_tests();
        print(&checked.diagnostics);
        let unknown = checked.unknown().cloned();
        match checked.right {
            Some(pipeline) => {
                let tests = pipeline.pipeline.tests.iter().cloned().chain(tests).collect();
                cases.push(Case { path, pipeline, tests });
            }
            None => verdict.add(&path, &checked.diagnostics, unknown.as_ref()),
        }
    }
    verdict.into_result(schemas).map(|()| cases)
}

/// In a case file the pipeline is a mapping or the name of a file; in a pipeline `pipeline:` is its name.
fn is_case_file(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "pipeline:" || line.starts_with("pipeline_file:"))
}

/// The pipeline of a case file, and the tests beside it, which are checked too.
fn check_case(path: &Path, text: &str, schemas: &Schemas) -> Result<(Checked, Vec<Spanned<TestSpec>>), Failure> {
    let lookup = |asked: Asked, name: &str| look_up(path, asked, name);
    let (case, map) = match millstream_pipeline::parse_case(&path.display().to_string(), text, &lookup) {
        Ok(parsed) => parsed,
        Err(diagnostics) => {
            return Ok((Checked { path: path.to_owned(), diagnostics, right: None, away: None }, Vec::new()));
        }
    };
    let mut checked = match (case.pipeline, &case.pipeline_file) {
        (Some(pipeline), _) => check_parsed(path, pipeline.value, map.clone(), schemas),
        (None, Some(file)) => {
            let file = path.parent().unwrap_or(Path::new("")).join(&file.value);
            check_text(&file, &read(&file)?, schemas)
        }
        (None, None) => {
            let message = format!("{} has neither `pipeline:` nor `pipeline_file:`", path.display());
            return Err(
                Failure::usage(message).help("A case file tests one pipeline: write it there, or name its file.")
            );
        }
    };
    if let Some(right) = &checked.right {
        let wrong = millstream_pipeline::check_tests(&case.tests, &right.pipeline, &right.topology, &map);
        if wrong.has_errors() {
            // They stand in a file of their own; what else is to be said of the pipeline's stands in that.
            print(&checked.diagnostics);
            checked = Checked { path: path.to_owned(), diagnostics: wrong, right: None, away: None };
        }
    }
    Ok((checked, case.tests))
}

fn read(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|error| Failure::usage(format!("{} is not UTF-8 text: {}", path.display(), error.utf8_error())))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format!("cannot read {}: {error}", path.display()))
            .help("Name a pipeline file, or a folder of them.")
    })
}

/// Reads and checks one file.
pub(crate) fn check(path: &Path, schemas: &Schemas) -> Result<Checked, Failure> {
    Ok(match String::from_utf8(read_bytes(path)?) {
        Ok(text) => check_text(path, &text, schemas),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            Checked {
                path: path.to_owned(),
                diagnostics: no_text(path, error.as_bytes(), good),
                right: None,
                away: None,
            }
        }
    })
}

/// The bytes of a file are text up to `good` only.
fn no_text(path: &Path, bytes: &[u8], good: usize) -> Diagnostics {
    let shown = format!("{}\u{fffd}", String::from_utf8_lossy(&bytes[..good]));
    let file = Arc::new(SourceFile::new(path.display().to_string(), shown));
    let span = file.span(good..good + '\u{fffd}'.len_utf8());
    let mut diagnostics = Diagnostics::new(file);
    let message = format!("the file is not UTF-8 text: the byte {:#04x} cannot be here", bytes[good]);
    let help = "Save it as UTF-8, or name another file if this is no pipeline.";
    diagnostics.push(Diagnostic::error(codes::YAML_SYNTAX, span, message).help(help));
    diagnostics
}

/// Parses and checks the text of a pipeline. `path` names it, and `${file:..}` is read from its folder.
pub(crate) fn check_text(path: &Path, text: &str, schemas: &Schemas) -> Checked {
    let lookup = |asked: Asked, name: &str| look_up(path, asked, name);
    let (pipeline, map) = match millstream_pipeline::parse(&path.display().to_string(), text, &lookup) {
        Ok(parsed) => parsed,
        Err(diagnostics) => return Checked { path: path.to_owned(), diagnostics, right: None, away: None },
    };
    check_parsed(path, pipeline, map, schemas)
}

fn check_parsed(path: &Path, pipeline: Pipeline, map: SourceMap, schemas: &Schemas) -> Checked {
    let Searched { found, away } = schemas.find(path, &pipeline);
    let path = path.to_owned();
    match lower::lower_with(&pipeline, &map, &PartitionCounts::unknown(), &found) {
        Err(diagnostics) => Checked { path, diagnostics, right: None, away },
        Ok(topology) => {
            let warnings = topology.warnings.clone();
            let refused = refused_properties(&pipeline, &map);
            if refused.has_errors() {
                return Checked { path, diagnostics: refused, right: None, away: None };
            }
            let loaded = Loaded { path: path.clone(), pipeline, topology, found, map };
            Checked { path, diagnostics: warnings, right: Some(loaded), away }
        }
    }
}

/// Values of the client's properties: what they may be, only the client knows.
fn refused_properties(pipeline: &Pipeline, map: &SourceMap) -> Diagnostics {
    let mut refused = Diagnostics::new(map.file().clone());
    for (name, value) in pipeline.kafka.iter() {
        if let Err(wrong) = millstream_runtime::config::check_property(name, value.as_str(), false) {
            refused.push(Diagnostic::error(wrong.code, name.span, wrong.message).help(wrong.help));
        }
    }
    if refused.is_empty() {
        refuse_together(pipeline, &mut refused);
    }
    refused
}

/// Each of them the client may take, and not all together. Settings that stand elsewhere are those by default here.
fn refuse_together(pipeline: &Pipeline, refused: &mut Diagnostics) {
    let own: BTreeMap<_, _> =
        pipeline.kafka.iter().map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect();
    // Without properties of its own it can have none that do not go together.
    let Some((first, _)) = pipeline.kafka.iter().next() else { return };
    let settings = Settings::default();
    let guarantee = pipeline.guarantee.as_ref().map_or(settings.guarantee, |guarantee| guarantee.value);
    for wrong in check_client(&settings, &own, guarantee) {
        let names = || pipeline.kafka.iter().map(|(name, _)| name);
        let meant = names().find(|name| wrong.property.as_deref() == Some(name.as_str()));
        let at = meant.unwrap_or(first).span;
        refused.push(Diagnostic::error(codes::BAD_PROPERTY, at, wrong.message).help(wrong.help));
    }
}

/// Reads and checks all files; prints what is wrong with them, and goes on only if nothing is.
pub(crate) fn load(paths: &[PathBuf], schemas: &Schemas) -> Result<Vec<Loaded>, Failure> {
    load_by(paths, schemas, |path| check(path, schemas).map(Some))
}

/// As [`load`], by another check; files of which it gives nothing are left out.
pub(crate) fn load_by(
    paths: &[PathBuf],
    schemas: &Schemas,
    mut check: impl FnMut(&Path) -> Result<Option<Checked>, Failure>,
) -> Result<Vec<Loaded>, Failure> {
    let mut loaded = Vec::new();
    let mut verdict = Verdict::default();
    for path in files(paths)? {
        let Some(checked) = check(&path)? else { continue };
        print(&checked.diagnostics);
        let unknown = checked.unknown().cloned();
        match checked.right {
            Some(right) => loaded.push(right),
            None => verdict.add(&path, &checked.diagnostics, unknown.as_ref()),
        }
    }
    verdict.into_result(schemas).map(|()| loaded)
}

/// Reads and checks one file; prints what is wrong with it, and goes on only if nothing is.
pub(crate) fn load_one(path: &Path, schemas: &Schemas) -> Result<Loaded, Failure> {
    let checked = check(path, schemas)?;
    print(&checked.diagnostics);
    let unknown = checked.unknown().cloned();
    checked.right.ok_or_else(|| match unknown {
        Some(error) => schemas.not_asked(&[path.to_owned()], &error),
        None => Failure::pipeline_wrong(),
    })
}

/// Two pipelines of one name would share offsets and state.
pub(crate) fn refuse_twins(names: &[(&Path, &str)]) -> Result<(), Failure> {
    for (index, (path, name)) in names.iter().enumerate() {
        if let Some((other, _)) = names[..index].iter().find(|(_, other)| other == name) {
            let (one, other) = (path.display(), other.display());
            return Err(Failure::usage(format!("{other} and {one} are both named {name}"))
                .help("Offsets and state are kept by the pipeline's name, so give each its own."));
        }
    }
    Ok(())
}

/// Prints diagnostics for people, to standard error.
pub(crate) fn print(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        err!("{}", diagnostics.render(Style::Colored));
    }
}

/// How many errors there are.
pub(crate) fn errors(diagnostics: &Diagnostics) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
}

/// The environment and the files beside a pipeline or the settings, for `${env:..}` and `${file:..}`.
pub(crate) fn look_up(beside: &Path, asked: Asked, name: &str) -> Result<String, NoValue> {
    match asked {
        Asked::Env => std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => NoValue::NotSet,
            std::env::VarError::NotUnicode(_) => NoValue::Unreadable("it is not UTF-8 text".to_owned()),
        }),
        Asked::File => {
            let path = beside.parent().unwrap_or(Path::new("")).join(name);
            let text = std::fs::read_to_string(&path);
            text.map(|text| text.trim_end().to_owned()).map_err(|error| NoValue::Unreadable(error.to_string()))
        }
    }
}
