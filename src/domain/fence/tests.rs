//! The rules of the fence, one table each; the simulation plays them together.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

use super::journal::{Damage, RECORD_LEN, decode, encode, raise};
use super::*;
use crate::simulation::{World, scale, seed};
use std::collections::BTreeSet;

const A: Uid = *b"allocator number";
const B: Uid = *b"the second of it";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn told(nodes: &[&str]) -> Announcement {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Announcement { is_whole: true, nodes, ..Announcement::default() }
}

/// What became of an announcement of a primary that would repeat ids of these, and does not count these nodes.
fn refused(repeated: &[Uid], heirs: &[&str]) -> Told {
    Told::Refused(Refusal { repeated: repeated.to_vec(), heirs: names(heirs) })
}

fn members(fence: &Fence) -> Vec<&str> {
    fence.electable().members().collect()
}

/// Looks at followers of which each has acknowledged so much; the offset is 100. That something is to be
/// asked for goes without saying.
fn look(fence: &mut Fence, followers: &[(&str, u64)]) -> Todo {
    let followers: Vec<_> = followers.iter().map(|(node, offset)| ((*node).to_owned(), *offset)).collect();
    let todo = fence.observe(View { offset: 100, followers: &followers, replicas_min: 0, may_announce: true });
    Todo { ask: false, ..todo }
}

/// A primary that has announced its set, which is empty.
fn begun() -> Fence {
    let mut fence = Fence::default();
    assert_eq!(look(&mut fence, &[]), Todo { announce: true, ..Todo::default() });
    assert_eq!(look(&mut fence, &[]), Todo::default());
    fence
}

/// The same, with a mark that was raised and that its journal has.
fn raised() -> Fence {
    let mut fence = begun();
    fence.raise(A, 64, 0, 1);
    fence.journalled(1);
    fence
}

/// A primary with these followers, all of which have heard what there was to hear and count.
fn followed(followers: &[(&str, u64)]) -> Fence {
    let mut fence = raised();
    assert!((0..4).map(|_| look(&mut fence, followers)).any(|todo| todo.save));
    assert!(!look(&mut fence, followers).announce && members(&fence).len() == followers.len());
    fence
}

#[test]
fn a_mark_of_a_lone_server_is_safe_once_its_journal_has_it() {
    let mut fence = begun();
    fence.raise(A, 64, 0, 1);
    assert_eq!(look(&mut fence, &[]), Todo::default());
    assert_eq!(fence.waits_for(), ["its own journal"]);
    fence.journalled(1);
    assert_eq!(look(&mut fence, &[]), Todo { granted: vec![(A, 64)], ..Todo::default() });
    assert!(!fence.is_pending() && fence.waits_for().is_empty());
}

#[test]
fn every_electable_node_must_acknowledge_and_none_ceases_to() {
    let mut fence = raised();
    let told = Todo { announce: true, ..Todo::default() };
    let grown = Todo { save: true, ..told.clone() };
    assert_eq!(look(&mut fence, &[("a:1", 99), ("b:2", 0)]), Todo { granted: vec![(A, 64)], ..told.clone() });
    fence.raise(A, 128, 0, 1);
    fence.raise(A, 192, 0, 2);
    assert_eq!(
        look(&mut fence, &[("a:1", 99), ("b:2", 0)]).granted,
        [(A, 128)],
        "who has heard nothing does not count"
    );
    fence.journalled(2);
    assert_eq!(look(&mut fence, &[("a:1", 100)]), grown);
    assert_eq!(members(&fence), ["a:1"]);
    assert_eq!(look(&mut fence, &[("a:1", 99)]), told, "that is another connection");
    assert_eq!(look(&mut fence, &[("b:2", 500)]), told);
    assert_eq!(look(&mut fence, &[("b:2", 500)]), grown);
    assert_eq!(look(&mut fence, &[("b:2", 500)]), Todo::default());
    assert_eq!(
        fence.waits_for(),
        [
            "a:1, which left instead of acknowledging: its log may say why (IDBLOCK.FENCE FORGET a:1 if it is gone for good)"
        ],
        "it still counts"
    );
    assert_eq!(look(&mut fence, &[("a:1", 100), ("b:2", 500)]), told);
    assert_eq!(look(&mut fence, &[("a:1", 100), ("b:2", 500)]).granted, [(A, 192)]);
}

