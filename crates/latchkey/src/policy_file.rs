//! Documents of policy: YAML (and so JSON too), in the words of the API.
//!
//! Invariants: a member that means nothing is refused, because a policy with a misspelt member is
//! another policy; everything that is wrong is told with its place in the file, whoever finds it;
//! of the texts in a document only those that refer to other things are kept beside it, never a
//! secret.

use std::{fmt, io::Read as _, path::Path};

use latchkey_api::policy_document::PolicyDocument;
use latchkey_app::{AppError, FieldError, policy_as_code::PolicyKind};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::{admin, fault::Fault};

/// Members that say what the document is about, and are no part of it.
const ABOUT: [&str; 2] = ["kind", "id"];

/// What members end in that refer to other things.
const REFERENCE: &str = "_reference";

/// A document with the places of its members.
#[derive(Debug)]
pub(crate) struct ReadDocument {
    /// The kind and the name of what it is about.
    pub(crate) about: (PolicyKind, String),
    /// Id of the one that it is about.
    pub(crate) id: Option<String>,
    /// What it says.
    pub(crate) document: PolicyDocument,
    /// Where each member stands.
    pub(crate) places: Places,
}

/// Where each member of a document stands.
#[derive(Debug)]
pub(crate) struct Places {
    file: String,
    /// How many lines of the file come before the text that was read.
    lines_before: u64,
    root: Spanned<Node>,
}

/// A document that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// What is wrong, a line each.
    pub(crate) lines: Vec<String>,
    /// What it seems to be about.
    pub(crate) about: Option<(PolicyKind, String)>,
}

/// A value of whatever kind, as far as places need it.
#[derive(Debug)]
enum Node {
    Members(Vec<(String, Spanned<Node>)>),
    Items(Vec<Spanned<Node>>),
    /// A text that refers to something.
    Reference(String),
    Leaf,
}

/// What a document is about.
#[derive(Deserialize)]
struct About {
    kind: Option<String>,
    id: Option<String>,
    name: Option<String>,
}

/// Reads the document in a file; `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<ReadDocument, Fault> {
    let text = text_of(file)?;
    parse(&file.display().to_string(), &text, 0)
        .map_err(|unreadable| Fault::new(unreadable.lines.join("\n")))
}

/// The text of a file; `-` is standard input.
pub(crate) fn text_of(file: &Path) -> Result<String, Fault> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Fault::new(format!("{} cannot be read: {error}", file.display())))
}

/// Reads the document in a text, before which the file has some lines more.
pub(crate) fn parse(file: &str, text: &str, lines_before: u64) -> Result<ReadDocument, Unreadable> {
    let wrong = |about: Option<&(PolicyKind, String)>, error: &serde_saphyr::Error| Unreadable {
        lines: vec![refuse(file, lines_before, error)],
        about: about.cloned(),
    };
    let root = serde_saphyr::from_str(text).map_err(|error| wrong(None, &error))?;
    let places = Places { file: file.to_owned(), lines_before, root };
    let About { kind, id, name } =
        serde_saphyr::from_str(text).map_err(|error| wrong(None, &error))?;
    let Some(kind) = kind.as_deref().and_then(PolicyKind::parse) else {
        let kinds = PolicyKind::ALL.map(PolicyKind::as_str).join(", ");
        let line = places.line("kind", &format!("say what this is: one of {kinds}"));
        return Err(Unreadable { lines: vec![line], about: None });
    };
    let about = name.map(|name| (kind, name));
    let mut unknown = Vec::new();
    let document = serde_saphyr::with_deserializer_from_str(text, |yaml| {
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(named(&path));
        PolicyDocument::read(kind, serde_ignored::Deserializer::new(yaml, &mut note))
    });
    // First, because a misspelt member is often the one that is then missed.
    let unknown = unknown.iter().filter(|member| !ABOUT.contains(&member.as_str()));
    let lines: Vec<String> =
        unknown.map(|member| places.line(member, "there is no such member")).collect();
    if !lines.is_empty() {
        return Err(Unreadable { lines, about });
    }
    let document = document.map_err(|error| wrong(about.as_ref(), &error))?;
    // Every kind has a name, so that a document without one was not read.
    let about = about.unwrap_or((kind, String::new()));
    Ok(ReadDocument { about, id, document, places })
}

