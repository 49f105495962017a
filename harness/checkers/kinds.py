"""The kinds of anomaly that the checkers find, each in one sentence for a reader who never met the word."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ANOMALY_KINDS: Mapping[str, str] = MappingProxyType(
    {
        # durability
        "lost-write": "A write was acknowledged and is not in the final state.",
        "phantom-write": "The final state holds something that no client wrote.",
        "rejected-yet-applied": "The pattern told its caller that nothing had happened, and yet the effect is there.",
        "failed-yet-applied": "The record says that an operation had no effect, and yet the effect is there.",
        "duplicate-write": "One write is in the final state more than once.",
        # errors
        "unexpected-error": "A caller got an exception that the contract does not provide for.",
        # linearizability
        "stale-read": "A read returned an older state although a newer one was surely there before it began.",
        "phantom-read": "A read returned a value that nobody wrote.",
        "not-linearizable": "No order of the operations that respects real time explains what they returned.",
        "duplicate-version": "Two accepted writes were told the same version.",
        "version-gap": "A version is missing from the sequence and no write can account for it.",
        "wrong-document": "An operation returned another document than the one that was written as that version.",
        # updates
        "lost-update": "An acknowledged update was overwritten by one that had not seen it.",
        "doubled-update": "Updates took effect more often than they were asked for.",
        # versions of an entity
        "forked-history": "An entity has two documents of one version.",
        "no-active-version": "An entity has no active version.",
        "several-active-versions": "An entity has more than one active version.",
        "broken-link": "A version does not name the version before it as its predecessor.",
        "changed-version": "A version that must never change was read with another content.",
        # money
        "money-vanished": "The balances add up to less than was put in.",
        "money-created": "The balances add up to more than was put in.",
        "negative-balance": "An account went below zero.",
        "double-payment": "One transfer has several ledger entries.",
        "missing-ledger-entry": "A committed transfer has no ledger entry.",
        "phantom-ledger-entry": "A ledger entry belongs to no transfer.",
        "ledger-mismatch": "The ledger does not agree with a balance or with the transfer that it tells of.",
        # claims
        "double-claim": "Several clients were told that they had claimed the same item.",
        "orphaned-claim": "An item is claimed and no client was told so.",
        "lost-claim": "A client was told that it had claimed an item, and the final state says otherwise.",
        # convergence
        "lower-write-won": "A register ended with an older value than one that was acknowledged.",
        "went-back": "A process read a register and later saw an older value of it.",
    }
)
