//! Waiting with a deadline; it never sleeps longer than it takes to see what it waits for, and always says what it last saw.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Result, Trouble};

/// Looks until `done` says yes to what `look` sees, and returns that.
///
/// # Errors
/// [`Trouble::Late`] with the last sight; an error of `look` counts as a sight, except a skip.
pub fn until<T: Debug>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<T>,
    done: impl Fn(&T) -> bool,
) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(5);
    loop {
        let last = match look() {
            Ok(seen) if done(&seen) => return Ok(seen),
            Ok(seen) => format!("{seen:?}"),
            Err(skip @ Trouble::Skip { .. }) => return Err(skip),
            Err(trouble) => trouble.to_string(),
        };
        if Instant::now() >= deadline {
            let last =
                if last.len() > 4000 { format!("{}…", last.chars().take(4000).collect::<String>()) } else { last };
            return Err(Trouble::Late { what: what.to_owned(), within, last });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Looks until `look` says yes.
///
/// # Errors
/// As [`until`].
pub fn until_true(what: &str, within: Duration, look: impl FnMut() -> Result<bool>) -> Result {
    until(what, within, look, |yes| *yes).map(|_| ())
}
