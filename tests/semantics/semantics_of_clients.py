"""Rows of the table: what clients meet with, in sessions, transactions, single operations, streams and errors."""

from __future__ import annotations

from semantics_row import GRID, Section, row

IMPOSSIBLE = ("write_concern_beyond_the_members", "write_concern_with_an_unknown_tag")

SESSIONS = Section(
    title="Sessions, retries, transactions",
    rows=(
        row(
            "causal session",
            "Reads wait until the member has reached what the session saw, or fail with 50.",
            "a_causal_read_waits",
            "causal_session_reads_its_writes",
            "read_after_a_time_to_come",
        ),
        row(
            "scope of its guarantees",
            "Own writes survive a failover with majority on both sides alone.",
            "own_writes_after_a_failover",
            besides=f"{GRID}: each pair of concerns",
        ),
        row(
            "cluster time",
            "A logical clock passed on with every message; a skewed primary pushes it ahead for good, while "
            "`$currentDate` follows the clock of the primary of the day.",
            "cluster_time_is_passed_on",
            "a_primary_whose_clock_is_ahead",
        ),
        row(
            "retryable writes",
            "A repeated number is answered from the record; the record is rolled back with the write.",
            "statements_of_one_number",
            "retry_after_a_refusal",
            "retry_after_a_closed_connection",
            "reply_is_lost_after_the_write",
            "a_retry_after_a_rollback",
            "every_retryable_code",
        ),
        row(
            "what is not retried",
            "updateMany, deleteMany and what contains them; `$out` and `$merge`; `w: 0`, whose connection a member "
            "closes that is not primary; a user's own retry has a new number.",
            "what_is_not_retried",
            "writes_that_are_not_retried",
            "write_concern_that_is_unacknowledged",
            "a_retry_of_ones_own",
        ),
        row(
            "findAndModify again",
            "It returns the image of its first execution.",
            "find_and_modify_is_answered_again",
        ),
        row(
            "labels",
            "RetryableWriteError by code, never from writeErrors; which of two errors is raised.",
            "every_retryable_code",
            "retry_after_a_refusal",
            "second_failure_is_raised",
            "codes_that_are_not_retried",
            "write_concern_error_that_is_retried",
            "write_concern_error_without_a_label",
        ),
        row(
            "retryable reads",
            "Once, at the codes of writes; getMore is not.",
            "every_read_that_is_retried",
            "every_retryable_code",
            "retry_after_a_closed_connection",
            "stream_does_not_open",
            "what_is_not_retried",
        ),
        row(
            "isolation",
            "Snapshot isolation: who updates first wins, the other fails at once with 112; write skew is allowed.",
            "transaction_that_conflicts",
            "transaction_behind_its_snapshot",
            "write_skew_is_allowed",
        ),
        row(
            "plain writes beside a transaction",
            "They wait for its end, or fail with 50 by maxTimeMS.",
            "a_plain_write_beside_a_transaction",
            "plain_write_waits_for_a_transaction",
        ),
        row(
            "errors of a statement",
            "Any ends the transaction: 251 afterwards.",
            "any_error_ends_a_transaction",
            "unmatched_update_ends_nothing",
        ),
        row(
            "locks",
            "A transaction waits for a collection for 5 ms (24); a drop waits for open transactions.",
            "a_transaction_behind_a_drop_that_waits",
            "transaction_holds_a_collection",
        ),
        row(
            "lifetime",
            "What is open for a minute is aborted: 251.",
            "a_transaction_that_lives_too_long",
        ),
        row(
            "failover",
            "An open transaction is lost: 251 with TransientTransactionError.",
            "a_transaction_in_a_failover",
        ),
        row(
            "commit",
            "One log entry; may be repeated, which the driver does with a majority; UnknownTransactionCommitResult "
            "where its outcome is open.",
            "a_repeated_commit_asks_a_majority",
            "a_stream_tells_a_transaction",
            "commit_again",
            "commit_of_nothing",
            "commit_with_an_error",
            "commit_with_two_errors",
            "a_commit_that_times_out",
        ),
        row(
            "reads outside",
            "A commit by one member is there for local reads at once, for majority reads at the commit point.",
            "a_commit_by_one_member",
        ),
        row(
            "with_transaction",
            "It repeats the commit while its result is unknown, the callback after transient errors, for two minutes.",
            "with_transaction_gives_up",
            "with_transaction_runs_again",
            "with_transaction_lets_errors_through",
        ),
        row(
            "forbidden",
            "263 for what a transaction may not do; 225 for an older number; 256 after a commit.",
            "what_comes_after_an_end",
            "what_a_transaction_may_not_do",
            "a_number_that_is_older",
        ),
        row(
            "lost reply and refused retry",
            "The last error alone never proves that nothing was applied.",
            "a_lost_reply_and_a_refused_retry",
        ),
        row(
            "client-side time limits",
            "`pymongo.timeout` takes wtimeout out of commands and lets writes run more than twice.",
            unprobed="a context of PyMongo's own, which the pattern API does not have: no script could ask for it in "
            "the simulator",
        ),
    ),
)

