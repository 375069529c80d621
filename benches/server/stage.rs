//! The servers of a measurement. The server has a core of its own; the client, and the replica where there is one,
//! share another.

use crate::harness::{Builder, Client, Cluster, Server, module_path, synced};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, id};
use std::thread::available_parallelism;

const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";

/// Under which circumstances a server runs.
#[derive(Clone, Copy)]
pub enum Setting {
    /// Nothing is persisted or replicated.
    Bare,
    /// With an AOF, synced once a second.
    Aof,
    /// The same, and one replica.
    Replica,
}

impl Setting {
    pub const ALL: [Setting; 3] = [Setting::Bare, Setting::Aof, Setting::Replica];

    pub fn label(self) -> &'static str {
        match self {
            Setting::Bare => "bare",
            Setting::Aof => "AOF",
            Setting::Replica => "AOF, replica",
        }
    }

    /// Starts the servers.
    pub fn stage(self) -> Stage {
        let server = match self {
            Setting::Bare => on_core(SERVER_CORE).start(),
            Setting::Aof => with_aof(on_core(SERVER_CORE)).start(),
            Setting::Replica => with_aof(on_core(SERVER_CORE)).port().start(),
        };
        let replica = matches!(self, Setting::Replica).then(|| on_core(CLIENT_CORE).replica_of(&server).start());
        let stage = Stage { server, replica };
        stage.settle();
        stage
    }
}

fn on_core(core: &str) -> Builder {
    let floor = beside_the_module("examples/libfloor.so");
    Server::builder().config("server_cpulist", core).config("bio_cpulist", core).config("loadmodule", floor.display())
}

fn beside_the_module(name: &str) -> PathBuf {
    let path = module_path().with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --release --example floor", path.display());
    path
}

/// Nothing but the load takes part: no rewrites, and a replica that lags is not cut off.
fn with_aof(builder: Builder) -> Builder {
    builder
        .config("appendonly", "yes")
        .config("appendfsync", "everysec")
        .config("auto-aof-rewrite-percentage", 0)
        .config("client-output-buffer-limit", "replica 0 0 0")
}

/// A server, and perhaps its replica.
pub struct Stage {
    pub server: Server,
    replica: Option<Server>,
}

impl Stage {
    pub fn client(&self) -> Client {
        self.server.connect()
    }

    /// Empties the server, prepares it by `commands`, and waits until all that came before is done with.
    pub fn reset(&self, commands: &[String]) {
        let mut client = self.client();
        client.ok("FLUSHALL SYNC");
        for command in commands {
            client.value(command.as_str());
        }
        self.settle();
    }

    /// Waits until the replica has caught up and the disk has nothing left of the last run to do.
    fn settle(&self) {
        if let Some(replica) = &self.replica {
            synced(&self.server, replica);
        }
        let mut client = self.client();
        if client.fields("INFO persistence").get("aof_enabled").is_some_and(|enabled| enabled == "1") {
            client.wait_for_field("INFO persistence", "aof_pending_bio_fsync", "0");
        }
    }

    /// Bytes that the server has allocated, once nobody but the one who asks is connected.
    pub fn used_memory(&self) -> f64 {
        let mut client = self.client();
        client.wait_for_field("INFO clients", "connected_clients", "1");
        client.fields("INFO memory")["used_memory"].parse().expect("a number of bytes")
    }

    /// The name and version of the server.
    pub fn version(&self) -> String {
        let fields = self.client().fields("INFO server");
        match fields.get("valkey_version") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", fields["redis_version"]),
        }
    }
}

/// Three primaries on the servers' core.
pub fn cluster() -> Cluster {
    Cluster::start_with(3, 0, on_core(SERVER_CORE))
}

/// Nanoseconds that the server's main thread has run so far.
pub fn cpu_ns(server: &Server) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/schedstat", server.pid())).expect("a kernel that counts");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number of nanoseconds")
}

/// Binds this process, and so every client that it starts, to the client's core.
pub fn move_to_clients_core() {
    let cores = available_parallelism().map_or(1, usize::from);
    assert!(cores >= 2, "two cores are needed, one for the server and one for the client; there is {cores}");
    let pid = id().to_string();
    let moved = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", CLIENT_CORE, &pid]).output();
    assert!(moved.is_ok_and(|output| output.status.success()), "taskset of util-linux must work");
}
