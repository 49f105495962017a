"""The pattern API on real servers: PyMongo's synchronous client under the asynchronous shape, recorded.

A client process is one thread that steps its coroutine itself; a database call blocks right there. Owns recording,
cancellation, client death, child tasks and name resolution of clients. May import PyMongo, the interfaces and the
layers below; neither a backend nor trio. Start reading with ``stepping.py`` and ``recorder.py``.
"""

from harness.backends.driver.cancellation import CancelFlag, Cancelled
from harness.backends.driver.client import Client
from harness.backends.driver.connect import open_client
from harness.backends.driver.environment import ThreadEnv
from harness.backends.driver.oplog import read_oplog
from harness.backends.driver.recorder import ClientDied, Recorder
from harness.backends.driver.stepping import run_coroutine
from harness.failures import failure_of

__all__ = [
    "CancelFlag",
    "Cancelled",
    "Client",
    "ClientDied",
    "Recorder",
    "ThreadEnv",
    "failure_of",
    "open_client",
    "read_oplog",
    "run_coroutine",
]
