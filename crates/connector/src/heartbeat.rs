//! The heartbeat: says that the process is alive and which deliveries it works on, and brings
//! the server's time, its key, its newest audit head and the targets to watch.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use latchkey_domain::ids::{ConnectorSessionId, IntegrationId};
use latchkey_protocol::{Heartbeat, HeartbeatAnswer, RunningTask, VERSION};

use crate::{agent::Agent, pace::Pause, server_clock::Sent};

/// So often the server's name is resolved.
const ANSWERS_PER_LOOKUP: u32 = 20;

/// Sends heartbeats until the agent gives up its work.
pub(crate) async fn beat(agent: Arc<Agent>) {
    let mut replaces = agent.state.get().session_id;
    let mut listed = Listed::default();
    while !agent.giving_up.is_cancelled() {
        let running = agent.leases.running(agent.clock.monotonic());
        let beat = heartbeat(&agent, replaces.clone(), running.clone(), &listed);
        let sent = agent.server_clock.sent();
        let answered = tokio::select! {
            () = agent.giving_up.cancelled() => return,
            answered = agent.link.heartbeat(&beat) => answered,
        };
        match answered {
            Ok(answer) => {
                let is_first = agent.server_key().is_none();
                take_in(&agent, &answer, &running, sent, &mut listed).await;
                if is_first {
                    agent.journal.settle_endless();
                }
                replaces = None;
                agent.note_link(Ok(()));
                wait(&agent).await;
            }
            Err(error) => {
                agent.note_link(Err(&error));
                tokio::select! {
                    () = agent.giving_up.cancelled() => return,
                    () = agent.back_off() => {}
                }
            }
        }
    }
}

/// What the server last said, as far as the next heartbeat needs it.
#[derive(Debug, Default)]
struct Listed {
    /// The server's name for them; `None` before they are on disk.
    version: Option<String>,
    ids: BTreeSet<IntegrationId>,
    /// How many answers there were.
    answers: u32,
    /// Where calls to the server go.
    server: Vec<SocketAddr>,
}

fn heartbeat(
    agent: &Agent,
    replaces: Option<ConnectorSessionId>,
    running: Vec<RunningTask>,
    listed: &Listed,
) -> Heartbeat {
    Heartbeat {
        protocol: VERSION,
        connector_id: Some(agent.id.clone()),
        session_id: agent.session.clone(),
        running,
        replaces,
        version: agent.version.clone(),
        metadata: agent.surroundings.metadata.clone(),
        cloud_provider_type: agent.surroundings.provider.as_str().to_owned(),
        public_key: agent.secrets.key.public_key(),
        audit_head: agent.state.get().audit_head,
        targets: listed.version.clone(),
    }
}

/// Takes an answer in. The leases come first: everything else may wait for the disk.
async fn take_in(
    agent: &Agent,
    answer: &HeartbeatAnswer,
    running: &[RunningTask],
    sent: Sent,
    listed: &mut Listed,
) {
    agent.leases.renew(running, sent, agent.clock.monotonic());
    agent.server_clock.heard(sent, answer.server_time);
    agent.state.heard(&agent.session, answer, agent.server_clock.offset()).await;
    if !answer.targets_unchanged {
        listed.ids = answer.integrations.iter().map(|target| target.id.clone()).collect();
    }
    let keep = |id: &IntegrationId| listed.ids.contains(id) || agent.journal.is_open(id);
    match agent.targets.learn_all(&answer.integrations, keep).await {
        Ok(()) => listed.version.clone_from(&answer.targets),
        Err(error) => {
            listed.version = None;
            tracing::warn!(error = %error,
                "The targets could not be kept for when the server is away.");
        }
    }
    if listed.answers.is_multiple_of(ANSWERS_PER_LOOKUP) {
        listed.server = agent.link.addresses().await;
    }
    listed.answers = listed.answers.wrapping_add(1);
    let own = answer.listens.iter().chain(&listed.server).copied().collect();
    agent.set_own_addresses(own);
    agent.set_server_key(&answer.server_public_key);
}

/// Waits for the next heartbeat's turn.
async fn wait(agent: &Agent) {
    let mut pause = Pause::begin(agent.clock.as_ref());
    while let Some(left) =
        agent.timing.heartbeat.checked_sub(pause.lasted()).filter(|left| !left.is_zero())
    {
        tokio::select! {
            () = agent.giving_up.cancelled() => return,
            () = agent.beat_now.notified() => return,
            () = pause.sleep(left) => {}
        }
    }
}
