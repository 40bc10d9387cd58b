//! How the demo speaks: numbered chapters, what was done, and the evidence for it.

use anyhow::{Result, bail};

#[derive(Debug, Default)]
pub(super) struct Narrator {
    chapter: u32,
}

impl Narrator {
    /// A new numbered heading.
    pub(super) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    /// Something that was done or found.
    #[expect(clippy::unused_self, reason = "the one place through which the demo speaks")]
    pub(super) fn say(&self, text: &str) {
        for line in text.lines() {
            println!("   {line}");
        }
    }

    /// A command or call and what came back, word for word.
    #[expect(clippy::unused_self, reason = "the one place through which the demo speaks")]
    pub(super) fn evidence(&self, command: &str, outcome: &str) {
        println!("   > {command}");
        for line in outcome.trim_end().lines() {
            println!("     {line}");
        }
    }

    /// Evidence that has to hold; the demo ends otherwise.
    pub(super) fn proof(&self, what: &str, holds: bool) -> Result<()> {
        if !holds {
            bail!("this should hold and does not: {what}");
        }
        self.say(&format!("✓ {what}"));
        Ok(())
    }
}
