//! Effects and stored values as a test writes them: put together by hand, byte by byte, so that the formats that
//! replicas, AOF files and dumps depend on cannot change unseen. `src/domain/effect` and `stored.rs` draw them.

/// The payload of an effect command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// An effect that was decided on at this Unix time, without parts.
    pub fn at(ms: u64) -> Self {
        Payload(vec![1, 0]).u64(ms)
    }

    /// The first sections of a value.
    pub fn first(sections: &[&[u8]]) -> Self {
        sections.iter().fold(Payload(vec![1, 1]), |payload, section| payload.bytes(section))
    }

    /// More sections of a value.
    pub fn more(sections: &[&[u8]]) -> Self {
        sections.iter().fold(Payload(vec![1, 2]), |payload, section| payload.bytes(section))
    }

    /// The time of an effect.
    pub fn time_of(payload: &[u8]) -> u64 {
        assert_eq!(payload[..2], [1, 0], "version and kind");
        let (mut time, mut shift) = (0, 0);
        for byte in &payload[2..] {
            time |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        time
    }

    /// A counter comes into being, by CREATE or by a write in passing.
    pub fn counter(self, initial: i64, explicitly: bool) -> Self {
        self.byte(1).i64(initial).byte(u8::from(explicitly))
    }

    /// New bounds.
    pub fn bounds(self, lower: i64, upper: i64) -> Self {
        self.byte(2).byte(3).i64(lower).i64(upper)
    }

    /// A log of at most `len_max` entries.
    pub fn log_of(self, len_max: u64) -> Self {
        self.byte(3).byte(1).byte(1).u64(len_max)
    }

    /// This was added to a counter.
    pub fn added(self, delta: i64) -> Self {
        self.byte(9).i64(delta)
    }

    /// This run of ordinals was reserved.
    pub fn reserved(self, first: u64, count: u64) -> Self {
        self.byte(16).u64(first).u64(count)
    }

    /// The mark rises.
    pub fn raised(self, mark: u64) -> Self {
        self.byte(17).u64(mark)
    }

    /// The entry of the log: who, from where and why.
    pub fn stamp(self, [user, client, note]: [&[u8]; 3]) -> Self {
        self.byte(24).bytes(user).bytes(client).bytes(note)
    }

    /// The token that stands for it, and what is kept with it.
    pub fn token(self, [producer, token]: [&[u8]; 2], fingerprint: [u8; 6], reply: &[u8]) -> Self {
        let mut payload = self.byte(25).bytes(producer).bytes(token);
        payload.0.extend(fingerprint);
        payload.bytes(reply)
    }

    /// The reply that is kept of a reservation.
    pub fn block(first: i64, last: i64, increment: u64, count: u64) -> Vec<u8> {
        Payload(Vec::new()).i64(first).i64(last).u64(increment).u64(count).0
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

/// A counter and an allocator whose logs have entries of exactly these ids, at most 256: each adds 1, or reserves 1.
pub fn with_entries(ids: &[(u64, u64)]) -> [Payload; 2] {
    let last = *ids.last().expect("an entry");
    let head = Payload(vec![7, 1]).u64(1_000_000).u64(last.0).u64(last.1).0;
    let section = || Payload(vec![8]).u64(ids[0].0).u64(ids[0].1).byte(0); // from value 0, from ordinal 0
    let chunk = |op: u8, change: &[u8]| {
        let mut chunk = section();
        for (index, &(ms, seq)) in ids.iter().enumerate() {
            let before = ids[index.saturating_sub(1)];
            let time = ms - before.0;
            let skip = if index == 0 {
                0
            } else if time > 0 {
                seq
            } else {
                seq - before.1 - 1
            };
            chunk = chunk.byte(op << 4 | u8::from(time > 0) | u8::from(skip > 0) << 1);
            chunk = if time > 0 { chunk.u64(time) } else { chunk };
            chunk = if skip > 0 { chunk.u64(skip) } else { chunk };
            chunk.0.extend_from_slice(change);
        }
        chunk.0
    };
    let counter = Payload(vec![1]).i64(ids.len() as i64).0;
    let allocator = (0..16).fold(Payload(vec![1]), Payload::byte);
    let allocator = allocator.i64(1).u64(1).i64(i64::MAX).u64(ids.len() as u64).byte(0).0;
    [Payload::first(&[&counter, &head, &chunk(0, &[2])]), Payload::first(&[&allocator, &head, &chunk(1, &[0, 1])])]
}
