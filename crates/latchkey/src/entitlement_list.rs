//! Entitlements as a command prints them: a table for people, or a line of JSON for each.
//!
//! Invariant: what targets have named cannot steer a terminal. In the table such characters are
//! written as `\u{…}`, in JSON as its own escapes, which mean the same.

use std::fmt::Write as _;

use latchkey_app::available_access::AvailableEntitlement;
use latchkey_aql::{columns, is_command, shown};
use serde_json::{Value, json};

const HEADINGS: [&str; 4] = ["INTEGRATION", "TYPE", "RESOURCE", "PERMISSION"];

/// A table of these, and how many there are in all.
pub(crate) fn table(rows: &[AvailableEntitlement], total: u64) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let resource = &row.entitlement.resource;
        let permission = &row.entitlement.permission;
        [&row.integration_name, &resource.resource_type, &resource.path, &permission.name]
            .map(|text| shown(text))
    }));
    let mut widths = [0; HEADINGS.len()];
    for line in &lines {
        for (width, text) in widths.iter_mut().zip(line) {
            *width = columns(text).max(*width);
        }
    }
    let mut table = String::new();
    if !rows.is_empty() {
        for line in &lines {
            let mut padded = String::new();
            for (text, width) in line.iter().zip(widths) {
                padded.push_str(text);
                padded.push_str(&" ".repeat(width - columns(text) + 2));
            }
            table.push_str(padded.trim_end());
            table.push('\n');
        }
        table.push('\n');
    }
    let shown = rows.len();
    let noun = if total == 1 { "entitlement" } else { "entitlements" };
    let _ = if u64::try_from(shown) == Ok(total) {
        writeln!(table, "{total} {noun}")
    } else {
        writeln!(table, "{shown} of {total} {noun}; --limit shows more")
    };
    table
}

/// A line of JSON for each, and one with how many there are in all.
pub(crate) fn json_lines(rows: &[AvailableEntitlement], total: u64) -> String {
    let mut lines = String::new();
    for row in rows {
        let resource = &row.entitlement.resource;
        let permission = &row.entitlement.permission;
        push_line(
            &mut lines,
            &json!({
                "integration_id": resource.integration_id,
                "integration_name": row.integration_name,
                "resource_id": resource.id,
                "resource_type": resource.resource_type,
                "resource_path": resource.path,
                "permission_id": permission.id,
                "permission_name": permission.name,
            }),
        );
    }
    push_line(&mut lines, &json!({ "total": total }));
    lines
}

fn push_line(lines: &mut String, value: &Value) {
    // Outside of its strings JSON has no such characters.
    for character in value.to_string().chars() {
        if is_command(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(lines, "\\u{unit:04x}");
            }
        } else {
            lines.push(character);
        }
    }
    lines.push('\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use latchkey_domain::{
        ids::{IntegrationId, PermissionId, ResourceId},
        inventory::{Entitlement, Permission, Resource, ResourceStatus},
    };

    use super::*;

    fn row(path: &str, permission: &str) -> AvailableEntitlement {
        let integration_id = IntegrationId::new("i1");
        let resource_type = "postgresql-table".to_owned();
        AvailableEntitlement {
            integration_name: "shop".to_owned(),
            entitlement: Entitlement {
                resource: Resource {
                    id: ResourceId::new("r1"),
                    integration_id: integration_id.clone(),
                    resource_type: resource_type.clone(),
                    source_id: path.to_owned(),
                    name: path.to_owned(),
                    path: path.to_owned(),
                    tags: BTreeMap::new(),
                    user_tags: BTreeMap::new(),
                    context: BTreeMap::new(),
                    status: ResourceStatus::Active,
                    risk: None,
                    created_at: Timestamp::UNIX_EPOCH,
                },
                permission: Permission {
                    id: PermissionId::new("p1"),
                    integration_id,
                    resource_type,
                    name: permission.to_owned(),
                    risk: None,
                },
            },
        }
    }

    #[test]
    fn columns_line_up_also_after_wide_characters() {
        let rows = [row("shop/注文", "READ_ONLY"), row("shop/public/orders", "ADMIN")];
        assert_eq!(
            table(&rows, 2),
            "INTEGRATION  TYPE              RESOURCE            PERMISSION\n\
             shop         postgresql-table  shop/注文           READ_ONLY\n\
             shop         postgresql-table  shop/public/orders  ADMIN\n\
             \n\
             2 entitlements\n"
        );
        assert_eq!(table(&[], 0), "0 entitlements\n");
        assert_eq!(table(&[], 1), "0 of 1 entitlement; --limit shows more\n");
    }

    #[test]
    fn e06_names_of_targets_do_not_steer_a_terminal_and_keep_their_meaning_in_json() {
        let hostile = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{e0041}é";
        let rows = [row(hostile, hostile)];
        let (table, lines) = (table(&rows, 1), json_lines(&rows, 1));
        for text in [&table, &lines] {
            assert!(!text.contains(|c| c != '\n' && is_command(c)), "{text:?}");
        }
        assert!(table.contains("\\u{1b}]0;x\\u{7}\\u{9b}2J\\u{202e}\\u{e0041}é"), "{table}");
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["resource_path"], hostile);
        assert_eq!(lines.lines().last(), Some("{\"total\":1}"));
    }
}