/// Somebody who comes and goes, and never acknowledges, holds up nobody, whether it can be told anything or not.
#[test]
fn whoever_comes_and_goes_holds_up_nobody() {
    let mut fence = followed(&[("a:1", 100)]);
    for mark in (128..1_000).step_by(64) {
        fence.raise(A, mark, 0, 1);
        for followers in [&[("a:1", 100), ("visitor:2", 0)], &[("a:1", 100)][..]] {
            let followers: Vec<_> = followers.iter().map(|(node, offset)| ((*node).to_owned(), *offset)).collect();
            fence.meet(&followers, true);
            let view = View { offset: 100, followers: &followers, replicas_min: 1, may_announce: false };
            assert!(!fence.observe(view).announce);
        }
        assert!(!fence.is_pending(), "{mark}");
    }
}

/// A connection that took the place of another one may be that of a server that has something against this one.
#[test]
fn whoever_comes_back_must_hear_an_announcement_again() {
    let new = |followers: &[(&str, u64)]| -> Vec<_> {
        followers.iter().map(|(node, at)| ((*node).to_owned(), *at)).collect()
    };
    for between in [&[][..], &[("a:1", 100), ("a:1", 0)], &[("a:1", 99)]] {
        let mut fence = followed(&[("a:1", 100)]);
        look(&mut fence, &[("a:1", 100)]);
        fence.raise(A, 128, 0, 1);
        fence.meet(&new(between), true);
        let before = look(&mut fence, &[("a:1", 100)]);
        assert_eq!(before, Todo { announce: true, ..Todo::default() }, "{between:?}");
        assert_eq!(look(&mut fence, &[("a:1", 100)]).granted, [(A, 128)]);
    }
    // One that left instead of acknowledging, and whose old connection is not shown any more.
    let mut fence = followed(&[("a:1", 100)]);
    fence.raise(A, 128, 0, 1);
    (0..3).for_each(|_| _ = look(&mut fence, &[("a:1", 0)]));
    fence.meet(&new(&[("a:1", 0)]), true);
    assert!(look(&mut fence, &[("a:1", 100)]).granted.is_empty());
}

/// Whoever follows may have something against this primary, and acknowledges what it tells only if not.
#[test]
fn an_acknowledgement_counts_once_it_covers_the_announcement() {
    let mut fence = followed(&[("a:1", 100)]);
    fence.raise(A, 128, 0, 1);
    fence.announce_again();
    assert_eq!(look(&mut fence, &[("a:1", 100)]), Todo { announce: true, ..Todo::default() });
    let followers = [("a:1".to_owned(), 100)];
    let later = |fence: &mut Fence| {
        fence.observe(View { offset: 130, followers: &followers, replicas_min: 0, may_announce: true })
    };
    assert_eq!(later(&mut fence), Todo { ask: true, ..Todo::default() });
    assert_eq!(later(&mut fence), Todo::default());
    assert_eq!(look(&mut fence, &[("a:1", 130)]).granted, [(A, 128)]);
}

#[test]
fn the_offset_of_a_raise_is_looked_up_after_it() {
    let mut fence = followed(&[("a:1", 100)]);
    look(&mut fence, &[("a:1", 100)]);
    fence.raise(A, 128, 0, 1);
    assert!(fence.is_pending(), "not even with a follower that has all there was");
    assert_eq!(look(&mut fence, &[("a:1", 100)]).granted, [(A, 128)]);
}

#[test]
fn two_connections_of_one_address_count_as_the_one_behind() {
    let mut fence = followed(&[("a:1", 100)]);
    fence.raise(A, 128, 0, 1);
    assert!((0..3).all(|_| look(&mut fence, &[("a:1", 500), ("a:1", 99)]).granted.is_empty()));
    assert_eq!(fence.acknowledged("a:1"), Some(99));
}

