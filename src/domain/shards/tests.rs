//! When a total is whole, in tables; that what is not a message is none; and a cluster of models in which slots move
//! while a round is under way.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

mod moves;

use super::*;
use crate::wire::Corrupt;
use Claim::{Absent, Alien, Elsewhere, Moving, Nowhere, Value};

const A: NodeId = NodeId([b'a'; 40]);
const B: NodeId = NodeId([b'b'; 40]);
const C: NodeId = NodeId([b'c'; 40]);

fn shards(count: u64) -> Shards {
    Shards::new(count).unwrap()
}

fn answer(of_all: bool, claims: &[(u16, Claim)]) -> Answer {
    Answer { number: 7, of_all, claims: claims.iter().map(|(part, claim)| (Part(*part), *claim)).collect() }
}

#[test]
fn a_counter_has_1_to_1024_shards_and_a_name_without_a_tag() {
    for (count, expected) in [(0, None), (1, Some(1)), (1024, Some(1024)), (1025, None), (u64::MAX, None)] {
        assert_eq!(Shards::new(count).map(Shards::count), expected, "{count}");
    }
    let range = |got| Err(Error::OutOfRange { what: "SHARDS", min: 1, max: 1024, got });
    let long = [b'x'; 1025];
    for (name, count, expected) in [
        (&b"views"[..], 64, Ok(shards(64))),
        (b"views", 0, range(0)),
        (b"views", 1025, range(1025)),
        (b"views", -1, range(-1)),
        (b"{views}", 4, Err(Error::ShardsTagged)),
        (b"views}", 4, Ok(shards(4))),
        (&long[..1024], 4, Ok(shards(4))),
        (&long, 4, Err(Error::TooLong { what: "key", max: 1024, got: 1025 })),
    ] {
        assert_eq!(Shards::of(name, count), expected, "{name:?} {count}");
    }
    let names: Vec<_> = shards(2).parts().map(|part| shards(2).name(b"v", part)).collect();
    assert_eq!(names, [&b"v{0}"[..], b"v{1}", b"v"]);
}

/// As CLUSTER KEYSLOT says; the first is the check value of CRC-16/XMODEM, 0x31c3.
#[test]
fn a_name_has_the_slot_that_the_servers_give_it() {
    for (name, expected) in [
        (&b"123456789"[..], 0x31c3),
        (b"", 0),
        (b"foo", 12_182),
        (b"x{foo}y", 12_182),
        (b"{}foo", 9_500),
        (b"{foo", 13_308),
        (b"views{}{foo}", 14_431),
    ] {
        assert_eq!(slot(name), expected, "{name:?}");
    }
}

#[test]
fn a_table_says_who_owns_what() {
    let text = format!(
        "{A} 127.0.0.1:1@2,host myself,master - 0 0 1 connected 0-99 5000 200-300 [93->-{B}] [7000-<-{C}]\n\
         {B} 127.0.0.1:3@4 master - 0 0 2 connected 400-500\n\
         {C} 127.0.0.1:5@6 master,fail? - 0 0 3 connected\n\
         {} 127.0.0.1:5@6 slave {A} 0 0 3 connected\n\
         {} 127.0.0.1:5@6 master,fail - 0 0 3 disconnected 600-700\n\n",
        NodeId([b'd'; 40]),
        NodeId([b'e'; 40]),
    );
    let table = Table::read(&text).unwrap();
    assert_eq!((table.me(), table.is_primary()), (A, true));
    assert_eq!(table.asked().collect::<Vec<_>>(), [B, C], "a failed one and a replica are not asked");
    for (slot, expected) in
        [(0, true), (99, true), (100, false), (199, false), (250, true), (400, false), (5000, true), (5001, false)]
    {
        assert_eq!(table.owns(slot), expected, "{slot}");
    }
    for (slot, expected) in [(0, Some(A)), (450, Some(B)), (650, None), (5001, None), (16_383, None)] {
        assert_eq!(table.owner(slot), expected, "{slot}: not of one that has failed");
    }
    assert_eq!((table.leaving(93), table.leaving(94)), (Some(B), None));
    assert!(table.is_arriving(7000) && !table.is_arriving(93));
    assert!(table.knows(NodeId([b'e'; 40])) && !table.knows(NodeId([b'f'; 40])));

    let replica = format!("{A} - myself,slave {B} 0 0 1 connected\n{B} - master - 0 0 1 connected 5-6\n");
    let table = Table::read(&replica).unwrap();
    assert!(!table.is_primary() && table.owns(5) && !table.owns(7));
    assert_eq!(Table::read(""), None);
    assert_eq!(Table::read("nonsense"), None);
}

