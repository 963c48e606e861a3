//! Free ports outside the range from which the system takes ports for outgoing connections: a broker that is down for a while
//! must find its port free again.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

const FIRST: u32 = 11_000;
const COUNT: u32 = 19_000;

/// A port of this machine that nobody listens on; the same one is not given twice by this process.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let salt = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
    let _ = NEXT.compare_exchange(
        0,
        1 + (process::id().wrapping_mul(7919) ^ salt) % COUNT,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    loop {
        let port = (FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
