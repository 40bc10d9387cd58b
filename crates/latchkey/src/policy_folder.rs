//! Many documents of policy: in the files below folders, several to a file if need be.
//!
//! Invariants: the order is that of the names, whatever the file system says; hidden files and
//! folders are left alone, because what else lives beside a policy (`.git`, `.github`) is YAML too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    fault::Fault,
    policy_file::{self, ReadDocument, Unreadable},
};

/// What files of policy are called.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads every document of these files and of the files below these folders; `-` is standard
/// input. Refuses to go on where a file cannot be opened, or no document is anywhere.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<Result<ReadDocument, Unreadable>>, Fault> {
    let mut read = Vec::new();
    for path in paths {
        for file in files_below(path)? {
            let text = policy_file::text_of(&file)?;
            let name = file.display().to_string();
            let parts = parts(&text).into_iter();
            read.extend(parts.map(|part| policy_file::parse(&name, part.text, part.lines_before)));
        }
    }
    if read.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Fault::new(format!(
            "there is no document in {}; documents are in files that end in .yaml, .yml or .json",
            paths.join(", ")
        )));
    }
    Ok(read)
}

/// The file itself, or the files of policy below a folder, by name.
pub(crate) fn files_below(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    if path == Path::new("-") {
        return Ok(vec![path.to_owned()]);
    }
    let unread =
        |error: std::io::Error| Fault::new(format!("{} cannot be read: {error}", path.display()));
    if !fs::metadata(path).map_err(unread)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        entries.push((entry.file_name(), entry.file_type().map_err(unread)?));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut files = Vec::new();
    for (name, kind) in entries {
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let inner = path.join(name);
        // A link to a folder could lead back here; one to a file is how some systems mount files.
        if kind.is_dir() {
            files.extend(files_below(&inner)?);
        } else if is_policy(&inner) && inner.is_file() {
            files.push(inner);
        }
    }
    Ok(files)
}

fn is_policy(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// One document's part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part<'t> {
    lines_before: u64,
    text: &'t str,
}

/// The parts of a text that hold a document each. A line that begins with `---` or `...` is never
/// inside of one (YAML 1.2.2, 9.1.2), so that no parser is needed to find them. Parts without a
/// document are left out.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut part = Part { lines_before: 0, text: "" };
    let mut says_something = false;
    let (mut start, mut at) = (0, 0);
    for (lines, line) in (0_u64..).zip(text.split_inclusive('\n')) {
        if is_mark(line, "---") {
            if says_something {
                parts.push(part);
            }
            (start, part.lines_before) = (at, lines);
            says_something = is_content(line.get(3..).unwrap_or_default());
        } else if is_mark(line, "...") {
            if says_something {
                parts.push(part);
            }
            (start, part.lines_before) = (at + line.len(), lines + 1);
            says_something = false;
        } else {
            says_something |= is_content(line);
        }
        at += line.len();
        part.text = text.get(start..at).unwrap_or_default();
    }
    if says_something {
        parts.push(part);
    }
    parts
}

fn is_mark(line: &str, mark: &str) -> bool {
    line.strip_prefix(mark)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line is more than a comment, a directive or nothing.
fn is_content(line: &str) -> bool {
    let line = line.trim_start_matches('\u{feff}');
    !line.starts_with('%') && !matches!(line.trim_start().chars().next(), None | Some('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(u64, &str)> {
        parts(text).into_iter().map(|part| (part.lines_before, part.text)).collect()
    }

    #[test]
    fn a_file_holds_as_many_documents_as_it_likes() {
        assert_eq!(found("a: 1\n---\nb: 2\n"), [(0, "a: 1\n"), (1, "---\nb: 2\n")]);
        assert_eq!(found("# top\n---\na: 1\n...\n# rest\n"), [(1, "---\na: 1\n")]);
        assert_eq!(found("a: 1\n...\nb: 2"), [(0, "a: 1\n"), (2, "b: 2")]);
        let marks_inside = "---\n---\n# none\n--- # here\na: |\n  --- x\n ---\n---x: 1\n";
        assert_eq!(found(marks_inside), [(3, "--- # here\na: |\n  --- x\n ---\n---x: 1\n")]);
        assert_eq!(found("%YAML 1.2\n--- {a: 1}\n"), [(1, "--- {a: 1}\n")]);
        assert_eq!(found("\n# nothing\n---\n...\n"), []);
    }

    #[test]
    fn every_part_reads_as_one_document() {
        let text = "%YAML 1.2\n---\n---\nkind: group\nname: a\nmembers_emails: []\n...\n---\n\
                    # b\nkind: group\nname: b\nmembers_emails: []\n--- {kind: group, name: c, \
                    members_emails: []}\n";
        for part in parts(text) {
            policy_file::parse("x", part.text, part.lines_before).unwrap();
        }
        assert_eq!(parts(text).len(), 3);
    }

    #[test]
    fn folders_are_read_in_the_order_of_names_and_hidden_ones_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".git/x.yaml", "b.yml", "a/z.json", "a/y.YAML", "a/notes.md", ".x.yaml"] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "kind: group\nname: x\nmembers_emails: []\n").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink("b.yml", folder.path().join("c.yaml")).unwrap();
        let files = files_below(folder.path()).unwrap();
        let names: Vec<_> =
            files.iter().map(|file| file.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, ["a/y.YAML", "a/z.json", "b.yml", "c.yaml"].map(Path::new));
        let empty = folder.path().join(".git");
        fs::remove_file(empty.join("x.yaml")).unwrap();
        assert!(read_all(&[empty]).unwrap_err().to_string().contains("there is no document"));
    }
}
