//! Loading and unloading: when the module refuses, and what it says.

use crate::harness::*;
use std::ffi::OsString;
use std::process::{self, Command};
use std::{env, fs};

#[test]
fn module_arguments_are_refused_with_the_reason() {
    let log = Server::builder().module_arg("fence-wait", 100).refuses_to_start();
    assert!(log.contains("tallybook cannot be loaded: it takes no arguments: use the tallybook.* settings"), "{log}");
}

#[test]
fn a_setting_that_does_not_exist_is_refused() {
    let log = Server::builder().config("tallybook.no-such-setting", 1).refuses_to_start();
    assert!(log.contains("tallybook.no-such-setting") || log.contains("Module Configuration"), "{log}");
}

#[test]
fn a_module_with_data_types_stays_loaded() {
    let server = Server::start();
    let mut client = server.connect();
    assert!(client.show("MODULE LIST").contains("tallybook"));
    assert!(client.error("MODULE UNLOAD tallybook").starts_with("ERR "));
    assert_eq!(client.int("SCOUNTER.INCR key"), 1);
}

#[test]
fn a_server_without_the_module_refuses_the_data() {
    let mut first = Server::builder().durable().start();
    first.connect().int("SCOUNTER.INCR key");
    first.rewrite_aof();
    first.stop();
    let log = Server::builder().durable().without_module().in_dir(first.dir()).refuses_to_start();
    assert!(log.contains("scounter-"), "{log}");
}

/// The fence asks the server for its role, its clients and its settings.
#[test]
fn a_server_whose_commands_were_renamed_refuses_the_module_with_the_reason() {
    for command in ["CLIENT", "ROLE", "CONFIG", "REPLCONF", "CLUSTER", "COMMAND"] {
        let cluster = if command == "CLUSTER" { "yes" } else { "no" };
        let builder = Server::builder().port().config("cluster-enabled", cluster);
        let log = builder.config("rename-command", format!("{command} \"\"")).refuses_to_start();
        let reason = format!("it needs the command {command} under its own name: see rename-command");
        assert!(log.contains(&reason), "{log}");
    }
}

/// Redis 6.2 lacks functions that the module needs; to call one of them would crash it.
#[test]
fn a_server_that_is_too_old_refuses_the_module_with_the_reason() {
    let Some([old, module]) = old_server().filter(|_| server_name() == "redis-7.0") else {
        return; // tested once, beside the oldest server that works
    };
    let socket = env::temp_dir().join(format!("tallybook-old-{}", process::id()));
    let mut server = Command::new(old);
    server.args(["--port", "0", "--unixsocket"]).arg(&socket).arg("--loadmodule").arg(module);
    let outcome = server.output().expect("an old server that runs, and ends by itself");
    let _ = fs::remove_file(socket); // it is left behind
    let log = String::from_utf8_lossy(&outcome.stdout);
    assert!(log.contains("Redis version=6.2."), "{log}");
    assert!(log.contains("tallybook cannot be loaded: it needs Redis 7.0 or Valkey 8.0, or newer"), "{log}");
    assert_eq!(outcome.status.code(), Some(1), "{log}");
}

/// The old server, and the module, as `scripts/test` says.
fn old_server() -> Option<[OsString; 2]> {
    Some([env::var_os("TALLYBOOK_OLD_SERVER")?, env::var_os("TALLYBOOK_MODULE")?])
}
