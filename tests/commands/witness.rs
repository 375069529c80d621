//! A server watched from all sides on which a change could show: its dataset, its replication stream, its events,
//! and a transaction that watches the keys.

use crate::harness::*;
use redis::Value;

/// The server, and everybody who watches it.
pub struct Witness {
    pub server: Server,
    pub client: Client,
    watcher: Client,
    stream: ReplicationStream,
    events: Events,
}

impl Witness {
    /// A server on which all of `setup` has been executed.
    #[track_caller]
    pub fn after(setup: &[&str]) -> Self {
        let server = Server::builder().config("hz", 500).start(); // a snapshot is noticed sooner
        let mut client = server.connect();
        setup.iter().for_each(|command| drop(client.value(*command)));
        let events = Events::listen(&server);
        let stream = ReplicationStream::attach(&server);
        Witness { client, watcher: server.connect(), stream, events, server }
    }

    /// The command is refused with exactly these words, and nothing shows.
    #[track_caller]
    pub fn refuses(&mut self, command: impl Command, error: &str) {
        let command = command.into_arguments();
        let reply = self.unnoticed(&command);
        assert_eq!(reply.err().as_deref(), Some(error), "`{}`", line(&command));
    }

    /// The command answers this, see `show`, and nothing shows.
    #[track_caller]
    pub fn is_unmoved_by(&mut self, command: impl Command, reply: &str) {
        let command = command.into_arguments();
        let got = self.unnoticed(&command);
        assert_eq!(got.as_ref().map(show).as_deref(), Ok(reply), "`{}`", line(&command));
    }

    /// The command answers this, and raises exactly this event for its key.
    #[track_caller]
    pub fn announces(&mut self, command: impl Command, reply: &str, event: &str) {
        let command = command.into_arguments();
        let key = String::from_utf8_lossy(&command[1]).into_owned();
        self.watch(&command);
        assert_eq!(self.client.show(&command), reply, "`{}`", line(&command));
        assert_eq!(self.transaction(), Value::Nil, "a transaction behind `{}`", line(&command));
        assert_eq!(self.stream.next_commands().len(), 1, "commands replicated by `{}`", line(&command));
        assert_eq!(self.events(), [(event.to_owned(), key)], "events of `{}`", line(&command));
    }

    #[track_caller]
    fn unnoticed(&mut self, command: &Vec<Vec<u8>>) -> Reply {
        let before = (self.server.digest(), self.client.int("DBSIZE"));
        self.watch(command);
        let reply = self.client.call(command);
        let line = line(command);
        assert_eq!(self.transaction(), Value::Array(vec![Value::Int(before.1)]), "a transaction behind `{line}`");
        assert_eq!((self.server.digest(), self.client.int("DBSIZE")), before, "dataset and keys after `{line}`");
        assert_eq!(self.stream.next_lines(), [""; 0], "replicated by `{line}`");
        assert_eq!(self.events(), [], "events of `{line}`");
        reply
    }

    /// What was announced since the last call.
    #[track_caller]
    fn events(&mut self) -> Vec<(String, String)> {
        let events = self.events.drain();
        self.stream.next_commands(); // the listener's own marker
        events
    }

    /// Watches every argument, as if each was a key.
    #[track_caller]
    fn watch(&mut self, command: &[Vec<u8>]) {
        let mut watch = args!["WATCH", "key"];
        watch.extend_from_slice(&command[1..]);
        self.watcher.ok(watch);
    }

    /// What the transaction of the watcher comes to: nil when something that it watches was touched.
    #[track_caller]
    fn transaction(&mut self) -> Value {
        let replies = self.watcher.pipeline(["MULTI", "DBSIZE", "EXEC"]);
        replies.into_iter().last().expect("three replies").expect("a reply to EXEC")
    }
}

fn line(command: &[Vec<u8>]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.escape_ascii().to_string()).collect();
    words.join(" ")
}
