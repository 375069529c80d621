//! A primary and its replica.

use super::builder::Builder;
use super::client::Client;
use super::digest::assert_same_digests;
use super::server::Server;
use super::wait::{PATIENCE, wait_until};
use std::collections::BTreeMap;

/// Two servers, the second a replica of the first.
pub struct Pair {
    pub primary: Server,
    pub replica: Server,
}

impl Pair {
    /// A pair with the module and nothing persisted.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(Server::builder(), Server::builder())
    }

    /// A pair of different configurations.
    #[track_caller]
    pub fn start_with(primary: Builder, replica: Builder) -> Self {
        let primary = primary.port().start();
        let replica = replica.replica_of(&primary).start();
        let pair = Self { primary, replica };
        pair.synced();
        pair
    }

    /// Waits until the replica has executed all that the primary has sent.
    #[track_caller]
    pub fn synced(&self) {
        synced(&self.primary, &self.replica);
    }

    /// One value is the same on both sides.
    #[track_caller]
    pub fn assert_same(&self, key: impl AsRef<[u8]>) {
        self.synced();
        assert_eq!(self.primary.digest_of(&key), self.replica.digest_of(&key), "primary on the left");
    }

    /// Everything is the same on both sides.
    #[track_caller]
    pub fn assert_same_keyspace(&self) {
        self.synced();
        assert_same_digests(&self.primary.digests(), &self.replica.digests());
        assert_eq!(self.primary.digest(), self.replica.digest(), "primary on the left");
    }
}

/// Waits until `replica` has executed all that `primary` has sent. A replica may be the primary of another.
#[track_caller]
pub fn synced(primary: &Server, replica: &Server) {
    let (mut primary, mut replica) = (primary.connect(), replica.connect());
    wait_until("the replica has caught up", PATIENCE * 2, || is_caught_up(&mut primary, &mut replica));
}

/// Asks the primary first, so that a steady flow of writes does not keep the two apart for ever.
fn is_caught_up(primary: &mut Client, replica: &mut Client) -> bool {
    let sent = primary.fields("INFO replication");
    let executed = replica.fields("INFO replication");
    executed.get("master_link_status").is_some_and(|status| status == "up")
        && executed.get("master_sync_in_progress").is_some_and(|sync| sync == "0")
        && offset(&executed, "slave_repl_offset") >= offset(&sent, "master_repl_offset")
}

fn offset(fields: &BTreeMap<String, String>, name: &str) -> i64 {
    fields.get(name).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} in {fields:?}"))
}
