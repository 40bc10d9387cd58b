//! Discovery: what is found goes to the server page by page, so that neither side ever holds a
//! whole inventory, and only a run that came to its end says so on its last page.

use std::sync::Arc;

use async_trait::async_trait;
use latchkey_domain::provisioning::{
    DiscoveredResource, FaultClass, Finding, Severity, TargetFault,
};
use latchkey_integrations::{DiscoverySink, Integration, Target, Work};
use latchkey_protocol::{DiscoveryPage, Outcome, Task};

use crate::{
    agent::Agent,
    crash,
    inventories::{Fingerprints, Seen},
    report::{Delivery, deliver},
};

/// Resources of one page.
const PAGE: usize = 500;

/// Checks the target and finds what there is: the outcome, and what was seen. `None`: the run is
/// of no use any more and needs no answer.
pub(crate) async fn discover(
    agent: &Agent,
    task: &Task,
    integration: &dyn Integration,
    target: &Target,
    work: &Work,
) -> Result<Option<(Outcome, Seen)>, TargetFault> {
    let findings = integration.validate(target, work).await?;
    let errors: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.message.as_str())
        .collect();
    if !errors.is_empty() {
        return Err(TargetFault::new(FaultClass::Refused, errors.join("; ")));
    }
    // Before the run: what changes meanwhile is seen to have changed.
    let mark = integration.inventory_mark(target, work).await?;
    let mut pages = Pages {
        agent,
        task,
        number: 0,
        found: Vec::new(),
        seen: Fingerprints::default(),
        is_useless: false,
    };
    let ran = integration.discover(target, work, &mut pages).await;
    if pages.is_useless {
        return Ok(None);
    }
    ran?;
    let seen = Seen { mark, resources: Some(Arc::new(std::mem::take(&mut pages.seen))) };
    Ok(Some((pages.last(findings), seen)))
}

struct Pages<'a> {
    agent: &'a Agent,
    task: &'a Task,
    number: u32,
    found: Vec<DiscoveredResource>,
    seen: Fingerprints,
    is_useless: bool,
}

impl Pages<'_> {
    fn last(self, findings: Vec<Finding>) -> Outcome {
        let page = DiscoveryPage { page: self.number, last: true, resources: self.found, findings };
        Outcome::Discovered(page)
    }
}

#[async_trait]
impl DiscoverySink for Pages<'_> {
    async fn resources(&mut self, found: Vec<DiscoveredResource>) -> Result<(), TargetFault> {
        for resource in &found {
            self.seen.add(resource, None);
        }
        self.found.extend(found);
        while self.found.len() > PAGE {
            let rest = self.found.split_off(PAGE);
            let resources = std::mem::replace(&mut self.found, rest);
            let page =
                DiscoveryPage { page: self.number, last: false, resources, findings: Vec::new() };
            self.number += 1;
            match deliver(self.agent, self.task, Outcome::Discovered(page)).await {
                Delivery::Taken => {
                    self.agent.crash_points.reached(crash::PAGE_SENT).await;
                }
                Delivery::Useless | Delivery::GivenUp => {
                    self.is_useless = true;
                    return Err(TargetFault::new(
                        FaultClass::Transient,
                        "the discovery run was handed out again",
                    ));
                }
            }
        }
        Ok(())
    }
}
