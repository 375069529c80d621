//! The journal: torn, scribbled over, lost, full, in the way, or somebody else's.

use super::{Checker, Fence, Run, create, drain, reserve, reserve_times, safe, try_reserve, wait_for_electable};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const JOURNAL: &str = "marks.fence";
const MAGIC: &str = "TALLYFNC";
/// Bytes of a record: one mark.
const RECORD: usize = 32;
const WINDOW: i64 = 100;
/// What a torn tail may have granted at most.
const WINDOW_MAX: i64 = 5_000;

/// A server whose data, and journal, are in `dir`.
fn server_in(dir: &Path) -> Builder {
    Server::builder().port().in_dir(dir).config("tallybook.fence-journal", JOURNAL)
}

/// The same, with an allocator of which ids are handed out.
fn issuing(dir: &Path) -> (Server, Client) {
    let server = server_in(dir).start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 100");
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
    (server, client)
}

/// What a killed server left behind, after it had handed out ids of the window that one of its last records opened.
struct Remains {
    home: Directory,
    runs: Vec<Run>,
    journal: Vec<u8>,
}

impl Remains {
    /// The RDB is older than all of it, so that only the journal knows.
    fn leave() -> Self {
        let home = Directory::create();
        let mut server = server_in(home.path()).start();
        let mut client = server.connect();
        create(&mut client, "ids", &format!("FENCE {WINDOW}"));
        client.ok("SAVE");
        let mut runs = Vec::new();
        let mut ends = BTreeSet::new();
        wait_until("ids of the fourth window are handed out", PATIENCE, || {
            ends.insert(safe(&mut client, "ids"));
            runs.push(reserve(&mut client, "IDBLOCK.RESERVE ids 10"));
            ends.len() >= 4 && ends.iter().rev().nth(2).is_some_and(|end| runs[runs.len() - 1].first > *end)
        });
        let mark = client.int("IDBLOCK.INFO ids fence-mark");
        wait_until("the last raise is safe", PATIENCE, || safe(&mut client, "ids") == mark);
        server.kill();
        let journal = fs::read(home.path().join(JOURNAL)).expect("a journal");
        Self { home, runs, journal }
    }

    fn last(&self) -> i64 {
        self.runs.iter().map(|run| run.last).max().expect("ids")
    }

    /// How many bytes of the journal belong to the record without which ids were handed out by nobody's leave, and to
    /// what follows it.
    fn needed(&self) -> usize {
        let marks =
            self.journal.rchunks_exact(RECORD).map(|record| u64::from_le_bytes(record[16..24].try_into().unwrap()));
        let last = u64::try_from(self.last()).unwrap();
        let count = marks.take_while(|mark| *mark >= last).count();
        assert!((1..=6).contains(&count), "{count} records");
        count * RECORD
    }

    /// A copy of all that, with another journal.
    fn copy(&self, journal: &[u8]) -> Directory {
        let copy = Directory::create();
        for entry in fs::read_dir(self.home.path()).expect("a directory") {
            let path = entry.expect("a file").path();
            if path.is_file() {
                fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy");
            }
        }
        fs::write(copy.path().join(JOURNAL), journal).expect("a journal");
        copy
    }

    /// Starts a server on such a copy, and has it go on.
    #[track_caller]
    fn go_on_with(&self, journal: &[u8], what: &str) {
        let copy = self.copy(journal);
        let server = server_in(copy.path()).config("tallybook.fence-window-max", WINDOW_MAX).start();
        let checker = Checker::new(what);
        self.runs.iter().for_each(|run| checker.note(run, 0));
        let mut client = server.connect();
        (0..30).for_each(|_| checker.note(&reserve_or_advance(&mut client, &self.runs), 1));
        checker.assert_unique();
    }
}

/// Without a single record of it, an allocator is no more than a dataset from elsewhere; without a header, nobody knows
/// who else has it. Then an operator has the word.
#[track_caller]
fn reserve_or_advance(client: &mut Client, before: &[Run]) -> Run {
    let last = before.iter().map(|run| run.last).max().expect("ids");
    let mut run = None;
    wait_until("the fence is open", PATIENCE, || {
        match try_reserve(client, "IDBLOCK.RESERVE ids 10") {
            Ok(ids) => run = Some(ids),
            Err(advice) if advice.contains("unknown") => drop(client.call("IDBLOCK.FENCE FORGET unknown")),
            Err(advice) if advice.contains("IDBLOCK.ADVANCE") => {
                drop(client.call(args!["IDBLOCK.ADVANCE", "ids", last]))
            }
            Err(_) => {}
        }
        run.is_some()
    });
    run.expect("a run")
}

