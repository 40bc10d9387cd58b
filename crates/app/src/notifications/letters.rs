//! What each letter says. Facts come from the rows as they are when the letter is sent.

use jiff::Timestamp;
use latchkey_domain::{
    people::User, policy::automatic::HeldBack, report::Period, request::Decision,
};

use super::{About, FactorNews, letter::Letter};
use crate::{
    outbound::host_of, reports::MailFile, requests::RequestView, texts::length_in_words as length,
};

/// How many entitlements a letter names.
const MOST_NAMED: usize = 12;

/// Where people find things in a browser; without an address letters hold no links.
#[derive(Debug, Clone, Default)]
pub(super) struct Portal(Option<String>);

impl Portal {
    pub(super) fn at(base: Option<&str>) -> Self {
        Self(base.map(|base| base.trim_end_matches('/').to_owned()))
    }

    fn page(&self, path: &str) -> Option<String> {
        self.0.as_ref().map(|base| format!("{base}{path}"))
    }
}

/// The letter to `reader` about a request.
pub(super) fn about_request(
    portal: &Portal,
    about: About,
    seen: &RequestView,
    deciders: &[User],
    reader: &User,
) -> Letter {
    let request = &seen.request;
    let number = format!("AR-{}", request.number);
    let grantee = seen.grantee.display_name();
    let requestor = seen.requestor.display_name();
    let is_mine = reader.id == seen.grantee.id;
    let whose = if is_mine { "your access".to_owned() } else { format!("{grantee}'s access") };
    let page = portal.page(&format!("/requests/{}", request.id));
    let asked = [
        ("Request", number.clone()),
        ("Asked by", requestor.clone()),
        ("For", if seen.requestor.id == seen.grantee.id { String::new() } else { grantee }),
        ("What", entitlements(seen)),
        ("How long", request.duration_sec.map_or_else(|| "until revoked".to_owned(), length)),
        ("Why", request.justification.clone().unwrap_or_default()),
        ("Access flow", seen.flow_name.clone()),
    ];
    let end = request.ends_at.map_or_else(|| "until it is revoked".to_owned(), instant);
    match about {
        About::SecondFactor => {
            let path = format!("/account/step-up?status=pending-mfa&request={}", request.id);
            Letter::new(&format!("{number} waits for your second factor"))
                .text("Nobody is asked about this request before you have given your second factor for it.")
                .facts(asked)
                .text("Opening the page decides nothing; it names what you give your code for. If you did not ask for this, tell an administrator and do not give it.")
                .link("Give your second factor", portal.page(&path))
        }
        About::Waiting => {
            Letter::new(&format!("{number}: {requestor} asks for access, and you may decide"))
                .text("A request for access waits for a decision. You are one of those who may decide about it.")
                .facts(asked)
                .text("Looking at it decides nothing; approve or reject it there, after signing in.")
                .link("Look at what waits for you", portal.page("/tasks"))
        }
        About::Approved => Letter::new(&format!("{number} is approved"))
            .text(format!("The request for {whose} is approved and is being put in place."))
            .facts(asked)
            .facts([("Approved by", said_by(seen, deciders, Decision::Approved)), ("Ends", end)])
            .link("Follow it", page),
        About::Rejected => Letter::new(&format!("{number} is rejected"))
            .text(format!("The request for {whose} was rejected."))
            .facts(asked)
            .facts([("Rejected by", said_by(seen, deciders, Decision::Rejected))])
            .link("Look at it", page),
        About::Cancelled => Letter::new(&format!("{number} is cancelled"))
            .text(format!("The request for {whose} ended before access began."))
            .facts(asked)
            .facts([("Because", request.state_reason.clone().unwrap_or_default())])
            .link("Look at it", page),
        About::Granted => Letter::new(&format!("{number}: access is in place"))
            .text(format!("There it is: {whose} is in place."))
            .facts(asked)
            .facts([("Ends", end), ("Not given", refused(seen))])
            .text("How to connect is shown to the person it is for, after signing in. It is never in a mail.")
            .link("Connect", portal.page("/access")),
        About::EndingSoon => Letter::new(&format!("{number}: access ends at {end}"))
            .text(format!("Soon {whose} ends, and connections that are open then are closed."))
            .facts([("Ends", end)])
            .facts(asked)
            .link("Look at it", page),
        About::Extended => Letter::new(&format!("{number}: access ends later, at {end}"))
            .text(format!("The end of {whose} was moved, and its target has the later end."))
            .facts([("Ends", end)])
            .facts(asked)
            .link("Look at it", page),
        About::Ended => Letter::new(&format!("{number}: access has ended"))
            .text(format!("{} has ended, and was read back as gone.", capital(&whose)))
            .facts(asked)
            .facts([
                ("Ended", request.ended_at.map(instant).unwrap_or_default()),
                ("Because", request.state_reason.clone().unwrap_or_default()),
            ])
            .link("Look at it", page),
        About::Failed => Letter::new(&format!("{number}: access could not be put in place"))
            .text(format!("It was tried, and nothing of {whose} is in place."))
            .facts(asked)
            .facts([("What went wrong", refused(seen))])
            .text("Ask again when that is mended.")
            .link("Look at it", page),
        About::BreakGlass => Letter::new(&format!("{number}: {requestor} has broken the glass"))
            .text(
                "Somebody said that this is an emergency, and is given access by a flow that is \
                 kept for emergencies. Nothing is asked of you now: see that it was one, and end \
                 the access if it was not.",
            )
            .facts(asked)
            .facts([("Ends", end)])
            .link("Look at it", page),
        About::ToReview => Letter::new(&format!("{number}: an emergency waits to be looked at"))
            .text(
                "Access that was given as an emergency has ended. Somebody who did not ask for it \
                 looks at what it was used for, and writes down what they found.",
            )
            .facts(asked)
            .facts([("Ended", request.ended_at.map(instant).unwrap_or_default())])
            .link("Look at it", page),
    }
}

