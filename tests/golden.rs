//! What earlier versions wrote, kept in `tests/golden`: every later one reads it, and says the same of it.
//!
//! A version adds its own files before it is released, with Redis 7.0, whose files every server reads:
//! `TALLYBOOK_GOLDEN=0.2 make test SERVERS=redis-7.0 FILTER=golden`. What is there is never written again.

use crate::harness::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a server keeps its append-only file.
const AOF: &str = "appendonlydir";

/// How the AOF is read: without a preamble, so that all of it is commands.
fn with_aof() -> Builder {
    Server::builder().config("appendonly", "yes").config("aof-use-rdb-preamble", "no")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What a server says of all it has, a line for each key.
fn facts(server: &Server) -> String {
    let line =
        |((database, key), digest): (&(u32, Vec<u8>), &String)| format!("{database} {} {digest}\n", key.escape_ascii());
    server.digests().iter().map(line).collect()
}

/// Everything that a value can hold, in both types.
fn fill(client: &mut Client) {
    client.ok("CLIENT SETNAME web-1");
    for command in [
        "SCOUNTER.INCR plain 5",
        "SCOUNTER.INCR top 9223372036854775807",
        "SCOUNTER.INCR bottom -9223372036854775808",
        "SCOUNTER.CREATE created",
        "SCOUNTER.CREATE sharded SHARDS 64",
        "SCOUNTER.CREATE half-bounded LBOUND 0",
        "SCOUNTER.CREATE whole INITIAL 7 LBOUND -1000 UBOUND 1000 IDMP-DURATION 86400 IDMP-MAXSIZE 1000 LOG MAXLEN 900 \
         LOG MAXAGE 10000000 LOG MAXBYTES 1000000",
        "SCOUNTER.INCR whole 3 IDMP worker one NOTE first",
        "SCOUNTER.INCREX whole BYINT 2000 UBOUND 500 SATURATE IDMP worker two",
        "SCOUNTER.SET whole 50 NOTE reset",
        "SCOUNTER.HOLD whole -5 PXAT 9999999999999",
        "SCOUNTER.HOLD whole 6 PXAT 9999999999999 IDMP other three NOTE kept",
        "SCOUNTER.CREATE fading",
        "PEXPIREAT fading 9999999999999",
        "IDBLOCK.CREATE ids",
        "IDBLOCK.CREATE exact START -5 INCREMENT 7 MAX 1000 FENCE OFF",
        "IDBLOCK.CREATE fixed FENCE 500 IDMP-DURATION 86400 LOG MAXLEN 100",
        "IDBLOCK.RESERVE fixed 40 IDMP worker four NOTE batch",
        "IDBLOCK.ADVANCE fixed 900",
        "IDBLOCK.CREATE timed CLOCK 12 EPOCH 1700000000000 INCREMENT 4 START 2 FENCE OFF",
        "IDBLOCK.RESERVE timed 10",
        "IDBLOCK.CREATE coded CODES 6 ALPHABET 0123456789abcdef SECRET unguessable FENCE OFF",
        "IDBLOCK.CODES coded 3",
        "IDBLOCK.CREATE quiet FENCE OFF LOG OFF",
        "IDBLOCK.NEXT quiet",
        "SELECT 3",
        "SCOUNTER.INCR elsewhere 3",
        "SELECT 0",
    ] {
        let _ = client.call(command); // the second time, some are refused
    }
    client.pipeline((0..700).map(|number| format!("SCOUNTER.INCR whole {} NOTE note-{number}", number % 3 - 1)));
    client.pipeline((0..100).map(|number| format!("SCOUNTER.INCR whole 0 IDMP worker token-{number}")));
    client.pipeline((1..700).map(|number| format!("IDBLOCK.RESERVE ids {number}")));
}

/// An RDB file, an AOF of which one half was rewritten and the other appended, and what they hold.
fn write(place: &Path) {
    fs::create_dir_all(place).expect("a folder for the version");
    let server = with_aof().start();
    fill(&mut server.connect());
    server.rewrite_aof();
    fill(&mut server.connect());
    server.connect().ok("SAVE");
    fs::copy(server.dir().join("dump.rdb"), place.join("dump.rdb")).expect("an RDB file");
    copy_folder(&server.dir().join(AOF), &place.join(AOF));
    fs::write(place.join("facts.txt"), facts(&server)).expect("facts");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn what_earlier_versions_wrote_still_loads() {
    if let Ok(version) = std::env::var("TALLYBOOK_GOLDEN") {
        let place = folder().join(version);
        assert!(!place.exists(), "{} is there already", place.display());
        write(&place);
    }
    let versions: BTreeSet<PathBuf> =
        fs::read_dir(folder()).expect("golden files").flatten().map(|entry| entry.path()).collect();
    assert!(!versions.is_empty());
    for version in versions {
        let expected = fs::read_to_string(version.join("facts.txt")).expect("facts");
        assert!(expected.lines().count() > 10, "{expected}");
        let home = Directory::create();
        fs::copy(version.join("dump.rdb"), home.path().join("dump.rdb")).expect("a copy");
        let from_rdb = Server::builder().in_dir(home.path()).start();
        assert_eq!(facts(&from_rdb), expected, "{}, RDB", version.display());
        let home = Directory::create();
        copy_folder(&version.join(AOF), &home.path().join(AOF));
        let from_aof = with_aof().in_dir(home.path()).start();
        assert_eq!(facts(&from_aof), expected, "{}, AOF", version.display());
        // And they are values like any other.
        let mut client = from_aof.connect();
        assert_eq!(client.int("SCOUNTER.INCR plain"), 11);
        assert_eq!(client.show("IDBLOCK.ENCODE coded 1"), r#"["dcc1d5"]"#);
        assert_eq!(client.show("IDBLOCK.DECODE coded nonsense"), "[nil]");
        from_aof.reload();
    }
}

/// The number of a module's encoding stands in the second half of the id that follows the type byte of a dump.
#[test]
fn what_a_later_version_wrote_is_refused_and_named() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR views");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    for key in ["views", "ids"] {
        let mut dump = client.bytes(["DUMP", key]);
        // type, 0x81, then eight bytes: 54 bits of the name, 10 bits of the encoding
        assert_eq!(dump[1], 0x81);
        dump[9] += 1;
        assert_eq!(client.error(args!["RESTORE", "later", 0, dump]), "ERR Bad data format");
    }
    assert_eq!(server.log().matches("it was written by a newer version").count(), 2, "{}", server.log());
    assert_eq!(client.int("EXISTS later"), 0);
    assert_eq!(client.int("SCOUNTER.INCR views"), 2);
}
