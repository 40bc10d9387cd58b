//! The change itself: which statements bring a principal from what it is to what it should be,
//! and what the read-back says about each claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use latchkey_domain::{
    Rng,
    provisioning::{
        ClaimOutcome, ClaimState, DesiredClaim, DesiredPrincipal, FaultClass, Receipt, TargetFault,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;

use super::{
    Context,
    apply::{Seen, removed},
    claims::{Places, Plan, Way},
    connection::{Connection, Rows, number},
    cut::{self, Cut},
    fault::{Failure, refused},
    groups,
    marker::{MarkedClaim, PrincipalMarker, State},
    principal::{LOOK_STATEMENTS, PrincipalState, Stop, Who, look, look_sql, timestamp},
    quote,
    revoke::{join_self, revoke},
    source::Source,
    verifier,
};
use crate::{Applied, GeneratedCredentials, Work};

/// An end that moved by less than this is the same end: both clocks are only estimated.
const SAME_END_MS: i64 = 500;

/// The change of one principal, once its groups are exact.
pub(super) struct Change<'a> {
    pub context: &'a Context<'a>,
    pub who: &'a Who,
    pub desired: &'a DesiredPrincipal,
    /// Claims that should be gone.
    pub over: &'a [&'a DesiredClaim],
    /// The server's time when the work began.
    pub server_now: Timestamp,
    /// The marker that was found.
    pub own: Option<PrincipalMarker>,
}

/// What the second round trip is to do.
struct Statements {
    /// The role and its memberships; the marker follows.
    sql: String,
    marker: PrincipalMarker,
    /// Whether the role is a member of something that it should not be a member of.
    takes: bool,
    /// Which open sessions have to end once it is committed.
    cut: Option<Cut>,
}