/// A member as the API names it: `access_targets[0].bundle`.
fn named(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path as At;
    match path {
        At::Root => String::new(),
        At::Map { parent: At::Root, key } => key.clone(),
        At::Map { parent, key } => format!("{}.{key}", named(parent)),
        At::Seq { parent, index } => format!("{}[{index}]", named(parent)),
        // What may be left out is called the same when it is there.
        At::Some { parent } | At::NewtypeStruct { parent } | At::NewtypeVariant { parent } => {
            named(parent)
        }
    }
}

fn refuse(file: &str, lines_before: u64, error: &serde_saphyr::Error) -> String {
    let what = error.without_snippet().to_string();
    let Some(at) = error.location() else { return format!("{file}: {what}") };
    let (line, column) = (at.line(), at.column());
    let said = format!(" at line {line}, column {column}");
    let what = what.strip_suffix(&said).unwrap_or(&what);
    format!("{file}:{}:{column}: {what}", lines_before + line)
}

impl Places {
    /// Everything that is wrong, a line each.
    pub(crate) fn faults(&self, errors: &[FieldError]) -> Fault {
        let lines: Vec<String> =
            errors.iter().map(|error| self.line(&error.field, &error.message)).collect();
        Fault::new(lines.join("\n"))
    }

    /// The error of a use case, with places where it names members.
    pub(crate) fn explain(&self, error: &AppError) -> Fault {
        if error.errors.is_empty() { admin::say(error) } else { self.faults(&error.errors) }
    }

    /// What is wrong with a member, with its place.
    pub(crate) fn line(&self, member: &str, problem: &str) -> String {
        format!("{}: {member}: {problem}", self.place(member))
    }

    /// What is wrong with the whole, with its place.
    pub(crate) fn line_of_all(&self, problem: &str) -> String {
        format!("{}: {problem}", self.place(""))
    }

    /// Where a member stands, or the innermost one around it that is there: `FILE:LINE:COLUMN`.
    pub(crate) fn place(&self, member: &str) -> String {
        let at = self.find(member).referenced;
        format!("{}:{}:{}", self.file, self.lines_before + at.line(), at.column())
    }

    /// The file, and the line of it where the document begins.
    pub(crate) fn start(&self) -> (&str, u64) {
        (&self.file, self.lines_before + self.root.referenced.line())
    }

    /// What a member refers to, if it is one that refers.
    pub(crate) fn reference(&self, member: &str) -> Option<&str> {
        match &self.find(member).value {
            Node::Reference(text) if member.ends_with(REFERENCE) => Some(text),
            _ => None,
        }
    }

    /// A member, or the innermost one around it that is there. Members are named as the API names
    /// them, `access_targets[0].bundle`, or with points alone.
    fn find(&self, member: &str) -> &Spanned<Node> {
        let mut at = &self.root;
        let steps = member.split(['.', '[', ']']).filter(|step| !matches!(*step, "" | "?"));
        for step in steps {
            let next = match &at.value {
                Node::Members(members) => {
                    members.iter().find(|(name, _)| name == step).map(|(_, value)| value)
                }
                Node::Items(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
                Node::Reference(_) | Node::Leaf => None,
            };
            let Some(next) = next else { break };
            at = next;
        }
        at
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyNode)
    }
}

