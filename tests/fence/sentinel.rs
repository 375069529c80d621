//! Three sentinels over a primary and two replicas, which are killed, frozen and replaced under load.

use super::{Crowd, address, are_electable, is_primary, opens_a_window, safe, trio};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    FailOver,
}

/// Three servers that write an AOF. Nobody is a replica by configuration: whoever restarts is a primary of old until a
/// sentinel finds it.
struct Watched {
    servers: Vec<Server>,
    sentinels: Sentinels,
    primary: usize,
}

impl Watched {
    fn start() -> Self {
        let servers = trio();
        let sentinels = Sentinels::watch(&servers[0], 2);
        Self { servers, sentinels, primary: 0 }
    }

    /// Everybody is there again, and a window was opened that both replicas have acknowledged.
    fn settle(&mut self, crowd: &Crowd) {
        let (mut primary, before) = (None, self.safe());
        wait_until("the primary of all sentinels opens a window", PATIENCE * 3, || {
            primary = self.primary_of_sentinels();
            primary.is_some_and(|index| {
                let others = self.servers.iter().enumerate().filter(|(other, _)| *other != index);
                let others: Vec<&Server> = others.map(|(_, server)| server).collect();
                let mut client = self.servers[index].connect();
                is_primary(&mut client)
                    && are_electable(&mut client, &others)
                    && opens_a_window(&mut client, before, crowd.checker("window"), index)
            })
        });
        self.primary = primary.expect("a primary");
    }

    /// The end of the furthest window that any server has open.
    fn safe(&self) -> i64 {
        let ends = self.servers.iter().map(|server| safe(&mut server.connect(), "window"));
        ends.max().expect("servers")
    }

    fn primary_of_sentinels(&self) -> Option<usize> {
        let port = self.sentinels.primary()?;
        self.servers.iter().position(|server| server.port() == port)
    }

    fn port(&self) -> u16 {
        self.servers[self.primary].port()
    }

    fn suffer(&mut self, fault: Fault, chance: &mut StdRng, crowd: &Crowd) {
        crowd.wait_for(chance.random_range(100..3_000));
        let (old, port) = (self.primary, self.port());
        println!("{fault:?} of {}", address(&self.servers[old]));
        match fault {
            Fault::Kill => {
                self.servers[old].kill();
                if chance.random_bool(0.7) {
                    self.sentinels.wait_for_another(port);
                }
                self.servers[old].restart();
            }
            Fault::Freeze => {
                self.servers[old].pause();
                self.sentinels.wait_for_another(port);
                self.servers[old].resume();
            }
            Fault::FailOver => drop(self.sentinels.fail_over(port)),
        }
        self.settle(crowd);
    }
}

#[test]
fn sentinels_and_failing_primaries_hand_out_no_id_twice() {
    let mut chance = StdRng::seed_from_u64(seed());
    let mut faults = [Fault::Kill, Fault::Freeze, Fault::FailOver].repeat(scale(1, 50));
    faults.shuffle(&mut chance);
    let mut watched = Watched::start();
    let crowd = Crowd::of_all_kinds(&watched.servers).with_clients(3, 1).with_pause(Duration::from_millis(2));
    crowd.endures(|crowd| {
        watched.settle(crowd);
        for fault in faults {
            watched.suffer(fault, &mut chance, crowd);
        }
        crowd.wait_for_node(watched.primary, 50);
    });
}
