//! The window: the ids between the position and the mark, which this process may hand out by itself.
//!
//! ```text
//!   ordinal  0 ......... position ........ safe ................ top
//!            handed out  | may be handed out | raised, not safe yet |
//!                        |---- at most two windows -----------------|
//! ```
//!
//! `top` is the mark that is stored and replicated. It is raised when less than a window lies between
//! the position and it, so that a window is safe long before the one before it is used up. All this
//! holds for one term of the fence; in another one everything begins at the mark.

use super::Clock;
use crate::fence::{Term, Ticket};
use crate::limits::{CLOCK_KEPT_MS, CLOCK_WINDOW_MS, WINDOW_MIN};
use crate::wire::{Corrupt, Reader, put_u64};
use std::collections::VecDeque;

/// How the ids of an allocator are kept from being handed out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Each reservation is persisted, and nobody is waited for.
    #[default]
    Off,
    /// By marks, with windows as they are needed.
    Auto,
    /// By marks, with windows of so many ids; of milliseconds where ids carry the time.
    Fixed(u64),
}

const OFF: u8 = 0;
const AUTO: u8 = 1;
const FIXED: u8 = 2;

impl Policy {
    /// Appends it: a byte, and the window if it is fixed.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Policy::Off => out.push(OFF),
            Policy::Auto => out.push(AUTO),
            Policy::Fixed(size) => {
                out.push(FIXED);
                put_u64(out, *size);
            }
        }
    }

    /// Reads what `put` wrote.
    pub fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match reader.u8()? {
            OFF => Ok(Policy::Off),
            AUTO => Ok(Policy::Auto),
            FIXED => match reader.u64()? {
                0 => Err(Corrupt("a window of no ids")),
                size => Ok(Policy::Fixed(size)),
            },
            _ => Err(Corrupt("unknown kind of fence")),
        }
    }
}

/// What only the process that issues has to know of an effect. It is never sent anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Issued {
    /// The term it belongs to.
    pub term: Term,
    /// What is handed out next.
    pub position: u64,
    /// What lies below is safe.
    pub safe: u64,
    /// How many ids were handed out.
    pub count: u64,
    /// What they were asked for by.
    pub asked: Asked,
    /// The raise that the effect makes, and the window that led to it.
    pub raise: Option<(Ticket, u64)>,
    /// How many ids were skipped by takeovers.
    pub lost: u64,
}

/// What ids are asked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// RESERVE.
    #[default]
    Reserve,
    /// CODES.
    Codes,
    /// NEXT.
    Next,
}

/// The window of one allocator, as this process knows it.
#[derive(Debug, Clone, Default)]
pub struct Window {
    term: Term,
    position: u64,
    safe: u64,
    raises: VecDeque<(u64, Ticket)>,
    size: u64,
    raised_ms: u64,
    raised_at: u64,
    used_ms: u64,
    lost: u64,
}

/// Where an allocator stands in the present term.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stand<'a> {
    pub term: Term,
    pub position: u64,
    pub safe: u64,
    pub top: u64,
    pub lost: u64,
    /// Raises that are not safe yet.
    pub pending: &'a VecDeque<(u64, Ticket)>,
    /// Whether it was used in this term already.
    pub has_begun: bool,
    /// Whether its mark says nothing about ids in use.
    pub is_doubted: bool,
    /// How many of the ids below `safe` are kept for those who waited for them.
    pub owed: u64,
}

static NOTHING_PENDING: VecDeque<(u64, Ticket)> = VecDeque::new();

impl Window {
    /// A window at a mark, of no term yet.
    pub(super) fn at(mark: u64) -> Self {
        Window { position: mark, safe: mark, ..Window::default() }
    }

    /// What is handed out next.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many ids takeovers cost.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Without a fence position and mark move together.
    pub(super) fn set_position(&mut self, mark: u64) {
        self.position = mark;
    }

    /// The size of the present window.
    pub(super) fn size(&self) -> u64 {
        self.size.max(WINDOW_MIN)
    }

    /// Whether ids were handed out not long ago.
    pub(super) fn is_used(&self, now_ms: u64) -> bool {
        self.used_ms > 0 && now_ms.saturating_sub(self.used_ms) < CLOCK_KEPT_MS
    }

    /// Where it stands, if it was used in this term.
    pub(super) fn stand(&self, term: Term, granted: Ticket) -> Option<Stand<'_>> {
        if term != self.term {
            return None;
        }
        let safe = self.raises.iter().filter(|(_, ticket)| *ticket <= granted).map(|(mark, _)| *mark).max();
        let safe = safe.map_or(self.safe, |mark| mark.max(self.safe));
        let top = self.raises.back().map_or(safe, |(mark, _)| *mark).max(safe);
        let Window { position, lost, raises: pending, .. } = self;
        Some(Stand {
            term,
            position: *position,
            safe,
            top,
            lost: *lost,
            pending,
            has_begun: true,
            is_doubted: false,
            owed: 0,
        })
    }

    /// Where it stands at the beginning of a term: at a mark, with nothing safe beyond.
    pub(super) fn beginning(&self, term: Term, mark: u64, drawn: u64) -> Stand<'static> {
        let lost = self.lost.saturating_add(mark.saturating_sub(drawn));
        let pending = &NOTHING_PENDING;
        Stand {
            term,
            position: mark,
            safe: mark,
            top: mark,
            lost,
            pending,
            has_begun: false,
            is_doubted: false,
            owed: 0,
        }
    }

    /// Takes note of what was issued, and of the mark that was raised with it.
    pub(super) fn issue(&mut self, issued: &Issued, mark: u64, at_ms: u64) {
        if issued.term != self.term {
            self.raises.clear();
        }
        let Issued { term, position, safe, lost, .. } = *issued;
        (self.term, self.position, self.safe, self.lost) = (term, position, safe, lost);
        self.raises.retain(|(mark, _)| *mark > safe);
        if issued.count > 0 || self.used_ms == 0 {
            self.used_ms = at_ms;
        }
        if let Some((ticket, size)) = issued.raise {
            self.raises.push_back((mark, ticket));
            (self.size, self.raised_ms, self.raised_at) = (size, at_ms, position);
        }
    }

    /// The size of the next window. It covers two seconds of what was used since the last raise, doubles
    /// when somebody had to wait, and halves at most.
    pub(super) fn next_size(&self, policy: Policy, clock: Option<Clock>, stand: &Stand<'_>, growth: Growth) -> u64 {
        if let Some(clock) = clock {
            let ms = if let Policy::Fixed(ms) = policy { ms } else { CLOCK_WINDOW_MS };
            return clock.span(ms).max(1);
        }
        if let Policy::Fixed(size) = policy {
            return size;
        }
        // A burst shorter than a second counts as if it were all of that second.
        let elapsed_ms = growth.now_ms.saturating_sub(self.raised_ms).max(1_000);
        let used = u128::from(stand.position.saturating_sub(self.raised_at));
        let two_seconds = used.saturating_mul(2_000).checked_div(elapsed_ms.into()).unwrap_or(0);
        let measured = if stand.has_begun { u64::try_from(two_seconds).unwrap_or(u64::MAX) } else { 0 };
        let grown = if growth.stalled && stand.has_begun { self.size().saturating_mul(2) } else { self.size() / 2 };
        measured.max(grown).clamp(WINDOW_MIN.min(growth.size_max), growth.size_max)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.raises.capacity().saturating_mul(size_of::<(u64, Ticket)>())
    }
}

/// What decides about the next window, beside the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    pub now_ms: u64,
    pub size_max: u64,
    pub stalled: bool,
}