#[test]
fn a_journal_torn_at_any_byte_of_its_last_records_repeats_nothing() {
    let remains = Remains::leave();
    let whole = &remains.journal;
    remains.go_on_with(whole, "whole");
    for cut in (1..remains.needed()).step_by(scale(5, 1)) {
        remains.go_on_with(&whole[..whole.len() - cut], &format!("{cut} bytes cut off"));
    }
}

/// Where more than the last write is damaged, but not the header, the ids in use are all that an operator has to tell.
#[test]
fn a_journal_damaged_inside_wants_only_what_its_log_says() {
    let remains = Remains::leave();
    let mut journal = remains.journal.clone();
    journal.extend([0x5a; 100]);
    let copy = remains.copy(&journal);
    let server = server_in(copy.path()).start();
    let log = server.log();
    assert!(log.contains("told them which ids are in use") && !log.contains("FORGET"), "{log}");
    let mut client = server.connect();
    assert!(client.error("IDBLOCK.RESERVE ids 10").contains("IDBLOCK.ADVANCE"));
    wait_until("ADVANCE is safe", PATIENCE, || client.call(args!["IDBLOCK.ADVANCE", "ids", remains.last()]).is_ok());
    let checker = Checker::new("ids");
    remains.runs.iter().for_each(|run| checker.note(run, 0));
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 1);
    checker.assert_unique();
}

/// What a file system may leave behind its last write.
#[test]
fn a_journal_with_garbage_at_its_end_repeats_nothing() {
    let mut chance = StdRng::seed_from_u64(seed());
    let remains = Remains::leave();
    let whole = &remains.journal;
    for length in (1..remains.needed()).step_by(scale(11, 1)) {
        let kept = &whole[..whole.len() - length];
        let noise: Vec<u8> = (0..length).map(|_| chance.random()).collect();
        for (tail, what) in [(vec![0; length], "zeros"), (noise, "noise")] {
            remains.go_on_with(&[kept, &tail].concat(), &format!("{length} bytes of {what} at the end"));
        }
    }
    for length in [1, RECORD - 1, RECORD, 3 * RECORD, 4096] {
        remains.go_on_with(&[whole.as_slice(), &vec![0; length]].concat(), &format!("{length} zeros appended"));
    }
}

#[test]
fn a_journal_with_a_flipped_bit_anywhere_repeats_nothing() {
    let mut chance = StdRng::seed_from_u64(seed());
    let remains = Remains::leave();
    for _ in 0..scale(10, 500) {
        let mut journal = remains.journal.clone();
        // Without its first bytes it is no journal, see below.
        let (at, bit) = (chance.random_range(MAGIC.len()..journal.len()), chance.random_range(0..8));
        journal[at] ^= 1 << bit;
        remains.go_on_with(&journal, &format!("bit {bit} of byte {at} flipped"));
    }
}

/// A torn tail costs a few windows, however large one may be: whose sequence is short does not lose it.
#[test]
fn a_torn_journal_starts_beyond_what_its_tail_may_have_granted() {
    let remains = Remains::leave();
    let last = remains.last();
    fs::write(remains.home.path().join(JOURNAL), &remains.journal[..remains.journal.len() - 1]).expect("a journal");
    let server = server_in(remains.home.path()).start();
    let run = reserve(&mut server.connect(), "IDBLOCK.RESERVE ids 10");
    let furthest = last + 5 * WINDOW;
    assert!((last + 1..=furthest).contains(&run.first), "from {last} to {}", run.first);
}

/// Whichever file the dataset comes from.
#[test]
fn without_its_journal_an_allocator_waits_for_advance() {
    let with_aof = || Server::builder().port().durable();
    waits_for_advance(Server::builder().port(), |server| server.connect().ok("SAVE"));
    waits_for_advance(with_aof(), |_| {});
    waits_for_advance(with_aof(), Server::rewrite_aof);
    waits_for_advance(with_aof().config("aof-use-rdb-preamble", "no"), Server::rewrite_aof);
}

