//! The keyspace events of a server.

use super::client::Client;
use super::reply::text;
use super::server::Server;
use redis::Value;

const MARKER: &str = "tallybook-test-marker";

/// A subscriber to all events.
pub struct Events {
    subscriber: Client,
    publisher: Client,
}

impl Events {
    /// Listens to every class of events, modules included.
    #[track_caller]
    pub fn listen(server: &Server) -> Self {
        Self::listen_to(server, "KEAd")
    }

    /// Listens to the given classes, in the letters of `notify-keyspace-events`; `E` must be among them.
    #[track_caller]
    pub fn listen_to(server: &Server, classes: &str) -> Self {
        let (mut subscriber, mut publisher) = (server.connect(), server.connect());
        publisher.ok(["CONFIG", "SET", "notify-keyspace-events", classes]);
        subscriber.value("PSUBSCRIBE __keyevent@*");
        subscriber.value(["SUBSCRIBE", MARKER]);
        Self { subscriber, publisher }
    }

    /// The events since the last call, in order: `("scounter.incr", "views")`.
    #[track_caller]
    pub fn drain(&mut self) -> Vec<(String, String)> {
        assert_eq!(self.publisher.int(["PUBLISH", MARKER, ""]), 1, "subscribers to the marker");
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.push(event);
        }
        events
    }

    /// The next event, or None at the marker.
    #[track_caller]
    fn next(&mut self) -> Option<(String, String)> {
        let message = self.subscriber.receive().unwrap_or_else(|error| panic!("{error}"));
        let Value::Array(parts) = &message else { panic!("a message must come, got {}", super::show(&message)) };
        match parts.iter().filter_map(text).collect::<Vec<_>>().as_slice() {
            [kind, _, channel, key] if kind == "pmessage" => {
                let (_, name) = channel.split_once("__:").expect("`__keyevent@0__:name`");
                Some((name.to_owned(), key.clone()))
            }
            _ => None,
        }
    }
}
