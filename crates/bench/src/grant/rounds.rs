//! Issue and revoke at 1, 8 and 32 clients, side after side, round after round.

use std::{path::Path, sync::Arc};

use anyhow::Result;

use super::{
    by_hand::{self, ByHand},
    latchkey::{self, Side},
    openbao::{self, OpenBao, Statements},
    scale::Scale,
    target::Target,
};
use crate::{load::drive, samples::Series};

/// How many clients work at once.
pub(super) const CLIENTS: [usize; 3] = [1, 8, 32];

/// What is measured.
pub(super) struct Rounds<'a> {
    pub(super) quick: bool,
    pub(super) folder: &'a Path,
    pub(super) target: &'a Arc<Target>,
}

/// What came of it.
pub(super) struct Measured {
    pub(super) series: Vec<Series>,
    /// `None` where `OpenBao` could not be had.
    pub(super) openbao_version: Option<String>,
}

impl Rounds<'_> {
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// Grants of a side in a round.
    fn repetitions(&self, clients: usize) -> usize {
        match (clients, self.quick) {
            (1, true) => 25,
            (1, false) => 60,
            (8, true) => 64,
            (8, false) => 200,
            (_, true) => 128,
            (_, false) => 320,
        }
    }

    pub(super) async fn run(&self, scale: &Scale) -> Result<Measured> {
        let surroundings = scale.installation().surroundings();
        let (clock, rng) = (&surroundings.clock, &surroundings.rng);
        let most = CLIENTS.into_iter().max().unwrap_or(1);
        let target = self.target;
        let by_hand =
            ByHand::start(Arc::clone(target), Arc::clone(clock), Arc::clone(rng), most).await?;
        let openbao = OpenBao::start(target, self.folder, most)
            .await
            .inspect_err(|error| eprintln!("OpenBao does not run: {error:#}"))
            .ok();
        let own = scale.side();
        self.warm_up(&own, scale).await?;

        let mut series = Vec::new();
        for clients in CLIENTS {
            let mut sides: Vec<(Series, Series)> = vec![
                pair(latchkey::SIDE, clients, latchkey::ISSUE_PARTS, latchkey::REVOKE_PARTS),
                pair(by_hand::SIDE, clients, by_hand::ISSUE_PARTS, by_hand::REVOKE_PARTS),
            ];
            if openbao.is_some() {
                sides.extend(Statements::ALL.map(|statements| {
                    let side = statements.side();
                    pair(side, clients, openbao::ISSUE_PARTS, openbao::REVOKE_PARTS)
                }));
            }
            for round in 0..self.rounds() {
                let count = self.repetitions(clients);
                println!("{clients} clients, round {}: {count} grants a side", round + 1);
                for (issue, revoke) in &mut sides {
                    let pieces = vec![(); count];
                    if issue.side == latchkey::SIDE {
                        self.own_turn(scale, (issue, revoke), clients, count).await?;
                    } else if issue.side == by_hand::SIDE {
                        let side = by_hand.clone();
                        let work = move |()| side.clone().issue();
                        let (made, busy) = drive(clock, clients, pieces, work).await?;
                        let (made, samples) = made.into_iter().unzip();
                        issue.add(samples, busy);
                        let side = by_hand.clone();
                        let work = move |principal| side.clone().revoke(principal);
                        let (samples, busy) = drive(clock, clients, made, work).await?;
                        revoke.add(samples, busy);
                    } else if let Some(openbao) = &openbao
                        && let Some(statements) =
                            Statements::ALL.into_iter().find(|s| s.side() == issue.side)
                    {
                        let side = openbao.side(Arc::clone(target), Arc::clone(clock), statements);
                        let other = side.clone();
                        let work = move |()| side.clone().issue();
                        let (made, busy) = drive(clock, clients, pieces, work).await?;
                        let (made, samples) = made.into_iter().unzip();
                        issue.add(samples, busy);
                        let work = move |lease| other.clone().revoke(lease);
                        let (samples, busy) = drive(clock, clients, made, work).await?;
                        revoke.add(samples, busy);
                    }
                }
            }
            let (issues, revokes): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
            series.extend(issues);
            series.extend(revokes);
        }
        let openbao_version = openbao.map(|openbao| openbao.version);
        Ok(Measured { series, openbao_version })
    }

    async fn own_turn(
        &self,
        scale: &Scale,
        (issue, revoke): (&mut Series, &mut Series),
        clients: usize,
        count: usize,
    ) -> Result<()> {
        let clock = &scale.installation().surroundings().clock;
        let side = scale.side();
        let people = scale.people(count);
        let work = move |person| side.clone().issue(person);
        let (made, busy) = drive(clock, clients, people, work).await?;
        let (made, samples) = made.into_iter().unzip();
        issue.add(samples, busy);
        let side = scale.side();
        let work = move |grant| side.clone().revoke(grant);
        let (samples, busy) = drive(clock, clients, made, work).await?;
        revoke.add(samples, busy);
        Ok(())
    }

    /// The first grant of a right makes its group; that happens once in the life of a table.
    async fn warm_up(&self, own: &Side, scale: &Scale) -> Result<()> {
        for person in scale.people(3) {
            let (grant, _) = own.clone().issue(person).await?;
            own.clone().revoke(grant).await?;
        }
        Ok(())
    }
}

fn pair(
    side: &'static str,
    clients: usize,
    issue: &'static [&'static str],
    revoke: &'static [&'static str],
) -> (Series, Series) {
    (Series::new("issue", side, clients, issue), Series::new("revoke", side, clients, revoke))
}
