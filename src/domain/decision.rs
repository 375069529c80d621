//! What deciding on a request comes to.

use crate::fence::Wait;

/// The outcome of a decision that was not a refusal. `E` is the effect, `R` the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<E, R> {
    /// The reply is known and nothing changes: nothing is stored, replicated or announced.
    Unchanged(R),
    /// The effect is to be applied and replicated, then the reply given.
    Changed {
        /// What changes.
        effect: E,
        /// What the caller gets.
        reply: R,
        /// In which form replicas get it.
        form: Form,
    },
    /// What is asked for is not safe yet. Something may have to change for that; then the request is to
    /// be decided afresh.
    Wait {
        /// What changes at once.
        effect: Option<E>,
        /// What to wait for.
        wait: Box<Wait>,
    },
}

impl<E, R> Decision<E, R> {
    /// The reply, whatever changes; none where it has to wait.
    pub fn reply(&self) -> Option<&R> {
        match self {
            Decision::Unchanged(reply) | Decision::Changed { reply, .. } => Some(reply),
            Decision::Wait { .. } => None,
        }
    }
}

/// How a change reaches replicas and the AOF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the request itself: only where it comes to the same wherever the same value stands. No chance and no
    /// configuration took part, and clock and caller either did not, or were those of the change before it, which
    /// the value keeps: whoever obeys takes them from there. It is the cheapest form. What such a request comes to is
    /// a format, as an effect is: old files are full of them.
    Request,
    /// As an effect command.
    Effect,
    /// Not at all: only this process has to know, as which ids below a safe mark it has handed out.
    Nowhere,
}
