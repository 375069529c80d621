//! The hash slot of a name, as the Redis Cluster specification defines it: CRC-16/XMODEM of the name, or of what
//! stands between its first `{` and the next `}` unless that is nothing, modulo 16384.

const SLOTS: u16 = 16_384;
const POLYNOMIAL: u16 = 0x1021;

/// The hash slot of a name.
pub fn slot(name: &[u8]) -> u16 {
    crc16(tag(name).unwrap_or(name)) & (SLOTS.wrapping_sub(1))
}

fn tag(name: &[u8]) -> Option<&[u8]> {
    let from = name.iter().position(|&letter| letter == b'{')?.checked_add(1)?;
    let rest = name.get(from..)?;
    let len = rest.iter().position(|&letter| letter == b'}')?;
    rest.get(..len).filter(|tag| !tag.is_empty())
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL }
            },
        )
    })
}