#[track_caller]
fn waits_for_advance(builder: Builder, persist: fn(&Server)) {
    let mut server = builder.start();
    let mut client = server.connect();
    let checker = Checker::new("ids");
    create(&mut client, "ids", "FENCE 100");
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    persist(&server);
    server.kill();
    fs::remove_file(server.dir().join(format!("tallybook-{}.fence", server.port()))).expect("a journal of that name");
    server.restart();
    let mut client = server.connect();
    for command in ["IDBLOCK.RESERVE ids 10", "IDBLOCK.NEXT ids"] {
        let error = client.error(command);
        assert!(error.starts_with("UNFENCED ") && error.contains("IDBLOCK.ADVANCE"), "{error}");
    }
    // Nor does anybody know who else has the dataset.
    create(&mut client, "new", "FENCE 100");
    let error = client.error("IDBLOCK.RESERVE new 10");
    assert!(error.contains("IDBLOCK.FENCE FORGET unknown"), "{error}");
    client.ok("IDBLOCK.FENCE FORGET unknown");
    assert_eq!(reserve(&mut client, "IDBLOCK.RESERVE new 10").first, 1, "an allocator that was created here is well");
    wait_until("ADVANCE is safe", PATIENCE, || client.call("IDBLOCK.ADVANCE ids 300").is_ok());
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    server.kill();
    server.restart();
    checker.note(&reserve(&mut server.connect(), "IDBLOCK.RESERVE ids 10"), 0);
    checker.assert_unique();
}

#[test]
fn a_server_may_do_without_a_journal() {
    let server = Server::builder().port().config("tallybook.fence-journal", "").start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 100");
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &Checker::new("ids"), 0);
    let files = fs::read_dir(server.dir()).expect("a directory");
    let names: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("fence")), "{names:?}");
}

/// The server goes on, and so does what needs no journal.
#[track_caller]
fn only_the_fence_is_closed(client: &mut Client) {
    let error = client.error("IDBLOCK.RESERVE ids 1000");
    assert!(error.starts_with("UNFENCED ") && error.contains("journal"), "{error}");
    client.ok("SET key value");
    client.int("IDBLOCK.NEXT exact");
    println!("{error}; {}", Fence::of(client).journal);
}

#[test]
fn a_journal_that_cannot_be_opened_closes_the_fence_alone() {
    let home = Directory::create();
    fs::create_dir(home.path().join(JOURNAL)).expect("a directory in its way");
    let server = server_in(home.path()).start();
    let mut client = server.connect();
    create(&mut client, "ids", "");
    create(&mut client, "exact", "FENCE OFF");
    only_the_fence_is_closed(&mut client);
}

/// An operator may name any file, such as the dataset.
#[test]
fn what_is_no_journal_is_left_alone() {
    let home = Directory::create();
    let server = server_in(home.path()).start();
    server.connect().ok("SET key value");
    server.connect().ok("SAVE");
    drop(server);
    let dump = home.path().join("dump.rdb");
    let before = fs::read(&dump).expect("a dataset");
    let mut fifo = Command::new("mkfifo");
    assert!(fifo.arg(home.path().join("fifo")).status().expect("mkfifo").success());
    for name in ["dump.rdb", "fifo", ".", ".."] {
        let server = server_in(home.path()).config("tallybook.fence-journal", name).start();
        let mut client = server.connect();
        create(&mut client, "ids", "");
        create(&mut client, "exact", "FENCE OFF");
        only_the_fence_is_closed(&mut client);
        assert_eq!(client.text("GET key"), "value", "{name}");
    }
    assert!(fs::read(&dump).expect("a dataset") == before);
}

