//! One client's connection: two threads that pass frames on, one each way, and do what rules say.
//!
//! A request is a length, then api key, api version and correlation id; an answer is a length, then the correlation id.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Action, Shared};

/// No frame of a test is longer; a longer length means that this is not Kafka.
const LONGEST: usize = 256 << 20;

/// What both threads know of a connection.
#[derive(Debug, Default)]
struct Answers {
    /// What becomes of the answer to a request, by correlation id.
    fates: Mutex<BTreeMap<i32, Fate>>,
    /// The client is gone and a request of its is still to arrive: the broker's side stays open until that is answered.
    is_stranded: AtomicBool,
}

impl Answers {
    fn fates(&self) -> MutexGuard<'_, BTreeMap<i32, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes after a frame.
enum Next {
    Frame,
    End,
    /// The other thread ends the connection.
    Leave,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Drop,
    Cut,
}

/// Serves a client with a connection of its own to the broker, in the background.
pub(super) fn serve(client: TcpStream, target: u16, shared: &Arc<Shared>) {
    let _ = connect(client, target, shared);
}

fn connect(client: TcpStream, target: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let broker = TcpStream::connect(("127.0.0.1", target))?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    {
        let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(client.try_clone()?);
        connections.push(broker.try_clone()?);
    }
    let answers = Arc::new(Answers::default());
    let back = Back { broker: broker.try_clone()?, client: client.try_clone()?, answers: Arc::clone(&answers) };
    let forth = Forth { client, broker, answers, shared: Arc::clone(shared) };
    thread::spawn(move || forth.run());
    thread::spawn(move || back.run());
    Ok(())
}

/// Reads a whole frame with its length.
fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let body = u32::from_be_bytes(length) as usize;
    if body > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame of Kafka"));
    }
    let mut frame = vec![0; 4 + body];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn bytes<const N: usize>(frame: &[u8], at: usize) -> io::Result<[u8; N]> {
    let found = frame.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "a frame is too short"))
}

/// From the client to the broker.
struct Forth {
    client: TcpStream,
    broker: TcpStream,
    answers: Arc<Answers>,
    shared: Arc<Shared>,
}

impl Forth {
    fn run(mut self) {
        loop {
            match self.pass() {
                Ok(Next::Frame) => {}
                Ok(Next::Leave) => return,
                Ok(Next::End) | Err(_) => break,
            }
        }
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    fn pass(&mut self) -> io::Result<Next> {
        let frame = frame(&mut self.client)?;
        let api = i16::from_be_bytes(bytes(&frame, 4)?);
        let correlation = i32::from_be_bytes(bytes(&frame, 8)?);
        let fate = |fate| self.answers.fates().insert(correlation, fate);
        match self.shared.decide(api) {
            None => {}
            Some(Action::Delay(time)) => thread::sleep(time),
            Some(Action::Hold(time)) => self.shared.strand.wait(time),
            Some(Action::DropRequest) => return Ok(Next::Frame),
            Some(Action::CutRequest) => return Ok(Next::End),
            Some(Action::DropAnswer) => drop(fate(Fate::Drop)),
            Some(Action::CutAnswer) => drop(fate(Fate::Cut)),
            Some(Action::Strand(time)) => {
                fate(Fate::Cut);
                self.answers.is_stranded.store(true, Ordering::Release);
                self.client.shutdown(Shutdown::Both)?;
                self.shared.strand.wait(time);
                self.broker.write_all(&frame)?;
                return Ok(Next::Leave);
            }
        }
        self.broker.write_all(&frame)?;
        Ok(Next::Frame)
    }
}

/// From the broker to the client.
struct Back {
    broker: TcpStream,
    client: TcpStream,
    answers: Arc<Answers>,
}

impl Back {
    fn run(mut self) {
        while let Ok(Next::Frame) = self.pass() {}
        let _ = self.broker.shutdown(Shutdown::Both);
        let _ = self.client.shutdown(Shutdown::Both);
    }

    fn pass(&mut self) -> io::Result<Next> {
        let frame = frame(&mut self.broker)?;
        let correlation = i32::from_be_bytes(bytes(&frame, 4)?);
        let fate = self.answers.fates().remove(&correlation);
        match fate {
            Some(Fate::Drop) => Ok(Next::Frame),
            Some(Fate::Cut) => Ok(Next::End),
            None if self.answers.is_stranded.load(Ordering::Acquire) => Ok(Next::Frame),
            None => self.client.write_all(&frame).map(|()| Next::Frame),
        }
    }
}
