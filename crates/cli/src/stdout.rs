//! Standard output, and standard error, for everything that commands print. Whoever reads may have seen enough (`| head`): then
//! what is left is dropped, and the command ends as it would. Any other error is told at the end, with exit code 1.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::Mutex;

use crate::exit::Failure;

/// As `print!`, to standard output; it never panics. Colours are left out where they are not wanted.
macro_rules! out {
    ($($text:tt)*) => {
        $crate::stdout::write(format_args!($($text)*))
    };
}

/// As `out!`, with the end of a line.
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::stdout::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// As `eprint!`; nobody can be told that it failed.
macro_rules! err {
    ($($text:tt)*) => {{
        let _ = ::std::io::Write::write_fmt(&mut ::anstream::stderr().lock(), format_args!($($text)*));
    }};
}

/// As `err!`, with the end of a line.
macro_rules! errln {
    ($($text:tt)*) => {
        err!("{}\n", format_args!($($text)*))
    };
}

/// How writing to standard output stands.
enum Standing {
    Open,
    /// Nothing more is written: nobody reads.
    Closed,
    /// Nothing more is written: this went wrong.
    Failed(String),
}

impl Standing {
    fn after(error: &std::io::Error) -> Standing {
        match error.kind() {
            ErrorKind::BrokenPipe => Standing::Closed,
            _ => Standing::Failed(error.to_string()),
        }
    }
}

static STANDING: Mutex<Standing> = Mutex::new(Standing::Open);

/// Behind `out!`.
pub(crate) fn write(text: Arguments<'_>) {
    attempt(|| anstream::stdout().lock().write_fmt(text));
}

/// Writes what is still held back.
///
/// # Errors
/// If that, or something before, could not be written.
pub(crate) fn finish() -> Result<(), Failure> {
    attempt(|| std::io::stdout().flush());
    match STANDING.lock() {
        Ok(standing) => match &*standing {
            Standing::Failed(why) => Err(Failure::run(format!("cannot write to standard output: {why}"))),
            Standing::Open | Standing::Closed => Ok(()),
        },
        Err(_) => Ok(()),
    }
}

/// For commands that write by themselves: this could not be written, and nothing more will be. [`finish`] tells it.
pub(crate) fn failed(error: &std::io::Error) {
    if let Ok(mut standing) = STANDING.lock() {
        *standing = Standing::after(error);
    }
}

fn attempt(write: impl FnOnce() -> std::io::Result<()>) {
    let Ok(mut standing) = STANDING.lock() else { return };
    if let Standing::Open = *standing
        && let Err(error) = write()
    {
        *standing = Standing::after(&error);
    }
}
