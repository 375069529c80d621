//! Digests of values, to compare a server with its replica, its reload, or its past.

use super::client::Client;
use super::server::Server;
use std::collections::BTreeMap;

/// The digest and the expiry of every key, by database and key.
pub type Digests = BTreeMap<(u32, Vec<u8>), String>;

impl Server {
    /// The digests of all keys in all databases.
    #[track_caller]
    pub fn digests(&self) -> Digests {
        let mut client = self.connect();
        let databases: Vec<u32> = client.fields("INFO keyspace").keys().filter_map(|name| number(name)).collect();
        databases.into_iter().flat_map(|database| of_database(&mut client, database)).collect()
    }

    /// The server's own digest of its whole dataset.
    #[track_caller]
    pub fn digest(&self) -> String {
        self.connect().text("DEBUG DIGEST")
    }

    /// The digest of one value in database 0.
    #[track_caller]
    pub fn digest_of(&self, key: impl AsRef<[u8]>) -> String {
        let digests = self.connect().list([b"DEBUG", b"DIGEST-VALUE".as_slice(), key.as_ref()]);
        digests.first().map(super::show).expect("a digest")
    }
}

/// Panics naming the keys that differ, with what each side has.
#[track_caller]
pub fn assert_same_digests(left: &Digests, right: &Digests) {
    let mut keys: Vec<_> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    let differences: Vec<String> = keys
        .into_iter()
        .filter(|key| left.get(*key) != right.get(*key))
        .map(|key| {
            let name = key.1.escape_ascii();
            format!("database {} key {name}: {:?} on the left, {:?} on the right", key.0, left.get(key), right.get(key))
        })
        .collect();
    assert!(differences.is_empty(), "{} keys differ:\n{}", differences.len(), differences.join("\n"));
}

/// `db3` is 3.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("db")?.parse().ok()
}

fn of_database(client: &mut Client, database: u32) -> Digests {
    client.ok(format!("SELECT {database}"));
    let keys: Vec<Vec<u8>> = client.list("KEYS *").into_iter().filter_map(bytes).collect();
    let digests = client.pipeline(keys.iter().map(|key| [b"DEBUG".as_slice(), b"DIGEST-VALUE", key]));
    let expiries = client.pipeline(keys.iter().map(|key| [b"PEXPIRETIME".as_slice(), key]));
    let replies = digests.into_iter().zip(expiries);
    keys.into_iter()
        .zip(replies)
        .map(|(key, (digest, expiry))| {
            let digest = super::show(&digest.expect("a digest"));
            let expiry = super::show(&expiry.expect("an expiry"));
            ((database, key), format!("{digest} expires {expiry}"))
        })
        .collect()
}

fn bytes(value: redis::Value) -> Option<Vec<u8>> {
    if let redis::Value::BulkString(bytes) = value { Some(bytes) } else { None }
}
