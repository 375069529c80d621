//! What values have on the heap: how much, and how it moves.

/// What an allocator takes for a block of so many bytes: that, or more. Nothing for none.
pub type BlockSize = fn(usize) -> usize;

/// As many bytes as were asked for.
pub const AS_ASKED: BlockSize = |bytes| bytes;

/// What moves a block, or leaves it where it is. Where few blocks are left in a page, an allocator that defragments
/// asks their owners to move them elsewhere.
///
/// Values behind a pointer do, and the buffers of tokens and of the chunk of a log that is being written. A sealed chunk
/// stays where it is until its log lets go of it, since it may be shared with a copy; so do trees of holds, tables, and
/// the names of producers.
pub trait Mover {
    /// The buffer of a byte string.
    fn bytes(&mut self, bytes: &mut Vec<u8>);
    /// A value of its own.
    fn boxed<T>(&mut self, value: &mut Box<T>);
}
