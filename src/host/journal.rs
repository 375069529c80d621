//! The journal as a file. `src/domain/fence/journal.rs` draws its bytes and says why it is as it is.
//!
//! Records are written by the main thread, which a page cache makes cheap, and are in the file when the
//! process is killed. A thread of its own then brings them to the disk; a replica waits for that, as
//! it must not acknowledge before. Positions count the records written since the start. The main thread
//! also writes the file anew now and then, and waits for the disk: rarely, so that it can stay simple.
//!
//! Where a write fails, nothing is lost but the raise that needed it, and that waits: the file is cut
//! back, and written anew once a second until there is room. A replica cannot refuse to acknowledge,
//! so there the journal is emptied: one that lacks a mark must not pass for a whole one.

use super::server_log;
use redis_module::raw::RedisModule_EventLoopAddOneShot;
use rustix::fs::{FlockOperation, fcntl_lock};
use std::ffi::{OsString, c_void};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use tallybook_domain::fence::journal::{self, Damage, RECORD_LEN, decode, encode};
use tallybook_domain::fence::{Fence, Journal as Found, Uid};

/// Records that may pile up behind those that count, before the file is written anew.
const SURPLUS_MAX: u64 = 65_536;

/// Bytes by which a journal is known.
const HEAD_LEN: u64 = 16;

const NOT_SYNCED: &str = "it could not be brought to the disk";

/// What the thread has to say.
#[derive(Default)]
struct Synced {
    position: AtomicU64,
    has_failed: AtomicBool,
    turn: Mutex<()>,
    has_turned: Condvar,
}

