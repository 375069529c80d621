//! Faults that a test plants, with the feature `planted`, which no release has: a panic where C calls us, once, or
//! what a checker of memory has to see.

use std::hint::black_box;
use std::sync::Mutex;

/// The part of a place's name at which the next panic is due.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// What `tallybook.plant` takes: `overflow`, `use-after-free`, or the place of a panic.
pub fn plant(what: &str) -> Result<(), String> {
    match what {
        // SAFETY: it is none; that is the point.
        "overflow" => _ = black_box(unsafe { black_box(vec![1_u8; 24]).as_ptr().add(24).read_volatile() }),
        "use-after-free" => {
            let block = black_box(vec![1_u8; 24]);
            let start = block.as_ptr();
            drop(block);
            // SAFETY: it is none; that is the point.
            black_box(unsafe { start.read_volatile() });
        }
        place => *PLACE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = place.to_owned(),
    }
    Ok(())
}

/// Panics if a panic is due here.
pub(super) fn strike(place: &str) {
    let is_due = {
        let mut planted = PLACE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_due = !planted.is_empty() && place.contains(planted.as_str());
        is_due.then(|| planted.clear()).is_some()
    };
    assert!(!is_due, "planted at {place}");
}
