//! Ends what this process started and deletes its folders when it ends, in whatever way it ends.
//!
//! Destructors do not run when a test binary is killed or a static is never dropped. So a small shell, in a process group of
//! its own, is told of every process group and folder over a pipe, and acts when the pipe closes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = r#"
trap '' INT TERM HUP PIPE
groups=' ' folders=''
while read -r verb what; do
    case $verb in
    group) groups="$groups$what " ;;
    ended) groups="${groups%% $what *} ${groups#* $what }" ;;
    folder) folders="$folders
$what" ;;
    esac
done
for group in $groups; do kill -s KILL -- -"$group" 2>/dev/null; done
printf '%s\n' "$folders" | while read -r folder; do
    [ -n "$folder" ] && rm -rf -- "$folder"
done
"#;

fn tell(line: &str) {
    static PIPE: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let pipe = PIPE.get_or_init(|| {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        shell.spawn().ok().and_then(|mut shell| shell.stdin.take()).map(Mutex::new)
    });
    if let Some(pipe) = pipe {
        let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(pipe, "{line}");
    }
}

/// A process group to kill at the end.
pub(crate) fn watch_group(group: u32) {
    tell(&format!("group {group}"));
}

/// The group has ended: its number may be given to others now.
pub(crate) fn forget_group(group: u32) {
    tell(&format!("ended {group}"));
}

/// A folder to delete at the end.
pub(crate) fn watch_folder(folder: &Path) {
    tell(&format!("folder {}", folder.display()));
}
