//! Files of policy: YAML (and so JSON too), one document each, in the words of the API.
//!
//! Invariants: a member that means nothing is refused, because a policy with a misspelt member is
//! another policy; everything that is wrong is told with its place in the file, whoever finds it.

use std::{fmt, io::Read as _, path::Path};

use latchkey_api::policy_document::{DocumentKind, PolicyDocument};
use latchkey_app::{AppError, FieldError};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::{admin, fault::Fault};

/// Members that say what the document is about, and are no part of it.
const ABOUT: [&str; 2] = ["kind", "id"];

/// A document with the places of its members.
#[derive(Debug)]
pub(crate) struct ReadDocument {
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
    root: Spanned<Node>,
}

/// A value of whatever kind, as far as places need it.
#[derive(Debug)]
enum Node {
    Members(Vec<(String, Spanned<Node>)>),
    Items(Vec<Spanned<Node>>),
    Leaf,
}

/// What a document is about.
#[derive(Deserialize)]
struct About {
    kind: Option<String>,
    id: Option<String>,
}

/// Reads the document in a file; `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<ReadDocument, Fault> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text =
        text.map_err(|error| Fault::new(format!("{} cannot be read: {error}", file.display())))?;
    parse(&file.display().to_string(), &text)
}

/// Reads the document in a text.
pub(crate) fn parse(file: &str, text: &str) -> Result<ReadDocument, Fault> {
    let wrong = |error: serde_saphyr::Error| refuse(file, &error);
    let root = serde_saphyr::from_str(text).map_err(wrong)?;
    let places = Places { file: file.to_owned(), root };
    let about: About = serde_saphyr::from_str(text).map_err(wrong)?;
    let kind = about.kind.as_deref().and_then(DocumentKind::parse).ok_or_else(|| {
        let kinds = DocumentKind::ALL.map(DocumentKind::as_str).join(", ");
        places.fault("kind", &format!("say what this is: one of {kinds}"))
    })?;
    let mut unknown = Vec::new();
    let document = serde_saphyr::with_deserializer_from_str(text, |yaml| {
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
        PolicyDocument::read(kind, serde_ignored::Deserializer::new(yaml, &mut note))
    });
    // First, because a misspelt member is often the one that is then missed.
    if let Some(member) = unknown.iter().find(|member| !ABOUT.contains(&member.as_str())) {
        return Err(places.fault(member, "there is no such member"));
    }
    Ok(ReadDocument { id: about.id, document: document.map_err(wrong)?, places })
}

fn refuse(file: &str, error: &serde_saphyr::Error) -> Fault {
    let what = error.without_snippet().to_string();
    let Some(at) = error.location() else { return Fault::new(format!("{file}: {what}")) };
    let (line, column) = (at.line(), at.column());
    let said = format!(" at line {line}, column {column}");
    let what = what.strip_suffix(&said).unwrap_or(&what);
    Fault::new(format!("{file}:{line}:{column}: {what}"))
}

impl Places {
    /// What is wrong with a member, with its place.
    pub(crate) fn fault(&self, member: &str, problem: &str) -> Fault {
        Fault::new(self.line(member, problem))
    }

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

    fn line(&self, member: &str, problem: &str) -> String {
        let (line, column) = self.find(member);
        format!("{}:{line}:{column}: {member}: {problem}", self.file)
    }

    /// Where a member stands, or the innermost one around it that is there. Members are named as
    /// the API names them, `access_targets[0].bundle`, or with points alone.
    fn find(&self, member: &str) -> (u64, u64) {
        let mut at = &self.root;
        let steps = member.split(['.', '[', ']']).filter(|step| !matches!(*step, "" | "?"));
        for step in steps {
            let next = match &at.value {
                Node::Members(members) => {
                    members.iter().find(|(name, _)| name == step).map(|(_, value)| value)
                }
                Node::Items(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
                Node::Leaf => None,
            };
            let Some(next) = next else { break };
            at = next;
        }
        (at.referenced.line(), at.referenced.column())
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
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
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

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
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
        parse("policy.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_document_says_what_it_is() {
        let read = parse("policy.yaml", SCOPE).unwrap();
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
        assert!(wrong(deep).contains("policy.yaml:8:18: "), "{}", wrong(deep));
    }

    #[test]
    fn what_the_server_finds_wrong_is_told_with_its_place_too() {
        let text = "kind: bundle\nname: x\naccess_targets:\n  - access_scope:\n      \
                    access_scope_reference: none\n";
        let read = parse("policy.yaml", text).unwrap();
        let member = "access_targets[0].access_scope.access_scope_reference";
        let fault = read.places.fault(member, "names no access scope");
        assert_eq!(fault.to_string(), format!("policy.yaml:5:31: {member}: names no access scope"));
        let near = read.places.fault("access_targets[0].access_scope.other", "is required");
        assert!(near.to_string().starts_with("policy.yaml:5:"), "{near}");
    }
}
