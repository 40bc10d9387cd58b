//! The recipes of the manual, followed to the letter against a server and a real target.
//!
//! `docs/recipes/README.md` says how to begin, and each other page there is a recipe. A test reads
//! both, writes the files that they show, runs every command in their order, and compares what is
//! printed with what is shown. So a command that stops working, or an output that changes, fails
//! here; and a page without a test does too.
//!
//! What a page leaves to its reader are variables: `$SERVER`, `$ADMIN` (an Admin's token), and
//! `$SHOP_…` (where the target is). The commands run as they stand, by [`shell`] and [`programs`].
//! The time is set by comments that readers do not see; nothing sleeps.

mod document;
mod jq;
mod programs;
mod shell;
mod shown;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::Clock as _;
use latchkey_testkit::{DatabaseKind, TestClock, wait_for};
use serde_json::Value;

use self::{
    document::Step,
    programs::Outcome,
    shell::{Line, Variables},
};
use crate::{
    caller::PATIENCE, drivers::project, installation::Installation, process,
    shifted_clock::ShiftedClock, shop::Shop,
};

/// Somebody who follows a page.
struct Reader {
    installation: Installation,
    shop: Shop,
    clock: ShiftedClock,
    off: SignedDuration,
    variables: Variables,
}

impl Reader {
    /// Somebody who has followed a recipe to its end.
    async fn of(recipe: &str) -> Self {
        let installation = Installation::create(DatabaseKind::Sqlite).await;
        let shop = Shop::open().await;
        let clock = ShiftedClock::new(&installation, "clock", 0);
        let mut variables = Variables::from([
            ("SERVER".to_owned(), installation.url()),
            ("ADMIN".to_owned(), installation.admin.token().unwrap().to_owned()),
        ]);
        variables.extend(shop.variables());
        let off = SignedDuration::ZERO;
        let mut reader = Self { installation, shop, clock, off, variables };
        reader.follow("README").await;
        reader.follow(recipe).await;
        reader
    }

