//! A connection that sends exactly the bytes of a command and keeps the server's words.

use super::command::{Command, encode};
use super::{reply, wait};
use redis::{Parser, Value};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A reply, or the error as the server sent it, `CODE message`. A lost connection is `DISCONNECTED ...`.
pub type Reply = Result<Value, String>;

/// Longer than anything that a test waits for, so that a silent server fails the test instead of hanging it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// One connection, RESP2 until `HELLO 3`.
pub struct Client {
    socket: UnixStream,
    parser: Parser,
    pushes: Vec<Value>,
}

impl Client {
    /// Connects to the unix socket at `path`.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(REPLY_TIMEOUT))?;
        socket.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self { socket, parser: Parser::new(), pushes: Vec::new() })
    }

    /// How long to wait for a reply before the connection counts as lost.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.socket.set_read_timeout(Some(timeout)).expect("a timeout above zero");
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, command: impl Command) -> Reply {
        self.send(command)?;
        self.receive()
    }

    /// Sends a command without waiting, for commands that block. Each one needs its `receive`.
    pub fn send(&mut self, command: impl Command) -> Result<(), String> {
        self.write(&encode(&command.into_arguments()))
    }

    /// Reads the next reply.
    pub fn receive(&mut self) -> Reply {
        loop {
            match self.parser.parse_value(Unhurried(&self.socket)) {
                Ok(push @ Value::Push { .. }) => self.pushes.push(push),
                Ok(Value::ServerError(error)) => return Err(reply::verbatim(&error)),
                Ok(value) => return Ok(value),
                Err(error) => return Err(format!("DISCONNECTED {error}")),
            }
        }
    }

    /// Sends all commands at once and reads their replies in order.
    pub fn pipeline<C: Command>(&mut self, commands: impl IntoIterator<Item = C>) -> Vec<Reply> {
        let requests: Vec<Vec<u8>> = commands.into_iter().map(|command| encode(&command.into_arguments())).collect();
        if let Err(lost) = self.write(&requests.concat()) {
            return vec![Err(lost); requests.len()];
        }
        requests.iter().map(|_| self.receive()).collect()
    }

    /// The RESP3 pushes that came between replies since the last call of this.
    pub fn take_pushes(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.pushes)
    }

    fn write(&mut self, wire: &[u8]) -> Result<(), String> {
        self.socket.write_all(wire).map_err(|error| format!("DISCONNECTED {error}"))
    }
}

/// Reads on where a signal interrupts it.
struct Unhurried<'a>(&'a UnixStream);

impl Read for Unhurried<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

/// What a test expects; anything else fails the test and names the command.
impl Client {
    /// Any reply but an error.
    #[track_caller]
    pub fn value(&mut self, command: impl Command) -> Value {
        let arguments = command.into_arguments();
        match self.call(&arguments) {
            Ok(value) => value,
            Err(error) => panic!("`{}`: {error}", line(&arguments)),
        }
    }

    /// The reply in one line, see `show`.
    #[track_caller]
    pub fn show(&mut self, command: impl Command) -> String {
        reply::show(&self.value(command))
    }

    /// An integer.
    #[track_caller]
    pub fn int(&mut self, command: impl Command) -> i64 {
        self.expect(command, "an integer", |value| if let Value::Int(number) = value { Some(*number) } else { None })
    }

    /// A string of any kind.
    #[track_caller]
    pub fn text(&mut self, command: impl Command) -> String {
        self.expect(command, "a string", reply::text)
    }

    /// A string that may be no text.
    #[track_caller]
    pub fn bytes(&mut self, command: impl Command) -> Vec<u8> {
        self.expect(command, "a bulk string", |value| {
            if let Value::BulkString(bytes) = value { Some(bytes.clone()) } else { None }
        })
    }

    /// An array, or what is one on RESP2.
    #[track_caller]
    pub fn list(&mut self, command: impl Command) -> Vec<Value> {
        self.expect(command, "an array", |value| match value {
            Value::Array(items) | Value::Set(items) => Some(items.clone()),
            _ => None,
        })
    }

    /// `OK`.
    #[track_caller]
    pub fn ok(&mut self, command: impl Command) {
        self.expect(command, "OK", |value| matches!(value, Value::Okay).then_some(()));
    }

    /// Nil.
    #[track_caller]
    pub fn nil(&mut self, command: impl Command) {
        self.expect(command, "nil", |value| matches!(value, Value::Nil).then_some(()));
    }

    /// An error, exactly as the server sent it.
    #[track_caller]
    pub fn error(&mut self, command: impl Command) -> String {
        let arguments = command.into_arguments();
        match self.call(&arguments) {
            Err(error) if !error.starts_with("DISCONNECTED ") => error,
            Err(lost) => panic!("`{}`: {lost}", line(&arguments)),
            Ok(value) => panic!("`{}`: an error must come, got {}", line(&arguments), reply::show(&value)),
        }
    }

    /// The `name:value` lines of INFO and CLUSTER INFO.
    #[track_caller]
    pub fn fields(&mut self, command: impl Command) -> BTreeMap<String, String> {
        let text = self.text(command);
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The numbers of INFO tallybook.
    #[track_caller]
    pub fn numbers(&mut self) -> BTreeMap<String, u64> {
        let number = |(name, value): (String, String)| {
            (name.strip_prefix("tallybook_").expect("our name").to_owned(), value.parse().expect("a number"))
        };
        self.fields("INFO tallybook").into_iter().map(number).collect()
    }

    /// Waits until field `name` of `command` has the value `expected`.
    #[track_caller]
    pub fn wait_for_field(&mut self, command: &str, name: &str, expected: &str) {
        let what = format!("`{command}` says {name}:{expected}");
        wait::wait_until(&what, wait::PATIENCE, || {
            self.fields(command).get(name).is_some_and(|value| value == expected)
        });
    }

    #[track_caller]
    fn expect<T>(&mut self, command: impl Command, kind: &str, read: impl Fn(&Value) -> Option<T>) -> T {
        let arguments = command.into_arguments();
        let value = self.value(&arguments);
        match read(&value) {
            Some(expected) => expected,
            None => panic!("`{}`: {kind} must come, got {}", line(&arguments), reply::show(&value)),
        }
    }
}

fn line(arguments: &[Vec<u8>]) -> String {
    let words: Vec<String> = arguments.iter().map(|argument| argument.escape_ascii().to_string()).collect();
    words.join(" ")
}
