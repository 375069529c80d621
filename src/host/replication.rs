//! Who this server is to the others: its role, its followers, and what it sends them beside effects.

use super::call::{Answer, call};
use super::context::{Context, OwnedString};
use redis_module::raw::RedisModuleCtx;
use std::collections::BTreeSet;

/// What a replica executes to learn the electable set of its primary.
const ELECTABLE: &std::ffi::CStr = c"idblock.electable";

/// What ROLE says.
pub enum Role {
    /// The offset of the stream, and who has acknowledged how much of it.
    Primary { offset: u64, followers: Vec<(String, u64)> },
    /// The primary, as `host:port`.
    Replica(String),
}

/// Commands that the fence cannot do without. In a cluster, totals need CLUSTER as well.
const NEEDED: [&str; 4] = ["ROLE", "CLIENT", "CONFIG", "REPLCONF"];

/// The first of the commands that the module needs and `rename-command` has taken away.
pub fn missing_command(context: *mut RedisModuleCtx) -> Option<&'static str> {
    let is_cluster = Context { raw: context }.is_in_cluster();
    let needed: Vec<_> = NEEDED.into_iter().chain(is_cluster.then_some("CLUSTER")).collect();
    let known = call(context, c"COMMAND", &[&["INFO"], needed.as_slice()].concat());
    if known.items().len() != needed.len() {
        return Some("COMMAND");
    }
    needed.into_iter().zip(known.items()).find(|(_, known)| known.items().is_empty()).map(|(name, _)| name)
}

/// Asks the server for its role.
pub fn role(context: *mut RedisModuleCtx) -> Role {
    let answer = call(context, c"ROLE", &[]);
    if answer.item(0).text() != "master" {
        return Role::Replica(node(answer.item(1).text(), answer.item(2).number()));
    }
    let follower = |item: &Answer| (node(item.item(0).text(), item.item(1).number()), item.item(2).number());
    Role::Primary { offset: answer.item(1).number(), followers: answer.item(2).items().iter().map(follower).collect() }
}

/// How a node is called: by the address under which it follows.
pub fn node(host: &str, port: u64) -> String {
    format!("{host}:{port}")
}

/// The port that this server listens on.
pub fn port(context: *mut RedisModuleCtx) -> u64 {
    let ports = ["port", "tls-port"].map(|name| call(context, c"CONFIG", &["GET", name]).item(1).number());
    ports.into_iter().find(|port| *port > 0).unwrap_or(0)
}

/// What two servers may call each other.
pub struct Names {
    /// The names that this server may have for its primary.
    pub me: Vec<String>,
    /// The address of the primary, which REPLICAOF may have named otherwise.
    pub primary: String,
}

/// The names of this server and of its primary. This server has what it is told to announce, or where its connection comes
/// from, and the ports it listens on.
pub fn names(context: &Context) -> Names {
    let context = context.raw;
    let setting = |name: &str| call(context, c"CONFIG", &["GET", name]).item(1).text().to_owned();
    let clients = call(context, c"CLIENT", &["LIST", "TYPE", "master"]);
    let address = |end| {
        let mut fields = clients.text().split_ascii_whitespace();
        let (host, port) = fields.find_map(|field| field.strip_prefix(end))?.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']).to_owned(), port))
    };
    let local = address("laddr=").map(|(host, _)| host);
    let hosts = Some(setting("slave-announce-ip")).filter(|host| !host.is_empty()).or(local);
    let port = |name: &str| Some(setting(name)).filter(|port| !port.is_empty() && port != "0");
    let listening = || ["port", "tls-port"].into_iter().filter_map(port).collect();
    let ports: BTreeSet<String> = port("slave-announce-port").map_or_else(listening, |port| [port].into());
    let named = |host: String| ports.iter().map(move |port| format!("{host}:{port}")).collect::<Vec<_>>();
    Names {
        me: hosts.into_iter().flat_map(named).collect(),
        primary: address("addr=").map(|(host, port)| format!("{host}:{port}")).unwrap_or_default(),
    }
}

/// Asks all followers to acknowledge. Never to the AOF.
pub fn ask(context: *mut RedisModuleCtx) {
    let (command, format) = (c"REPLCONF".as_ptr(), c"Acc".as_ptr());
    api!(RedisModule_Replicate(context, command, format, c"GETACK".as_ptr(), c"*".as_ptr()));
}

/// Tells all followers who is electable. Never to the AOF: the journal has it.
pub fn announce(context: *mut RedisModuleCtx, set: &[u8]) {
    let set = OwnedString::new(set);
    api!(RedisModule_Replicate(context, ELECTABLE.as_ptr(), c"As".as_ptr(), set.raw()));
}

/// Gives up the connection to the primary, with everything that was not yet written to it.
pub fn leave(context: *mut RedisModuleCtx) {
    call(context, c"CLIENT", &["KILL", "TYPE", "master"]);
}

/// Whether nothing may be sent now: the server pauses writes, or is about to hand over.
pub fn is_paused() -> bool {
    api!(RedisModule_AvoidReplicaTraffic()) != 0
}
