//! `examples/tail.rs`: whenever it is killed, whatever it had written, in the end the file is the log.

use super::entry::Entry;
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;

#[allow(dead_code)] // `main`
#[path = "../../examples/tail.rs"]
mod example;

/// A file that takes so many bytes more. What a kill or a full disk leaves behind is what it took.
struct Doomed {
    file: File,
    room: usize,
}

impl Write for Doomed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::Error::other("killed"));
        }
        let written = self.file.write(&bytes[..bytes.len().min(self.room)])?;
        self.room -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A server, and the file beside its data.
struct Tail {
    server: Server,
    key: &'static str,
}

impl Tail {
    fn of(key: &'static str, create: &str) -> Self {
        let server = Server::start();
        server.connect().ok(create);
        Self { server, key }
    }

    fn path(&self) -> PathBuf {
        self.server.dir().join("tail.jsonl")
    }

    /// Starts the example anew; it dies when it has written `room` bytes.
    fn run(&self, room: usize, once: bool) -> Result<(), String> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(self.path()).unwrap();
        let from = example::resume(&mut file).map_err(|error| error.to_string())?;
        let mut out = Doomed { file, room };
        let socket = format!("unix://{}", self.server.socket().display());
        let mut connection = redis::Client::open(socket).unwrap().get_connection().unwrap();
        example::follow(&mut connection, self.key, from, &mut out, once).map_err(|error| error.to_string())
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("a line of JSON: {line}")))
            .collect()
    }

    fn log(&self) -> Vec<Entry> {
        let command = if self.key == "ids" { "IDBLOCK.LOG ids - +" } else { "SCOUNTER.LOG counter - +" };
        Entry::all(&mut self.server.connect(), command)
    }

    /// Each entry is a line, in order, and nothing else is.
    #[track_caller]
    fn is_complete(&self) {
        let (lines, log) = (self.lines(), self.log());
        assert_eq!(lines.len(), log.len(), "lines and entries");
        for (line, entry) in lines.iter().zip(&log) {
            let id = ("id".to_owned(), entry.id.clone());
            for (name, value) in [&id].into_iter().chain(&entry.fields) {
                let written = line[name].as_str().map_or_else(|| line[name].to_string(), str::to_owned);
                assert_eq!(written, *value, "{name} in {line}");
            }
            assert_eq!(line.as_object().map(|fields| fields.len()), Some(1 + entry.fields.len()), "{line}");
        }
    }
}

#[test]
fn a_line_is_an_entry() {
    let tail = Tail::of("counter", "SCOUNTER.CREATE counter INITIAL -9223372036854775808 LOG MAXLEN 100");
    let mut client = tail.server.connect();
    client.ok("CLIENT SETNAME 7");
    client.ok("SCOUNTER.SET counter 9223372036854775807");
    client.int(["SCOUNTER.DECR", "counter", "2", "NOTE", "\"a\"\n\u{e9}"]);
    client.int(args!["SCOUNTER.DECR", "counter", 1, "NOTE", b"\xff5"]);
    tail.run(usize::MAX, true).unwrap();
    let ids: Vec<String> = tail.log().into_iter().map(|entry| entry.id).collect();
    let who = r#""user":"default","client":"7""#;
    let expected = [
        r#""op":"create","delta":-9223372036854775808,"value":-9223372036854775808,"user":"default""#.to_owned(),
        format!(r#""op":"set","delta":"18446744073709551615","value":9223372036854775807,{who}"#),
        format!(r#""op":"incr","delta":-2,"value":9223372036854775805,{who},"note":"\"a\"\né""#),
        format!(r#""op":"incr","delta":-1,"value":9223372036854775804,{who},"note":"{}5""#, '\u{fffd}'),
    ];
    let lines = ids.iter().zip(expected).map(|(id, rest)| format!("{{\"id\":\"{id}\",{rest}}}\n"));
    assert_eq!(fs::read_to_string(tail.path()).unwrap(), lines.collect::<String>());
}

#[test]
fn whenever_it_dies_it_resumes_where_it_stopped() {
    let mut chance = StdRng::seed_from_u64(seed());
    let tail = Tail::of("counter", "SCOUNTER.CREATE counter LOG MAXLEN 1000000");
    let mut client = tail.server.connect();
    let mut deaths = 0;
    for round in 0..scale(60, 2000) {
        client.ok(["CLIENT", "SETNAME", &format!("client-{}", round % 7)]);
        client.pipeline((0..chance.random_range(0..60)).map(|number| format!("SCOUNTER.INCR counter NOTE {number}")));
        let died = tail.run(chance.random_range(0..10_000), true).is_err();
        deaths += usize::from(died);
    }
    assert!(deaths > 5, "it died only {deaths} times");
    tail.run(usize::MAX, true).unwrap();
    tail.is_complete();
    tail.run(usize::MAX, true).unwrap();
    tail.is_complete();
}

/// The log grows over several pages while the example reads it.
#[test]
fn it_follows_a_log_that_grows() {
    let tail = Tail::of("ids", "IDBLOCK.CREATE ids FENCE OFF LOG MAXLEN 1000000");
    thread::scope(|scope| {
        let example = scope.spawn(|| tail.run(250_000, false));
        let mut client = tail.server.connect();
        wait_until("it has written its fill", PATIENCE, || {
            client.pipeline((0..500).map(|_| "IDBLOCK.RESERVE ids 10 NOTE import"));
            example.is_finished()
        });
        assert_eq!(example.join().unwrap(), Err("killed".to_owned()));
    });
    tail.run(usize::MAX, true).unwrap();
    tail.is_complete();
}

/// Each byte at which the last two lines can end.
#[test]
fn a_torn_last_line_is_written_anew() {
    let tail = Tail::of("counter", "SCOUNTER.CREATE counter LOG MAXLEN 100");
    tail.server.connect().pipeline((0..3).map(|number| format!("SCOUNTER.INCR counter NOTE {number}")));
    tail.run(usize::MAX, true).unwrap();
    let whole = fs::read(tail.path()).unwrap();
    for length in 0..=whole.len() {
        fs::write(tail.path(), &whole[..length]).unwrap();
        tail.run(usize::MAX, true).unwrap();
        assert_eq!(fs::read(tail.path()).unwrap(), whole, "cut to {length} bytes");
    }
}

/// Neither is touched: the file, when its lines are somebody else's, and a key of another type.
#[test]
fn it_refuses_what_it_does_not_know() {
    let tail = Tail::of("counter", "SCOUNTER.CREATE counter LOG MAXLEN 100");
    for text in ["no JSON\n", "{\"id\":7}\n", "{}\n"] {
        fs::write(tail.path(), text).unwrap();
        assert!(tail.run(usize::MAX, true).is_err(), "{text:?}");
        assert_eq!(fs::read_to_string(tail.path()).unwrap(), text);
    }
    fs::write(tail.path(), "").unwrap();
    for command in ["SET text 5", "SCOUNTER.GET missing"] {
        tail.server.connect().value(command);
        let other = Tail { key: command.split(' ').nth(1).unwrap(), server: Server::start() };
        assert_eq!(
            other.run(usize::MAX, true).unwrap_err(),
            "key must hold a counter or an allocator, got none",
            "{command}"
        );
    }
}