OPERATIONS = Section(
    title="Single operations",
    rows=(
        row(
            "upsert without a unique index",
            "Several clients insert several documents.",
            "upserts_without_a_unique_index",
        ),
        row(
            "upsert with one",
            "A duplicate is retried as an update where the filter is an equality on the key, else raised as 11000.",
            "upserts_on_a_unique_key",
            "upserts_of_other_kinds_on_a_unique_key",
            "locks_by_upsert",
            "upsert_on_a_unique_key",
        ),
        row(
            "upsert in a transaction",
            "No such retry: 112.",
            "unique_key_in_two_transactions",
            "upsert_and_bulk_in_a_transaction",
        ),
        row(
            "single-document atomicity",
            "findAndModify looks at its filter again after a conflict.",
            "claims_by_find_and_modify",
            "find_and_modify_forms",
        ),
        row(
            "updateMany, deleteMany",
            "Atomic for each document; an error midway leaves what was done.",
            "an_update_of_many_that_fails_midway",
            "two_updates_of_many_documents",
        ),
        row(
            "bulk writes",
            "Ordered ones stop at the first error, unordered ones go on; nothing is undone.",
            "bulk_writes_with_an_error",
            "bulk_ordered_fails_in_the_middle",
            "bulk_unordered_with_two_failures",
        ),
        row(
            "unique keys",
            "Missing is null, 1 is 1.0, each element of an array counts; partial indexes leave documents out.",
            "what_counts_as_the_same_key",
            "unique_index_forms",
            "unique_index_on_array_elements",
            "unique_partial_index",
        ),
        row(
            "TTL",
            "A pass a minute removes what is expired, which is readable until then.",
            "documents_that_expire",
        ),
    ),
)

STREAMS = Section(
    title="Change streams",
    rows=(
        row(
            "committed events alone",
            "Nothing is told before the commit point.",
            "a_stream_tells_what_is_committed",
        ),
        row(
            "order",
            "That of the log; a transaction's events share their time; tokens compare as texts.",
            "a_stream_tells_a_transaction",
            "stream_tells_a_transaction_at_once",
        ),
        row(
            "delivery",
            "At least once from a token that was stored after the work, at most once from one that was stored before.",
            "an_event_is_told_again_from_an_older_token",
            "stream_begins_again_after_a_token",
        ),
        row(
            "updateLookup",
            "The document as it is now: null once it is deleted, the newest of several updates.",
            "a_stream_looks_up_the_current_document",
            "stream_with_full_documents",
        ),
        row(
            "invalidate",
            "drop, rename and dropDatabase end the stream: resumeAfter is refused (260), startAfter goes on.",
            "a_stream_of_a_dropped_collection",
            "a_stream_of_what_is_renamed_or_dropped",
            "stream_ends_with_its_collection",
        ),
        row(
            "lost history",
            "286 with NonResumableChangeStreamError where the log does not reach back; 280 where the event of a token "
            "is not one of the stream.",
            "a_stream_from_before_the_log",
            "a_token_of_another_stream",
        ),
        row(
            "resuming",
            "The driver resumes once after each failed getMore that may be resumed, over a failover without a loss.",
            "stream_resumes_after_errors",
            "stream_does_not_open",
            "a_stream_over_a_failover",
        ),
        row(
            "where it begins",
            "When the server opens it, not when its caller read before.",
            "a_stream_begins_when_it_is_opened",
        ),
    ),
)

CODES = Section(
    title="Error codes",
    rows=(
        row("10107, 13435", "Writes, and plain reads, on a secondary.", "what_a_secondary_refuses"),
        row(
            "189, 11600, 11602, 91",
            "Step-down and shutdown.",
            "retry_after_a_refusal",
            "every_retryable_code",
            "a_wait_that_a_step_down_ends",
        ),
        row("13436", "Reads on a member in rollback.", "a_write_is_rolled_back", "every_retryable_code"),
        row("64, 79, 100", "Write concern.", "a_write_concern_that_times_out", *IMPOSSIBLE),
        row("50, 262", "Time limits.", "linearizable_reads", "time_limits", "a_step_down_that_nobody_is_ready_for"),
        row("112, 24, 251", "Transactions.", "transaction_that_conflicts", "a_transaction_behind_a_drop_that_waits"),
        row(
            "225, 256, 263",
            "Transactions.",
            "a_number_that_is_older",
            "what_comes_after_an_end",
            "what_a_transaction_may_not_do",
        ),
        row("246", "A collection newer than the snapshot.", "a_majority_read_of_a_new_collection"),
        row("239", "A snapshot that is older than the history reaches back.", "a_snapshot_that_is_too_old"),
        row(
            "250, 133",
            "What a router of a sharded cluster answers.",
            unprobed="sharded clusters are not modelled, and the wheel that brings mongod has no router",
        ),
        row("11000, 66, 40, 28", "Single operations.", "errors_of_updates", "update_errors"),
        row("65", "Kept by the driver for what a bulk write raises.", "bulk_writes_with_an_error"),
        row("72", "Options that contradict each other.", "linearizable_reads", "read_concern_that_is_unknown"),
        row(
            "43, 260, 280, 286",
            "Cursors and streams.",
            "cursor_that_was_killed",
            "a_stream_of_a_dropped_collection",
            "a_token_of_another_stream",
            "a_stream_from_before_the_log",
            "stream_resumes_after_errors",
        ),
    ),
)
