//! The PostgreSQL module against real servers, versions 15 and 18, passwords checked, through
//! the provisioner that the shipped script makes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails where it stands"
)]

#[path = "../contract/mod.rs"]
mod contract;

mod access;
mod ends;
mod harness;
mod hostile;
mod inventory;
mod objects;
mod outage;
mod stalled;
mod transport;

use latchkey_integrations::postgresql::CRASH_POINTS;
use latchkey_testkit::systems::PostgresVersion;

use crate::harness::PgHarness;

/// One test for each version out of a function over a harness.
macro_rules! on_both_versions {
    ($($name:ident => $test:path;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn on_15() {
                let harness = PgHarness::start(PostgresVersion::V15).await;
                $test(&harness).await;
                harness.clean().await;
            }

            #[tokio::test]
            async fn on_18() {
                let harness = PgHarness::start(PostgresVersion::V18).await;
                $test(&harness).await;
                harness.clean().await;
            }
        }
    )*};
}

on_both_versions! {
    a_grant_gives_its_right_and_no_more => contract::a_grant_gives_its_right_and_no_more;
    a09_overlapping_claims_are_counted => contract::overlapping_claims_are_counted_and_the_last_end_takes_all;
    a_right_that_ends_takes_open_sessions_with_it => contract::a_right_that_ends_takes_open_sessions_with_it;
    a_grant_whose_end_has_passed_does_nothing => contract::a_grant_whose_end_has_passed_does_nothing;
    a_reset_ends_the_old_password_and_its_sessions => contract::a_reset_ends_the_old_password_and_its_sessions;
    fifty_principals_at_once => contract::fifty_principals_at_once;
    each_operation_twice_is_the_same_as_once => contract::each_operation_twice_is_the_same_as_once;
    f05_a_late_delivery_is_fenced_off => contract::a_late_delivery_is_fenced_off;
    nothing_happens_after_the_lease => contract::nothing_happens_after_the_lease;
    a_principal_dropped_by_hand => contract::a_principal_dropped_by_hand;
    f01_killed_at_every_point_of_a_grant => killed_at_every_point_of_a_grant;
    f01_killed_at_every_point_of_a_revoke => killed_at_every_point_of_a_revoke;
    f01_killed_while_moving_objects => objects::killed_at_every_point_of_the_graveyard;
    the_next_right_up_works_when_granted => access::the_next_right_up_works_when_granted;
    a_schema_right_covers_its_tables => access::a_schema_right_covers_its_tables;
    a_database_right_covers_its_schemas => access::a_database_right_covers_its_schemas;
    a_role_is_given_by_membership_unless_it_is_powerful => access::a_role_is_given_by_membership_unless_it_is_powerful;
    what_cannot_be_given_is_refused_claim_by_claim => access::what_cannot_be_given_is_refused_claim_by_claim;
    a_table_made_anew_is_another_table => access::a_table_made_anew_is_another_table;
    a_table_made_anew_has_groups_of_its_own => access::a_table_made_anew_has_groups_of_its_own;
    a_claim_that_cannot_be_taken_is_not_called_gone => access::a_claim_that_cannot_be_taken_is_not_called_gone;
    a_group_changed_by_hand_is_repaired_or_refused => access::a_group_changed_by_hand_is_repaired_or_refused;
    a_principal_changed_by_hand_is_put_right => access::a_principal_changed_by_hand_is_put_right;
    f03_claims_end_by_the_targets_clock => ends::claims_end_by_the_targets_clock;
    native_expiry_refuses_logins_without_any_connector => ends::native_expiry_refuses_logins;
    a_login_that_stalls_across_a_reset_is_ended => ends::a_login_that_stalls_across_a_reset_is_ended;
    f01_killed_while_ending_access => ends::killed_while_ending_access;
    many_ends_in_one_second => ends::many_ends_in_one_second;
    many_are_revoked_at_once => ends::many_are_revoked_at_once;
    a_connection_limit_makes_work_wait => ends::a_connection_limit_makes_work_wait;
    a_slow_target_is_tried_again => ends::a_slow_target_is_tried_again;
    another_installation_is_never_touched => ends::another_installation_is_never_touched;
    reconcile_removes_only_old_principals_of_its_own => ends::reconcile_removes_only_old_principals_of_its_own;
    reconcile_reports_what_hands_changed => ends::reconcile_reports_what_hands_changed;
    reconcile_drops_groups_whose_object_is_gone => ends::reconcile_drops_groups_whose_object_is_gone;
    c01_hostile_names_of_schemas_and_tables => hostile::names_of_schemas_and_tables;
    c01_hostile_names_of_databases_roles_and_passwords => hostile::names_of_databases_roles_and_passwords;
    c01_names_that_cannot_be_sent_are_refused => hostile::names_that_cannot_be_sent_are_refused;
    c02_search_path_shadows_nothing => hostile::search_path_shadows_nothing;
    c02_roles_that_look_like_ours_are_refused => hostile::roles_that_look_like_ours_are_refused;
    objects_left_behind_go_to_the_graveyard => objects::objects_left_behind_go_to_the_graveyard;
    an_object_that_cannot_be_moved_is_left_over => objects::an_object_that_cannot_be_moved_is_left_over;
    what_a_member_makes_as_the_group_is_moved => objects::what_a_member_makes_as_the_group_is_moved;
    discovery_finds_what_there_is => inventory::discovery_finds_what_there_is;
    the_mark_moves_with_what_there_is_and_not_with_access => inventory::the_mark_moves_with_what_there_is_and_not_with_access;
    validate_says_what_is_missing => inventory::validate_says_what_is_missing;
}

/// Every run comes to the points of a grant.
async fn killed_at_every_point_of_a_grant(harness: &PgHarness) {
    let points: Vec<&str> = CRASH_POINTS
        .iter()
        .copied()
        .filter(|point| !point.starts_with("pg.revoke") && !point.starts_with("pg.expire"))
        .collect();
    contract::killed_at_every_point_and_run_again(harness, &points).await;
}

/// Every run comes to the points of a revoke but those of replicas, prepared transactions and
/// the graveyard, which have tests of their own.
async fn killed_at_every_point_of_a_revoke(harness: &PgHarness) {
    let special = ["prepared_rolled_back", "replica_clear", "graveyard_ready", "objects_moved"];
    let points: Vec<&str> = CRASH_POINTS
        .iter()
        .copied()
        .filter(|point| point.starts_with("pg.revoke"))
        .filter(|point| !special.iter().any(|special| point.ends_with(special)))
        .collect();
    contract::killed_at_every_point_and_run_again(harness, &points).await;
}
