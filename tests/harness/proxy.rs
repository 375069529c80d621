//! A network that loses replies: clients connect to a proxy, which cuts connections at random.

use super::directory::Directory;
use super::server::Server;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// How often a connection is cut.
#[derive(Clone, Copy)]
pub struct Loss {
    /// The share of requests that never reach the server.
    pub requests: f64,
    /// The share of replies that never reach the client: the server has executed the command.
    pub replies: f64,
}

/// A listener in front of a server. The server may be another one later, as after a failover.
pub struct Proxy {
    home: Directory,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    target: Mutex<PathBuf>,
    loss: Loss,
    seed: u64,
    cuts: AtomicUsize,
    is_closing: AtomicBool,
}

impl Proxy {
    /// Listens, and forwards to `server`. The chance of each connection follows from `seed` and its number.
    pub fn before(server: &Server, loss: Loss, seed: u64) -> Self {
        let home = Directory::create();
        let listener = UnixListener::bind(home.path().join("socket")).expect("a socket");
        let (cuts, is_closing) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { target: Mutex::new(server.socket()), loss, seed, cuts, is_closing });
        let listening = thread::spawn({
            let shared = shared.clone();
            move || shared.listen(&listener)
        });
        Self { home, shared, listening: Some(listening) }
    }

    /// Where clients connect to: `Client::connect`.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// New connections go to `server` from now on.
    pub fn lead_to(&self, server: &Server) {
        *self.shared.target.lock().expect("a target") = server.socket();
    }

    /// How many connections were cut so far.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Relaxed);
        let _ = UnixStream::connect(self.socket()); // wakes the listener
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &UnixListener) {
        for (number, client) in (0..).zip(listener.incoming()) {
            if self.is_closing.load(Relaxed) {
                return;
            }
            let Ok(client) = client else { continue };
            let target = self.target.lock().expect("a target").clone();
            if let Ok(server) = UnixStream::connect(target) {
                self.join(client, server, number);
            } // else the client's end is closed, as if the server had refused it
        }
    }

    /// A thread for each direction; when one ends, so does the other.
    fn join(self: &Arc<Self>, client: UnixStream, server: UnixStream, number: u64) {
        let clones = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        let chance = |direction| StdRng::seed_from_u64(self.seed ^ (2 * number + direction));
        let (shared, requests) = (self.clone(), chance(0));
        thread::spawn(move || shared.forward(client, server, requests, shared.loss.requests));
        let (shared, replies) = (self.clone(), chance(1));
        thread::spawn(move || shared.forward(clones.1, clones.0, replies, shared.loss.replies));
    }

    /// What arrives together goes on together, or is lost with the connection.
    fn forward(&self, mut from: UnixStream, mut to: UnixStream, mut chance: StdRng, loss: f64) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if chance.random_bool(loss) {
                self.cuts.fetch_add(1, Relaxed);
                break;
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        for end in [from, to] {
            let _ = end.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}
