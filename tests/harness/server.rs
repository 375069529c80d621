//! One server process: its start, its end, and the check of its log.

use super::builder::Builder;
use super::client::Client;
use super::directory::Directory;
use super::wait::{PATIENCE, holds_within, wait_until};
use super::{environment, log, port};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Free ports are lost to other processes only now and then.
const START_ATTEMPTS_MAX: u32 = 10;

/// A server, ended and checked when dropped.
pub struct Server {
    builder: Builder,
    home: Directory,
    port: u16, // 0: none
    process: Option<Child>,
    is_paused: AtomicBool,
}

enum Start {
    Ready,
    Exited,
    Silent,
}

impl Server {
    /// A server with the module, without TCP, with nothing persisted.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server to be configured before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(builder: Builder) -> Self {
        Self { builder, home: Directory::create(), port: 0, process: None, is_paused: AtomicBool::new(false) }
    }

    #[track_caller]
    pub(super) fn start_as(builder: Builder) -> Self {
        let mut server = Self::new(builder);
        for _ in 0..START_ATTEMPTS_MAX {
            if server.builder.listens_on_tcp {
                server.port = port::free();
            }
            match server.launch() {
                Start::Ready => return server,
                Start::Exited if server.lost_its_port() => fs::remove_file(server.log_path()).expect("a log"),
                Start::Exited => panic!("the server did not start"),
                Start::Silent => panic!("the server did not answer within {:?}", start_deadline()),
            }
        }
        panic!("no free port in {START_ATTEMPTS_MAX} attempts");
    }

    #[track_caller]
    pub(super) fn refuse_as(builder: Builder) -> String {
        let mut server = Self::new(builder);
        assert!(matches!(server.launch(), Start::Exited), "the server started, but must refuse");
        server.log()
    }

    /// A new connection, RESP2.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(&self.socket()).unwrap_or_else(|error| panic!("connect: {error}"))
    }

    /// A new connection, RESP3.
    #[track_caller]
    pub fn connect_resp3(&self) -> Client {
        let mut client = self.connect();
        client.value("HELLO 3");
        client
    }

    /// The unix socket, for clients in threads that outlive a restart: `Client::connect`.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// The TCP port; panics when the builder did not ask for one.
    #[track_caller]
    pub fn port(&self) -> u16 {
        assert_ne!(self.port, 0, "ask for a port: `Server::builder().port()`");
        self.port
    }

    /// Where the server keeps its data.
    pub fn dir(&self) -> &Path {
        self.builder.data.as_deref().unwrap_or(self.home.path())
    }

    /// Everything that the server has written so far, restarts included.
    pub fn log(&self) -> String {
        log::read(&self.log_path())
    }

    /// The number of the process; panics when it does not run.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running server").id()
    }

    /// Whether the process was started and neither ended nor paused.
    pub fn is_running(&self) -> bool {
        self.process.is_some() && !self.is_paused.load(Relaxed)
    }

    /// Ends the process at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill(); // it may have ended by itself
            process.wait().expect("the status of a child");
        }
        self.is_paused.store(false, Relaxed);
    }

    /// Ends the process as an operator would, and checks that it ends well.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.exit();
        assert!(status.success(), "the server ended with {status}");
    }

    /// Waits until the process ends by itself, as after SHUTDOWN or a crash that is expected.
    #[track_caller]
    pub fn exit(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running server");
        let mut status = None;
        let ended = holds_within(PATIENCE, || {
            status = process.try_wait().expect("the status of a child");
            status.is_some()
        });
        if !ended {
            self.process = Some(process);
            panic!("the server did not end within {PATIENCE:?}");
        }
        status.expect("a status after the end")
    }

    /// Starts again after `kill`, `stop` or `exit`, with the same data, configuration, socket and port.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "kill or stop the server first");
        wait_until("the server is up again", start_deadline(), || match self.launch() {
            Start::Ready => true,
            Start::Exited if self.lost_its_port() => false,
            Start::Exited => panic!("the server did not start again"),
            Start::Silent => panic!("the server did not answer within {:?}", start_deadline()),
        });
    }

    /// Freezes the process: connections stay, nothing answers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal("STOP");
        self.is_paused.store(true, Relaxed);
    }

    /// Lets a frozen process go on.
    #[track_caller]
    pub fn resume(&self) {
        self.signal("CONT");
        self.is_paused.store(false, Relaxed);
    }

    /// One attempt to start: ready, ended by itself, or silent and therefore killed.
    fn launch(&mut self) -> Start {
        let file = self.home.path().join("server.conf");
        fs::write(&file, self.builder.file(self.dir(), &self.socket(), self.port)).expect("a configuration file");
        let process = self.spawn(&file);
        self.process = Some(process);

        let mut exited = false;
        let answered = holds_within(start_deadline(), || {
            exited = self.has_ended();
            exited || self.answers()
        });
        match (answered, exited) {
            (true, false) => return Start::Ready,
            (true, true) => self.process = None, // reaped by `has_ended`
            (false, _) => self.kill(),
        }
        if exited { Start::Exited } else { Start::Silent }
    }

    fn spawn(&self, file: &Path) -> Child {
        let binary = environment::server_binary();
        Command::new(&binary)
            .arg(file)
            .args(self.builder.is_sentinel.then_some("--sentinel"))
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(self.log_file())
            .stderr(self.log_file())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()))
    }

    /// Ready once PING is answered, be it by a demand for a password; a server that loads says LOADING.
    fn answers(&self) -> bool {
        let Ok(mut client) = Client::connect(&self.socket()) else { return false };
        match client.call("PING") {
            Ok(_) => true,
            Err(error) => error.starts_with("NOAUTH"),
        }
    }

    fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().expect("the status of a child").is_some())
    }

    /// Whether the last start failed because somebody else was faster on the port.
    fn lost_its_port(&self) -> bool {
        self.port != 0 && log::tail(&self.log()).contains("Address already in use")
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file")
    }

    /// Sends a signal by the shell's `kill`, which spares the tests an unsafe call.
    #[track_caller]
    fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &script]).status().expect("a shell");
        assert!(status.success(), "`{script}` ended with {status}");
    }

    /// What the end of a test has to say against this server.
    fn complaint(&self, ended_by_itself: bool) -> Option<String> {
        let log = self.log();
        match &self.builder.expected_in_log {
            Some(text) if log.contains(text) => None,
            Some(text) => Some(format!("the server's log must contain `{text}`")),
            None => match log::alarm(&log) {
                Some(alarm) => Some(format!("alarm in the server's log: {alarm}")),
                None => ended_by_itself.then(|| "the server ended by itself".to_owned()),
            },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended_by_itself = self.has_ended();
        self.kill();
        let complaint = self.complaint(ended_by_itself);
        if thread::panicking() || complaint.is_some() {
            eprintln!("---- last lines of the server in {} ----", self.home.path().display());
            eprintln!("{}\n----", log::tail(&self.log()));
        }
        if let Some(complaint) = complaint
            && !thread::panicking()
        {
            panic!("{complaint}");
        }
    }
}

/// Loading a large AOF is part of a start.
fn start_deadline() -> Duration {
    PATIENCE * environment::scale(1, 6)
}