    async fn follow(&mut self, page: &str) {
        let text = fs::read_to_string(pages().join(page).with_extension("md")).unwrap();
        for step in document::steps(&text) {
            match step {
                Step::File { path, text } => self.write(&path, &text),
                Step::Clock(word) => self.set_clock(&word),
                Step::Command { line, shown } => self.command(page, &line, &shown).await,
            }
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.installation.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets the clock forward: `+2h`, or the next `Tuesday 23:10 Europe/Berlin`.
    fn set_clock(&mut self, word: &str) {
        let machine = TestClock::at_machine_time().now();
        let now = machine.saturating_add(self.off).unwrap();
        let then = match word.strip_prefix('+') {
            Some(length) => now.saturating_add(length.parse::<SignedDuration>().unwrap()).unwrap(),
            None => next(word, now),
        };
        self.off = then.duration_since(machine);
        self.clock.set(i64::try_from(self.off.as_millis()).unwrap());
    }

    /// Runs a command. What only looks is run until it shows what the page shows: a reader would
    /// look again.
    async fn command(&mut self, page: &str, text: &str, shown: &str) {
        let line = shell::parse(text, &self.variables);
        if line.in_background {
            assert_eq!(line.stages, [["latchkey", "serve", "--data", "./data"]]);
            self.installation.start(&[("LATCHKEY_FAULT_CLOCK", &self.clock.path())]).await;
            return;
        }
        let mut last = String::new();
        let printed = wait_for("it", PATIENCE, async || {
            let outcome = self.run(&line).await;
            let checked = check(&line, &outcome, shown);
            last = format!("{checked:?}:\n{}", outcome.text);
            assert!(outcome.is_look || checked.is_ok(), "{page}: {text}\n{last}");
            checked.ok().map(|()| outcome.text)
        })
        .await;
        let printed = printed.unwrap_or_else(|_| panic!("{page}: {text}\n{last}"));
        if let Some(name) = line.assigns {
            self.variables.insert(name, printed.trim().to_owned());
        }
    }

    async fn run(&self, line: &Line) -> Outcome {
        let (first, words) = line.stages[0].split_first().unwrap();
        let mut outcome = match first.as_str() {
            "latchkey" => self.latchkey(words),
            "curl" => programs::curl(words, &self.installation.url(), self.installation.port).await,
            "psql" => programs::psql(words).await,
            other => panic!("nobody knows how to run {other}"),
        };
        for stage in &line.stages[1..] {
            let (filter, is_raw) = match stage.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["jq", "-r", filter] => (filter, true),
                ["jq", "-c", filter] => (filter, false),
                _ => panic!("only jq -r FILTER and jq -c FILTER can follow: {stage:?}"),
            };
            // A refusal has another shape, and says why.
            if !outcome.is_success {
                break;
            }
            let last = outcome.text.trim().lines().last().unwrap_or_default().to_owned();
            let value: Value = serde_json::from_str(&last).unwrap_or_default();
            let found = jq::filtered(filter, &value);
            let lines = found.iter().map(|one| if is_raw { jq::raw(one) } else { one.to_string() });
            outcome.text = lines.collect::<Vec<_>>().join("\n");
        }
        outcome
    }

    fn latchkey(&self, words: &[String]) -> Outcome {
        let mut command = process::command(words);
        command.current_dir(self.installation.folder.path());
        command.env("LATCHKEY_FAULT_CLOCK", self.clock.path());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Outcome {
            text: String::from_utf8(text).unwrap(),
            is_success: output.status.success(),
            // Records are linked a moment after they are written.
            is_look: words.starts_with(&["audit".to_owned(), "verify".to_owned()]),
        }
    }

    /// Checks what holds after every recipe: nobody is left in the target, and the audit trail is
    /// whole.
    async fn finish(self) {
        self.shop.wait_until_empty().await;
        self.installation.verify_audit().await;
    }
}

/// Whether a command did what its page says.
fn check(line: &Line, outcome: &Outcome, shown: &str) -> Result<(), String> {
    if line.assigns.is_some() {
        let is_value = outcome.is_success && !outcome.text.is_empty();
        let is_whole = outcome.text != "null"
            && [":null", "=null"].iter().all(|no| !outcome.text.contains(no));
        return if is_value && is_whole { Ok(()) } else { Err("no value yet".to_owned()) };
    }
    if shown.is_empty() {
        return if outcome.is_success { Ok(()) } else { Err("failed".to_owned()) };
    }
    shown::compare(shown, &outcome.text)
}

/// The first `WEEKDAY HOUR:MINUTE ZONE` after `now`.
fn next(word: &str, now: Timestamp) -> Timestamp {
    let [weekday, time, zone] = word.split(' ').collect::<Vec<_>>()[..] else { panic!("{word}") };
    let today = now.in_tz(zone).unwrap().date();
    (0..=7)
        .map(|days| today.saturating_add(SignedDuration::from_hours(24 * days)))
        .filter(|day| day.strftime("%A").to_string() == weekday)
        .map(|day| day.to_datetime(time.parse().unwrap()).in_tz(zone).unwrap().timestamp())
        .find(|then| *then > now)
        .unwrap()
}

fn pages() -> PathBuf {
    project().join("docs/recipes")
}

/// The tests, one a recipe, and the list of them.
macro_rules! recipes {
    ($($name:ident follows $page:literal;)*) => {
        const FOLLOWED: &[&str] = &[$($page),*];

        $(
            #[tokio::test]
            async fn $name() {
                Reader::of($page).await.finish().await;
            }
        )*
    };
}

recipes! {
    who_is_on_call_gets_in_at_night_and_nobody_else_does follows "on-call";
    a_write_to_production_wants_two_teams follows "two-teams";
    a_manager_asks_for_a_report_and_decides_what_one_asks_for follows "manager";
    a_contractor_gets_in_inside_office_hours_alone follows "contractor";
    a_new_joiner_gets_a_bundle_as_one_thing follows "new-joiner";
    glass_is_broken_only_by_who_says_so follows "break-glass";
    an_agents_account_does_little_for_five_minutes follows "agent";
}

#[test]
fn every_page_is_followed_and_listed() {
    let is_recipe = |path: &Path| path.file_stem().is_some_and(|stem| stem != "README");
    let pages: BTreeSet<String> = fs::read_dir(pages())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| is_recipe(path))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let followed: BTreeSet<String> = FOLLOWED.iter().map(|page| format!("{page}.md")).collect();
    assert_eq!(pages, followed);
    let index = fs::read_to_string(self::pages().join("README.md")).unwrap();
    for page in &pages {
        assert!(index.contains(&format!("]({page})")), "{page} is not in the list");
    }
}
