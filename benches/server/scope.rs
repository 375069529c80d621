//! How much is measured.
//!
//! ```text
//! BENCH        one measurement by its name     all of them
//! BENCH_QUICK  1: few, short rounds            enough of them for numbers that can be quoted
//! ```

use std::env;

/// The measurements that are wanted, and how thorough they are.
pub struct Scope {
    only: Option<String>,
    is_quick: bool,
}

impl Scope {
    pub fn from_environment() -> Self {
        let value = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self { only: value("BENCH"), is_quick: value("BENCH_QUICK").is_some_and(|value| value == "1") }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }

    /// Whether this is a run whose results are kept.
    pub fn is_whole(&self) -> bool {
        self.only.is_none() && !self.is_quick
    }

    /// How often each side of a comparison is measured.
    pub fn rounds(&self) -> usize {
        self.pick(3, 5)
    }

    /// How long each side is loaded in each round.
    pub fn seconds(&self) -> f64 {
        self.pick(0.25, 1.0)
    }

    pub fn pick<T>(&self, quick: T, thorough: T) -> T {
        if self.is_quick { quick } else { thorough }
    }
}
