//! The sets of nodes that a command may name.
//!
//! ```text
//! SET  := TERM { ',' TERM }
//! TERM := [ '!' ] ( N | N '-' N | N '..' | '*' | '@up' | '@down' | '@' DEPTH )
//! ```

use std::collections::BTreeSet;

use super::help::Detail;
use super::language::{self, node_id};
use crate::NodeId;

/// What was typed: the union of what is included, or all nodes when nothing is, without what is
/// excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeSet<'a> {
    /// As it was typed.
    pub text: &'a str,
    pub included: Vec<Term>,
    pub excluded: Vec<Term>,
}

/// A part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    One(NodeId),
    /// All from the first to the last. The first is not greater.
    Range(NodeId, NodeId),
    /// This one and all below it.
    Below(NodeId),
    All,
    /// Those that can be reached, as far as is known.
    Up,
    /// Those that can't be reached.
    Down,
    /// Those with this many links between them and the control node.
    Depth(u32),
}

/// What the user may write, for an error text.
const TERMS: &str =
    "a node such as 5, or several: 3-9, 1.., *, @up, @down, @2, or !5 for all but 5";

/// What a set may consist of.
pub(crate) const HELP: [Detail; 8] = [
    ("IDS", "one or more of these, with commas and no blanks between them:"),
    ("5", "node 5"),
    ("3-9", "nodes 3 to 9, all of which must exist"),
    ("1..", "node 1 and all below it"),
    ("*", "all nodes"),
    ("@up, @down", "those that can be reached, and those that can't"),
    ("@2", "those at depth 2, two links away from the control node"),
    ("!5", "not node 5; ! may stand before any of these, and !5 alone is all but 5"),
];

impl<'a> NodeSet<'a> {
    /// Reads a set.
    ///
    /// # Errors
    ///
    /// What was wrong, and with which term.
    pub fn parse(text: &'a str) -> Result<NodeSet<'a>, String> {
        let mut set = NodeSet { text, included: Vec::new(), excluded: Vec::new() };
        for word in text.split(',') {
            match word.strip_prefix('!') {
                Some(excluded) => set.excluded.push(term(excluded, word)?),
                None => set.included.push(term(word, word)?),
            }
        }
        if set.included.is_empty() {
            set.included.push(Term::All);
        }
        Ok(set)
    }
}

/// How a set is printed: `1-7,9`. What is printed can be typed again.
pub(crate) fn folded(nodes: &BTreeSet<NodeId>) -> String {
    let mut runs: Vec<(NodeId, NodeId)> = Vec::new();
    for node in nodes {
        match runs.last_mut() {
            Some((_, last)) if last.to_wire() + 1 == node.to_wire() => *last = *node,
            _ => runs.push((*node, *node)),
        }
    }
    let texts = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Reads a term, which stands in a word that an error shows.
fn term(text: &str, word: &str) -> Result<Term, String> {
    let wrong = || language::wrong_value("ID", TERMS, Some(word));
    if let Some(name) = text.strip_prefix('@') {
        return match name {
            "up" => Ok(Term::Up),
            "down" => Ok(Term::Down),
            _ => language::digits(name).map(Term::Depth).ok_or_else(wrong),
        };
    }
    if text == "*" {
        return Ok(Term::All);
    }
    if let Some(id) = text.strip_suffix("..") {
        return node_id("ID", Some(id)).map(Term::Below);
    }
    if text.contains('.') {
        return Err(wrong());
    }
    match text.split_once('-') {
        Some((first, last)) if !first.is_empty() && !last.is_empty() => {
            let (first, last) = (node_id("ID", Some(first))?, node_id("ID", Some(last))?);
            match first <= last {
                true => Ok(Term::Range(first, last)),
                false => Err(format!("the range {first}-{last} ends before it begins")),
            }
        }
        None if text.starts_with(|byte: char| byte.is_ascii_digit()) => {
            node_id("ID", Some(text)).map(Term::One)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::compute(id).unwrap()
    }

    #[test]
    fn sets_are_understood() {
        let one = |id| Term::One(node(id));
        let range = |first, last| Term::Range(node(first), node(last));
        for (text, included, excluded) in [
            ("5", vec![one(5)], vec![]),
            ("5,1..,7", vec![one(5), Term::Below(node(1)), one(7)], vec![]),
            ("1,4-6,9", vec![one(1), range(4, 6), one(9)], vec![]),
            ("4-4", vec![range(4, 4)], vec![]),
            ("*,!3-5", vec![Term::All], vec![range(3, 5)]),
            ("!3", vec![Term::All], vec![one(3)]),
            ("!1..,!@down", vec![Term::All], vec![Term::Below(node(1)), Term::Down]),
            ("!1,5", vec![one(5)], vec![one(1)]),
            ("@up,@down", vec![Term::Up, Term::Down], vec![]),
            ("@0,@12,!*", vec![Term::Depth(0), Term::Depth(12)], vec![Term::All]),
        ] {
            assert_eq!(NodeSet::parse(text), Ok(NodeSet { text, included, excluded }), "{text}");
        }
    }

    #[test]
    fn what_is_printed_means_the_same_when_it_is_typed() {
        for (ids, printed) in [
            (&[][..], ""),
            (&[5], "5"),
            (&[1, 2], "1-2"),
            (&[1, 2, 3, 4, 5, 6, 7, 9], "1-7,9"),
            (&[0, 2, 3, 2_147_483_646, 2_147_483_647], "0,2-3,2147483646-2147483647"),
        ] {
            let nodes: BTreeSet<_> = ids.iter().map(|id| node(*id)).collect();
            assert_eq!(folded(&nodes), printed);
            if let Ok(set) = NodeSet::parse(printed) {
                let meant = set.included.iter().flat_map(|term| match *term {
                    Term::One(node) => node.to_wire()..=node.to_wire(),
                    Term::Range(first, last) => first.to_wire()..=last.to_wire(),
                    _ => panic!("{term:?}"),
                });
                assert_eq!(meant.collect::<Vec<_>>(), ids);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_set_is_said() {
        for (text, said) in [
            ("", "not ''"),
            ("x", "not 'x'"),
            ("1,,2", "not ''"),
            ("1,x..", "integer from 0 to 2147483647, not 'x'"),
            ("**", "not '**'"),
            ("-1", "not '-1'"),
            ("1-", "not '1-'"),
            ("1-2-3", "not '2-3'"),
            ("1..3", "several: 3-9, 1.., *, @up, @down, @2, or !5 for all but 5, not '1..3'"),
            ("9-3", "the range 9-3 ends before it begins"),
            ("3-2147483648", "not '2147483648'"),
            ("5x", "integer from 0 to 2147483647, not '5x'"),
            ("!", "not '!'"),
            ("!!5", "not '!!5'"),
            ("@", "not '@'"),
            ("@+1", "not '@+1'"),
            ("@top", "not '@top'"),
            ("@4294967296", "not '@4294967296'"),
        ] {
            let error = NodeSet::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
