//! `latchkey export`: what is stored, as the documents that `latchkey apply` reads.
//!
//! Invariants: the same policy is written alike, byte for byte; no name leads a file out of the
//! folder that was asked for; a file that could not be written to its end is not left behind under
//! its name.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use latchkey_api::policy_document::document_of;
use latchkey_app::{
    Actor,
    policy_as_code::{PolicyObject, export_policy},
};

use crate::{
    admin, answer, cli::ExportArgs, fault::Fault, installation, policy_folder, policy_yaml,
    surroundings::Surroundings,
};

/// The longest name of a file, without what makes it another than its like, in bytes.
const LONGEST_NAME: usize = 120;

/// Runs `latchkey export`.
pub(crate) async fn run(args: ExportArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    let app = installation::existing(&args.store, &at, "export").await?;
    let objects = export_policy(&app, &Actor::command_line()).await;
    let objects = objects.map_err(|error| admin::say(&error))?;
    let mut taken = BTreeSet::new();
    let mut documents = Vec::with_capacity(objects.len());
    for object in objects {
        let file = file_of(&object, &mut taken);
        let document = document_of(object).map_err(|error| Fault::new(error.to_string()))?;
        documents.push((file, policy_yaml::document(&document)));
    }
    let Some(folder) = &args.output else {
        let texts: Vec<String> = documents.into_iter().map(|(_, text)| text).collect();
        answer::text(&texts.join("---\n"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut written = BTreeSet::new();
    for (file, text) in documents {
        let file = folder.join(file);
        write(&file, &text).map_err(|error| {
            Fault::new(format!("{} cannot be written: {error}", file.display()))
        })?;
        written.insert(file);
    }
    note_others(folder, &written)?;
    let count = written.len();
    let files = if count == 1 { "1 document".to_owned() } else { format!("{count} documents") };
    answer::text(&format!("{files} written below {}.\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The file for something: its kind's folder, and its name as far as every file system takes it.
fn file_of(object: &PolicyObject, taken: &mut BTreeSet<PathBuf>) -> PathBuf {
    let folder = Path::new(object.kind().as_str());
    let stem = file_name(object.name());
    let mut file = folder.join(format!("{stem}.yaml"));
    let mut number = 2;
    while !taken.insert(file.clone()) {
        file = folder.join(format!("{stem}-{number}.yaml"));
        number += 1;
    }
    file
}

/// Letters and digits in small, anything else as single dashes.
fn file_name(name: &str) -> String {
    let mut stem = String::new();
    for character in name.to_lowercase().chars() {
        if stem.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        if character.is_alphanumeric() {
            stem.push(character);
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "unnamed".to_owned() } else { stem.to_owned() }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    // Hidden, so that nobody reads it as a document.
    let draft = folder.join(format!(".{}.part", std::process::id()));
    let whole = fs::File::create(&draft)
        .and_then(|mut draft| draft.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&draft, file));
    if whole.is_err() {
        // What cannot be removed is hidden, and told of by the error that follows.
        let _ = fs::remove_file(&draft);
    }
    whole
}

/// Names the files below the folder that `latchkey apply` would read and that are not of this
/// export: what was deleted or renamed since an earlier one would come back by them.
fn note_others(folder: &Path, written: &BTreeSet<PathBuf>) -> Result<(), Fault> {
    if !folder.is_dir() {
        return Ok(());
    }
    for file in policy_folder::files_below(folder)? {
        if !written.contains(&file) {
            let mut stderr = std::io::stderr().lock();
            // Without standard error nobody is there to be told.
            let _ = writeln!(stderr, "note: {} is not of this export", file.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_their_folder() {
        for (name, expected) in [
            ("On-call: tier 1", "on-call-tier-1"),
            ("../../etc/passwd", "etc-passwd"),
            ("..", "unnamed"),
            ("注文 表", "注文-表"),
            ("a\u{202e}\0b", "a-b"),
        ] {
            assert_eq!(file_name(name), expected, "{name:?}");
        }
        assert!(file_name(&"é".repeat(255)).len() <= LONGEST_NAME);
    }
}
