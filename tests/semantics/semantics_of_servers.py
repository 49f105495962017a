"""Rows of the table: what the members of a set do with each other, and what concerns ask of them."""

from __future__ import annotations

from semantics_row import GRID, Section, row

REPLICATION = Section(
    title="Replication, elections, durability",
    rows=(
        row(
            "terms and votes",
            "A candidate raises the term; who is ahead of it does not vote for it; a term has one primary at most, and "
            "a stale one of an older term may live beside it.",
            "the_primary_dies",
            "voters_refuse_who_is_behind",
            "a_stopped_primary_comes_back",
            besides="one primary a term is checked after every step of every simulated run",
        ),
        row(
            "election trigger",
            "A secondary that hears of no primary for the election timeout runs; one that is reached through another "
            "member alone still counts as heard of.",
            "the_primary_dies",
            "a_member_that_pulls_through_another",
        ),
        row(
            "loss of the majority",
            "A primary without a majority acknowledges `w: 1` until the election timeout, then steps down.",
            "a_primary_without_a_majority",
        ),
        row(
            "step-down on a higher term",
            "A primary that hears of a higher term steps down.",
            "a_stopped_primary_comes_back",
            "an_isolated_primary",
        ),
        row(
            "priority takeover",
            "A caught-up secondary of higher priority takes over after a while.",
            "a_member_of_higher_priority_takes_over",
        ),
        row(
            "catch-up",
            "A new primary first pulls what reachable members have beyond it, and takes no writes before.",
            "a_new_primary_catches_up",
            "a_primary_without_a_majority",
        ),
        row(
            "planned step-down",
            "It waits for a secondary that is caught up, fails with 262 where none is, and by force goes ahead.",
            "a_planned_step_down",
            "a_step_down_that_nobody_is_ready_for",
        ),
        row(
            "pull replication",
            "Secondaries apply the log in order, in batches that become visible at once, from each other too.",
            "secondaries_apply_in_order",
            "a_member_that_pulls_through_another",
            "a_secondary_that_is_behind",
        ),
        row(
            "idempotent log",
            "`$inc` is logged as the value that it made; what changes nothing is not logged, and is no event.",
            "the_log_holds_values_and_no_noop",
        ),
        row(
            "commit point",
            "What a majority has, in its journal by default, is committed; majority reads show nothing beyond it.",
            "the_commit_point_waits_for_a_majority",
            "every_member_dies",
            besides="that it must be an entry of the primary's own term is visible to no client: "
            "`tests/unit/test_sim_replication.py`, and an invariant of every run",
        ),
        row(
            "rollback",
            "A rejoined primary serves what it alone had for a while, is unreadable for a while (13436), then has "
            "undone it, and counts that.",
            "a_write_is_rolled_back",
            besides="the files into which a server writes what it undoes are not modelled: no client reads them",
        ),
        row(
            "journal",
            "A crash takes what was not flushed: never what was acknowledged with `j: true`, or by a majority.",
            "a_crash_takes_what_was_not_flushed",
            "every_member_dies",
            "a_dead_member_answers_nothing",
            besides=f"{GRID}: one member alone, with and without `j`",
        ),
    ),
)

CONCERNS = Section(
    title="Write concern, read concern, routing",
    rows=(
        row(
            "defaults",
            "`w: majority` without a time limit, in the journal; read concern local.",
            "the_default_concerns",
            "a_write_waits_for_a_majority_by_default",
        ),
        row(
            "wtimeout",
            "64 without a label; the write stays applied, and may be committed later; a bulk write reports an error a "
            "batch, and what it did.",
            "a_write_concern_that_times_out",
            "write_concern_timeout_that_was_injected",
        ),
        row(
            "impossible and unknown w",
            "100 and 79 at once; the write is applied.",
            "write_concern_beyond_the_members",
            "write_concern_with_an_unknown_tag",
        ),
        row(
            "errors wait too",
            "A duplicate key, and an update without a match, wait for the concern like a write.",
            "errors_wait_for_the_concern_too",
            "write_concern_error_beside_a_duplicate",
        ),
        row(
            "no-op under majority (a defect, SERVER-101041)",
            "What changes nothing is acknowledged by a majority without asking it, on a stale primary as well.",
            "what_changes_nothing_asks_nobody",
            "a_stale_primary_confirms_what_it_has",
            besides="a switch turns it off: `tests/mutants/wrong_servers.py`",
        ),
        row(
            "interrupted wait",
            "A step-down (11602) or death ends the wait; the write may be there or not.",
            "a_wait_that_a_step_down_ends",
            "a_wait_that_the_death_of_the_primary_ends",
        ),
        row(
            "local, available",
            "The member's newest data, which may be rolled back.",
            "a_secondary_that_is_behind",
            "a_write_is_rolled_back",
            "read_concerns",
            besides=GRID,
        ),
        row(
            "majority",
            "The majority-committed data that the member knows: never rolled back, possibly stale, even on a primary.",
            "the_commit_point_waits_for_a_majority",
            "a_stale_primary_answers_reads",
            besides=GRID,
        ),
        row(
            "majority and the catalog",
            "A collection that is not committed itself is waited for, and refused to a snapshot (246); a dropped one "
            "is gone at once.",
            "a_majority_read_of_a_new_collection",
            "a_majority_read_of_a_changed_catalog",
        ),
        row(
            "linearizable",
            "On the primary alone, confirmed by a majority: else 50 by maxTimeMS, 10107; not with a cluster time (72).",
            "linearizable_reads",
            "linearizable_on_a_secondary",
            "a_stale_primary_answers_reads",
            besides=GRID,
        ),
        row(
            "snapshot",
            "Reads at one majority-committed time.",
            "snapshot_reads_see_what_is_committed",
            "snapshot_session",
            besides=GRID,
        ),
        row(
            "yielding",
            "Other operations run between the documents of a scan and of an updateMany.",
            "two_updates_of_many_documents",
            "a_scan_beside_an_update_of_many",
        ),
        row(
            "read preference",
            "The client's choice; a secondary refuses writes (10107) and reads that do not allow for it (13435).",
            "read_preferences",
            "a_read_preference_with_tags",
            "what_a_secondary_refuses",
            besides="members with tags, and maxStalenessSeconds, are not modelled: the simulated driver refuses the "
            "latter",
        ),
    ),
)
