//! Every wrong pipeline in `tests/diagnostics/`, and what is said of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use millstream_pipeline::codes::Code;
use millstream_pipeline::diagnostic::{Diagnostics, Style};
use millstream_pipeline::interpolate::no_lookup;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/diagnostics")
}

fn wrong_pipelines() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let read =
        |path: PathBuf| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap());
    files.into_iter().map(read).collect()
}

fn diagnose(name: &str, text: &str) -> Diagnostics {
    match millstream_pipeline::parse(&format!("{name}.yaml"), text, &no_lookup) {
        Err(diagnostics) => diagnostics,
        Ok((_, sources)) => Diagnostics::new(sources.file().clone()),
    }
}

#[test]
fn each_wrong_pipeline_is_explained() {
    let pipelines = wrong_pipelines();
    for (name, text) in &pipelines {
        let diagnostics = diagnose(name, text);
        insta::with_settings!({
            snapshot_path => folder(),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), diagnostics.render(Style::Plain));
        });
    }
}
