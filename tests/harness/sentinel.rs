//! Sentinels: three watch a primary and promote one of its replicas when two of them miss it.

use super::reply::text;
use super::server::Server;
use super::wait::{PATIENCE, holds_within, wait_until};
use redis::Value;
use std::time::Duration;

/// How the sentinels call the primary.
const NAME: &str = "tally";
const COUNT: usize = 3;
const QUORUM: usize = 2;

/// Quick, so that a failover takes a second; the defaults make it a minute.
const SETTINGS: [(&str, &str); 3] =
    [("down-after-milliseconds", "500"), ("failover-timeout", "1000"), ("parallel-syncs", "2")];

/// The periods of a sentinel, in milliseconds: it asks, tells and corrects others ten times as often as by default. A
/// busy machine is no reason for TILT.
const PERIODS: &str = "SENTINEL DEBUG INFO-PERIOD 100 PING-PERIOD 100 ASK-PERIOD 100 PUBLISH-PERIOD 500 \
                       ELECTION-TIMEOUT 2000 MIN-LINK-RECONNECT-PERIOD 1000 TILT-TRIGGER 60000";

/// An ordered failover takes no longer.
const OBEDIENCE: Duration = Duration::from_secs(5);

/// Three of them.
pub struct Sentinels {
    servers: Vec<Server>,
}

impl Sentinels {
    /// Watches a primary and its replicas; returns when all sentinels know all of them and each other.
    #[track_caller]
    pub fn watch(primary: &Server, replicas: usize) -> Self {
        let sentinels = Self { servers: (0..COUNT).map(|_| start(primary)).collect() };
        for server in &sentinels.servers {
            let mut client = server.connect();
            wait_until("a sentinel knows everybody", PATIENCE * 2, || {
                client.list(["SENTINEL", "REPLICAS", NAME]).len() == replicas
                    && client.list(["SENTINEL", "SENTINELS", NAME]).len() == COUNT - 1
            });
        }
        sentinels
    }

    /// The port of the primary, once all sentinels agree on it.
    pub fn primary(&self) -> Option<u16> {
        let mut ports = self.servers.iter().map(port_of_primary);
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }

    /// Waits until all sentinels agree on another primary than the one of this port; returns its port.
    #[track_caller]
    pub fn wait_for_another(&self, old: u16) -> u16 {
        let mut new = None;
        wait_until("the sentinels have promoted a replica", PATIENCE * 3, || {
            new = self.primary().filter(|port| *port != old);
            new.is_some()
        });
        new.expect("a primary")
    }

    /// Has a replica promoted though the primary of this port is well; returns the port of the new one. What comes to
    /// nothing, because the replica was slow or the sentinels had a failover of their own in mind, is ordered again.
    #[track_caller]
    pub fn fail_over(&self, old: u16) -> u16 {
        let mut new = None;
        wait_until("the sentinels have obeyed", PATIENCE * 3, || {
            let _ = self.servers[0].connect().call(["SENTINEL", "FAILOVER", NAME]); // refused while one is under way
            holds_within(OBEDIENCE, || {
                new = self.primary().filter(|port| *port != old);
                new.is_some()
            })
        });
        new.expect("a primary")
    }
}

#[track_caller]
fn start(primary: &Server) -> Server {
    let monitored = format!("{NAME} 127.0.0.1 {} {QUORUM}", primary.port());
    let builder = Server::builder().sentinel().config("sentinel monitor", monitored);
    let settings = SETTINGS.iter().map(|(name, value)| (format!("sentinel {name}"), format!("{NAME} {value}")));
    let server = settings.fold(builder, |builder, (name, value)| builder.config(&name, value)).start();
    server.connect().ok(PERIODS);
    server
}

#[track_caller]
fn port_of_primary(sentinel: &Server) -> u16 {
    let address = sentinel.connect().list(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
    let port = |value: &Value| text(value)?.parse().ok();
    address.get(1).and_then(port).expect("an address of the primary")
}
