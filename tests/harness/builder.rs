//! What a server is to be, before it runs.

use super::environment::{module_path, planted_module_path};
use super::server::Server;
use std::path::{Path, PathBuf};

/// What every server of the tests has, unless a test says otherwise.
const DEFAULTS: &str = "\
daemonize no
bind 127.0.0.1
save \"\"
enable-debug-command yes
repl-diskless-sync no
repl-diskless-sync-delay 0
repl-diskless-load on-empty-db
";

/// A server's configuration, module and place. `Server::builder()` makes one, `start` runs it.
#[derive(Clone, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    module_arguments: Vec<String>,
    module_is_absent: bool,
    has_planted_faults: bool,
    pub(super) is_sentinel: bool,
    pub(super) listens_on_tcp: bool,
    pub(super) data: Option<PathBuf>,
    pub(super) expected_in_log: Option<String>,
}

impl Builder {
    /// One line of the configuration file; the value is written as it is, so `("save", "60 1")` is two values.
    pub fn config(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// `appendonly yes` with `appendfsync always`: what was acknowledged survives `kill`.
    pub fn durable(self) -> Self {
        self.config("appendonly", "yes").config("appendfsync", "always")
    }

    /// A name and a value after the module's path in `loadmodule`.
    pub fn module_arg(mut self, name: &str, value: impl ToString) -> Self {
        self.module_arguments.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// With the module in which `CONFIG SET tallybook.plant` makes faults. Its panics are expected.
    pub fn planted(mut self) -> Self {
        self.has_planted_faults = true;
        self.expect_in_log("planted at ")
    }

    /// A plain server.
    pub fn without_module(mut self) -> Self {
        self.module_is_absent = true;
        self
    }

    /// A sentinel, which has no data and loads no module. See `Sentinels`.
    pub fn sentinel(mut self) -> Self {
        self.is_sentinel = true;
        self.without_module().port()
    }

    /// Keeps the data in `path`, which outlives the server, instead of in a directory of its own.
    pub fn in_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// Listens on a free TCP port too, for replicas and cluster nodes.
    pub fn port(mut self) -> Self {
        self.listens_on_tcp = true;
        self
    }

    /// A replica of `primary`, which must have a port. Has a port itself, so replicas of replicas are possible.
    pub fn replica_of(self, primary: &Server) -> Self {
        self.port().config("replicaof", format!("127.0.0.1 {}", primary.port()))
    }

    /// The log must contain `text` in the end, and alarms in it do not fail the test.
    pub fn expect_in_log(mut self, text: &str) -> Self {
        self.expected_in_log = Some(text.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Server {
        Server::start_as(self)
    }

    /// Starts a server that must refuse to start, and returns its log.
    #[track_caller]
    pub fn refuses_to_start(self) -> String {
        Server::refuse_as(self)
    }

    /// The configuration file.
    pub(super) fn file(&self, data: &Path, socket: &Path, port: u16) -> String {
        let mut file = format!(
            "{DEFAULTS}dir {}\nunixsocket {}\nport {port}\n",
            quoted(&data.to_string_lossy()),
            quoted(&socket.to_string_lossy()),
        );
        for (name, value) in &self.settings {
            let value = if value.is_empty() { "\"\"" } else { value };
            file.push_str(&format!("{name} {value}\n"));
        }
        if !self.module_is_absent {
            let module = if self.has_planted_faults { planted_module_path() } else { module_path() };
            file.push_str(&format!("loadmodule {}", quoted(&module.to_string_lossy())));
            self.module_arguments.iter().for_each(|argument| file.push_str(&format!(" {}", quoted(argument))));
            file.push('\n');
        }
        file
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
