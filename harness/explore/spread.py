"""Many seeds over processes and machines: chunks sized by time, shards without a coordinator, a file that resumes.

The file of results is the cursor: a line for every chunk that is done, appended when it is. What an interrupted
campaign has not written is done again; files of several shards merge into one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from harness.errors import HarnessError, UsageError
from harness.explore.results import Chunk, ResultFile

CHUNK_S: Final = 0.5
"""How long a chunk is to take: long enough that handing it over costs nothing, short enough to stop soon."""
_FIRST_CHUNK: Final = 4
_MOST_IN_A_CHUNK: Final = 4_096
_CHUNKS_PER_JOB: Final = 2
_WEIGHT_OF_NEWS: Final = 0.5

Task = Callable[[int], Any]
"""Called with an index; what it returns must be what msgspec can write as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The part ``number`` of ``count`` of a campaign: every index with ``index % count == number - 1``."""

    number: int = 1
    count: int = 1

    def indexes(self, total: int) -> range:
        """Return the indexes of this shard among ``total``."""
        return range(self.number - 1, total, self.count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Return the shard that ``3/40`` names. Raises UsageError for anything else."""
    number, _, count = text.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return Shard(number=int(number), count=int(count))
    raise UsageError(f"{text!r} is no shard", next_step="write 3/40 for the third of forty")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadResult:
    """How far it got."""

    total: int
    done: int
    resumed: int
    """How many of these were done before."""
    interrupted: bool
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every index was done."""
        return self.done == self.total


def spread(
    task: Task,
    total: int,
    *,
    jobs: int = 1,
    shard: Shard | None = None,
    file: ResultFile | None = None,
    on_results: Callable[[Sequence[tuple[int, Any]]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> SpreadResult:
    """Call ``task`` with every index of ``shard`` below ``total``, in ``jobs`` processes.

    What ``file`` has already is not done again. ``on_results`` gets (index, result) pairs, those of the file first,
    then as they come, in no fixed order of chunks. An interrupt of the keyboard, or ``stop()``, ends it after the
    chunks under way; what is done by then is kept. Raises what the task raised, and HarnessError where a process died.
    """
    indexes = (shard or Shard()).indexes(total)
    campaign = _Campaign(task, indexes, file, on_results or (lambda _results: None), stop or (lambda: False))
    return campaign.run(jobs)


class _Campaign:
    def __init__(
        self,
        task: Task,
        indexes: range,
        file: ResultFile | None,
        on_results: Callable[[Sequence[tuple[int, Any]]], None],
        stop: Callable[[], bool],
    ) -> None:
        self._task = task
        self._indexes = indexes
        self._file = file
        self._on_results = on_results
        self._stop = stop
        self._left: list[int] = []
        self._position = 0
        self._seconds_each = 0.0
        self._done = 0
        self._interrupted = False

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Take an interrupt of the keyboard as a wish to end, so that no chunk is lost halfway; a second one raises."""

        def note(_signal: int, _frame: FrameType | None) -> None:
            self._interrupted = True
            signal.signal(signal.SIGINT, before)

        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread is interrupted, and only it may say how.
            yield
            return
        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @property
    def _ends(self) -> bool:
        return self._interrupted or self._stop()

    def run(self, jobs: int) -> SpreadResult:
        began = time.monotonic()
        resumed = self._resume()
        with self._interruptible():
            if jobs == 1:
                self._run_here()
            else:
                self._run_in_processes(jobs)
        return SpreadResult(
            total=len(self._indexes),
            done=self._done,
            resumed=resumed,
            interrupted=self._interrupted,
            seconds=time.monotonic() - began,
        )

    def _resume(self) -> int:
        known: set[int] = set()
        for chunk in self._file.read() if self._file is not None else ():
            fresh = [(i, r) for i, r in zip(chunk.indexes, chunk.results, strict=True) if i not in known]
            known.update(index for index, _ in fresh)
            self._on_results(fresh)
        self._left = [index for index in self._indexes if index not in known]
        self._done = len(self._indexes) - len(self._left)
        return self._done

    def _run_here(self) -> None:
        while not self._ends and (indexes := self._next_chunk(1)):
            self._take(indexes, *_perform(self._task, indexes))

    def _run_in_processes(self, jobs: int) -> None:
        # Forked, so that the task needs not be sent, only indexes; the pool is made before any thread of ours.
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin_worker, initargs=(self._task,))
        running: dict[Future[tuple[list[Any], float]], list[int]] = {}
        try:
            while True:
                while len(running) < jobs * _CHUNKS_PER_JOB and not self._ends:
                    indexes = self._next_chunk(jobs)
                    if not indexes:
                        break
                    running[pool.submit(_perform_there, indexes)] = indexes
                if self._ends:
                    for future in [future for future in running if future.cancel()]:
                        del running[future]
                if not running:
                    break
                self._take_ended(running, wait(running, return_when=FIRST_COMPLETED).done)
        except BrokenProcessPool as error:
            raise HarnessError(
                "a process of the campaign died", next_step="look for lack of memory; start again, what is done is kept"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _take_ended(
        self,
        running: dict[Future[tuple[list[Any], float]], list[int]],
        ended: Iterable[Future[tuple[list[Any], float]]],
    ) -> None:
        for future in list(ended):
            self._take(running.pop(future), *future.result())

    def _next_chunk(self, jobs: int) -> list[int]:
        left = len(self._left) - self._position
        size = _FIRST_CHUNK if not self._seconds_each else int(CHUNK_S / self._seconds_each)
        # Towards the end chunks get smaller, so that all processes end together.
        size = max(1, min(size, _MOST_IN_A_CHUNK, -(-left // (jobs * _CHUNKS_PER_JOB))))
        chunk = self._left[self._position : self._position + size]
        self._position += len(chunk)
        return chunk

    def _take(self, indexes: list[int], results: list[Any], seconds: float) -> None:
        each = max(seconds / len(indexes), 1e-9)
        old = self._seconds_each or each
        self._seconds_each = old + _WEIGHT_OF_NEWS * (each - old)
        if self._file is not None:
            self._file.append(Chunk(indexes=indexes, results=results))
        self._done += len(indexes)
        self._on_results(list(zip(indexes, results, strict=True)))


def _perform(task: Task, indexes: Sequence[int]) -> tuple[list[Any], float]:
    began = time.monotonic()
    results = [task(index) for index in indexes]
    return results, time.monotonic() - began


_task_of_worker: list[Task] = []


def _begin_worker(task: Task) -> None:
    # The terminal sends its interrupt to every process of the group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _task_of_worker[:] = [task]


def _perform_there(indexes: Sequence[int]) -> tuple[list[Any], float]:
    return _perform(_task_of_worker[0], indexes)


def default_results_path(directory: Path, shard: Shard) -> Path:
    """Return where a shard keeps its results."""
    return directory / f"results-{shard.number}-of-{shard.count}.jsonl"
