//! Removals, new lives in place of old ones, and the end of the tree.

use std::time::Duration;

use hoptree_core::Order;

use super::{MS, Tree};

#[test]
fn a_new_life_fences_off_the_old_one() {
    let mut tree = Tree::chain(2);
    tree.replies("watch 100");
    let old = tree.life(2);
    tree.stop(Some(old));
    tree.pass(1_000 * MS);
    tree.printed();
    assert_eq!(tree.replies("create 2\nexec 2 echo new"), ["Ok: 1003", "Ok:2: new"]);
    tree.pass(1_000 * MS);
    assert_eq!(tree.alive(), [1, 2].into());
    assert_ne!(tree.life(2), old);
    assert_eq!(tree.replies("remove 1\nping 2"), ["Ok", "Ok: 1"]);
}

#[test]
fn a_new_life_fences_off_one_below_a_node_that_hangs() {
    let mut tree = Tree::chain(3);
    tree.replies("watch 100");
    let hung = tree.life(2);
    tree.stop(Some(hung));
    tree.pass(1_000 * MS);
    let replies = tree.replies("create 3\nexec 3 echo new");
    assert_eq!(replies.last().unwrap(), "Ok:3: new");
    tree.go_on(Some(hung));
    tree.pass(1_000 * MS);
    let replies = tree.replies("exec 3 echo new\nping 2\nremove 2\nping 3");
    assert_eq!(replies, ["Ok:3: new", "Ok: 1", "Ok", "Ok: 1"]);
    assert_eq!(tree.alive(), [1, 3].into());
}

#[test]
fn whoever_hangs_at_the_end_is_killed_by_its_parent() {
    for hung in 1..=4 {
        let mut tree = Tree::chain(4);
        tree.stop(Some(tree.life(hung)));
        let before = tree.now();
        tree.finish();
        assert!(tree.now().since(before) < 1_000 * MS);
        tree.pass(1_000 * MS);
        assert!(tree.alive().is_empty(), "{:?}", tree.alive());
    }
}

#[test]
fn nobody_else_is_killed_at_the_end_because_one_hangs() {
    let mut tree = Tree::chain(12);
    tree.stop(Some(tree.life(12)));
    tree.finish();
    assert_eq!(tree.killed(), [12]);
}

#[test]
fn who_leaves_a_subtree_that_is_to_be_removed_is_not_held_up() {
    for lines in ["remove 2\nexec 3 echo", "exec 2 never\ncreate 5 2\nremove 2\nexec 3 echo"] {
        let mut tree = Tree::new(Order::Completion);
        tree.replies("create 1\ncreate 2 1\ncreate 3 2\ncreate 4 3\nwatch 100");
        tree.pass(100 * MS);
        tree.stop(Some(tree.life(2)));
        tree.enter(lines);
        tree.pass(8_000 * MS);
        let told = tree.printed();
        assert!(told.iter().any(|line| line.starts_with("Ok:3") || line.starts_with("Error:3")));
        assert_eq!(tree.replies("exec 3 echo a\nexec 4 echo b"), ["Ok:3: a", "Ok:4: b"]);
    }
}

#[test]
fn an_old_life_that_hangs_is_ended_and_those_below_it_are_not() {
    let mut tree = Tree::chain(4);
    tree.replies("watch 100");
    tree.pass(100 * MS);
    let old = tree.life(2);
    tree.stop(Some(old));
    tree.pass(1_000 * MS);
    tree.printed();
    assert_eq!(tree.replies("create 2 4\nexec 2 where"), ["Ok: 1005", "Ok:2: 4 4 0 0"]);
    tree.pass(1_000 * MS);
    assert_eq!(tree.alive(), [1, 2, 3, 4].into());
    assert_ne!(tree.life(2), old);
    assert_eq!(tree.replies("exec 2 where\nexec 3 where"), ["Ok:2: 4 4 0 0", "Ok:3: 1 2 1 2"]);
    tree.finish();
    assert!(tree.alive().is_empty());
}

#[test]
fn a_removal_that_comes_late_does_not_touch_a_new_life() {
    let mut tree = Tree::chain(2);
    tree.replies("watch 100");
    tree.enter("remove 2");
    tree.pass(Duration::from_micros(450));
    let parent = Some(tree.life(1));
    tree.stop(parent);
    tree.kill(tree.life(2));
    tree.pass(1_000 * MS);
    assert!(tree.printed().contains(&"Error: Node is unavailable".to_owned()));
    tree.replies("create 2");
    tree.go_on(parent);
    tree.pass(1_000 * MS);
    assert_eq!(tree.replies("ping 1\nping 2"), ["Ok: 1", "Ok: 1"]);
}

#[test]
fn a_removal_ends_the_whole_subtree_although_some_of_it_hangs() {
    let mut tree = Tree::chain(4);
    tree.stop(Some(tree.life(4)));
    assert_eq!(tree.replies("remove 2\nping 3\nping 1"), ["Ok", "Error: Not found", "Ok: 1"]);
    assert_eq!(tree.alive(), [1].into());
}