#[test]
fn as_many_replicas_as_are_demanded_must_have_acknowledged() {
    let mut fence = raised();
    let (one, two) = (("a:1".to_owned(), 100), ("b:2".to_owned(), 100));
    let mut look = |followers: &[(String, u64)]| {
        let view = View { offset: 100, followers, replicas_min: 2, may_announce: true };
        (0..4).map(|_| fence.observe(view).granted.len()).sum::<usize>()
    };
    assert_eq!([look(&[]), look(std::slice::from_ref(&one)), look(&[one, two])], [0, 0, 1]);
}

#[test]
fn what_was_raised_in_another_term_is_never_granted() {
    for change in [Fence::became_primary, Fence::loaded, |fence: &mut Fence| fence.became_replica("p:1")] {
        let mut fence = raised();
        let before = fence.standing(9);
        change(&mut fence);
        let after = fence.standing(9);
        assert_ne!(before.term, after.term);
        assert!(after.granted >= Ticket(1) && fence.is_settled(Ticket(1)), "who waits is woken");
        assert!((0..3).all(|_| look(&mut fence, &[("a:1", 100)]).granted.is_empty()));
    }
}

/// What a replica knows of the set, and what an operator may do about it.
#[test]
fn a_node_with_the_dataset_of_another_one_waits_until_it_is_named() {
    let mut fence = Fence::default();
    fence.took_over("p:1", [(A, 64)]);
    assert_eq!(fence.marks().get(&A), Some(64));
    assert_eq!(fence.told(&told(&["other:3"]), &["p:1"], &names(&["me:2"])), Told::Again);
    assert_eq!(fence.electable().orphan_of(), Some("p:1"));

    // Promoted all the same, it waits for its former primary, whoever else acknowledges.
    let promoted = |mut fence: Fence| {
        fence.became_primary();
        fence.raise(A, 128, 0, 1);
        fence.journalled(1);
        assert!(look(&mut fence, &[]).announce && !fence.announcement().is_whole);
        assert!(look(&mut fence, &[("other:3", 100)]).granted.is_empty());
        assert!(fence.whom().starts_with("p:1, the former primary"), "{}", fence.whom());
        fence
    };
    let orphan = || {
        let mut fence = Fence::default();
        fence.took_over("p:1", [(A, 64)]);
        promoted(fence)
    };
    let mut fence = orphan();
    assert_eq!((fence.forget("nobody:9"), fence.forget("p:1")), (Forgotten::Unknown, Forgotten::Gone));
    assert!((0..3).all(|_| look(&mut fence, &[("other:3", 100)]).granted.is_empty()));
    assert_eq!(*fence.doubted(), [A].into(), "others may have counted each other without it");
    let announcement = Announcement { nodes: told(&["other:3"]).nodes, ..fence.announcement() };
    assert!(announcement.is_whole && announcement.doubted == [A].into());
    let mut heir = Fence::default();
    heir.took_over("me:2", [(A, 128)]);
    assert_eq!(heir.told(&announcement, &["me:2"], &names(&["other:3"])), Told::Named);
    assert_eq!(*heir.doubted(), [A].into(), "nor does it help to ask somebody else");
    fence.raise(A, 256, 0, 1);
    heir.execute(A, 256);
    assert_eq!((fence.doubted().len(), heir.doubted().len()), (0, 1), "an operator has advanced it");
    let announcement = Announcement { nodes: told(&["other:3"]).nodes, ..fence.announcement() };
    assert_eq!(heir.told(&announcement, &["me:2"], &names(&["other:3"])), Told::Named);
    assert!(heir.doubted().is_empty());
    assert!(look(&mut fence, &[("other:3", 100)]).save, "the journal must not know better");
    assert!((0..3).any(|_| look(&mut fence, &[("other:3", 100)]).granted == [(A, 256)]));
    let mut fence = orphan();
    let followers = [("other:3", 100), ("p:1", 100)];
    assert!((0..4).any(|_| look(&mut fence, &followers).granted == [(A, 128)]), "it has nothing against it");

    // Named, it waits for the others that were named with it, and not for itself.
    let mut fence = Fence::default();
    fence.took_over("p:1", []);
    assert_eq!(fence.told(&told(&["me:2", "other:3"]), &["p:1"], &names(&["x:9", "me:2"])), Told::Named);
    assert_eq!((members(&fence), fence.electable().orphan_of()), (vec!["other:3"], None));

    // A primary that does not name it any more may have been told to forget it.
    assert_eq!(fence.told(&told(&["other:3"]), &["p:1"], &names(&["me:2"])), Told::Others);
    assert_eq!(fence.electable().orphan_of(), Some("p:1"));
}

