//! An open loop: requests are due at fixed times, whether the server keeps up or not, and latency counts from when a
//! request was due, so that a pause is felt by everybody who would have come during it.

use crate::harness::Server;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Far below what one core can do without pipelines.
pub const RATE: u32 = 20_000;

const CONNECTIONS: usize = 10;

/// Sends what `request` writes for 0, 1, 2, ... and returns the latencies in nanoseconds, sorted. Replies must be
/// integers.
pub fn latencies(server: &Server, duration: Duration, request: impl Fn(u32) -> Vec<u8>) -> Vec<u64> {
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::to(server)).collect();
    let total = (f64::from(RATE) * duration.as_secs_f64()) as u32;
    let mut latencies = Vec::with_capacity(total as usize);
    let (start, mut sent) = (Instant::now(), 0);
    let due = |number: u32| start + Duration::from_secs(1) * number / RATE;
    while latencies.len() < total as usize {
        while sent < total && due(sent) <= Instant::now() {
            connections[sent as usize % CONNECTIONS].queue(&request(sent), due(sent));
            sent += 1;
        }
        for connection in &mut connections {
            connection.flush();
            connection.receive(&mut latencies);
        }
    }
    latencies.sort_unstable();
    latencies
}

struct Connection {
    socket: UnixStream,
    /// When the requests without a reply were due.
    pending: VecDeque<Instant>,
    at_line_start: bool,
    unsent: Vec<u8>,
}

impl Connection {
    fn to(server: &Server) -> Self {
        let socket = UnixStream::connect(server.socket()).expect("a server that listens");
        socket.set_nonblocking(true).expect("a socket");
        Self { socket, pending: VecDeque::new(), at_line_start: true, unsent: Vec::new() }
    }

    fn queue(&mut self, request: &[u8], due: Instant) {
        self.unsent.extend_from_slice(request);
        self.pending.push_back(due);
    }

    fn flush(&mut self) {
        if !self.unsent.is_empty() {
            let written = now_or_never(self.socket.write(&self.unsent));
            self.unsent.drain(..written);
        }
    }

    fn receive(&mut self, latencies: &mut Vec<u64>) {
        if self.pending.is_empty() {
            return;
        }
        let mut buffer = [0; 4096];
        let read = now_or_never(self.socket.read(&mut buffer));
        let (replies, now) = (&buffer[..read], Instant::now());
        for &byte in replies {
            assert!(!self.at_line_start || byte == b':', "an integer must come: {}", replies.escape_ascii());
            self.at_line_start = byte == b'\n';
            if self.at_line_start {
                let due = self.pending.pop_front().expect("a request for each reply");
                latencies.push((now - due).as_nanos() as u64);
            }
        }
    }
}

/// How many bytes went through at once, 0 if that would have to wait.
fn now_or_never(outcome: io::Result<usize>) -> usize {
    match outcome {
        Ok(0) => panic!("the server closed the connection"),
        Ok(len) => len,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}