/// Takes any value.
struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members: Vec<(String, Spanned<Node>)> = Vec::new();
        while let Some((name, mut value)) = map.next_entry::<String, Spanned<Node>>()? {
            if matches!(value.value, Node::Reference(_)) && !name.ends_with(REFERENCE) {
                value.value = Node::Leaf;
            }
            members.push((name, value));
        }
        Ok(Node::Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(mut item) = list.next_element::<Spanned<Node>>()? {
            if matches!(item.value, Node::Reference(_)) {
                item.value = Node::Leaf;
            }
            items.push(item);
        }
        Ok(Node::Items(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        // Kept only where the member's name says that it refers.
        Ok(Node::Reference(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        Deserialize::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "kind: access_scope\nname: tables\nquery: resource = \"orders\"\n";

    fn wrong(text: &str) -> String {
        parse("policy.yaml", text, 0).unwrap_err().lines.join("\n")
    }

    #[test]
    fn a_document_says_what_it_is() {
        let read = parse("policy.yaml", SCOPE, 0).unwrap();
        assert!(matches!(read.document, PolicyDocument::AccessScope(_)), "{read:?}");
        assert_eq!(read.id, None);
        assert!(wrong("name: tables\n").contains("kind: say what this is"));
        assert!(wrong("kind: flow\nname: x\n").starts_with("policy.yaml:1:7: kind: say what"));
    }

    #[test]
    fn whatever_is_wrong_is_told_with_its_place() {
        let misspelt = format!("{SCOPE}descripton: typed in haste\n");
        assert_eq!(wrong(&misspelt), "policy.yaml:4:13: descripton: there is no such member");
        let missed = wrong("kind: access_scope\nnme: tables\nquery: x\n");
        assert_eq!(missed, "policy.yaml:2:6: nme: there is no such member");
        let kind = wrong("kind: bundle\nname: x\naccess_targets: soon\n");
        assert!(kind.starts_with("policy.yaml:3:17: "), "{kind}");
        assert!(!kind.contains("line 3"), "{kind}");
        assert!(wrong("kind: bundle\nname: [\n").starts_with("policy.yaml:"));
        let deep = "kind: bundle\nname: x\naccess_targets:\n  - integration:\n      \
                    integration_reference: shop\n      resource_type: t\n      permissions: [A]\n      \
                    permision: B\n";
        let member = "access_targets[0].integration.permision";
        assert_eq!(wrong(deep), format!("policy.yaml:8:18: {member}: there is no such member"));
    }

    #[test]
    fn what_the_server_finds_wrong_is_told_with_its_place_too() {
        let text = "kind: bundle\nname: x\naccess_targets:\n  - access_scope:\n      \
                    access_scope_reference: none\n";
        let read = parse("policy.yaml", text, 0).unwrap();
        let member = "access_targets[0].access_scope.access_scope_reference";
        let line = read.places.line(member, "names no access scope");
        assert_eq!(line, format!("policy.yaml:5:31: {member}: names no access scope"));
        assert_eq!(read.places.reference(member), Some("none"));
        let near = read.places.line("access_targets[0].access_scope.other", "is required");
        assert!(near.starts_with("policy.yaml:5:"), "{near}");
    }

    #[test]
    fn a_document_further_down_a_file_is_told_by_the_lines_of_the_file() {
        let read = parse("policy.yaml", SCOPE, 10).unwrap();
        assert_eq!(read.places.line("query", "is odd"), "policy.yaml:13:8: query: is odd");
        assert_eq!(read.places.start(), ("policy.yaml", 11));
        let misspelt = parse("policy.yaml", &format!("{SCOPE}kid: x\nbid: y\n"), 10).unwrap_err();
        assert_eq!(misspelt.about, Some((PolicyKind::AccessScope, "tables".to_owned())));
        assert_eq!(misspelt.lines.len(), 2, "every misspelt member is told: {misspelt:?}");
        assert!(misspelt.lines[0].starts_with("policy.yaml:14:6: kid: "), "{misspelt:?}");
        let broken = parse("policy.yaml", "kind: bundle\nname: [\n", 10).unwrap_err();
        assert!(broken.lines[0].starts_with("policy.yaml:1"), "{broken:?}");
    }

    #[test]
    fn no_secret_is_kept_beside_a_document() {
        let text = "kind: integration\nname: shop\ntype: postgresql\nintegration_config: {}\n\
                    secret_store_config: {apono: {parameters: {password: hunter2}}}\n";
        let read = parse("policy.yaml", text, 0).unwrap();
        assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
    }
}
