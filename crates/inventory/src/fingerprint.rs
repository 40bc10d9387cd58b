//! What tells two people apart for every condition there can be: a digest over all that
//! conditions look at. What was worked out for a person is found again by it, and a person whose
//! groups or attributes changed is another one.

use latchkey_domain::{people::User, policy::matching::PersonFacts};
use sha2::{Digest as _, Sha256};

/// SHA-256, so that nobody can make themselves look like another.
pub(crate) type Fingerprint = [u8; 32];

/// Of who asks and for whom.
pub(crate) fn fingerprint(requestor: PersonFacts<'_>, grantee: PersonFacts<'_>) -> Fingerprint {
    let mut digest = Digest(Sha256::new());
    digest.person(requestor);
    let is_same = std::ptr::eq(requestor.user, grantee.user)
        && std::ptr::eq(requestor.groups, grantee.groups)
        && std::ptr::eq(requestor.attributes, grantee.attributes)
        && requestor.manager.map(std::ptr::from_ref) == grantee.manager.map(std::ptr::from_ref);
    if !is_same {
        digest.person(grantee);
    }
    digest.0.finalize().into()
}

struct Digest(Sha256);

impl Digest {
    /// A text behind its length, so that none can pass for two.
    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.0.update([u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn user(&mut self, user: &User) {
        self.text(user.id.as_str());
        self.text(&user.email);
        self.count(user.email_aliases.len());
        user.email_aliases.iter().for_each(|email| self.text(email));
        self.text(&user.first_name);
        self.text(&user.last_name);
        self.0.update([u8::from(user.is_active())]);
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
