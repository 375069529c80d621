//! What the environment says about a run: which server, which module, how much, which seed.
//!
//! ```text
//! TALLYBOOK_SERVER       path of the server binary                  redis-server on PATH
//! TALLYBOOK_SERVER_NAME  redis-7.0, redis-8.2, valkey-8.1, ...      redis-7.0
//! TALLYBOOK_MODULE       path of the module                         target/release/libtallybook.so
//! TALLYBOOK_PLANTED      the same with the feature `planted`        target/planted/release/libtallybook.so
//! TALLYBOOK_SANITIZED    1: the module was built under AddressSanitizer
//! TALLYBOOK_TORTURE      1: large constants, see `scale`            small ones
//! TALLYBOOK_SEED         seed of all random workloads               drawn anew
//! ```

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The server binary under test.
pub fn server_binary() -> PathBuf {
    env::var_os("TALLYBOOK_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from)
}

/// The name of the server under test, as in `make test SERVERS=...`.
pub fn server_name() -> String {
    env::var("TALLYBOOK_SERVER_NAME").unwrap_or_else(|_| "redis-7.0".to_owned())
}

/// The module under test; panics when it was not built.
pub fn module_path() -> PathBuf {
    built("TALLYBOOK_MODULE", "release", "cargo build --release")
}

/// The module in which faults can be planted.
pub fn planted_module_path() -> PathBuf {
    built(
        "TALLYBOOK_PLANTED",
        "planted/release",
        "cargo build --release --features planted --target-dir target/planted",
    )
}

fn built(variable: &str, folder: &str, how: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let usual = || root.join(target).join(folder).join("libtallybook.so");
    let path = env::var_os(variable).map_or_else(usual, PathBuf::from);
    assert!(path.exists(), "{} is missing: run `{how}` first", path.display());
    path
}

/// Whether the module reports faults of memory.
pub fn is_sanitized() -> bool {
    env::var_os("TALLYBOOK_SANITIZED").is_some_and(|value| value == "1")
}

/// `small` in everyday runs, `large` in `make torture`.
pub fn scale<T>(small: T, large: T) -> T {
    if env::var_os("TALLYBOOK_TORTURE").is_some_and(|value| value == "1") { large } else { small }
}

/// The seed of this run, printed so that a failure can be repeated.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| match env::var("TALLYBOOK_SEED") {
        Ok(text) => text.parse().expect("TALLYBOOK_SEED must be an unsigned integer"),
        Err(_) => RandomState::new().hash_one("seed"),
    });
    println!("TALLYBOOK_SEED={seed}");
    seed
}
