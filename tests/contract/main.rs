//! The contract of `hoptree_core::Transport`, held against every linked transport, and against one
//! in memory, which shows that the contract asks for nothing that only a library can do.
//!
//! Every test is named after the transport that it ran over. A transport is added by one line at the
//! end of this file. Start reading at `node.rs`, then `frames.rs`.
//!
//! No test sleeps in the hope that something has happened by then: each waits for it, with a
//! deadline that a busy machine can keep. Only that nothing happens has to be watched for a while.

#![cfg_attr(
    not(all(feature = "zmq", feature = "zeromq", feature = "ipc")),
    allow(unused_macros, dead_code, reason = "which tests apply depends on what is linked")
)]
#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

mod deadline;
mod directory;
mod memory;
mod node;
mod process;

mod crowd;
mod ends;
mod flow;
mod frames;
mod garbage;
mod processes;
mod waiting;

// What is linked registers itself.
use hoptree as _;

use node::Candidate;

/// Holds a transport against some of the sets of tests below.
macro_rules! hold {
    ($module:ident = $candidate:expr; $($set:ident),*) => {
        mod $module {
            use super::*;

            $($set!($candidate);)*
        }
    };
}

macro_rules! tests {
    ($candidate:expr; $($file:ident: $($name:ident)*;)*) => {
        $($(
            #[test]
            fn $name() {
                $file::$name(&$candidate);
            }
        )*)*
    };
}

/// What every transport keeps, also within one process.
macro_rules! anywhere {
    ($candidate:expr) => {
        tests! {
            $candidate;
            frames:
                frames_of_every_length_arrive_in_order_both_ways
                a_frame_of_a_wrong_length_is_an_error_of_the_caller
                order_holds_while_both_sides_talk_at_once;
            waiting:
                a_wait_lasts_until_its_deadline_and_no_longer
                a_deadline_that_has_passed_only_looks
                a_wake_ends_a_wait
                a_wake_before_the_wait_is_not_lost
                a_wake_from_many_threads_is_never_lost
                a_waker_outlives_its_transport
                what_one_wait_leaves_the_next_delivers;
            ends:
                connecting_to_nobody_ends_the_link
                an_address_that_makes_no_sense_ends_the_link
                a_child_that_finishes_is_down_once_after_all_its_frames
                a_parent_that_finishes_is_down_once_after_all_its_frames
                a_child_that_is_dropped_is_down_once
                a_parent_that_is_dropped_is_down_once
                peers_that_speak_and_vanish_are_told_in_full
                sending_to_one_that_is_gone_fails_and_down_is_told_once
                a_link_closed_by_the_listener_is_silent
                a_link_closed_by_the_connecting_side_is_silent
                a_transport_that_ends_leaves_no_file
                finishing_lets_the_last_frames_leave
                finishing_ends_in_time_though_a_peer_never_reads;
            flow:
                what_a_link_may_have_under_way_never_fills_it
                a_peer_that_never_reads_fills_up_and_costs_nobody_else
                a_flood_on_one_link_starves_no_other;
            crowd:
                listen_says_the_same_address_each_time
                an_address_is_good_for_one_peer_after_another
                an_address_that_nobody_uses_costs_nothing
                two_nodes_of_one_process_listen_side_by_side
                sixteen_join_one_address_at_the_same_moment
                a_thousand_join_one_listener;
        }
    };
}

/// What every transport keeps between processes.
macro_rules! between_processes {
    ($candidate:expr) => {
        tests! {
            $candidate;
            processes:
                frames_travel_between_processes
                a_child_that_is_killed_is_down_once_after_what_arrived
                a_parent_that_is_killed_is_down_once_after_what_arrived
                a_stopped_peer_takes_a_window_and_blocks_nobody
                a_stopped_peer_fills_up_and_gets_it_all_when_it_goes_on;
        }
    };
}

/// What a transport keeps whose port everyone on the machine can reach.
macro_rules! in_public {
    ($candidate:expr) => {
        tests! {
            $candidate;
            garbage:
                garbage_harms_nobody
                strangers_who_say_nothing_harm_nobody;
        }
    };
}

/// The transports of this build that are held to the contract, and the only place that names them.
macro_rules! transports {
    ($($(#[$when:meta])* $module:ident = $name:literal; $($set:ident),*;)*) => {
        $($(#[$when])* hold! { $module = Candidate::linked($name); $($set),* })*

        const HELD: &[&str] = &[$($(#[$when])* $name),*];
    };
}

hold! { in_memory = Candidate::new("memory", memory::open); anywhere }
hold! { in_memory_sealed = Candidate::new("memory", memory::open).sealed(); anywhere }
#[cfg(feature = "zmq")]
hold! {
    zmq_sealed = Candidate::linked("zmq").sealed();
    anywhere, between_processes, in_public
}

hold! { tcp = Candidate::between_machines(); anywhere, between_processes, in_public }
hold! {
    tcp_sealed = Candidate::between_machines().sealed();
    anywhere, between_processes, in_public
}

transports! {
    #[cfg(feature = "ipc")] ipc = "ipc"; anywhere, between_processes;
    #[cfg(feature = "zeromq")] zeromq = "zeromq"; anywhere, between_processes;
    #[cfg(feature = "zeromq")] zeromq_tcp = "zeromq:tcp"; anywhere, between_processes, in_public;
    #[cfg(feature = "zmq")] zmq = "zmq"; anywhere, between_processes, in_public;
    #[cfg(feature = "zmq")] zmq_ipc = "zmq:ipc"; anywhere, between_processes;
}

#[test]
fn every_linked_transport_is_held_to_the_contract() {
    let linked = hoptree_core::linked_transports().unwrap();
    let linked: Vec<_> = linked.iter().map(|spec| spec.name).collect();
    let mut held = HELD.to_vec();
    held.sort_unstable();
    assert_eq!(held, linked, "tests/contract/main.rs has a line for each");
}
