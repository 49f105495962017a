"""Sequences of raw commands that a simulated set must answer as a real one does, by name.

Collections are named ``c`` and the like, in a database of the case's own; ``{db}`` stands for its name.
"""

from __future__ import annotations

from command_cases_collections import COLLECTIONS
from command_cases_concerns import CONCERNS, FAIL_POINTS, RETRIES
from command_cases_crud import CRUD
from command_cases_reads import READS
from command_cases_streams import CHANGE_STREAMS
from command_cases_transactions import TRANSACTIONS
from command_steps import Step

CASES: dict[str, list[Step]] = {
    **CRUD,
    **READS,
    **COLLECTIONS,
    **CONCERNS,
    **RETRIES,
    **{f"transaction-{name}": steps for name, steps in TRANSACTIONS.items()},
    **{f"stream-{name}": steps for name, steps in CHANGE_STREAMS.items()},
    **FAIL_POINTS,
}