impl Change<'_> {
    /// Sends the second round trip, ends what has to end, and says how everything stands.
    pub(super) async fn carry_out(
        &self,
        places: Places,
        plans: Vec<Plan<'_>>,
        seen: Seen,
        login: Option<PendingLogin>,
    ) -> Result<Applied, Stop> {
        let (context, work) = (self.context, self.context.work);
        let control = &places.control;
        // What each claim is given by now or will be: a role's oid and name.
        let mut given: BTreeMap<&str, (u32, String)> = BTreeMap::new();
        for plan in &plans {
            let unit = plan.claim.unit_id.as_str();
            if let Some(role) = self.role_for(plan, &seen) {
                given.insert(unit, role);
            }
        }
        if given.is_empty() {
            control.batch(work, "ROLLBACK").await?;
            return self.nothing_to_give(places, &plans).await;
        }
        let login = match login {
            // A principal that somebody dropped is made anew, with a password that is known.
            None if seen.look.state.is_none() => Some(NewLogin::begin(work)),
            login => login,
        };
        let login = match login {
            Some(login) => Some(login.ready().await?),
            None => None,
        };
        let is_reset = seen.look.state.is_some() && login.is_some();
        let grace = if is_reset { Some(cut::login_takes(control, work).await?) } else { None };
        let login = login.map(|login| (login, grace));
        let mut statements = self.statements(control, &plans, &seen, &given, login.as_ref())?;
        let login = login.map(|(login, _)| login);
        work.crash_point("pg.apply.locked").await;
        work.check_lease()?;
        let mut read_back = self.commit(control, &mut statements, &given).await?;
        work.crash_point("pg.apply.committed").await;
        let oid = read_back.state.oid;
        context.oids.note(&context.target.integration_id, &self.who.principal, oid);
        if let Some(cut) = statements.cut {
            let marker = &statements.marker;
            read_back.ended =
                cut::end_and_note(context, control, self.who, oid, marker, cut).await?;
        }
        let applied = self.outcome(&plans, &given, &read_back, login);
        places.give_back(context);
        Ok(applied)
    }

    /// Changes the role, looks, writes the marker and commits. Where something is taken away, the
    /// marker is written by what the look shows: a claim whose membership is still there stays
    /// in it as one that is over, so that the next sweep tries again.
    async fn commit(
        &self,
        control: &Connection,
        statements: &mut Statements,
        given: &BTreeMap<&str, (u32, String)>,
    ) -> Result<ReadBack, Failure> {
        let work = self.context.work;
        let role = quote::ident(&self.who.principal)?;
        let look_again = look_sql(&self.who.principal)?;
        let mut sql = std::mem::take(&mut statements.sql);
        let mut state = None;
        if statements.takes {
            let seen = self.read_back(&control.batch(work, &(sql + &look_again)).await?)?;
            statements.marker.claims.extend(self.left_over(&seen, given));
            state = Some(seen);
            sql = String::new();
        }
        sql += &format!("COMMENT ON ROLE {role} IS {};", self.context.comment(&statements.marker)?);
        if state.is_none() {
            sql += &look_again;
        }
        sql += &format!(
            " COMMIT; EXECUTE lk_sessions_of({})",
            quote::name_literal(&self.who.principal)?
        );
        let mut answers = control.batch(work, &sql).await.map_err(|mut failure| {
            if failure.connection_lost {
                failure.fault = TargetFault::new(
                    FaultClass::Unknown,
                    format!("the outcome is not known: {}", failure.fault.message),
                );
            }
            failure
        })?;
        let count = answers.pop().unwrap_or_default();
        // COMMIT.
        answers.pop();
        let mut seen = match state {
            Some(seen) => seen,
            None => self.read_back(&answers)?,
        };
        seen.open = count.first().and_then(|row| number(row, 0)).unwrap_or(0);
        Ok(seen)
    }

    /// Claims of the marker that are over while the role is still a member of what gave them.
    fn left_over<'a>(
        &'a self,
        seen: &'a ReadBack,
        given: &'a BTreeMap<&str, (u32, String)>,
    ) -> impl Iterator<Item = MarkedClaim> + 'a {
        let claims = self.own.iter().flat_map(|marker| &marker.claims);
        claims
            .filter(|claim| !given.contains_key(claim.unit.as_str()))
            .filter(|claim| !given.values().any(|(role, _)| *role == claim.role))
            .filter(|claim| seen.state.memberships.contains_key(&claim.role))
            .map(|claim| MarkedClaim {
                end: Some(claim.end.map_or(seen.now, |end| end.min(seen.now))),
                ..claim.clone()
            })
    }

    /// Why a claim that is over is not gone.
    fn still_there(
        &self,
        claim: &DesiredClaim,
        read_back: &ReadBack,
        explained: &BTreeSet<u32>,
    ) -> Option<TargetFault> {
        let marked = self.own.iter().flat_map(|marker| &marker.claims);
        let marked = marked.filter(|marked| marked.unit == claim.unit_id).map(|m| m.role).next();
        let memberships = &read_back.state.memberships;
        let (role, membership) = match (marked, Source::parse(&claim.source_id)) {
            (Some(role), _) => (role, memberships.get(&role)?),
            (None, Ok(Source::Role(name))) => {
                let named = memberships.iter().find(|(_, membership)| membership.name == name)?;
                (*named.0, named.1)
            }
            _ => return None,
        };
        (!explained.contains(&role)).then(|| membership.stays(&self.who.principal))
    }

    /// The role that gives a claim. A claim that is in place already keeps its role where the
    /// object cannot be looked at now: what it is about may be gone, which harms nobody.
    fn role_for(&self, plan: &Plan<'_>, seen: &Seen) -> Option<(u32, String)> {
        if let Ok(way) = &plan.way {
            let name = way.role_name();
            let oid = match way {
                Way::Groups(_) => seen.groups.get(name).map(|group| group.oid),
                Way::Role(_) => seen.roles.get(name).map(|role| role.oid),
            };
            return oid.map(|oid| (oid, name.to_owned()));
        }
        let marked = self.own.as_ref()?.claims.iter().find(|c| c.unit == plan.claim.unit_id)?;
        let membership = seen.look.state.as_ref()?.memberships.get(&marked.role)?;
        Some((marked.role, membership.name.clone()))
    }

    fn statements(
        &self,
        control: &Connection,
        plans: &[Plan<'_>],
        seen: &Seen,
        given: &BTreeMap<&str, (u32, String)>,
        login: Option<&(NewLogin, Option<i64>)>,
    ) -> Result<Statements, Failure> {
        let grace = login.and_then(|(_, grace)| *grace);
        let login = login.map(|(login, _)| login);
        let role = quote::ident(&self.who.principal)?;
        let now = seen.look.now;
        let state = seen.look.state.as_ref();
        let claims: Vec<MarkedClaim> = plans
            .iter()
            .filter_map(|plan| {
                let (oid, _) = given.get(plan.claim.unit_id.as_str())?;
                Some(self.marked(plan.claim, *oid, now))
            })
            .collect();
        let wanted: BTreeMap<u32, &str> =
            given.values().map(|(oid, name)| (*oid, name.as_str())).collect();
        let none = BTreeMap::new();
        let current = state.map_or(&none, |state| &state.memberships);
        let mut memberships = String::new();
        for (oid, name) in &wanted {
            if !current.get(oid).is_some_and(|membership| membership.exact) {
                memberships += &groups::membership(control, &quote::ident(name)?, &role);
            }
        }
        let mut taken = false;
        let any_left_over = current.keys().any(|oid| !wanted.contains_key(oid));
        for (oid, membership) in current {
            // What cannot be taken away is told with the outcome.
            if !wanted.contains_key(oid) && membership.revocable {
                memberships += &format!("REVOKE {} FROM {role};", quote::ident(&membership.name)?);
                taken = true;
            }
        }
        let reset = grace.is_some();
        let pending = self.own.as_ref().and_then(|marker| marker.cut);
        let marker = PrincipalMarker {
            installation: self.context.target.installation_id.clone(),
            integration: self.context.target.integration_id.clone(),
            session: self.who.session.clone(),
            generation: self.who.generation,
            fence: self.desired.fence,
            state: State::Live,
            created: self.own.as_ref().map_or(now, |marker| marker.created),
            // Sessions that begin until this is committed may still know the old state.
            cut: if taken || reset { Some(now + 2_000) } else { pending },
            cut_until: match grace {
                Some(grace) => Some(now + grace),
                None => self.own.as_ref().and_then(|marker| marker.cut_until),
            },
            claims,
        };
        let mut sql = role_statement(&role, state, &marker, login)?;
        sql += &memberships;
        let cut = if state.is_none() {
            None
        } else if taken || reset {
            Some(Cut::Now)
        } else {
            pending.map(Cut::Before)
        };
        if cut.is_some() && state.is_some_and(|state| !state.reachable) {
            sql += &join_self(control, &role);
        }
        Ok(Statements { sql, marker, takes: any_left_over, cut })
    }

    /// A claim with its end on the target's clock; an end that only seems to have moved because
    /// clocks are estimates stays where it is.
    fn marked(&self, claim: &DesiredClaim, role: u32, now: i64) -> MarkedClaim {
        let end = claim.ends_at.map(|end| {
            let left = end.as_millisecond() - self.server_now.as_millisecond();
            let fresh = now.saturating_add(left);
            let earlier = self
                .own
                .as_ref()
                .and_then(|marker| marker.claims.iter().find(|c| c.unit == claim.unit_id))
                .and_then(|marked| marked.end);
            earlier.filter(|old| (old - fresh).abs() < SAME_END_MS).unwrap_or(fresh)
        });
        MarkedClaim { unit: claim.unit_id.clone(), role, end }
    }

    /// Nothing of what is desired can be given: a principal that exists is taken away.
    async fn nothing_to_give(&self, places: Places, plans: &[Plan<'_>]) -> Result<Applied, Stop> {
        let passing = plans.iter().find_map(|plan| match &plan.way {
            Err(failure) if failure.fault.class != FaultClass::Refused => Some(failure.clone()),
            _ => None,
        });
        if let Some(failure) = passing {
            return Err(failure.into());
        }
        places.give_back(self.context);
        let fence = Some(self.desired.fence);
        let receipt = revoke(self.context, self.who, fence, &|_, _| true).await?;
        let receipt = receipt.ok_or_else(|| refused("the principal was not removed"))?;
        let mut applied = removed(self.over, receipt);
        applied.claims.extend(plans.iter().map(|plan| ClaimOutcome {
            unit_id: plan.claim.unit_id.clone(),
            state: ClaimState::Absent,
            fault: plan.way.as_ref().err().map(|failure| failure.fault.clone()),
        }));
        Ok(applied)
    }

    fn read_back(&self, answers: &[Rows]) -> Result<ReadBack, Failure> {
        // The last statements are the look.
        let from = answers.len().saturating_sub(LOOK_STATEMENTS);
        let look = look(answers.get(from..).unwrap_or_default())?;
        let state =
            look.state.ok_or_else(|| refused(format!("{} is gone again", self.who.principal)))?;
        Ok(ReadBack { now: look.now, state, open: 0, ended: 0 })
    }

    fn outcome(
        &self,
        plans: &[Plan<'_>],
        given: &BTreeMap<&str, (u32, String)>,
        read_back: &ReadBack,
        login: Option<NewLogin>,
    ) -> Applied {
        let memberships = &read_back.state.memberships;
        let mut outcomes = Vec::new();
        let mut holds = Vec::new();
        let mut notes = Vec::new();
        for plan in plans {
            let claim = plan.claim;
            let role = given.get(claim.unit_id.as_str());
            let present = role.is_some_and(|(oid, _)| memberships.contains_key(oid));
            if let (true, Some((_, name))) = (present, role) {
                holds.push(format!("{} on {} by {name}", claim.permission, claim.source_id));
            }
            if !plan.left_out.is_empty() {
                let some: Vec<&str> = plan.left_out.iter().take(5).map(String::as_str).collect();
                notes.push(format!(
                    "{} of {} leaves out {} objects that the provisioner may not give, such as {}",
                    claim.permission,
                    claim.path,
                    plan.left_out.len(),
                    some.join(", ")
                ));
            }
            let fault = match (&plan.way, present) {
                (Err(failure), false) => Some(failure.fault.clone()),
                _ => None,
            };
            let state = if present { ClaimState::Present } else { ClaimState::Absent };
            outcomes.push(ClaimOutcome { unit_id: claim.unit_id.clone(), state, fault });
        }
        let explained: BTreeSet<u32> = given.values().map(|(oid, _)| *oid).collect();
        for claim in self.over {
            let fault = self.still_there(claim, read_back, &explained);
            let state = if fault.is_some() { ClaimState::Unknown } else { ClaimState::Absent };
            outcomes.push(ClaimOutcome { unit_id: claim.unit_id.clone(), state, fault });
        }
        for (oid, membership) in memberships {
            if !explained.contains(oid) {
                holds.push(format!("member of {} by somebody else's grant", membership.name));
                notes.push(membership.stays(&self.who.principal).message);
            }
        }
        Applied {
            claims: outcomes,
            receipt: Receipt {
                principal: self.who.principal.clone(),
                observed_at: timestamp(read_back.now),
                principal_exists: true,
                can_log_in: read_back.state.can_log_in,
                open_sessions: read_back.open.saturating_sub(read_back.ended),
                sessions_ended: read_back.ended,
                holds,
                leftover: Vec::new(),
                notes,
            },
            credentials: login.map(|login| GeneratedCredentials {
                username: self.who.principal.clone(),
                password: login.password,
            }),
        }
    }
}

/// `CREATE ROLE`, or `ALTER ROLE` as far as something differs.
fn role_statement(
    role: &str,
    state: Option<&PrincipalState>,
    marker: &PrincipalMarker,
    login: Option<&NewLogin>,
) -> Result<String, Failure> {
    let ends: Option<Vec<i64>> = marker.claims.iter().map(|claim| claim.end).collect();
    let end = ends.and_then(|ends| ends.into_iter().max());
    let until = end.map_or("infinity".to_owned(), |end| end.to_string());
    let valid = match end {
        Some(end) => format!("VALID UNTIL '{}'", timestamp(end)),
        None => "VALID UNTIL 'infinity'".to_owned(),
    };
    let password = match login {
        Some(login) => format!("PASSWORD {}", quote::literal(&login.verifier)?),
        None => String::new(),
    };
    Ok(match state {
        None => format!("CREATE ROLE {role} LOGIN {password} {valid};"),
        Some(state) if state.can_log_in && state.valid_until == until && login.is_none() => {
            String::new()
        }
        Some(_) => format!("ALTER ROLE {role} LOGIN {password} {valid};"),
    })
}

/// What was read back in the transaction, and what followed it.
struct ReadBack {
    now: i64,
    state: PrincipalState,
    open: u32,
    ended: u32,
}

/// A new password and what the server is told of it: a SCRAM verifier, so that neither its log
/// nor its statistics ever see the password.
pub(super) struct NewLogin {
    password: SecretString,
    verifier: String,
}

/// A login whose verifier is being computed: 4,096 rounds of HMAC, while the target is asked.
pub(super) struct PendingLogin {
    password: SecretString,
    verifier: JoinHandle<String>,
}

impl NewLogin {
    /// A password of 32 characters out of 64: 192 bits.
    pub(super) fn begin(work: &Work) -> PendingLogin {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bytes = <dyn Rng>::bytes::<32>(work.rng.as_ref());
        let password: SecretString = bytes
            .iter()
            .map(|byte| char::from(ALPHABET.get(usize::from(byte & 63)).copied().unwrap_or(b'A')))
            .collect::<String>()
            .into();
        let (hashed, rng) = (password.clone(), Arc::clone(&work.rng));
        let verifier = tokio::task::spawn_blocking(move || {
            verifier::scram_sha_256(hashed.expose_secret().as_bytes(), rng.as_ref())
        });
        PendingLogin { password, verifier }
    }
}

impl PendingLogin {
    /// The login, once its verifier is computed.
    pub(super) async fn ready(self) -> Result<NewLogin, Failure> {
        let verifier = self.verifier.await.map_err(|_| {
            TargetFault::new(FaultClass::Transient, "the connector is being stopped")
        })?;
        Ok(NewLogin { password: self.password, verifier })
    }
}
