"""Wrong servers, switchable one by one: what a test suite must catch, and one defect that real servers have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Defects:
    """One switch a defect. All are off but the one that mongod 6.0.5 was measured to have."""

    noop_majority_acknowledgement: bool = True
    """A write that changes nothing is majority-acknowledged without a quorum where the member's last entry is already
    committed as far as it knows, even on a stale primary (SERVER-101041)."""

    commit_point_from_one_member: bool = False
    """The commit point advances to what the primary alone has."""
    majority_acknowledged_at_once: bool = False
    """``w: "majority"`` is answered without waiting."""
    journal_ignored: bool = False
    """``j: true``, and a majority's implied one, is answered without the journal."""
    votes_twice: bool = False
    """A member votes for two candidates in one term."""
    candidate_behind_elected: bool = False
    """Members vote for candidates whose log is behind their own."""
    no_catch_up: bool = False
    """A planned step-down does not wait for a secondary, and a new primary pulls nothing before it accepts writes."""
    rollback_keeps_document: bool = False
    """A rolled back member still shows the documents that were inserted in what it undid."""
    retry_record_kept_in_rollback: bool = False
    """A rolled back member remembers the retryable writes that it undid as done."""
    majority_read_from_future: bool = False
    """A majority read shows the last applied data."""
    stale_majority_read: bool = False
    """A majority read shows the data before the last committed entry."""
    after_cluster_time_ignored: bool = False
    """A read does not wait for ``afterClusterTime``."""
    linearizable_read_without_quorum: bool = False
    """A linearizable read is not confirmed by a majority."""
    step_down_keeps_writing: bool = False
    """A primary that lost its majority, or hears of a higher term, goes on as one."""

    retry_applies_twice: bool = False
    """The second attempt of a retryable write is executed again."""
    unique_check_dropped: bool = False
    """A unique index does not refuse a duplicate."""
    transaction_ignores_conflicts: bool = False
    """A transaction overwrites what was changed after its snapshot."""
    transaction_reads_past_snapshot: bool = False
    """A transaction reads what was committed after its snapshot."""
    aborted_transaction_leaves_write: bool = False
    """The first write of an aborted transaction stays."""
    change_stream_shows_uncommitted: bool = False
    """A change stream tells of entries that are not majority-committed."""
    change_stream_skips_event: bool = False
    """A change stream leaves out the first event of a batch of several."""
    update_many_stops_early: bool = False
    """updateMany leaves out the last matching document, and reports it as updated."""
    find_and_modify_skips_recheck: bool = False
    """findAndModify does not look at its filter again where others could run between its find and its write."""
    upsert_duplicates: bool = False
    """An upsert inserts although a matching document appeared since it looked."""
    ttl_deletes_unexpired: bool = False
    """The TTL pass deletes documents that are not expired yet."""
    wtimeout_reported_as_not_applied: bool = False
    """A write whose write concern timed out is answered as an error that says it was not applied."""