impl Synced {
    /// Waits for a position to be on the disk, and says whether it is.
    fn reaches(&self, position: u64) -> bool {
        let is_there = || self.position.load(Ordering::Acquire) >= position;
        let mut turn = self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while !is_there() && !self.has_failed.load(Ordering::Acquire) {
            turn = self.has_turned.wait(turn).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        is_there()
    }

    /// Whoever waits looks again.
    fn turns(&self) {
        drop(self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        self.has_turned.notify_all();
    }
}

/// A journal: a file in the data directory, or none by the operator's choice.
pub struct Journal {
    path: Option<PathBuf>,
    file: Option<Arc<File>>,
    records: u64,
    written: u64,
    synced: Arc<Synced>,
    syncing: Option<Sender<(Arc<File>, u64)>>,
    failure: Option<String>,
    /// Whether what stands in the file is known; nothing may take its place before.
    is_read: bool,
    /// Whether there was no file at the start.
    is_new: bool,
    /// Whether the file lacks what this replica would acknowledge, and could not even be emptied.
    is_unsound: bool,
    /// Whether nothing that this replica has written must be on the disk before it acknowledges.
    is_settled: bool,
}

/// What was found at the start.
pub struct Opened {
    /// The journal, open or not.
    pub journal: Journal,
    /// What it said.
    pub fence: Fence,
}

impl Journal {
    /// No journal at all: nothing is waited for.
    pub fn none() -> Self {
        let synced = Arc::default();
        Journal {
            path: None,
            file: None,
            records: 0,
            written: 0,
            synced,
            syncing: None,
            failure: None,
            is_read: true,
            is_new: false,
            is_unsound: false,
            is_settled: true,
        }
    }

    /// Reads the journal at `path`, where there is one. It is made with the first mark.
    pub fn open(path: &Path) -> Opened {
        let mut journal = Journal { path: Some(path.to_owned()), is_read: false, ..Journal::none() };
        let fence = match journal.read() {
            Ok(fence) => fence,
            Err(error) => {
                journal.fail(&error);
                Fence::default()
            }
        };
        Opened { journal, fence }
    }

    fn read(&mut self) -> io::Result<Fence> {
        let Some(path) = self.path.clone() else { return Ok(Fence::default()) };
        let file = match locked(&path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.is_read, self.is_new) = (true, true);
                return Ok(Fence::default());
            }
            file => file?,
        };
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes)?;
        check(&bytes)?;
        let found = match decode(&bytes) {
            Ok(found) => found,
            Err(corrupt) => {
                server_log::warning(&format!(
                    "tallybook cannot read its journal {}: {corrupt}; it is kept beside",
                    path.display()
                ));
                let kept = path.with_file_name(beside(&path, ".unreadable"));
                locked(&kept, true).and_then(|mut kept| kept.set_len(0).and_then(|()| kept.write_all(&bytes)))?;
                Found::unreadable()
            }
        };
        self.records = u64::try_from(found.marks.len()).unwrap_or(u64::MAX);
        self.file = Some(Arc::new(file));
        let damage = found.damage;
        if damage != Damage::None {
            server_log::warning(&damaged(&path, &found));
        }
        let fence = Fence::new(found);
        if damage != Damage::None {
            self.rewrite(&fence)?;
        }
        self.is_read = true;
        Ok(fence)
    }

    /// How far the records are on the disk.
    pub fn synced(&self) -> u64 {
        if self.path.is_none() { u64::MAX } else { self.synced.position.load(Ordering::Acquire) }
    }

    /// Whether what stands in the file is known.
    pub fn is_read(&self) -> bool {
        self.is_read
    }

    /// Whether it must not be believed after a restart, and nothing can be done about that now.
    pub fn is_unsound(&self) -> bool {
        self.is_unsound
    }

    /// What is wrong with it, in words.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What an operator should know of it.
    pub fn state(&self) -> String {
        match (&self.path, &self.failure) {
            (None, _) => "none".to_owned(),
            (_, Some(failure)) => failure.clone(),
            (Some(_), None) => "ok".to_owned(),
        }
    }

    /// Writes a mark and returns the position at which it stands. It is on the disk later.
    pub fn append(&mut self, fence: &Fence, uid: &Uid, mark: u64) -> u64 {
        self.written += 1;
        if self.path.is_some() {
            match self.write(fence, uid, mark) {
                Ok(()) => self.sync_later(),
                Err(error) => self.fail(&error),
            }
        }
        self.written
    }

    /// The same on a replica, which acknowledges when the server's loop has turned, and not before `settle`.
    pub fn append_as_replica(&mut self, fence: &Fence, uid: &Uid, mark: u64, sync: bool) {
        self.written += 1;
        if self.path.is_none() {
            return;
        }
        match self.write(fence, uid, mark) {
            Ok(()) if sync => {
                self.sync_later();
                self.is_settled = false;
            }
            Ok(()) => self.synced.position.store(self.written, Ordering::Release),
            Err(error) => {
                self.fail(&error);
                self.empty();
            }
        }
    }

    /// Waits until all is on the disk that a replica has written and is about to acknowledge.
    pub fn settle(&mut self) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        if self.failure.is_none() && !self.synced.reaches(self.written) {
            self.fail(&io::Error::other(NOT_SYNCED));
        }
        if self.synced() < self.written {
            self.empty();
        }
    }

    fn write(&mut self, fence: &Fence, uid: &Uid, mark: u64) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(io::Error::other(failure.clone()));
        }
        if self.file.is_none() || self.records > count(fence).saturating_mul(2).saturating_add(SURPLUS_MAX) {
            self.rewrite(fence)?;
        }
        self.push(&journal::raise(fence.marks(), uid, mark))
    }

    /// Appends records. Half a record would pass for damage, so what cannot be written whole is cut off again.
    fn push(&mut self, records: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let len = file.metadata()?.len();
        if let Err(error) = (&*file).write_all(records) {
            file.set_len(len)?;
            return Err(error);
        }
        self.records += u64::try_from(records.len() / RECORD_LEN).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Writes that ids below a mark are handed out here from now on. Only an undone promotion asks for it,
    /// so nobody waits until it is on the disk.
    pub fn claim(&mut self, uid: &Uid, mark: u64) {
        if self.path.is_some() && self.failure.is_none() {
            match self.push(&journal::claim(uid, mark)) {
                Ok(()) => self.sync_later(),
                Err(error) => self.fail(&error),
            }
        }
    }

    fn file(&self) -> io::Result<Arc<File>> {
        self.file.clone().ok_or_else(|| io::Error::other("it is not open"))
    }

    /// Puts a new file in the place of the old one. It is on the disk when this returns.
    pub fn save(&mut self, fence: &Fence) -> bool {
        if self.path.is_none() || !self.is_read {
            return self.path.is_none();
        }
        match self.rewrite(fence) {
            Ok(()) => {
                self.is_unsound = false;
                if self.failure.take().is_some() {
                    server_log::warning("tallybook can use its journal again");
                }
                self.synced.position.store(self.written, Ordering::Release);
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// The same on a replica, which is about to acknowledge what this says. Before there is a mark, there is
    /// nothing to say.
    pub fn save_now(&mut self, fence: &Fence) {
        let has_begun = self.file.is_some() || !fence.marks().is_empty();
        if has_begun && !self.save(fence) {
            self.empty();
        }
    }

    fn rewrite(&mut self, fence: &Fence) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        // Whoever has it may be about to write to it; and ours is closed by the new one's taking its place.
        let is_another = path.exists() && (self.file.is_none() || self.is_lost());
        let replaced = if is_another { Some(taken(path)?) } else { None };
        let new = path.with_file_name(beside(path, ".new"));
        let mut file = locked(&new, true)?; // half of one, after a crash, as a rule
        file.set_len(0)?;
        file.write_all(&encode(fence))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        self.file = Some(Arc::new(file));
        self.records = count(fence);
        drop(replaced);
        Ok(())
    }

    /// Tries again what failed. To be called now and then. What could not be read at the start is read as
    /// soon as that is possible.
    pub fn retry(&mut self, fence: &mut Fence) {
        if self.synced.has_failed.swap(false, Ordering::AcqRel) {
            self.fail(&io::Error::other(NOT_SYNCED));
        }
        if self.failure.is_none() {
            if self.is_lost() {
                self.fail(&io::Error::other("somebody has taken it away"));
            } else {
                return;
            }
        }
        if !self.is_read {
            match self.read() {
                Ok(found) => {
                    fence.found(&found);
                    self.miss(fence);
                }
                Err(error) => return self.fail(&error),
            }
        }
        self.save(fence);
    }

    /// Where there was no file, whoever issues the allocators that this server found in its dataset is unknown.
    pub fn miss(&self, fence: &mut Fence) {
        if self.is_new && !fence.doubted().is_empty() {
            fence.lost_journal();
        }
    }

    /// Whether the file is not where it was.
    fn is_lost(&self) -> bool {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let (Some(path), Some(file)) = (&self.path, &self.file) else { return false };
        file.metadata().is_ok_and(|ours| fs::metadata(path).ok().map(id) != Some(id(ours)))
    }

    fn fail(&mut self, error: &io::Error) {
        if self.failure.is_none() {
            let path = self.path.as_deref().unwrap_or(Path::new("")).display();
            server_log::warning(&format!(
                "tallybook cannot use its journal {path}: {error}; no mark of this server is safe until it can"
            ));
        }
        self.failure = Some(error.to_string());
    }

    /// A journal that lacks a mark which this replica is about to acknowledge must not be believed.
    fn empty(&mut self) {
        let emptied = self.emptied();
        self.file = None;
        if let Err(error) = &emptied
            && !self.is_unsound
        {
            server_log::warning(&format!(
                "tallybook cannot empty its journal either: {error}; this server acknowledges nothing until it can"
            ));
        }
        self.is_unsound = emptied.is_err();
    }

    /// Only what is surely its own journal is emptied: another one may be somebody else's, or know more than this server.
    fn emptied(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if !self.is_read || self.is_lost() {
            return Err(io::Error::other("what it says is not known"));
        }
        match self.file.clone().map_or_else(|| taken(path).map(Arc::new), Ok) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            file => file.and_then(|file| file.set_len(0).and_then(|()| file.sync_all())),
        }
    }

    fn sync_later(&mut self) {
        let Some(file) = self.file.clone() else { return };
        let position = self.written;
        let syncing = self.syncing.get_or_insert_with(|| start_syncing(self.synced.clone()));
        if syncing.send((file, position)).is_err() {
            self.synced.has_failed.store(true, Ordering::Release);
        }
    }
}

/// The records of a file that was just written, at most.
fn count(fence: &Fence) -> u64 {
    let records = fence.marks().len() + fence.claims().len() + fence.doubted().len();
    u64::try_from(records).unwrap_or(u64::MAX)
}

fn damaged(path: &Path, found: &Found) -> String {
    let path = path.display();
    if found.damage == Damage::End {
        return format!(
            "tallybook found the end of its journal {path} damaged: allocators begin as far above their last mark in it as a \
             raise may have gone that it lost"
        );
    }
    let forget = |primary| format!(", and IDBLOCK.FENCE FORGET {primary} that nobody else issues them");
    format!(
        "tallybook found its journal {path} damaged: fenced allocators answer UNFENCED until IDBLOCK.ADVANCE has told them \
         which ids are in use{}",
        found.electable.orphan_of().map(forget).unwrap_or_default()
    )
}

/// The name of a file beside the journal: a new one until it is whole, or one that could not be read.
fn beside(path: &Path, extension: &str) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(extension);
    name
}

