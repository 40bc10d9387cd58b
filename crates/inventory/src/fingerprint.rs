//! What tells two people apart for every condition there can be: a digest over all that
//! conditions look at. What was worked out for a person is found again by it, and a person whose
//! groups or attributes changed is another one.

use latchkey_domain::{people::User, policy::matching::PersonFacts};
use sha2::{Digest as _, Sha256};

/// SHA-256, so that nobody can make themselves look like another.
pub(crate) type Fingerprint = [u8; 32];

/// Most people's facts fit in this.
const USUAL: usize = 4096;

/// Of who asks and for whom.
///
/// Everything is put together before it is hashed: facts are spread over the memory, and the
/// processor fetches many at once only while nothing waits for each of them.
pub(crate) fn fingerprint(requestor: PersonFacts<'_>, grantee: PersonFacts<'_>) -> Fingerprint {
    let mut facts = Facts(Vec::with_capacity(USUAL));
    facts.person(requestor);
    let is_same = std::ptr::eq(requestor.user, grantee.user)
        && std::ptr::eq(requestor.groups, grantee.groups)
        && std::ptr::eq(requestor.attributes, grantee.attributes)
        && requestor.manager.map(std::ptr::from_ref) == grantee.manager.map(std::ptr::from_ref);
    if !is_same {
        facts.person(grantee);
    }
    Sha256::digest(&facts.0).into()
}

/// What conditions look at, as bytes.
struct Facts(Vec<u8>);

impl Facts {
    /// A text behind its length, so that none can pass for two.
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn flag(&mut self, is_so: bool) {
        self.0.push(u8::from(is_so));
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    fn user(&mut self, user: &User) {
        self.text(user.id.as_str());
        self.text(&user.email);
        self.count(user.email_aliases.len());
        user.email_aliases.iter().for_each(|email| self.text(email));
        self.text(&user.first_name);
        self.text(&user.last_name);
        self.flag(user.is_active());
        self.maybe(user.source_integration_id.as_ref().map(AsRef::as_ref));
        self.maybe(user.source_id.as_deref());
        self.maybe(user.manager_id.as_ref().map(AsRef::as_ref));
    }

    fn person(&mut self, person: PersonFacts<'_>) {
        self.user(person.user);
        self.count(person.groups.len());
        for group in person.groups {
            self.text(group.id.as_str());
            self.text(&group.name);
            self.maybe(group.source_integration_id.as_ref().map(AsRef::as_ref));
            self.maybe(group.source_id.as_deref());
        }
        self.count(usize::from(person.manager.is_some()));
        person.manager.into_iter().for_each(|manager| self.user(manager));
        self.count(person.attributes.len());
        for attribute in person.attributes {
            let identity = &attribute.identity;
            self.text(identity.id.as_str());
            self.text(&identity.attribute_type);
            self.text(&identity.value);
            self.maybe(identity.source_integration_id.as_ref().map(AsRef::as_ref));
            self.maybe(identity.source_id.as_deref());
        }
    }
}
