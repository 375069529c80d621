//! A directory that lives as long as its server.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

/// A socket's path must fit `sockaddr_un.sun_path`: 108 bytes with the final zero, and a file name comes after this.
const PATH_BYTES_MAX: usize = 80;

/// A fresh directory, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base().join(format!("tallybook-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // best effort: a test's verdict does not depend on it
    }
}

fn base() -> PathBuf {
    let usual = env::temp_dir();
    if usual.as_os_str().len() + "/tallybook-4194304-4294967295".len() <= PATH_BYTES_MAX {
        usual
    } else {
        PathBuf::from("/tmp")
    }
}
