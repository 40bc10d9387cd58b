//! Who may do what: one table from operations to the roles and the token scope they need.
//!
//! Every use case begins with [`crate::actor::Actor::require`], on the way to the data, so a
//! check forgotten in a handler is no hole. The effective right is what the token's scopes
//! allow, cut by the roles its user has at this moment (see `docs/api.md`, "Roles").

use latchkey_domain::people::{Role, TokenScope};

use crate::{
    actor::Actor,
    error::{AppError, codes},
};

/// The two areas of the product, which differ in who may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Needs a role; the object may belong to anybody.
    Admin,
    /// Needs no role; the objects are the caller's own.
    Portal,
}

/// What a rule of the table says about one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What it is about.
    pub operation: Operation,
    /// Where it belongs.
    pub area: Area,
    /// Any one of these roles is needed; empty in the portal, where none is.
    pub roles: &'static [Role],
    /// The scope the token needs.
    pub scope: TokenScope,
}

/// Declares the operations and their rules side by side, so that none can lack a rule.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: $area:ident, $roles:expr, $scope:ident;)*) => {
        /// What can be done. One for each use case, or for a few that always go together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        /// The whole table.
        pub const RULES: &[Rule] = &[
            $(Rule {
                operation: Operation::$name,
                area: Area::$area,
                roles: $roles,
                scope: TokenScope::$scope,
            },)*
        ];

        impl Operation {
            /// The rule for this operation.
            pub const fn rule(self) -> Rule {
                match self {
                    $(Self::$name => Rule {
                        operation: Self::$name,
                        area: Area::$area,
                        roles: $roles,
                        scope: TokenScope::$scope,
                    },)*
                }
            }

            /// The operation's name, for refusals and tests.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

const ADMIN: &[Role] = &[Role::Admin];
const POLICY: &[Role] = &[Role::Admin, Role::PowerUser];
const SYSTEMS: &[Role] = &[Role::Admin, Role::Deployment];
const ANY_ROLE: &[Role] = &Role::ALL;
const NO_ROLE: &[Role] = &[];

operations! {
    /// List and read users, and what is known about them.
    ReadUsers: Admin, ANY_ROLE, Read;
    /// Set and drop attributes of users.
    ManageIdentityAttributes: Admin, ADMIN, Admin;
    /// Create a user.
    CreateUser: Admin, ADMIN, Admin;
    /// Switch a user off and end all that hangs on the user.
    DisableUser: Admin, ADMIN, Admin;
    /// Give or take a role.
    ManageRoles: Admin, ADMIN, Admin;
    /// Make a link by which somebody sets a password and signs in.
    CreateSignInLink: Admin, ADMIN, Admin;
    /// Take the second factor from somebody who has lost it.
    ResetSecondFactor: Admin, ADMIN, Admin;
    /// Make a token for another user.
    CreateTokenForOther: Admin, ADMIN, Admin;
    /// End a token of another user.
    RevokeTokenOfOther: Admin, ADMIN, Admin;
    /// Read settings.
    ReadSettings: Admin, ANY_ROLE, Read;
    /// Change settings.
    ChangeSettings: Admin, ADMIN, Admin;
    /// Read the audit trail.
    ReadAudit: Admin, ANY_ROLE, Read;
    /// List and read groups and their members.
    ReadGroups: Admin, ANY_ROLE, Read;
    /// Create, rename and delete groups, and change their members.
    ManageGroups: Admin, POLICY, Admin;
    /// List and read access flows.
    ReadFlows: Admin, ANY_ROLE, Read;
    /// Create, replace and delete access flows.
    ManageFlows: Admin, POLICY, Admin;
    /// List and read bundles.
    ReadBundles: Admin, ANY_ROLE, Read;
    /// Create, change and delete bundles.
    ManageBundles: Admin, POLICY, Admin;
    /// List and read access scopes.
    ReadAccessScopes: Admin, ANY_ROLE, Read;
    /// Create, replace and delete access scopes.
    ManageAccessScopes: Admin, POLICY, Admin;
    /// See what a query selects.
    PreviewAccessScope: Admin, ANY_ROLE, Read;
    /// See what may be written next in a query.
    CompleteAccessScope: Admin, ANY_ROLE, Read;
    /// See why somebody may ask for something, and who may.
    ExplainAccess: Admin, ANY_ROLE, Read;
    /// See what a change of policy would do.
    TryPolicy: Admin, ANY_ROLE, Read;
    /// List and read connectors.
    ReadConnectors: Admin, ANY_ROLE, Read;
    /// Rename and delete connectors.
    ManageConnectors: Admin, SYSTEMS, Admin;
    /// Make a connector's token, registering the connector if it is new.
    CreateConnectorToken: Admin, SYSTEMS, Admin;
    /// List and read integrations.
    ReadIntegrations: Admin, ANY_ROLE, Read;
    /// Create, replace and delete integrations.
    ManageIntegrations: Admin, SYSTEMS, Admin;
    /// Change who owns an integration's resources.
    SetIntegrationOwner: Admin, ADMIN, Admin;
    /// Move an integration to another connector.
    MoveIntegration: Admin, ADMIN, Admin;
    /// Start a discovery run.
    RefreshIntegration: Admin, SYSTEMS, Admin;
    /// Close the claims of a target that is gone for good.
    RetireIntegration: Admin, ADMIN, Admin;
    /// Let reconcile runs remove what nothing explains, after a restore.
    ConfirmReconcile: Admin, ADMIN, Admin;
    /// Read what discovery found.
    ReadInventory: Admin, ANY_ROLE, Read;
    /// Replace the tags that people set on a resource.
    SetUserTags: Admin, POLICY, Admin;
    /// Read activity: every request with its timeline.
    ReadActivity: Admin, ANY_ROLE, Read;
    /// List and read saved reports.
    ReadReports: Admin, ANY_ROLE, Read;
    /// Create, replace and delete reports.
    ManageReports: Admin, POLICY, Admin;
    /// Run a report: read activity as a file.
    RunReports: Admin, ANY_ROLE, Read;
    /// Read anybody's requests.
    ReadAnyRequest: Admin, ANY_ROLE, Read;
    /// File a request for somebody, as if they had asked.
    RequestForUser: Admin, ADMIN, Admin;
    /// Read what anybody may ask for.
    ReadSelectable: Admin, ANY_ROLE, Read;
    /// Read how anybody connects; without secrets, but for one's own.
    ReadAnyAccessDetails: Admin, ANY_ROLE, Read;
    /// Have new credentials made for anybody's access.
    ResetAnyCredentials: Admin, POLICY, Admin;
    /// End anybody's access.
    RevokeAnyRequest: Admin, POLICY, Admin;
    /// List uses of flows for emergencies, and what was found about them.
    ReadEmergencies: Admin, ANY_ROLE, Read;
    /// Write down what was found about an emergency.
    ReviewEmergency: Admin, POLICY, Admin;
    /// Decide in place of the approvers.
    ForceDecision: Admin, ADMIN, Decide;

    /// Make a token for oneself.
    CreateOwnToken: Portal, NO_ROLE, Read;
    /// End a token of one's own.
    RevokeOwnToken: Portal, NO_ROLE, Read;
    /// See whether one has a second factor.
    ReadOwnSecondFactor: Portal, NO_ROLE, Read;
    /// Enrol, change and remove one's second factor, in a browser.
    ManageOwnSecondFactor: Portal, NO_ROLE, Read;
    /// Give the second factor for one's requests, or ask whether it was given.
    PassSecondFactor: Portal, NO_ROLE, Request;
    /// Read what one may ask for.
    ReadAvailableAccess: Portal, NO_ROLE, Read;
    /// File a request, or file one again.
    RequestAccess: Portal, NO_ROLE, Request;
    /// See what a request would come to.
    DryRunRequest: Portal, NO_ROLE, Read;
    /// List and read requests one filed or is the grantee of.
    ReadOwnRequests: Portal, NO_ROLE, Read;
    /// End a request one filed or is the grantee of.
    RevokeOwnRequest: Portal, NO_ROLE, Request;
    /// Prolong running access that one asked for or has.
    ExtendOwnRequest: Portal, NO_ROLE, Request;
    /// List the requests that wait for one's decision.
    ReadTasks: Portal, NO_ROLE, Read;
    /// Approve or reject a request.
    DecideRequest: Portal, NO_ROLE, Decide;
    /// List and read one's own access sessions.
    ReadSessions: Portal, NO_ROLE, Read;
    /// Read how to connect, secrets included.
    ReadAccessDetails: Portal, NO_ROLE, Request;
    /// Have new credentials made.
    ResetCredentials: Portal, NO_ROLE, Request;
}

/// Whether `actor` may do `operation`; a 403 that says what is missing otherwise.
pub(crate) fn check(actor: &Actor, operation: Operation) -> Result<(), AppError> {
    let rule = operation.rule();
    if rule.area == Area::Portal && actor.is_command_line() {
        return Err(AppError::forbidden(
            codes::FORBIDDEN,
            "the command line has no access of its own; call the API with a person's token",
        ));
    }
    if !rule.roles.is_empty() && !rule.roles.iter().any(|role| actor.has_role(*role)) {
        let roles: Vec<&str> = rule.roles.iter().map(|role| role.as_str()).collect();
        return Err(AppError::forbidden(
            codes::FORBIDDEN,
            format!("this needs the role {}; ask an Admin for it", roles.join(" or ")),
        ));
    }
    if !actor.scopes.contains(&rule.scope) {
        return Err(AppError::forbidden(
            codes::FORBIDDEN,
            format!("this token lacks the scope `{}`; use one that has it", rule.scope),
        ));
    }
    Ok(())
}
