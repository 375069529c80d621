//! The exact commands that a server sends to its replicas.

use super::client::Client;
use super::command::{Command, encode};
use super::server::Server;
use super::wait::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

/// Commands of the replication itself, left out unless asked for.
const HOUSEKEEPING: [&[u8]; 3] = [b"PING", b"SELECT", b"REPLCONF"];

/// A replica that only listens. It never acknowledges anything unless told to.
pub struct ReplicationStream {
    socket: BufReader<UnixStream>,
    server: Client,
    offset: u64,
    keeps_housekeeping: bool,
}

impl ReplicationStream {
    /// Becomes a replica of `server` and skips its snapshot.
    #[track_caller]
    pub fn attach(server: &Server) -> Self {
        let socket = UnixStream::connect(server.socket()).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        let mut stream =
            Self { socket: BufReader::new(socket), server: server.connect(), offset: 0, keeps_housekeeping: false };
        stream.shake_hands();
        stream.skip_snapshot();
        stream
    }

    /// Returns PING, SELECT and REPLCONF too from now on.
    pub fn keep_housekeeping(mut self) -> Self {
        self.keeps_housekeeping = true;
        self
    }

    /// All commands that the server has sent since the last call: reads up to the server's present offset, so that
    /// a test needs neither time nor a marker.
    #[track_caller]
    pub fn next_commands(&mut self) -> Vec<Vec<Vec<u8>>> {
        let fields = self.server.fields("INFO replication");
        let end: u64 = fields["master_repl_offset"].parse().expect("an offset");
        let mut commands = Vec::new();
        while self.offset < end {
            let command = self.next_command();
            if self.keeps_housekeeping || !is_housekeeping(&command) {
                commands.push(command);
            }
        }
        commands
    }

    /// As `next_commands`, each command a line with its arguments escaped: `SET key \x00`.
    #[track_caller]
    pub fn next_lines(&mut self) -> Vec<String> {
        let line = |command: Vec<Vec<u8>>| {
            command.iter().map(|argument| argument.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
        };
        self.next_commands().into_iter().map(line).collect()
    }

    /// Tells the server that everything read so far is executed.
    #[track_caller]
    pub fn acknowledge(&mut self) {
        self.write(format!("REPLCONF ACK {}", self.offset));
    }

    /// Without `capa eof` the server sends the snapshot as a file, and the stream right behind it.
    #[track_caller]
    fn shake_hands(&mut self) {
        for (command, reply) in
            [("PING", "+PONG"), ("REPLCONF listening-port 1", "+OK"), ("REPLCONF capa psync2", "+OK")]
        {
            self.write(command);
            assert_eq!(self.line(), reply, "reply to `{command}`");
        }
        self.write("PSYNC ? -1");
        let reply = self.line();
        let offset = reply.strip_prefix("+FULLRESYNC ").and_then(|rest| rest.split(' ').nth(1));
        self.offset = offset.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("reply to PSYNC: {reply}"));
    }

    /// `$length`, then that many bytes; empty lines before it say that the server is still saving.
    #[track_caller]
    fn skip_snapshot(&mut self) {
        let mut header = self.line();
        while header.is_empty() {
            header = self.line();
        }
        let length = header.strip_prefix('$').and_then(|text| text.parse().ok());
        let length: u64 = length.unwrap_or_else(|| panic!("header of the snapshot: {header}"));
        let mut snapshot = (&mut self.socket).take(length);
        let skipped = std::io::copy(&mut snapshot, &mut std::io::sink()).expect("a snapshot");
        assert_eq!(skipped, length, "bytes of the snapshot");
    }

    /// One command; the offset moves by exactly its bytes, because a server writes a command in one way only.
    #[track_caller]
    fn next_command(&mut self) -> Vec<Vec<u8>> {
        let count = self.number('*');
        let command: Vec<Vec<u8>> = (0..count).map(|_| self.argument()).collect();
        self.offset += encode(&command).len() as u64;
        command
    }

    #[track_caller]
    fn argument(&mut self) -> Vec<u8> {
        let length = self.number('$');
        let mut argument = vec![0; length];
        self.socket.read_exact(&mut argument).expect("an argument");
        assert_eq!(self.line(), "", "what follows an argument");
        argument
    }

    #[track_caller]
    fn number(&mut self, sign: char) -> usize {
        let line = self.line();
        let number = line.strip_prefix(sign).and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("`{sign}` and a number must come, got `{line}`"))
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("a line of the replication stream");
        assert!(line.ends_with('\n'), "the server closed the replication stream");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    #[track_caller]
    fn write(&mut self, command: impl Command) {
        self.socket.get_mut().write_all(&encode(&command.into_arguments())).expect("a connection to the server");
    }
}

fn is_housekeeping(command: &[Vec<u8>]) -> bool {
    command.first().is_some_and(|name| HOUSEKEEPING.iter().any(|known| name.eq_ignore_ascii_case(known)))
}
