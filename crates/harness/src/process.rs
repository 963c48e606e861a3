//! A child process in a group of its own, with its output in files; it never outlives its owner.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process_group};

pub use rustix::process::Signal;

use crate::{Result, Trouble, reaper, wait};

/// Where a process writes.
#[derive(Debug, Clone)]
pub struct Output {
    /// What it wrote to stdout.
    pub stdout: PathBuf,
    /// What it wrote to stderr.
    pub stderr: PathBuf,
}

impl Output {
    /// Files of a name in a folder; a process that starts again appends to them.
    pub fn in_folder(folder: &Path, name: &str) -> Output {
        Output { stdout: folder.join(format!("{name}.out")), stderr: folder.join(format!("{name}.err")) }
    }

    /// Both files, stderr last.
    pub fn text(&self) -> String {
        let read = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        read(&self.stdout) + &read(&self.stderr)
    }

    /// The last lines of both.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Option<Output>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a command with its output in files.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, output: &Output) -> Result<Process> {
        let open = |path: &Path| -> Result<File> {
            OpenOptions::new().create(true).append(true).open(path).map_err(Trouble::io(path.display()))
        };
        command.stdin(Stdio::null()).stdout(open(&output.stdout)?).stderr(open(&output.stderr)?);
        Process::spawn(name, command, Some(output.clone()))
    }

    /// Starts a command that is talked to over its stdin and stdout; its stderr goes to a file.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_talking(
        name: &str,
        mut command: Command,
        stderr: &Path,
    ) -> Result<(Process, ChildStdin, ChildStdout)> {
        let file = File::create(stderr).map_err(Trouble::io(stderr.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let output = Output { stdout: stderr.with_extension("none"), stderr: stderr.to_owned() };
        let mut process = Process::spawn(name, command, Some(output))?;
        let pipes = process.child.stdin.take().zip(process.child.stdout.take());
        let (stdin, stdout) = pipes.ok_or("no pipes to the child")?;
        Ok((process, stdin, stdout))
    }

    fn spawn(name: &str, mut command: Command, output: Option<Output>) -> Result<Process> {
        let child = command.process_group(0).spawn().map_err(Trouble::io(format!("start {name}")))?;
        reaper::watch_group(child.id());
        Ok(Process { name: name.to_owned(), child, output, status: None })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to it and its children; nothing when it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(group) = Pid::from_raw(self.child.id() as i32)
        {
            // It may end between the look and the signal.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills it as `kill -9` does, and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.status.is_none() {
            self.status = self.child.wait().ok();
            reaper::forget_group(self.child.id());
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.status = Some(status);
            reaper::forget_group(self.child.id());
        }
        self.status
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Trouble::Late`] with the end of its output.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let last = self.output.as_ref().map(|output| output.tail(30)).unwrap_or_default();
                return Err(Trouble::Late { what: format!("the end of {}", self.name), within, last });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a look to say yes, and ends early, with the output, when the process does.
    ///
    /// # Errors
    /// If the process ends first, or the look stays no.
    pub fn wait_for(&mut self, what: &str, within: Duration, mut look: impl FnMut() -> Result<bool>) -> Result {
        let name = self.name.clone();
        let output = self.output.clone();
        let tail = || output.as_ref().map(|output| output.tail(30)).unwrap_or_default();
        let mut ended = None;
        let waited = wait::until_true(what, within, || {
            ended = self.ended();
            if ended.is_some() { Ok(true) } else { look() }
        });
        match ended {
            Some(status) => Err(format!("{name} ended ({status}) before {what}:\n{}", tail()).into()),
            None => waited.map_err(|late| format!("{late}\n{name} said:\n{}", tail()).into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process was ended by this signal.
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal.as_raw())
}

/// A folder that is deleted when its owner goes, also when the process is killed.
///
/// # Errors
/// If it cannot be made.
pub fn temp_folder(name: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix(&format!("millstream-{name}-"))
        .tempdir()
        .map_err(Trouble::io("make a temporary folder"))?;
    reaper::watch_folder(folder.path());
    Ok(folder)
}
