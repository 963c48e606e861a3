//! What tests fetch once and keep: folders under the user's cache, each filled by one process while others wait for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, process};

/// The folder `name` of the cache, as it is if it is whole, else filled by `fetch` and put in its place at once.
///
/// # Errors
/// What `fetch` or the system said; nothing is then left of what was fetched.
pub(crate) fn folder(
    name: &str,
    is_whole: impl Fn(&Path) -> bool,
    fetch: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let folder = root().join(name);
    if is_whole(&folder) {
        return Ok(folder);
    }
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let parent = folder.parent().unwrap_or(&folder);
    fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    // Several test binaries may come here at once: one fetches, the others wait for it.
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(|error| failed(&lock_path, error))?;
    lock.lock().map_err(|error| failed(&lock_path, error))?;
    if is_whole(&folder) {
        return Ok(folder);
    }
    let fresh = folder.with_extension(process::id().to_string());
    let put = fetch(&fresh).and_then(|()| fs::rename(&fresh, &folder).map_err(|error| failed(&folder, error)));
    if put.is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    put.map(|()| folder)
}

/// `$XDG_CACHE_HOME/millstream` or `~/.cache/millstream`.
fn root() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("millstream")
}
