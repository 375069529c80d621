//! A failover that is taken back: the replica was promoted, handed out ids, and becomes a replica of the old primary
//! again, which was one all the time. Sentinels do that to a failover that took too long (`+convert-to-slave`).

use super::{Checker, address, advice, create, drain, reserve_times, wait_for_electable};
use crate::harness::*;

#[test]
fn a_promotion_that_is_taken_back_leaves_no_id_to_be_repeated() {
    let Pair { primary, replica } = Pair::start();
    let checker = Checker::new("ids");
    let mut client = primary.connect();
    create(&mut client, "ids", "FENCE 500");
    wait_for_electable(&primary, &[&replica]);
    reserve_times(10, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    synced(&primary, &replica);

    let mut heir = replica.connect();
    heir.ok("REPLICAOF NO ONE");
    reserve_times(200, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 1);
    heir.ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));

    // Whoever knows of these ids acknowledges nothing to a primary that does not, and says why.
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert!(refusal.contains(&address(&replica)), "{refusal}");
    wait_until("the replica says how far to go", PATIENCE, || advice(&replica, "ids").is_some());
    let advance = advice(&replica, "ids").expect("an advice");
    checker.assert_unique();

    // An operator tells the primary, and the replica comes back by itself. Everything else it has all the time.
    client.ok("SET other data");
    wait_until("the primary is told", PATIENCE, || client.call(&*advance).is_ok());
    reserve_times(100, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    checker.assert_unique();
    synced(&primary, &replica);
    assert_eq!(heir.text("GET other"), "data");
}