/// A replica empties a journal that it cannot write, but never one that it could not read.
#[test]
fn a_replica_that_cannot_read_its_journal_acknowledges_nothing() {
    const FOREIGN: &str = "somebody else's";
    let (home, primary) = (Directory::create(), Server::builder().port().start());
    let (mut client, path) = (primary.connect(), home.path().join(JOURNAL));
    create(&mut client, "ids", "FENCE 100");
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
    fs::write(&path, FOREIGN).expect("a file");
    let replica = server_in(home.path()).replica_of(&primary).start();
    wait_until("the replica says so", PATIENCE, || replica.log().contains("acknowledges nothing until it can"));
    assert_eq!(fs::read_to_string(&path).expect("a file"), FOREIGN);
    assert!(Fence::of(&mut client).nodes("online").is_empty());
    fs::remove_file(&path).expect("a file");
    wait_for_electable(&primary, &[&replica]);
}

/// It was there at the start, so somebody may know more than what is left.
#[test]
fn a_journal_that_vanishes_before_it_could_be_read_is_lost() {
    let home = Directory::create();
    let (mut server, mut client) = issuing(home.path());
    client.ok("SAVE");
    server.kill();
    let path = home.path().join(JOURNAL);
    fs::remove_file(&path).expect("a journal");
    fs::create_dir(&path).expect("a directory in its place");
    server.restart();
    let mut client = server.connect();
    assert!(try_reserve(&mut client, "IDBLOCK.RESERVE ids 10").is_err());
    fs::remove_dir(&path).expect("a directory");
    wait_until("the journal is written anew", PATIENCE, || Fence::of(&mut client).journal == "ok");
    let _ = client.call("IDBLOCK.ADVANCE ids 1000"); // it answers once that is safe
    let refusal = try_reserve(&mut client, "IDBLOCK.RESERVE ids 10").expect_err("somebody else may issue them");
    assert!(refusal.contains("IDBLOCK.FENCE FORGET unknown"), "{refusal}");
}

#[test]
fn what_took_the_place_of_a_journal_is_left_alone() {
    const FOREIGN: &str = "somebody else's";
    let home = Directory::create();
    let (_server, mut client) = issuing(home.path());
    let (path, other) = (home.path().join(JOURNAL), home.path().join("other"));
    fs::write(&other, FOREIGN).expect("a file");
    fs::rename(&other, &path).expect("a file");
    wait_until("that is noticed", PATIENCE, || Fence::of(&mut client).journal.contains("no journal of ours"));
    assert!(try_reserve(&mut client, "IDBLOCK.RESERVE ids 1000").is_err());
    assert_eq!(fs::read_to_string(&path).expect("a file"), FOREIGN);
    fs::remove_file(&path).expect("a file");
    reserve(&mut client, "IDBLOCK.RESERVE ids 1000");
    // A pipe in its place stops nobody who would read it.
    assert!(Command::new("mkfifo").arg(&other).status().expect("mkfifo").success());
    fs::rename(&other, &path).expect("a pipe");
    wait_until("that is noticed, too", PATIENCE, || Fence::of(&mut client).journal.contains("no file"));
    fs::remove_file(&path).expect("a pipe");
    reserve(&mut client, "IDBLOCK.RESERVE ids 1000");
    // Nor does one where the next journal is to be written.
    let next = home.path().join(format!("{JOURNAL}.new"));
    assert!(Command::new("mkfifo").arg(&next).status().expect("mkfifo").success());
    fs::remove_file(&path).expect("a journal");
    wait_until("that is noticed as well", PATIENCE, || Fence::of(&mut client).journal.contains("no file"));
    fs::remove_file(&next).expect("a pipe");
    reserve(&mut client, "IDBLOCK.RESERVE ids 1000");
}

#[test]
fn a_journal_that_is_taken_away_is_written_anew() {
    let home = Directory::create();
    let mut server = server_in(home.path()).start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 100");
    client.ok("SAVE");
    let checker = Checker::new("ids");
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    fs::remove_file(home.path().join(JOURNAL)).expect("a journal");
    wait_until("it is back", PATIENCE, || fs::read(home.path().join(JOURNAL)).is_ok_and(|bytes| !bytes.is_empty()));
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    server.kill();
    server.restart();
    reserve_times(30, &mut server.connect(), "IDBLOCK.RESERVE ids 10", &checker, 0);
    checker.assert_unique();
}

