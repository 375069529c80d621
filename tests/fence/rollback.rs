//! A failover that is taken back: the replica was promoted, handed out ids, and becomes a replica of the old primary
//! again, which was one all the time. Sentinels do that to a failover that took too long (`+convert-to-slave`).

use super::{Checker, address, create, drain, reserve_times, wait_for_electable};
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
    reserve_times(100, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 1);
    heir.ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert!(refusal.contains(&address(&replica)), "it does not acknowledge any more: {refusal}");
    wait_until("the log says what to do", PATIENCE, || replica.log().contains("IDBLOCK.ADVANCE"));

    let last = checker.last().expect("ids");
    wait_until("ADVANCE is safe", PATIENCE * 2, || client.call(args!["IDBLOCK.ADVANCE", "ids", last]).is_ok());
    reserve_times(100, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    checker.assert_unique();
}