#[test]
fn a_node_without_a_past_knows_nothing_once_it_follows() {
    for dataset in [None, Some([])] {
        let mut fence = Fence::default();
        fence.became_replica("p:1");
        dataset.into_iter().for_each(|dataset| fence.took_over("p:1", dataset));
        assert_eq!(fence.electable().orphan_of(), None, "there is nothing to know yet");
        let mut promoted = Fence::default();
        promoted.became_replica("p:1");
        promoted.became_primary();
        promoted.execute(A, 1); // CREATE
        promoted.raise(A, 64, 0, 1);
        assert_eq!(promoted.electable().orphan_of(), None, "nor has anybody else what is made here");
        fence.execute(A, 64);
        assert_eq!(fence.electable().orphan_of(), Some("p:1"));
    }
    // Nor does one that has a journal with nothing in it.
    let mut fence = Fence::new(decode(&encode(&Fence::default())).expect("a journal"));
    fence.became_replica("p:1");
    assert!(fence.execute(A, 64) && !fence.execute(A, 128), "the journal is written anew, once");
    assert_eq!(fence.electable().orphan_of(), Some("p:1"));
    let mut fence = raised();
    fence.became_replica("p:1");
    assert_eq!(fence.electable().orphan_of(), None, "it has issued alone: nobody else can have its marks");
}

#[test]
fn only_who_is_gone_can_be_forgotten() {
    let mut fence = followed(&[("a:1", 100)]);
    assert_eq!(fence.forget("a:1"), Forgotten::Online);
    look(&mut fence, &[]);
    fence.raise(A, 128, 0, 1);
    assert_eq!(fence.forget("a:1"), Forgotten::Gone);
    assert_eq!(look(&mut fence, &[]), Todo { announce: true, granted: vec![(A, 128)], ..Todo::default() });
    (0..2).for_each(|_| _ = look(&mut fence, &[("a:1", 100)]));
    assert_eq!(members(&fence), ["a:1"], "it counts again with its next acknowledgement");
}

/// A node may know more than its dataset; whoever follows it must know that too.
#[test]
fn marks_that_a_dataset_lacks_are_announced() {
    let mut fence = Fence::default();
    fence.execute(A, 200);
    fence.execute(B, 50);
    fence.took_over("p:1", [(A, 64)]);
    assert_eq!((fence.marks().get(&A), fence.marks().get(&B)), (Some(200), None), "B is not in the dataset");
    assert_eq!(fence.announcement().marks.into_iter().collect::<Vec<_>>(), [(A, 200)]);
    let mut follower = Fence::default();
    follower.took_over("me:2", [(A, 64)]);
    let announcement = Announcement { marks: fence.announcement().marks, ..told(&["it:3"]) };
    assert_eq!(follower.told(&announcement, &["p:1"], &names(&["it:3"])), Told::Named);
    assert_eq!((follower.marks().get(&A), follower.announcement().marks.len()), (Some(200), 1));
    fence.raise(A, 264, 200, 1);
    assert_eq!(fence.announcement().marks.into_iter().collect::<Vec<_>>(), [(A, 264)]);
}

