"""Summary tables of a history as pandas frames: per process, per key, per fault window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.clock import NANOSECONDS_PER_MILLISECOND
from harness.history import History

if TYPE_CHECKING:
    import pandas as pd

STATUSES: Final = ("ok", "fail", "info")
_QUANTILES: Final = {"p50_ms": 0.5, "p99_ms": 0.99}


def per_process(history: History) -> pd.DataFrame:
    """Return a row a process, named by it: operations, ok, fail, info, first_ns, last_ns, p50_ms, p99_ms, max_ms.

    ``first_ns`` and ``last_ns`` are the first and last invocation. Latencies are those of ok operations, and missing
    where there is none.
    """
    return _summary(history.to_frame(), "process")


def per_key(history: History) -> pd.DataFrame:
    """Return a row a key, named by it as text, with the columns of :func:`per_process`.

    Operations without the argument ``key`` are left out; a history without any gives an empty frame.
    """
    frame = history.to_frame()
    frame = frame[frame["key"].notna()]
    return _summary(frame.assign(key=frame["key"].map(repr)), "key")


def per_fault_window(history: History) -> pd.DataFrame:
    """Return a row a fault window, by fault and strike: its times, and the operations that overlap it.

    Columns: start_ns, end_ns (missing where it was never healed), duration_ms, then those of :func:`per_process`. The
    row ``("none", 0)`` has the operations that overlap no window.
    """
    import pandas as pd

    frame = history.to_frame()
    rows, names = [], []
    for window in history.fault_windows:
        end_ns = window.end_ns
        inside = frame["returned_ns"].isna() | (frame["returned_ns"] >= window.start_ns)
        if end_ns is not None:
            inside &= frame["start_ns"] <= end_ns
        duration_ms = None if end_ns is None else (end_ns - window.start_ns) / NANOSECONDS_PER_MILLISECOND
        rows.append({"start_ns": window.start_ns, "end_ns": end_ns, "duration_ms": duration_ms, **_row(frame[inside])})
        names.append((window.fault, window.strike))
    rows.append({"start_ns": None, "end_ns": None, "duration_ms": None, **_row(frame[frame["faults"] == ""])})
    names.append(("none", 0))
    index = pd.MultiIndex.from_tuples(names, names=["fault", "strike"])
    return pd.DataFrame(rows, index=index).astype(
        {"start_ns": "Int64", "end_ns": "Int64", "duration_ms": "float64", **_TYPES}
    )


_TYPES: Final = {
    "operations": "int64", **dict.fromkeys(STATUSES, "int64"), "first_ns": "Int64", "last_ns": "Int64",
    "p50_ms": "float64", "p99_ms": "float64", "max_ms": "float64",
}  # fmt: skip


def _summary(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    import pandas as pd

    groups = {name: _row(group) for name, group in frame.groupby(by, sort=True)}
    table = pd.DataFrame(list(groups.values()), columns=list(_TYPES), index=pd.Index(list(groups), name=by))
    return table.astype(_TYPES)


def _row(frame: pd.DataFrame) -> dict[str, object]:
    counts = frame["status"].value_counts()
    latencies = frame.loc[frame["status"] == "ok", "latency_ms"]
    return {
        "operations": len(frame),
        **{status: int(counts.get(status, 0)) for status in STATUSES},
        "first_ns": None if frame.empty else int(frame["start_ns"].min()),
        "last_ns": None if frame.empty else int(frame["start_ns"].max()),
        **{name: latencies.quantile(share) for name, share in _QUANTILES.items()},
        "max_ms": latencies.max(),
    }
