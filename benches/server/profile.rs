//! Whether the profile by which a release is laid out is one of this module: its functions have the same names then.

use crate::harness::module_path;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// How the names of our functions begin, and how long the hash is that ends them.
const PREFIX: &[u8] = b"_ZN9tallybook";
const HASH_LEN: usize = b"17h0123456789abcdefE".len();

/// Says so where most of what the profile has counted is not in the module. It has every function twice, under the names
/// of a build by itself and of one beside tests.
pub fn warn_of_misfit() {
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/release.profdata");
    let (counted, compiled) = (names(&profile), names(&module_path()));
    let known = counted.intersection(&compiled).count();
    if known * 4 < counted.len() {
        let half = counted.len() / 2;
        eprintln!("bench: of {half} functions in the profile the module has {known}: make profile, then build again");
    }
}

fn names(path: &Path) -> HashSet<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let starts = bytes.windows(PREFIX.len()).enumerate().filter(|(_, window)| *window == PREFIX).map(|(at, _)| at);
    starts.filter_map(|start| name(&bytes[start..])).collect()
}

/// The name at the front: its hash is the first that follows.
fn name(bytes: &[u8]) -> Option<Vec<u8>> {
    let hash = bytes.windows(HASH_LEN).take_while(|window| window[0] != 0).position(|window| {
        window.starts_with(b"17h") && window.ends_with(b"E") && window[3..19].iter().all(u8::is_ascii_hexdigit)
    })?;
    Some(bytes[..hash + HASH_LEN].to_vec())
}