/// It was a primary once, and has the dataset of another one since.
#[test]
fn whoever_has_the_dataset_of_a_third_one_vouches_for_no_orphan() {
    for (datasets, vouches) in [(&["p:1"][..], false), (&["p:1", "orphan:2"], false), (&["orphan:2"], true)] {
        let mut fence = raised();
        look(&mut fence, &[]);
        fence.claims = Marks::default();
        for primary in datasets {
            fence.became_replica(primary);
            fence.took_over(primary, [(A, 64)]);
        }
        let announcement = Announcement { is_whole: false, marks: [(A, 64)].into(), ..told(&[]) };
        let told = fence.told(&announcement, &["orphan:2"], &names(&["me:3"]));
        assert_eq!(told != refused(&[], &[]), vouches, "{datasets:?}");
    }
}

/// A follower that has lost its journal, and is promoted before its primary names it.
#[test]
fn whoever_is_not_named_learns_what_it_may_have_to_doubt() {
    let mut fence = Fence::default();
    fence.found_in_file(A);
    fence.became_replica("p:1");
    let announcement = Announcement { marks: [(A, 64)].into(), ..told(&["another:3"]) };
    let mut hears = || fence.told(&announcement, &["p:1"], &names(&["me:2"]));
    assert_eq!((hears(), hears()), (Told::Others, Told::Again));
    assert_eq!((fence.marks().get(&A), fence.doubted().len()), (Some(64), 0));
    fence.became_primary();
    assert_eq!(fence.forget("p:1"), Forgotten::Gone);
    assert_eq!(fence.doubted().iter().collect::<Vec<_>>(), [&A]);
}

/// Whoever could not execute an effect drops the connection, and is told when it comes back.
/// Whoever starts from an old file executes once more what it heard before, a former primary's announcements too.
#[test]
fn an_announcement_heard_once_more_after_a_start_names_nobody() {
    let mut fence = Fence::default();
    fence.became_replica("p:1");
    fence.took_over("p:1", [(A, 64)]);
    fence.execute(A, 128);
    let told_of = |mark, nodes: &[&str]| Announcement { marks: [(A, mark)].into(), ..told(nodes) };
    assert_eq!(fence.told(&told_of(128, &[]), &["p:1"], &names(&["a:1"])), Told::Again);
    let mut fence = Fence::new(decode(&encode(&fence)).expect("a journal"));
    fence.became_replica("p:1");
    fence.told(&told_of(64, &["a:1"]), &["p:1"], &names(&["a:1"]));
    assert_eq!(fence.electable().orphan_of(), Some("p:1"), "it is older than what the journal knows");
    assert_eq!(fence.told(&told_of(128, &["a:1"]), &["p:1"], &names(&["a:1"])), Told::Named);
    assert_eq!(fence.electable().orphan_of(), None);
}

#[test]
fn a_follower_that_has_lost_a_mark_hears_it_again() {
    let mut primary = followed(&[("me:2", 100)]);
    let mut follower = Fence::default();
    follower.took_over("p:1", [(A, 64)]);
    let hears =
        |follower: &mut Fence, primary: &Fence| follower.told(&primary.announcement(), &["p:1"], &names(&["me:2"]));
    assert_eq!(hears(&mut follower, &primary), Told::Named);
    primary.raise(A, 128, 64, 1); // the effect is lost
    assert_eq!((hears(&mut follower, &primary), hears(&mut follower, &primary)), (Told::Named, Told::Again));
    assert_eq!(follower.marks().get(&A), Some(128));
    assert_eq!(follower.announcement().marks.into_iter().collect::<Vec<_>>(), [(A, 128)], "its dataset lacks it");
}