fn messages() -> Vec<(Message, Vec<u8>)> {
    let number = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
    let ask = |which| Ask { number, database: 300, name: b"views".to_vec(), shards: shards(4), which };
    let asked = b"\x01\x01\x01\x02\x03\x04\x05\x06\x07\x08\xac\x02\x05views\x04";
    let told = b"\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08";
    let claims = [Value(7), Absent, Moving(B), Alien, Elsewhere(A), Elsewhere(B), Nowhere];
    let claims = (1..).map(Part).zip(claims).collect();
    let names = [&[2][..], &A.0, &B.0].concat();
    vec![
        (Message::Ask(ask(Which::All)), [&asked[..], b"\x00"].concat()),
        (Message::Ask(ask(Which::These(vec![Part(0), Part(1), Part(4)]))), [&asked[..], b"\x01\x00\x01\x03"].concat()),
        (Message::Answer(Answer { number, of_all: false, claims: vec![] }), [&told[..], b"\x01\x00"].concat()),
        (
            Message::Answer(Answer { number, of_all: true, claims }),
            [&told[..], b"\x00", &names, b"\x01\x01\x0e\x01\x00\x01\x02\x01\x01\x03\x01\x04\x00\x01\x04\x01\x01\x05"]
                .concat(),
        ),
    ]
}

