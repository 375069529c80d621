//! The ways of a value to the disk and back.

use super::client::Client;
use super::server::Server;

impl Server {
    /// Saves an RDB, forgets everything and loads it again: `DEBUG RELOAD`.
    #[track_caller]
    pub fn reload(&self) {
        self.connect().ok("DEBUG RELOAD");
    }

    /// Forgets everything and loads the AOF: `DEBUG LOADAOF`.
    #[track_caller]
    pub fn load_aof(&self) {
        self.connect().ok("DEBUG LOADAOF");
    }

    /// Rewrites the AOF and waits until that is done.
    #[track_caller]
    pub fn rewrite_aof(&self) {
        let mut client = self.connect();
        client.value("BGREWRITEAOF");
        finish(&mut client, &["aof_rewrite_in_progress", "aof_rewrite_scheduled"], "aof_last_bgrewrite_status");
    }

    /// Saves an RDB in a child process and waits until that is done.
    #[track_caller]
    pub fn save_in_background(&self) {
        let mut client = self.connect();
        client.value("BGSAVE");
        finish(&mut client, &["rdb_bgsave_in_progress"], "rdb_last_bgsave_status");
    }
}

#[track_caller]
fn finish(client: &mut Client, busy: &[&str], status: &str) {
    for name in busy {
        client.wait_for_field("INFO persistence", name, "0");
    }
    let fields = client.fields("INFO persistence");
    assert_eq!(fields.get(status).map(String::as_str), Some("ok"), "{status}");
}