/// A promotion that is undone: whoever handed out ids does not acknowledge to a primary that lacks their mark.
#[test]
fn a_primary_that_knows_less_than_its_follower_gets_no_acknowledgement() {
    let handed_out = || {
        let mut fence = raised();
        assert_eq!(look(&mut fence, &[]).granted, [(A, 64)]);
        fence.became_replica("p:1");
        fence
    };
    let (set, me) = (told(&["me:2"]), names(&["me:2"]));
    let knows = |set: &Announcement, mark| Announcement { marks: [(A, mark)].into(), ..set.clone() };
    for (announcement, expected) in [
        (knows(&set, 63), refused(&[A], &[])),
        (knows(&set, 64), Told::Named),
        (set.clone(), Told::Named), // the allocator is gone, and nobody hands out any of it
    ] {
        let mut fence = handed_out();
        fence.took_over("p:1", [(A, 63)]);
        assert_eq!(fence.told(&announcement, &["p:1"], &me), expected, "{announcement:?}");
        assert_eq!(fence.electable().orphan_of().is_some(), expected != Told::Named);
    }
    // What the primary has raised is not what it has come to.
    for (position, expected) in [(63, refused(&[A], &[])), (64, Told::Named)] {
        let mut fence = handed_out();
        fence.took_over("p:1", [(A, 200)]);
        let announcement = Announcement { positions: [(A, position)].into(), ..set.clone() };
        assert_eq!(fence.told(&announcement, &["p:1"], &me), expected, "{position}");
    }
    // Somebody else's announcement is no better, whatever is known here.
    let mut fence = handed_out();
    assert_eq!(fence.told(&knows(&told(&["other:3"]), 63), &["p:1"], &me), refused(&[A], &[]));
    assert_eq!(fence.told(&knows(&set, 64), &["p:1"], &me), Told::Named, "the primary has learned of it");
    fence.took_over("q:4", [(A, 63)]);
    assert_eq!(fence.told(&knows(&set, 63), &["q:4"], &me), refused(&[A], &[]), "another one may not know");
}

/// An orphan counts its former primary alone, and that one may have acknowledged what a third one hands out: two replicas
/// that follow each other are told what one of them said itself.
#[test]
fn whoever_knows_a_higher_mark_vouches_for_no_orphan() {
    let (asks, me) = (Announcement { is_whole: false, ..told(&[]) }, names(&["me:2"]));
    for (position, is_refused) in [(None, true), (Some(127), true), (Some(128), false)] {
        let mut fence = raised();
        assert_eq!(look(&mut fence, &[]).granted, [(A, 64)]);
        fence.became_replica("third:3");
        fence.execute(A, 128);
        fence.became_replica("p:1");
        fence.took_over("p:1", [(A, 64)]);
        fence.execute(A, 192); // that is the orphan's own
        let positions = position.map(|at| (A, at)).into_iter().collect();
        let asks = Announcement { marks: [(A, 64)].into(), positions, ..asks.clone() };
        let outcome = fence.told(&asks, &["p:1"], &me);
        assert_eq!(outcome == refused(&[A], &[]), is_refused, "{position:?}: {outcome:?}");
    }
}

/// The same for nodes: whoever has told another one that it may issue follows nobody who does not count that one.
#[test]
fn a_primary_that_does_not_count_an_heir_gets_no_acknowledgement() {
    let mut fence = followed(&[("heir:3", 100)]);
    fence.became_replica("p:1");
    fence.took_over("p:1", [(A, 64)]);
    let me = names(&["me:2"]);
    assert_eq!(fence.told(&told(&["me:2"]), &["p:1"], &me), refused(&[], &["heir:3"]));
    let called = ["by-name:3", "heir:3"];
    assert_eq!(fence.told(&told(&["me:2"]), &called, &me), Told::Named, "the heir is the primary");
    let mut fence = followed(&[("heir:3", 100)]);
    fence.became_replica("p:1");
    assert_eq!(fence.told(&told(&["me:2"]), &["p:1"], &me), refused(&[], &["heir:3"]));
    assert_eq!(fence.told(&told(&["heir:3", "me:2"]), &["p:1"], &me), Told::Named);
    assert_eq!(fence.told(&told(&["heir:3", "me:2"]), &["p:1"], &me), Told::Again);
    assert!(look(&mut fence, &[]).announce);
    fence.became_replica("p:1");
    assert_eq!(fence.told(&told(&["me:2"]), &["p:1"], &me), refused(&[], &["heir:3"]));
    assert_eq!((fence.give_in(), fence.give_in()), (true, false));
    assert_eq!(fence.told(&told(&["me:2"]), &["p:1"], &me), Told::Named, "an operator answers for it");
}

