//! Handing results over: again and again until the server has them or says that they are of no
//! use. Sending one twice changes nothing.

use std::time::Duration;

use latchkey_domain::{
    ids::TaskId,
    provisioning::{FaultClass, TargetFault},
};
use latchkey_protocol::{Outcome, Task, TaskResult, VERSION};

use crate::{agent::Agent, link::LinkError, pace};

/// How often a result is sent again that is said to be of no use.
const DOUBTS: u32 = 2;

/// How long to wait before.
const DOUBT: Duration = Duration::from_millis(50);

/// What became of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The server has it.
    Taken,
    /// It is of no use: the task was handed out again, or the server refuses it.
    Useless,
    /// The agent is stopping.
    GivenUp,
}

/// Hands over what came of a task. A result that the server refuses is answered for with a
/// fault, so that the task does not hang.
pub(crate) async fn deliver(agent: &Agent, task: &Task, outcome: Outcome) -> Delivery {
    let result = result_of(agent, task, outcome);
    match send(agent, &task.id, &result).await {
        Ok(delivery) => delivery,
        Err(message) => {
            tracing::error!(task.id = %task.id, error = %message, "The server refused a result.");
            let fault = TargetFault::new(
                FaultClass::Unknown,
                "the server refused the connector's result; see the connector's log",
            );
            let result = result_of(agent, task, Outcome::Failed(fault));
            let _ = send(agent, &task.id, &result).await;
            Delivery::Useless
        }
    }
}

fn result_of(agent: &Agent, task: &Task, outcome: Outcome) -> TaskResult {
    TaskResult { protocol: VERSION, session_id: agent.session.clone(), lease: task.lease, outcome }
}

/// Sends a result until there is an answer to it; the error is a refusal in words.
async fn send(agent: &Agent, task: &TaskId, result: &TaskResult) -> Result<Delivery, String> {
    let mut doubts = 0;
    loop {
        let answered = tokio::select! {
            biased;
            () = agent.giving_up.cancelled() => return Ok(Delivery::GivenUp),
            answered = agent.link.result(task, result) => answered,
        };
        match answered {
            Ok(()) => return Ok(Delivery::Taken),
            // A conflict may also be two writers at the server: asking again costs nothing.
            Err(LinkError::Superseded) if doubts < DOUBTS => {
                doubts += 1;
                pace::pause(agent.clock.as_ref(), DOUBT).await;
            }
            Err(LinkError::Superseded) => return Ok(Delivery::Useless),
            Err(LinkError::Refused(message)) => return Err(message),
            Err(error @ (LinkError::Unreachable(_) | LinkError::Unauthorized(_))) => {
                agent.note_link(Err(&error));
                tokio::select! {
                    () = agent.giving_up.cancelled() => return Ok(Delivery::GivenUp),
                    () = agent.back_off() => {}
                }
            }
        }
    }
}
