//! News of lives: that one fell silent, was lost, is heard again, or hangs elsewhere.

use super::desk::Desk;
use super::desk::tree::Move;
use super::outcomes;
use crate::wire::Kind;
use crate::{Change, NodeId, Place, Time};

/// A link of a life, or what is heard on it, has changed. News of a place that it has left since is
/// no news.
pub(crate) fn changed(desk: &mut Desk, now: Time, kind: Kind, place: Place) {
    let life = place.life;
    if !desk.tree.is_at(place) {
        return;
    }
    match kind {
        Kind::Lost => outcomes::lost(desk, now, life.node),
        Kind::Silent => {
            desk.tree.set_silent(life, true);
            outcomes::lose(desk, now, life.node, Change::Silent);
        }
        _ => {
            desk.tree.set_silent(life, false);
            desk.heard(now, life, None);
            ask_those_below(desk, life.node);
        }
    }
}

/// Asks the nodes below one that has come back whether they are still there.
fn ask_those_below(desk: &mut Desk, node: NodeId) {
    if desk.tree.is_reachable(node) {
        for node in desk.tree.unproven(node) {
            desk.probe(node);
        }
    }
}

/// Lives hang at other places than before, and all below them with them. A life that is not the
/// latest of its node, or whose node was removed, is ended.
pub(crate) fn moved(desk: &mut Desk, now: Time, places: impl IntoIterator<Item = Place>) {
    let mut there = Vec::new();
    for place in places {
        match desk.tree.judge(place) {
            Move::Unknown => {
                log::info!("{} is an old life, and must end", place.life);
                desk.discard(place.life, place.parent);
                continue;
            }
            Move::Outdated => continue,
            // What is under way on the old route will not come back.
            Move::New => outcomes::lose(desk, now, place.life.node, Change::Lost),
            Move::Known => {}
        }
        desk.tree.attach(place, now);
        there.push(place.life);
    }
    for life in there {
        if desk.tree.set_silent(life, false) {
            // Its parent says so once more if it still is, but not once more that it is not.
            desk.probe(life.node);
        } else {
            desk.heard(now, life, None);
        }
    }
}
