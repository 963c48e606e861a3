//! What this process has used, as the operating system counts it.

use std::time::Duration;

/// CPU time of the process, user and system, all threads.
pub(super) fn cpu() -> Duration {
    cpu_time::ProcessTime::now().as_duration()
}

/// Bytes of memory that are resident now; 0 where the system does not say.
pub(super) fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// The greatest resident size since [`reset_peak`], in bytes; 0 where the system does not say.
pub(super) fn peak_bytes() -> u64 {
    status("VmHWM:")
}

/// Begins a new peak. Without the right to do so the peak is that of the whole life of the process.
pub(super) fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
