//! TCP ports for servers that talk to each other.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// A cluster node listens on its port and on the port plus this.
const BUS_OFFSET: u16 = 10_000;

/// Ports 12000 to 21999 and their bus ports 22000 to 31999: disjoint, and below the ephemeral ports of Linux (32768).
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// A port that is free now, as is its bus port. Another process may still be faster: be ready to ask again.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = process::id().wrapping_mul(97).wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(place).expect("a remainder below COUNT");
        if is_free(port) && is_free(port + BUS_OFFSET) {
            return port;
        }
    }
    panic!("no free TCP port from {FIRST} to {}", FIRST + COUNT - 1);
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
