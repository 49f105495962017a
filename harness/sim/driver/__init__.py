"""The driver model: the pattern API as PyMongo 4.20 behaves, over the commands of the simulated set, recorded.

It sends the commands that PyMongo would send, field for field, and raises what PyMongo would raise; everything that
waits goes through the kernel. May import PyMongo's options, results and errors, never its client, and of the simulator
the kernel, the document values and the network. Start with ``client.py`` and ``retry.py``.
"""

from harness.sim.driver.cancellation import Cancellation
from harness.sim.driver.client import Client
from harness.sim.driver.connect import open_client
from harness.sim.driver.environment import SimEnv
from harness.sim.driver.object_ids import ObjectIds
from harness.sim.driver.recorder import ClientDied, Recorder

__all__ = ["Cancellation", "Client", "ClientDied", "ObjectIds", "Recorder", "SimEnv", "open_client"]