#[test]
fn the_names_of_those_waited_for_are_told() {
    let fence = raised();
    assert_eq!(fence.whom(), "acknowledgements");
    let mut fence = followed(&[("b:2", 100), ("a:1", 100)]);
    fence.raise(A, 128, 0, 9);
    look(&mut fence, &[("b:2", 100), ("a:1", 100)]);
    look(&mut fence, &[("b:2", 5), ("a:1", 5)]);
    assert_eq!(fence.whom(), "a:1, b:2, its own journal");
    (0..2).for_each(|_| _ = look(&mut fence, &[("b:2", 100), ("a:1", 100)]));
    assert_eq!(fence.whom(), "its own journal");
    fence.journalled(9);
    (0..2).for_each(|_| _ = look(&mut fence, &[("a:1", 100), ("b:2", 100)]));
    fence.raise(A, 192, 0, 9);
    look(&mut fence, &[("a:1", 100)]);
    assert_eq!(fence.whom(), "b:2, which is gone (IDBLOCK.FENCE FORGET b:2 if for good)");
    for followers in [&[("a:1", 100), ("b:2", 5)][..], &[("a:1", 100), ("b:2", 5)], &[("a:1", 100)]] {
        look(&mut fence, followers);
    }
    assert!(fence.whom().starts_with("b:2, which left instead of acknowledging: "), "{}", fence.whom());
    (0..3).for_each(|_| _ = look(&mut fence, &[("a:1", 100), ("b:2", 100)]));
    assert!(!fence.is_pending());
}

fn journal_of(marks: &[(Uid, u64)]) -> Vec<u8> {
    let mut electable = Electable::default();
    electable.count("a:1");
    let mut fence = Fence::new(Journal { electable, ..Journal::default() });
    let mut bytes = encode(&fence);
    for (uid, mark) in marks {
        bytes.extend(raise(fence.marks(), uid, *mark));
        fence.execute(*uid, *mark);
    }
    bytes
}

#[test]
fn a_journal_comes_back() {
    let bytes = journal_of(&[(A, 64), (B, 9), (A, 128)]);
    let read = decode(&bytes).unwrap();
    assert_eq!((read.marks.get(&A), read.marks.get(&B), read.damage), (Some(128), Some(9), Damage::None));
    assert_eq!(read.electable.members().collect::<Vec<_>>(), ["a:1"]);
    let electable = read.electable.clone();
    let again = decode(&encode(&Fence::new(read))).unwrap();
    assert_eq!((again.electable, again.marks.get(&A)), (electable, Some(128)));
    let mut fence = Fence::default();
    fence.took_over("p:1", [(A, 64), (B, 9)]);
    assert_eq!(decode(&encode(&fence)).unwrap().electable.orphan_of(), Some("p:1"));
    fence.forget("p:1");
    let mut bytes = encode(&fence);
    assert_eq!(decode(&bytes).unwrap().doubted, [A, B].into());
    bytes.extend(raise(fence.marks(), &A, 65));
    assert_eq!(decode(&bytes).unwrap().doubted, [A, B].into(), "whoever raised it may doubt it, too");
}