/// A lock of this process: a child that saves a snapshot does not hold it on. It ends with the first
/// descriptor of the file that is closed, so there is never more than one.
fn lock(file: &File) -> io::Result<()> {
    let locked = fcntl_lock(file, FlockOperation::NonBlockingLockExclusive);
    locked.map_err(|_| io::Error::other("another process has it"))
}

/// The file at `path`, which is a journal or empty, and nobody else's.
fn taken(path: &Path) -> io::Result<File> {
    let file = locked(path, false)?;
    let mut bytes = Vec::new();
    (&file).take(HEAD_LEN).read_to_end(&mut bytes)?;
    check(&bytes).map(|()| file)
}

/// The file at `path`, made where it may be, and locked. Of what is no file, nothing is read: a pipe would stop the server.
fn locked(path: &Path, create: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(create).open(path)?;
    lock(&file)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn check(bytes: &[u8]) -> io::Result<()> {
    let ours = journal::is_ours(bytes).then_some(());
    ours.ok_or_else(|| io::Error::other("it is no journal of ours, and stays as it is"))
}

/// Starts the thread. Of what has piled up it needs to bring the last to the disk only.
fn start_syncing(synced: Arc<Synced>) -> Sender<(Arc<File>, u64)> {
    let (sender, receiver) = channel::<(Arc<File>, u64)>();
    let run = move || {
        // What failed once may pretend to succeed the next time: only another file is believed after that.
        let mut failed: Option<Arc<File>> = None;
        while let Ok(first) = receiver.recv() {
            let (file, position) = receiver.try_iter().last().unwrap_or(first);
            let is_believed = failed.as_ref().is_none_or(|failed| !Arc::ptr_eq(failed, &file));
            if is_believed && file.sync_data().is_ok() {
                synced.position.fetch_max(position, Ordering::AcqRel);
            } else {
                synced.has_failed.store(true, Ordering::Release);
                failed = Some(file);
            }
            synced.turns();
            super::fence::look();
            wake();
        }
    };
    if thread::Builder::new().name("tallybook-sync".to_owned()).spawn(run).is_err() {
        server_log::warning("tallybook cannot start a thread: no mark will be safe");
    }
    sender
}

/// Lets the server's loop turn once.
pub fn wake() {
    unsafe extern "C" fn nothing(_: *mut c_void) {}
    // SAFETY: the table was written at load; the server allows this call from any thread.
    unsafe {
        if let Some(add) = RedisModule_EventLoopAddOneShot {
            add(Some(nothing), std::ptr::null_mut());
        }
    }
}
