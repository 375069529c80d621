//! Effects as a test writes them: the bytes of docs and `src/domain/effect`, put together by hand, so that the
//! format that replicas and AOF files depend on cannot change unseen.

/// The payload of an effect command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// An effect without parts, in the version that there is.
    pub fn new() -> Self {
        Payload(vec![1])
    }

    /// A counter comes into being; `at_ms` is 0 where a write made it in passing.
    pub fn counter(self, initial: i64, at_ms: u64) -> Self {
        self.byte(1).i64(initial).u64(at_ms)
    }

    /// An allocator comes into being: ids from `start` on, every `increment`th.
    pub fn allocator(self, start: i64, increment: u64) -> Self {
        let uid = (0..16).fold(self.byte(1), Payload::byte);
        uid.i64(start).u64(increment).i64(i64::MAX).u64(1)
    }

    /// New bounds.
    pub fn bounds(self, lower: i64, upper: i64) -> Self {
        self.byte(2).byte(3).i64(lower).i64(upper)
    }

    /// A log of at most `len_max` entries.
    pub fn log_of(self, len_max: u64) -> Self {
        self.byte(3).byte(1).u64(len_max)
    }

    /// This was added to a counter.
    pub fn added(self, delta: i64) -> Self {
        self.byte(8).i64(delta)
    }

    /// This run of ordinals was reserved.
    pub fn reserved(self, first: u64, count: u64) -> Self {
        self.byte(16).u64(first).u64(count)
    }

    /// The mark rises.
    pub fn raised(self, mark: u64) -> Self {
        self.byte(17).u64(mark)
    }

    /// The entry of the log: when, who, from where and why.
    pub fn stamp(self, (ms, seq): (u64, u64), [user, client, note]: [&[u8]; 3]) -> Self {
        self.byte(24).u64(ms).u64(seq).bytes(user).bytes(client).bytes(note)
    }

    /// The beginning, or a later part, of stored sections.
    pub fn restored(self, first: bool, sections: &[&[u8]]) -> Self {
        let head = self.byte(32).byte(u8::from(first));
        sections.iter().fold(head, |payload, section| payload.bytes(section))
    }

    /// A byte as it is.
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// As `ReplicationStream::next_lines` shows it.
    pub fn escaped(&self) -> String {
        self.0.escape_ascii().to_string()
    }

    /// LEB128.
    fn u64(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8)
    }

    /// Zigzag, then LEB128.
    fn i64(self, value: i64) -> Self {
        self.u64(((value << 1) ^ (value >> 63)) as u64)
    }

    /// The length, then the bytes.
    fn bytes(self, bytes: &[u8]) -> Self {
        let mut payload = self.u64(bytes.len() as u64);
        payload.0.extend_from_slice(bytes);
        payload
    }
}
