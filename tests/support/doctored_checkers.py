"""The checkers that the doctored histories are judged by: one configuration for each file name there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checkers import (
    Stamped,
    Step,
    Transfer,
    Update,
    conservation,
    durability,
    last_write_wins,
    linearizable,
    lost_updates,
    register,
    rejected_yet_applied,
    single_claim,
    unexpected_errors,
    versioned_document,
    versions,
)
from harness.interfaces.checker import Checker
from harness.operation import Operation


def _token(operation: Operation) -> str | None:
    return operation.arguments.get("token")


def _tokens(final: Mapping[str, Any]) -> list[str]:
    return list(final["tokens"])


def _register_step(operation: Operation) -> Step:
    if operation.function == "read":
        return Step("read", result=operation.result)
    return Step("write", operation.arguments["value"])


def _document_step(operation: Operation) -> Step:
    if operation.function == "read":
        return Step("read", result=operation.result)
    return Step("write", operation.arguments["text"], operation.result)


def _stamped(function: str, operation: Operation) -> Stamped | None:
    if operation.function != function:
        return None
    if function == "get":
        at, node, value = operation.result
        return Stamped(key="r", timestamp=at, node=node, value=value)
    arguments = operation.arguments
    return Stamped(key="r", timestamp=arguments["at"], node=arguments["node"], value=arguments["value"])


DOCTORED_CHECKERS: Mapping[str, Checker] = {
    "durability": durability(writes=_token, survivors=_tokens, needs_final=("tokens",), exactly_once=True),
    "rejected": rejected_yet_applied(writes=_token, survivors=_tokens, needs_final=("tokens",)),
    "errors": unexpected_errors(),
    "register": linearizable(register(), step=_register_step),
    "document": linearizable(versioned_document(), step=_document_step),
    "updates": lost_updates(
        update=lambda operation: Update(key=operation.arguments["id"], base=operation.arguments["seen"]),
        final=lambda final: final["counters"],
        needs_final=("counters",),
    ),
    "versions": versions(
        documents=lambda final: final["documents"],
        needs_final=("documents",),
        active=lambda document: document["isActive"],
        predecessor=lambda document: document["previousVersion"],
        content=lambda document: document["data"],
        wrote=lambda operation: operation.result["_id"] if operation.function == "update" else None,
        snapshot=lambda operation: operation.result if operation.function == "get_history" else None,
    ),
    "money": conservation(
        balances=lambda final: final["balances"],
        opening={"a": 10, "b": 10},
        needs_final=("balances", "ledger"),
        snapshot=lambda operation: operation.result if operation.function == "audit" else None,
        ledger=lambda final: [Transfer(**entry) for entry in final["ledger"]],
        transfer=lambda operation: Transfer(**operation.arguments) if operation.function == "transfer" else None,
    ),
    "claims": single_claim(
        item=lambda operation: operation.arguments["order"],
        claimed=lambda final: final["processing"],
        claimant=lambda operation: f"c{operation.client}",
        needs_final=("processing",),
    ),
    "lww": last_write_wins(
        write=lambda operation: _stamped("put", operation),
        read=lambda operation: _stamped("get", operation),
        final=lambda final: {
            key: Stamped(key=key, timestamp=at, node=node, value=value)
            for key, (at, node, value) in final["registers"].items()
        },
        needs_final=("registers",),
    ),
}