#[test]
fn a_message_has_these_bytes() {
    for (message, bytes) in messages() {
        let encoded = match &message {
            Message::Ask(ask) => ask.encode(),
            Message::Answer(answer) => answer.encode(),
        };
        assert_eq!(encoded, bytes);
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

/// Cut short, with a byte too many, or with another byte: refused, or read as something of the same form. Never a panic.
#[test]
fn what_is_no_message_is_refused() {
    for (_, bytes) in messages() {
        for end in 0..bytes.len() {
            if let Ok(Message::Ask(read)) = Message::decode(&bytes[..end]) {
                assert!(matches!(read.which, Which::These(_)), "{end} bytes");
            }
        }
        for (index, byte) in (0..bytes.len()).flat_map(|index| (0..=255).map(move |byte| (index, byte))) {
            let mut damaged = bytes.clone();
            damaged[index] = byte;
            match Message::decode(&damaged) {
                Ok(Message::Ask(ask)) => assert_eq!(ask.encode(), damaged),
                // Nodes may be named in another order, or in vain.
                Ok(Message::Answer(answer)) => {
                    assert_eq!(Message::decode(&answer.encode()), Ok(Message::Answer(answer)), "{index}: {byte}")
                }
                Err(_) => {}
            }
        }
    }
    let ask = b"\x01\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\x05views";
    let answer = b"\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08\x00";
    for (bytes, why) in [
        (&b""[..], "cut short"),
        (b"\x02\x01", "unknown version of a message"),
        (b"\x01\x03", "unknown kind of message"),
        (&[&ask[..], b"\x00\x00"].concat(), "no such number of shards"),
        (&[&ask[..], b"\x81\x08\x00"].concat(), "no such number of shards"),
        (&[&ask[..], b"\x04\x02"].concat(), "unknown kind of question"),
        (&[&ask[..], b"\x04\x00\x00"].concat(), "bytes left over"),
        (&[&ask[..], b"\x04\x01\x05"].concat(), "no such part"),
        (&[&ask[..], b"\x04\x01\x01\x00"].concat(), "a part twice"),
        (b"\x01\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\xff\xff\x7f", "byte string longer than its limit"),
        (&[&answer[..], b"\x82\x08"].concat(), "too many nodes"),
        (&[&answer[..], b"\x02", &A.0].concat(), "cut short"),
        (&[&answer[..], b"\x01", &A.0, b"\x00\x04\x01"].concat(), "no such node"),
        (&[&answer[..], b"\x01", &A.0, b"\x00\x02\x01"].concat(), "no such node"),
        (&[&answer[..], b"\x00\x00\x06"].concat(), "unknown kind of claim"),
        (&[&answer[..], b"\x00\x81\x08\x00"].concat(), "no such part"),
        (&[&answer[..], b"\x00\x00\x00\x00\x00"].concat(), "a part twice"),
        (b"\x01\x02\x01\x02\x03\x04\x05\x06\x07\x08\x02", "unknown kind of answer"),
    ] {
        assert_eq!(Message::decode(bytes), Err(Corrupt(why)), "{bytes:?}");
    }
}

/// What three nodes say of one shard and of the counter itself, which is with A.
#[test]
fn a_total_is_whole_when_each_part_came_from_one_node_and_the_others_name_that_one() {
    const X: NodeId = NodeId([b'x'; 40]);
    let table = [
        ([Value(5), Elsewhere(A), Elsewhere(A)], Verdict::Whole),
        ([Elsewhere(B), Absent, Elsewhere(B)], Verdict::Whole),
        ([Elsewhere(C), Elsewhere(C), Alien], Verdict::Whole),
        ([Elsewhere(B), Elsewhere(B), Elsewhere(B)], Verdict::Torn),
        ([Value(5), Value(5), Elsewhere(A)], Verdict::Torn),
        ([Value(5), Elsewhere(A), Absent], Verdict::Torn),
        ([Value(5), Value(6), Value(7)], Verdict::Torn),
        // A is a former owner that has not heard of its loss.
        ([Value(5), Elsewhere(C), Elsewhere(A)], Verdict::Torn),
        ([Value(5), Elsewhere(X), Elsewhere(A)], Verdict::Torn),
        ([Value(5), Nowhere, Elsewhere(A)], Verdict::Torn),
        ([Nowhere, Elsewhere(A), Elsewhere(A)], Verdict::Torn),
        ([Moving(B), Elsewhere(A), Elsewhere(A)], Verdict::Open),
        ([Moving(B), Value(9), Elsewhere(A)], Verdict::Open),
        ([Moving(B), Elsewhere(A), Elsewhere(B)], Verdict::Open),
        ([Moving(B), Elsewhere(A), Elsewhere(C)], Verdict::Torn),
        ([Moving(B), Elsewhere(C), Elsewhere(A)], Verdict::Torn),
        ([Moving(B), Elsewhere(A), Nowhere], Verdict::Torn),
        ([Moving(B), Elsewhere(A), Value(9)], Verdict::Torn),
        ([Moving(B), Moving(A), Elsewhere(A)], Verdict::Torn),
        ([Moving(A), Elsewhere(A), Elsewhere(A)], Verdict::Torn),
        ([Moving(X), Elsewhere(A), Elsewhere(A)], Verdict::Torn),
    ];
    for (said, expected) in table {
        let mut gather = Gather::new(shards(1), [A, B, C]);
        for (node, claim) in [A, B, C].into_iter().zip(said) {
            assert_eq!(gather.verdict(), Verdict::Open);
            let itself = if node == A { Value(1) } else { Elsewhere(A) };
            gather.heard(node, &answer(true, &[(0, claim), (1, itself)])).unwrap();
        }
        assert_eq!(gather.verdict(), expected, "{said:?}");
        let known = gather.tally().part(Part(0)).is_some();
        assert_eq!(known, expected == Verdict::Whole, "{said:?}: what is in doubt is not known");
    }
}

#[test]
fn what_is_on_the_move_is_asked_for_where_it_goes_and_that_answer_counts() {
    for (told, expected) in [
        (Value(9), Verdict::Whole),
        (Absent, Verdict::Whole),
        (Elsewhere(C), Verdict::Torn),
        (Nowhere, Verdict::Torn),
        (Moving(C), Verdict::Torn),
    ] {
        let mut gather = Gather::new(shards(1), [A, B]);
        let early = answer(true, &[(0, Value(4)), (1, Elsewhere(A))]);
        assert_eq!(gather.heard(B, &answer(false, &[(0, told)])), Err(Foreign), "not asked yet");
        assert_eq!(gather.heard(B, &early), Ok(vec![]), "too early to count");
        let orders = gather.heard(A, &answer(true, &[(0, Moving(B)), (1, Value(1))])).unwrap();
        assert_eq!(orders, [(B, vec![Part(0)])]);
        assert_eq!(gather.unanswered(), [(B, Some(vec![Part(0)]))]);
        assert_eq!(gather.heard(B, &answer(false, &[])), Err(Foreign), "not what was asked");
        assert_eq!(gather.heard(B, &answer(false, &[(0, told)])), Ok(vec![]));
        assert_eq!(gather.verdict(), expected, "{told:?}");
        if told == Value(9) {
            assert_eq!(gather.tally().total(false), Ok(10));
        }
    }
}

#[test]
fn strangers_and_second_answers_change_nothing() {
    let mut gather = Gather::new(shards(1), [A, B]);
    let whole = answer(true, &[(0, Value(5)), (1, Value(1))]);
    assert_eq!(gather.heard(C, &whole), Err(Foreign));
    for parts in [&[][..], &[0], &[1], &[0, 1, 2]] {
        let claims: Vec<_> = parts.iter().map(|part| (*part, Value(5))).collect();
        assert_eq!(gather.heard(A, &answer(true, &claims)), Err(Foreign), "{parts:?}");
    }
    assert_eq!(gather.heard(A, &whole), Ok(vec![]));
    assert_eq!(gather.heard(A, &answer(true, &[(0, Value(7)), (1, Value(1))])), Ok(vec![]));
    assert_eq!(gather.verdict(), Verdict::Open, "B has said nothing");
    assert_eq!(gather.tally().total(true), Ok(6));
    gather.heard(B, &answer(true, &[(0, Elsewhere(A)), (1, Elsewhere(A))])).unwrap();
    assert_eq!((gather.verdict(), gather.tally().total(false)), (Verdict::Whole, Ok(6)));
}

#[test]
fn a_tally_tells_the_total_or_what_it_lacks() {
    let total = |claims: &[(u16, Claim)], partial| {
        let claims: Vec<_> = claims.iter().map(|(part, claim)| (Part(*part), *claim)).collect();
        Tally::local(shards(2), None, &claims).total(partial)
    };
    let overflow = |got| Err(Error::Overflow { got, held: false });
    let whole = |one, two| [(0, Value(one)), (1, Value(two)), (2, Value(1))];
    assert_eq!(total(&whole(2, 3), false), Ok(6));
    assert_eq!(total(&whole(i64::MAX, -1), false), Ok(i64::MAX));
    assert_eq!(total(&whole(i64::MAX, 0), false), overflow(i128::from(i64::MAX) + 1));
    assert_eq!(total(&whole(i64::MIN, -2), false), overflow(i128::from(i64::MIN) - 1));
    assert_eq!(total(&[(0, Value(2)), (1, Absent), (2, Absent)], false), Ok(2));
    assert_eq!(total(&[(0, Value(2)), (2, Value(1))], false), Err(Error::Partial { got: 1, of: 2 }));
    assert_eq!(total(&[(0, Value(2)), (1, Value(1))], false), Err(Error::Partial { got: 2, of: 2 }));
    assert_eq!(total(&[(0, Value(2)), (2, Value(1))], true), Ok(3));
    assert_eq!(total(&[(0, Value(2)), (1, Moving(A)), (2, Value(1))], true), Ok(3));
    assert_eq!(total(&[(0, Alien), (1, Value(2)), (2, Value(1))], false), Err(Error::WrongType));
    assert_eq!(total(&[(0, Alien), (1, Value(2)), (2, Value(1))], true), Ok(3));
}

struct Asker(u32, Option<u64>);

impl Waiter for Asker {
    fn age_max_ms(&self) -> Option<u64> {
        self.1
    }
}

fn names(waiters: &[Asker]) -> Vec<u32> {
    waiters.iter().map(|waiter| waiter.0).collect()
}

/// What was acknowledged after a round began may be missing in it.
#[test]
fn whoever_comes_later_waits_for_the_next_round_unless_age_is_no_matter() {
    let mut inquiry = Inquiry::default();
    inquiry.join(Asker(1, None), 100);
    inquiry.join(Asker(2, None), 100);
    assert!(inquiry.wants_round(100));
    inquiry.begin(1, shards(1), [A], 100);
    assert!(!inquiry.wants_round(100));
    inquiry.join(Asker(3, None), 100);
    inquiry.join(Asker(4, Some(10)), 110);
    inquiry.join(Asker(5, Some(9)), 110);
    inquiry.join(Asker(6, Some(10)), 99); // the clock was set back
    let whole = answer(true, &[(0, Value(1)), (1, Value(1))]);
    assert!(inquiry.gather(2).is_none());
    inquiry.gather(1).unwrap().heard(A, &whole).unwrap();
    let (tally, began_ms, waiters) = inquiry.take_whole().unwrap();
    assert_eq!((tally.total(false), began_ms, names(&waiters)), (Ok(2), 100, vec![1, 2, 4]));
    assert!(inquiry.wants_round(110));
    inquiry.begin(2, shards(1), [A], 110);
    inquiry.leave(|waiter| waiter.0 == 5);
    inquiry.gather(2).unwrap().heard(A, &whole).unwrap();
    assert_eq!(names(&inquiry.take_whole().unwrap().2), [3, 6]);
    assert!(inquiry.is_idle() && !inquiry.wants_round(999));
}

#[test]
fn a_torn_round_is_asked_anew_soon_and_the_best_of_all_is_known() {
    let mut inquiry = Inquiry::default();
    inquiry.join(Asker(1, None), 100);
    inquiry.begin(1, shards(2), [A, B], 100);
    inquiry.gather(1).unwrap().heard(A, &answer(true, &[(0, Value(5)), (1, Elsewhere(B)), (2, Value(1))])).unwrap();
    assert!(!inquiry.is_late(199) && inquiry.is_late(200));
    inquiry.waits_on(200);
    assert!(!inquiry.is_late(299));
    assert_eq!(inquiry.known(shards(2)).total(true), Ok(6));
    for pause_ms in [2, 4, 8, 16, 32, 32] {
        inquiry.put_off(300);
        assert!(!inquiry.wants_round(300 + pause_ms - 1) && inquiry.wants_round(300 + pause_ms));
    }
    inquiry.begin(2, shards(2), [A, B], 400);
    let told = answer(true, &[(0, Elsewhere(B)), (1, Elsewhere(B)), (2, Value(2))]);
    inquiry.gather(2).unwrap().heard(A, &told).unwrap();
    assert_eq!(inquiry.known(shards(2)).total(true), Ok(6), "the first round knew more");
    let told = answer(true, &[(0, Value(3)), (1, Value(4)), (2, Elsewhere(A))]);
    inquiry.gather(2).unwrap().heard(B, &told).unwrap();
    assert_eq!(inquiry.known(shards(2)).total(false), Ok(9));
    assert_eq!(inquiry.known(shards(3)).got(), 0, "more shards than were asked for");
}
