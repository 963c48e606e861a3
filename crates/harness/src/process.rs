//! A child process in a group of its own, with its output in files; it never outlives its owner.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process_group};

pub use rustix::process::Signal;

use crate::{Result, Trouble, reaper, wait};

/// Where a process writes, and where it began to: a process that starts again under the same name appends.
#[derive(Debug, Clone)]
pub struct Output {
    stdout: Part,
    stderr: Part,
}

/// A file from somewhere on.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    from: usize,
}

impl Part {
    fn new(path: PathBuf) -> Part {
        let from = fs::metadata(&path).map_or(0, |metadata| metadata.len() as usize);
        Part { path, from }
    }

    fn open(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).open(&self.path).map_err(Trouble::io(self.path.display()))
    }

    fn text(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.from..).unwrap_or_default()).into_owned()
    }
}

impl Output {
    /// Files of a name in a folder, from their ends on.
    pub fn in_folder(folder: &Path, name: &str) -> Output {
        let part = |end| Part::new(folder.join(format!("{name}.{end}")));
        Output { stdout: part("out"), stderr: part("err") }
    }

    /// What is in both, stderr last.
    pub fn text(&self) -> String {
        self.stdout.text() + &self.stderr.text()
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
    output: Output,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a command with its output in files.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, output: &Output) -> Result<Process> {
        command.stdin(Stdio::null()).stdout(output.stdout.open()?).stderr(output.stderr.open()?);
        Process::spawn(name, command, output.clone())
    }

    /// Starts a command that is talked to over its stdin and stdout; its stderr goes to a file.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_talking(
        name: &str,
        mut command: Command,
        output: &Output,
    ) -> Result<(Process, ChildStdin, ChildStdout)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output.stderr.open()?);
        let mut process = Process::spawn(name, command, output.clone())?;
        let pipes = process.child.stdin.take().zip(process.child.stdout.take());
        let (stdin, stdout) = pipes.ok_or("no pipes to the child")?;
        Ok((process, stdin, stdout))
    }

    fn spawn(name: &str, mut command: Command, output: Output) -> Result<Process> {
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
                let last = self.output.tail(30);
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
        let mut ended = None;
        let waited = wait::until_true(what, within, || {
            ended = self.ended();
            if ended.is_some() { Ok(true) } else { look() }
        });
        match ended {
            Some(status) => Err(format!("{name} ended ({status}) before {what}:\n{}", output.tail(30)).into()),
            None => waited.map_err(|late| format!("{late}\n{name} said:\n{}", output.tail(30)).into()),
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
