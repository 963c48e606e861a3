//! What this process uses and what its disks have left, as the operating system counts it; absent where it does not say.

use std::fs;
use std::path::Path;

/// Linux counts the times of `/proc` in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
    pub(super) started_seconds: Option<f64>,
}

/// Reads `/proc/self`.
pub(super) fn usage() -> Usage {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (status, stat, limits) = (read("status"), read("stat"), read("limits"));
    let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| number_after(&text, "btime "));
    let ticks = stat_fields(&stat);
    let tick = |index: usize| ticks.get(index).and_then(|field| field.parse::<f64>().ok());
    Usage {
        cpu_seconds: tick(UTIME).zip(tick(STIME)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
        resident_bytes: number_after(&status, "VmRSS:").map(|kib| kib * 1024),
        virtual_bytes: number_after(&status, "VmSize:").map(|kib| kib * 1024),
        threads: number_after(&status, "Threads:"),
        // The folder that is being read is one of them.
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as u64),
        max_fds: number_after(&limits, "Max open files"),
        started_seconds: boot.zip(tick(STARTTIME)).map(|(boot, ticks)| boot as f64 + ticks / TICKS_PER_SECOND),
    }
}

// Fields of /proc/self/stat, counted from behind the program's name (see proc_pid_stat(5), whose numbers are 3 greater).
const UTIME: usize = 11;
const STIME: usize = 12;
const STARTTIME: usize = 19;

/// The fields behind the program's name, which may itself hold blanks and brackets.
fn stat_fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default()
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the file system of a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) free_bytes: u64,
    pub(super) size_bytes: u64,
}

/// Asks the file system of `folder`; `None` if it does not say.
pub(super) fn space(folder: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(Space {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let usage = usage();
        assert!(usage.resident_bytes > Some(1 << 20) && usage.virtual_bytes > usage.resident_bytes, "{usage:?}");
        assert!(usage.open_fds >= Some(3) && usage.max_fds >= usage.open_fds, "{usage:?}");
        assert!(usage.threads >= Some(1) && usage.cpu_seconds >= Some(0.0), "{usage:?}");
        let now = crate::clock::wall().0 as f64 / 1000.0;
        assert!(usage.started_seconds.is_some_and(|began| began <= now + 1.0 && began > now - 86_400.0), "{usage:?}");
    }

    #[test]
    fn the_disk_is_seen() {
        let space = space(Path::new(".")).expect("this folder is on a file system");
        assert!(space.size_bytes >= space.free_bytes && space.size_bytes > 0, "{space:?}");
        assert_eq!(super::space(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        assert_eq!(stat_fields("17 (a) b (c)) S 1 2")[..], ["S", "1", "2"]);
    }
}
