//! The tree of a query. It has no blanks, places or redundant parentheses: two texts that mean
//! the same structure give equal trees.

/// A whole query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What it says.
    pub expr: Expr,
}

impl Query {
    /// What this query selects and `other` does not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self { expr: Expr::And(vec![self.expr.clone(), Expr::Not(Box::new(other.expr.clone()))]) }
    }
}

/// A query or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Any of these; at least two.
    Or(Vec<Expr>),
    /// All of these; at least two.
    And(Vec<Expr>),
    /// Everything else.
    Not(Box<Expr>),
    /// One comparison.
    Condition(Condition),
}

/// One comparison. `values` has one value, except for [`Operator::In`] and [`Operator::NotIn`],
/// which have at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is compared.
    pub field: Field,
    /// How.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// A field, with the key where it takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Which field.
    pub name: FieldName,
    /// The key of a tag or of a fact; there exactly if [`FieldName::takes_key`].
    pub key: Option<String>,
}

/// Declares words with their spelling and meaning, so that none can lack the others.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $(#[doc = $about:literal] $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = $about] $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it means, in a sentence for whoever writes a query.
            pub fn about(self) -> &'static str {
                let sentence = match self {
                    $(Self::$variant => $about,)*
                };
                sentence.trim()
            }

            /// The one that is written so.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// The name of a field.
    FieldName {
        /// The resource's id here.
        Resource = "resource",
        /// Its type.
        ResourceType = "resource_type",
        /// Its name.
        ResourceName = "resource_name",
        /// Its path.
        ResourcePath = "resource_path",
        /// Its native id in the target.
        ResourceSourceId = "resource_source_id",
        /// Whether it can be asked for.
        ResourceStatus = "resource_status",
        /// How much harm access to it can do.
        ResourceRiskLevel = "resource_risk_level",
        /// The permission's id here.
        Permission = "permission",
        /// Its name.
        PermissionName = "permission_name",
        /// How much harm it can do.
        PermissionRiskLevel = "permission_risk_level",
        /// The integration's id or its exact name.
        Integration = "integration",
        /// The integration's name.
        IntegrationName = "integration_name",
        /// A tag of the resource; a tag that people set wins over a discovered one.
        ResourceTag = "resource_tag",
        /// A fact that discovery found about the resource.
        ResourceContext = "resource_context",
        /// A tag of the permission.
        PermissionTag = "permission_tag",
        /// A fact that discovery found about the permission.
        PermissionContext = "permission_context",
    }
}

words! {
    /// How a field is compared.
    Operator {
        /// It is the value.
        Equals = "=",
        /// It is there and is not the value.
        NotEquals = "!=",
        /// It contains the value.
        Contains = "contains",
        /// It is there and does not contain the value.
        NotContains = "not_contains",
        /// It starts with the value.
        StartsWith = "starts_with",
        /// It ends with the value.
        EndsWith = "ends_with",
        /// It is one of the values.
        In = "in",
        /// It is there and is none of the values.
        NotIn = "not_in",
    }
}

/// What a field holds, which decides the operators that work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of a closed set, or an id: compared whole.
    Id,
    /// Text: parts of it may be compared.
    Text,
}

impl FieldName {
    /// Whether it is written with a key in brackets.
    pub const fn takes_key(self) -> bool {
        matches!(
            self,
            Self::ResourceTag
                | Self::ResourceContext
                | Self::PermissionTag
                | Self::PermissionContext
        )
    }

    /// What it holds.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Resource
            | Self::ResourceType
            | Self::ResourceStatus
            | Self::ResourceRiskLevel
            | Self::Permission
            | Self::PermissionRiskLevel
            | Self::Integration => Kind::Id,
            Self::ResourceName
            | Self::ResourcePath
            | Self::ResourceSourceId
            | Self::PermissionName
            | Self::IntegrationName
            | Self::ResourceTag
            | Self::ResourceContext
            | Self::PermissionTag
            | Self::PermissionContext => Kind::Text,
        }
    }
}

impl Operator {
    /// Whether it takes a list in parentheses.
    pub const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }

    /// Whether it compares parts of a text.
    pub const fn needs_text(self) -> bool {
        matches!(self, Self::Contains | Self::NotContains | Self::StartsWith | Self::EndsWith)
    }
}
