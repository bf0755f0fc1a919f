//! The console commands of modules: they have their replies at once, or later, when their modules
//! say so.

use super::desk::Desk;
use super::desk::gather::ModuleAnswers;
use super::desk::pending::{Operation, Pending};
use super::desk::reply::Reply;
use super::language;
use crate::modules::{Finished, Modules};
use crate::{Facts, Failure, Outcome, RequestId, Time};

/// When a module is called, and what it may know then.
pub(crate) struct Moment {
    /// In the time in which this node judges others.
    pub now: Time,
    /// By the clock.
    pub real: Time,
    pub facts: Facts,
}

/// Takes in the command.
pub(crate) fn begin(
    desk: &mut Desk,
    modules: &mut Modules,
    moment: &Moment,
    verb: &str,
    rest: &str,
) {
    let Moment { now, real, ref facts } = *moment;
    let request = desk.replies.open(Pending::verb(now));
    match modules.verb(real, facts, request, verb, rest) {
        Some(outcome) => returned(desk, now, request, outcome),
        None => {
            let text = language::unknown_verb(verb, modules.registry());
            desk.reply(request, Reply::Error(&text));
        }
    }
}

/// Tells a module what it has asked for on behalf of a call.
pub(crate) fn gathered(
    desk: &mut Desk,
    modules: &mut Modules,
    moment: &Moment,
    ModuleAnswers { call, module, answers }: ModuleAnswers,
) {
    if let Some(pending) = desk.replies.pending_mut(call) {
        pending.operation = Operation::Verb;
    }
    let outcome = modules.gathered(moment.real, &moment.facts, call, module, answers);
    returned(desk, moment.now, call, outcome);
}

/// Replies to a call that was open; one that is not (any more) gets no reply.
pub(crate) fn finish(
    desk: &mut Desk,
    modules: &mut Modules,
    now: Time,
    call: RequestId,
    outcome: Result<String, Failure>,
) {
    if let Finished::Answered(outcome, _) = modules.finish(call, outcome) {
        returned(desk, now, call, outcome.map(crate::Reply::Now));
    }
}

/// A module has returned from a call: the reply, or that it comes later.
fn returned(desk: &mut Desk, now: Time, request: RequestId, outcome: Outcome) {
    match outcome {
        Ok(crate::Reply::Now(result)) => desk.reply(request, Reply::Ok(&result)),
        Ok(crate::Reply::Later) => desk.sent(now, request),
        Err(Failure { text, .. }) => desk.reply(request, Reply::Error(&text)),
    }
}