/// The letter about the reader's second factor.
pub(super) fn about_second_factor(portal: &Portal, news: FactorNews, at: Timestamp) -> Letter {
    let (subject, text) = match news {
        FactorNews::Enrolled => (
            "Your second factor is set up",
            "An authenticator was set up for your account, with new recovery codes.",
        ),
        FactorNews::Removed => (
            "Your second factor is removed",
            "The second factor of your account was removed, by somebody who had given it.",
        ),
        FactorNews::Reset => (
            "Your second factor was reset",
            "An administrator has reset the second factor of your account. Your browsers are \
             signed out; set up a new one after signing in.",
        ),
        FactorNews::RecoveryCodeUsed => (
            "A recovery code was used",
            "One of your recovery codes was used in place of your authenticator. It works no more.",
        ),
    };
    Letter::new(subject)
        .text(text)
        .facts([("When", instant(at))])
        .text("If this was not you, tell an administrator at once.")
        .link("Look at it", portal.page("/me"))
}

/// The letter about an automatic flow whose changes are held back.
pub(super) fn about_held_back(portal: &Portal, flow_name: &str, held: HeldBack) -> Letter {
    Letter::new(&format!("The access flow {flow_name} is held back"))
        .text(
            "An automatic access flow would change the access of many people at once, and does \
             nothing until an administrator confirms it. If these people did not change, look at \
             where they come from first.",
        )
        .facts([
            ("Access flow", flow_name.to_owned()),
            ("Would get access", held.gaining.to_string()),
            ("Would lose access", held.losing.to_string()),
            ("Since", instant(held.since)),
        ])
        .link("Look at it", portal.page("/admin/access-flows"))
}

/// The letter that brings a report.
pub(super) fn with_report(name: &str, period: Period, file: &MailFile) -> Letter {
    let letter = Letter::new(&format!("Report: {name}")).text(match file {
        MailFile::Attached { .. } => "The report is attached.",
        MailFile::TooLarge => {
            "The report is too large for a mail. An administrator can read it with `latchkey report \
             run`, or through the API."
        }
    });
    let letter = letter.facts([
        ("Report", name.to_owned()),
        ("From", instant(period.from)),
        ("To", instant(period.until)),
    ]);
    if let MailFile::Attached { too_long_for_pdf: true, .. } = file {
        return letter.text("It has too many rows for a PDF, so it is CSV.");
    }
    letter
}

/// What was asked for, one a line.
fn entitlements(seen: &RequestView) -> String {
    let named = seen.units.iter().take(MOST_NAMED).map(|unit| {
        let integration = seen.integrations.get(&unit.integration_id);
        let integration = integration.map(String::as_str).unwrap_or_default();
        format!("{} on {} in {integration}", unit.permission, unit.resource_path)
    });
    let mut lines: Vec<String> = named.collect();
    if seen.units.len() > MOST_NAMED {
        lines.push(format!("and {} more", seen.units.len() - MOST_NAMED));
    }
    lines.join("\n")
}

/// What the target would not give, each reason once.
fn refused(seen: &RequestView) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in seen.units.iter().filter_map(|unit| unit.error.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("\n")
}

/// Who said so, and why.
fn said_by(seen: &RequestView, deciders: &[User], decision: Decision) -> String {
    let lines = seen.approvals.iter().filter(|one| one.decision == decision).map(|one| {
        let name = deciders
            .iter()
            .find(|user| user.id == one.approver_id)
            .map_or_else(String::new, User::display_name);
        let forced = if one.forced { " (in place of the approvers)" } else { "" };
        let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{name}{forced}{reason}")
    });
    let programs = seen.program_answers.iter().filter(|one| one.decision == Some(decision));
    let programs = programs.map(|one| {
        let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("the program at {}{reason}", host_of(&one.url))
    });
    lines.chain(programs).collect::<Vec<_>>().join("\n")
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

fn instant(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