#[test]
fn two_servers_do_not_share_a_journal() {
    let home = Directory::create();
    let first = server_in(home.path()).start();
    let mut client = first.connect();
    create(&mut client, "ids", "FENCE 100");
    let checker = Checker::new("ids");
    checker.note(&reserve(&mut client, "IDBLOCK.RESERVE ids 10"), 0);
    client.ok("SAVE");
    let second = server_in(home.path()).start();
    let mut other = second.connect();
    create(&mut other, "exact", "FENCE OFF");
    only_the_fence_is_closed(&mut other);
    assert!(!other.error("IDBLOCK.RESERVE ids 10").contains("ADVANCE"), "the journal may know it");
    assert!(other.show("IDBLOCK.INFO ids fence-waiting-for").contains("its own journal"));
    reserve_times(50, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    only_the_fence_is_closed(&mut other);
    // Nor does it empty the other one's when it follows.
    other.ok(format!("REPLICAOF 127.0.0.1 {}", first.port()));
    wait_until("the second says so", PATIENCE, || second.log().contains("acknowledges nothing until it can"));
    let journal = fs::read(home.path().join(JOURNAL)).expect("a journal");
    assert!(journal.starts_with(MAGIC.as_bytes()), "{} bytes", journal.len());
    checker.assert_unique();
}

/// A file system of its own, if this machine lets us have one.
struct SmallDisk(Directory);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = Directory::create();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(directory.path());
        mount.output().is_ok_and(|outcome| outcome.status.success()).then_some(Self(directory))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let full = fs::write(self.filler(), vec![0; 512 * 1024]).expect_err("a full disk");
        println!("{} bytes fill the disk: {full}", fs::metadata(self.filler()).expect("a filler").len());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status(); // the directory goes next
    }
}

#[test]
fn a_full_disk_stops_new_marks_and_not_the_server() {
    let Some(disk) = SmallDisk::mount() else {
        println!("no disk to fill: mount is not permitted");
        return;
    };
    let mut server = server_in(disk.0.path()).start();
    let mut client = server.connect();
    create(&mut client, "ids", &format!("FENCE {WINDOW}"));
    create(&mut client, "exact", "FENCE OFF");
    client.ok("SAVE");
    let checker = Checker::new("ids");
    checker.note(&reserve(&mut client, "IDBLOCK.RESERVE ids 10"), 0);
    disk.fill();
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert!(refusal.contains("journal"), "{refusal}");
    only_the_fence_is_closed(&mut client);
    fs::remove_file(disk.filler()).expect("a filler");
    reserve_times(50, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);

    // What could not be written is not there to be taken for damage.
    disk.fill();
    drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    only_the_fence_is_closed(&mut client);
    server.kill();
    fs::remove_file(disk.filler()).expect("a filler");
    server.restart();
    let (last, run) = (checker.beyond(), reserve(&mut server.connect(), "IDBLOCK.RESERVE ids 10"));
    assert!(!server.log().contains("damaged") && run.first <= last + 3 * WINDOW, "from {last} to {}", run.first);
    checker.note(&run, 0);
    checker.assert_unique();
}

/// A replica cannot refuse to acknowledge. What it cannot write down, it must not seem to know after a restart.
#[test]
fn a_replica_with_a_full_disk_is_not_trusted_after_a_restart() {
    let Some(disk) = SmallDisk::mount() else {
        println!("no disk to fill: mount is not permitted");
        return;
    };
    let primary = Server::builder().port().start();
    let mut replica = server_in(disk.0.path()).replica_of(&primary).start();
    let (checker, mut client) = (Checker::new("ids"), primary.connect());
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&primary, &[&replica]);
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    synced(&primary, &replica);
    replica.connect().ok("SAVE");
    disk.fill();
    let in_time = (0..50).filter(|_| {
        let run = try_reserve(&mut client, "IDBLOCK.RESERVE ids 10");
        run.inspect(|run| checker.note(run, 0)).is_ok()
    });
    println!("{} reservations while the replica's disk was full", in_time.count());
    primary.pause();
    replica.kill();
    fs::remove_file(disk.filler()).expect("a filler");
    replica.restart();
    let mut heir = replica.connect();
    heir.ok("REPLICAOF NO ONE");
    for _ in 0..50 {
        if let Ok(run) = try_reserve(&mut heir, "IDBLOCK.RESERVE ids 10") {
            checker.note(&run, 1);
        }
    }
    primary.resume();
    checker.assert_unique();
}
