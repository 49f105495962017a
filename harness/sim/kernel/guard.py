"""Keeping a simulated run from reaching out of it: threads, sockets, the wall clock, unseeded randomness.

While a guard is on, such a call raises on the thread that simulates (others, as a progress display's, go on), naming
the call and what ``env`` has in its place. What slips through, as a function bound before, is caught by the determinism
audit, which runs a seed again in a fresh process.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from bson import ObjectId

from harness.errors import ScenarioError

_CLOCK = "env.now()"
_SLEEP = "await env.sleep(seconds)"
_RANDOM = "env.random"
_TASKS = "env.start_task(...) or env.gather(...)"
_DATABASE = "the database handle that the pattern was given"

_RANDOM_FUNCTIONS = (
    *("betavariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits", "lognormvariate"),
    *("normalvariate", "paretovariate", "randbytes", "randint", "random", "randrange", "sample", "shuffle"),
    *("triangular", "uniform", "vonmisesvariate", "weibullvariate"),
)
_CLOCK_FUNCTIONS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")

_CALLS: tuple[tuple[Any, str, str, str], ...] = (
    *((time, name, f"time.{name}()", _CLOCK) for name in _CLOCK_FUNCTIONS),
    (time, "sleep", "time.sleep()", _SLEEP),
    *((random, name, f"random.{name}()", f"{_RANDOM}.{name}()") for name in _RANDOM_FUNCTIONS),
    (random, "_urandom", "an unseeded random source", _RANDOM),
    (os, "urandom", "os.urandom()", f"{_RANDOM}.randbytes()"),
    (uuid, "uuid1", "uuid.uuid1()", "env.object_id()"),
    (uuid, "uuid4", "uuid.uuid4()", "env.object_id()"),
    (threading.Thread, "start", "a thread", _TASKS),
    (socket.socket, "__init__", "a socket", _DATABASE),
    (subprocess.Popen, "__init__", "a process", _DATABASE),
)
"""Owner, attribute, how a reader calls it, and what stands in its place."""


@contextlib.contextmanager
def guard(*modules: ModuleType) -> Iterator[None]:
    """Refuse such calls on this thread until the context ends.

    ``modules`` are the scenario's own: where one holds ``datetime``, its clock is refused too, which cannot be done in
    the type itself. Raises, at such a call, ScenarioError.
    """
    thread = threading.get_ident()
    undo: list[Callable[[], None]] = []
    try:
        for owner, name, call, replacement in _CALLS:
            _replace(owner, name, _refusing(getattr(owner, name), call, replacement, thread), undo)
        _replace(ObjectId, "__init__", _object_id_of(ObjectId.__init__, thread), undo)
        for module in modules:
            _guard_datetime(module, undo)
        yield
    finally:
        while undo:
            undo.pop()()


def _replace(owner: Any, name: str, value: Any, undo: list[Callable[[], None]]) -> None:
    original = vars(owner)[name]
    undo.append(lambda: setattr(owner, name, original))
    setattr(owner, name, value)


def _refusing(original: Callable[..., Any], call: str, replacement: str, thread: int) -> Callable[..., Any]:
    get_ident = threading.get_ident

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if get_ident() == thread:
            _refuse(call, replacement)
        return original(*args, **kwargs)

    return guarded


def _object_id_of(original: Callable[..., None], thread: int) -> Callable[..., None]:
    get_ident = threading.get_ident

    def guarded(self: ObjectId, oid: Any = None) -> None:
        if oid is None and get_ident() == thread:
            _refuse("ObjectId()", "env.object_id()")
        original(self, oid)

    return guarded


def _refuse(call: str, replacement: str) -> NoReturn:
    raise ScenarioError(
        f"the pattern uses {call} in a simulated run, which could not be repeated then",
        next_step=f"use {replacement}; `env` is the keyword that a pattern class is made with",
    )


class _InstanceOfReal(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, datetime.datetime)


class _GuardedDatetime(datetime.datetime, metaclass=_InstanceOfReal):
    """``datetime.datetime`` without its clock; what it makes are plain datetimes."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return datetime.datetime(*args, **kwargs)  # noqa: DTZ001 - the caller's own arguments

    @classmethod
    def now(cls, tz: Any = None) -> NoReturn:  # noqa: ARG003 - the signature of the original
        _refuse("datetime.now()", _CLOCK)

    @classmethod
    def utcnow(cls) -> NoReturn:
        _refuse("datetime.utcnow()", _CLOCK)

    @classmethod
    def today(cls) -> NoReturn:
        _refuse("datetime.today()", _CLOCK)


class _GuardedModule(ModuleType):
    datetime = _GuardedDatetime

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)


def _guard_datetime(module: ModuleType, undo: list[Callable[[], None]]) -> None:
    for name, value in tuple(vars(module).items()):
        if value is datetime:
            _replace(module, name, _GuardedModule("datetime"), undo)
        elif value is datetime.datetime:
            _replace(module, name, _GuardedDatetime, undo)
