//! Messages that no module sent: the bus has no passwords, so whoever reaches its port can write what it likes.
//!
//! ```text
//!   header, 2256 bytes     RCmb, total length u32, version u16 = 1, port u16, type u16 = 9, count u16, epochs and
//!                          offset u64 * 3, sender (40), slots (2048), .. flags u16, state u8, more flags (3)
//!   a module's message     id of the module u64, length u32, type u8, and the bytes
//! ```

use super::told;
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;
use std::net::TcpStream;
use tallybook_domain::shards::{Answer, Ask, Claim, NodeId, Part, Shards, Which};

const HEADER: usize = 2256;
const SENDER: usize = 40;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The name of the module, 6 bits a letter, and 10 bits that are 0.
fn module_id() -> u64 {
    let digit = |letter: u8| LETTERS.iter().position(|known| *known == letter).expect("a letter") as u64;
    b"tallybook".iter().fold(0, |id, letter| id << 6 | digit(*letter)) << 10
}

fn packet(sender: &str, kind: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    let len = HEADER + 13 + message.len();
    packet[..4].copy_from_slice(b"RCmb");
    packet[4..8].copy_from_slice(&u32::try_from(len).expect("a short one").to_be_bytes());
    packet[9] = 1;
    packet[13] = 9;
    packet[SENDER..SENDER + 40].copy_from_slice(sender.as_bytes());
    packet.extend(module_id().to_le_bytes());
    packet.extend(u32::try_from(message.len()).expect("a short one").to_be_bytes());
    packet.push(kind);
    packet.extend(message);
    packet
}

/// Somebody at the bus port of a node. A connection for each message: the node closes one when it hears from the same
/// sender on another.
struct Forger<'a> {
    node: &'a Server,
}

impl Forger<'_> {
    fn send(&self, packet: &[u8]) {
        let mut bus = TcpStream::connect(("127.0.0.1", self.node.port() + 10_000)).expect("a bus");
        bus.write_all(packet).expect("a bus that reads");
    }

    /// Sends it, and waits until so many have been dropped in all.
    fn dropped(&self, sender: &str, message: &[u8], in_all: u64) {
        self.send(&packet(sender, 1, message));
        let what = format!("{message:?} is dropped, and {in_all} in all");
        wait_until(&what, PATIENCE, || told(self.node, "messages_dropped") == in_all);
    }

    /// What was sent before has been read.
    fn dropped_at_last(&self, sender: &str) {
        let answered = self.answered();
        let ask = Ask { number: 9, database: 0, name: vec![], shards: Shards::new(1).expect("one"), which: Which::All };
        self.send(&packet(sender, 1, &ask.encode()));
        wait_until("all has been read", PATIENCE, || self.answered() > answered);
        println!("{} dropped", told(self.node, "messages_dropped"));
    }

    /// How many messages of modules the node has sent itself.
    fn answered(&self) -> u64 {
        let fields = self.node.connect().fields("CLUSTER INFO");
        fields.get("cluster_stats_messages_module_sent").map_or(0, |sent| sent.parse().expect("a number"))
    }
}

#[test]
fn forged_messages_are_counted_and_dropped() {
    let cluster = Cluster::start(2, 0);
    let (node, peer) = (&cluster.nodes()[0], cluster.nodes()[1].connect().text("CLUSTER MYID"));
    let forger = Forger { node };
    let (number, shards) = (7, Shards::new(4).expect("few"));
    let ask = Ask { number, database: 0, name: b"views".to_vec(), shards, which: Which::All }.encode();
    // That this is how it is done: a question that is one gets its answer.
    let before = forger.answered();
    forger.send(&packet(&peer, 1, &ask));
    wait_until("it is answered", PATIENCE, || forger.answered() == before + 1);
    assert_eq!(told(node, "messages_dropped"), 0);

    let other_version = [&[2][..], &ask[1..]].concat();
    let other_kind = [&[1, 3][..], &ask[2..]].concat();
    let too_many_nodes = [&[1, 2][..], &[0; 9], &[0xff, 0xff, 0x7f]].concat();
    let long_name = [&[1, 1][..], &[0; 9], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    let damaged = [&b""[..], &[1], &ask[..ask.len() - 1], &other_version, &other_kind, &too_many_nodes, &long_name];
    for (message, in_all) in damaged.into_iter().zip(1..) {
        forger.dropped(&peer, message, in_all);
    }
    // A database that there cannot be, and an answer to nothing, which may be late and does no harm.
    let database = 1 << 40;
    forger.send(&packet(&peer, 1, &Ask { number, database, name: vec![], shards, which: Which::All }.encode()));
    let answer = Answer { number, of_all: true, claims: vec![(Part(0), Claim::Value(1_000))] };
    forger.dropped(&peer, b"", 9);
    forger.send(&packet(&peer, 1, &answer.encode()));
    // The server itself drops what comes from no node, and types that nobody listens to.
    forger.send(&packet(&"f".repeat(40), 1, b""));
    forger.send(&packet(&peer, 2, b""));
    forger.dropped(&peer, b"", 10);

    let mut random = StdRng::seed_from_u64(seed());
    for _ in 0..scale(2_000, 200_000) {
        let mut bytes = if random.random() { answer.encode() } else { ask.clone() };
        for _ in 0..random.random_range(0..4) {
            let index = random.random_range(0..bytes.len());
            bytes[index] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        forger.send(&packet(&peer, 1, &bytes));
    }
    forger.dropped_at_last(&peer);
    cluster.call("SCOUNTER.CREATE views SHARDS 4").expect("a counter");
    cluster.call("SCOUNTER.INCR views{1} 5").expect("an increment");
    assert_eq!(cluster.node_for("views").connect().int("SCOUNTER.TOTAL views"), 5);
    assert_eq!(NodeId::new(peer.as_bytes()).map(|id| id.to_string()), Some(peer));
}