/// A write that was cut short costs one mark, damage before the last record all of them.
#[test]
fn a_damaged_record_is_noticed_wherever_it_is() {
    let (whole, before) = (journal_of(&[(A, 64), (B, 9), (A, 128)]), journal_of(&[(A, 64), (B, 9)]));
    assert_eq!(whole.len(), before.len() + RECORD_LEN);
    let highest = 64 + 1_024; // whatever the largest window may be
    for len in before.len() + 1..whole.len() {
        for filler in [0, 1, 0xff] {
            let mut torn = whole[..len].to_vec();
            assert_eq!(decode(&torn).unwrap().damage, Damage::End, "{len}");
            torn.resize(whole.len(), filler);
            let read = decode(&torn).unwrap();
            assert!(
                torn == whole || read.damage == Damage::End && read.marks.get(&A) == Some(highest),
                "{len} {filler}"
            );
            torn.extend([0; 2 * RECORD_LEN]);
            assert_eq!(decode(&torn).unwrap().damage, Damage::End, "room that was never written, {len}");
        }
    }
    for bit in (before.len() - RECORD_LEN) * 8..before.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = decode(&flipped).unwrap();
        assert_eq!((read.damage, read.marks.is_empty()), (Damage::Inside, true), "bit {bit}");
    }
    let header = whole.len() - 5 * RECORD_LEN;
    for bit in 0..header * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
    (0..header).for_each(|len| assert!(decode(&whole[..len]).is_err(), "{len}"));
}

/// What is written once can be lost, and must lie within what a reader of a damaged end adds. A leap costs no more.
#[test]
fn a_raise_that_goes_further_than_usual_is_written_twice() {
    let mut marks = Marks::default();
    let mut at = 0;
    for (span, copies) in
        [(64, 2), (1_024, 1), (1_025, 2), (2_048, 1), (64, 1), (64, 1), (65, 2), (1 << 40, 2), (256, 1)]
    {
        let mark = at + span;
        assert_eq!(raise(&marks, &A, mark).len() / RECORD_LEN, copies, "{span}");
        let mut damaged = marks.clone();
        damaged.skip();
        assert!(copies == 2 || damaged.get(&A) >= Some(mark), "{span}");
        assert!(damaged.get(&A).is_none_or(|skipped| skipped <= at + 2 * 2_048), "{span}");
        marks.raise(A, mark);
        at = mark;
    }
    assert_eq!(raise(&marks, &A, at).len(), RECORD_LEN, "no raise at all");
}

#[test]
fn any_bytes_are_refused_or_read() {
    let world = World::new(seed());
    let mut announcement = told(&["a:1", "b:2"]);
    announcement.marks.insert(A, 300);
    announcement.positions.insert(B, 7);
    let (bytes, journal) = (announcement.encode(), journal_of(&[(A, 64), (B, 9)]));
    assert_eq!(Announcement::decode(&bytes), Ok(announcement));
    assert!(Announcement::decode(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(), "a length bomb");
    for _ in 0..scale(100_000, 10_000_000) {
        for whole in [&bytes, &journal] {
            let mut damaged = whole.clone();
            for _ in 0..=world.below(3) {
                let place = world.below(damaged.len() as u64) as usize;
                damaged[place] = world.bits().to_le_bytes()[0];
            }
            damaged.truncate(world.below(2 * damaged.len() as u64) as usize);
            let _ = (Announcement::decode(&damaged), decode(&damaged));
        }
    }
}

#[test]
fn what_was_not_raised_for_long_is_forgotten_first() {
    let mut marks = Marks::default();
    let uid = |number: u64| {
        let mut uid = [0; 16];
        uid[..8].copy_from_slice(&number.to_le_bytes());
        uid
    };
    let half = crate::limits::JOURNAL_MARKS_MAX as u64 / 2;
    (0..3 * half).for_each(|number| {
        marks.raise(uid(number), number);
        marks.raise(uid(7), 1_000_000 + number);
    });
    assert_eq!(marks.get(&uid(7)), Some(1_000_000 + 3 * half - 1), "it was raised all the time");
    assert_eq!((marks.get(&uid(0)), marks.get(&uid(3 * half - 1))), (None, Some(3 * half - 1)));
    assert!(marks.len() as u64 <= 2 * half);
    marks.raise(uid(7), 3);
    assert_eq!(marks.get(&uid(7)), Some(1_000_000 + 3 * half - 1), "a mark never falls");
    let all: BTreeSet<Uid> = marks.iter().map(|(uid, _)| uid).collect();
    assert!(all.len() <= marks.len());
}
