"""Host names that mean another address in every process: hosts files for the ``nss_wrapper`` library.

A mongod that is started with the library preloaded resolves the members' names from a file of its own, so that each
member reaches the others through its own links while all agree on the names.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

_LIBRARY = "libnss_wrapper.so"
_STANDARD_DIRECTORIES = ("/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64")
INSTALL = "apt-get install libnss-wrapper"


def library_directories() -> tuple[Path, ...]:
    """Return where the system keeps its libraries, the one for this machine's architecture first."""
    multiarch = sysconfig.get_config_var("MULTIARCH")
    own = (f"/usr/lib/{multiarch}", f"/lib/{multiarch}") if multiarch else ()
    return tuple(Path(directory) for directory in (*own, *_STANDARD_DIRECTORIES))


def find_library(directories: Iterable[Path] | None = None) -> Path | None:
    """Return the path of the library, or None where it is not installed."""
    places = library_directories() if directories is None else directories
    return next((found for directory in places if (found := directory / _LIBRARY).is_file()), None)


def write_hosts(path: Path, hosts: Mapping[str, str]) -> None:
    """Write a hosts file: host name to address."""
    path.write_text("".join(f"{address} {name}\n" for name, address in hosts.items()), encoding="ascii")


def environment(library: Path, hosts_file: Path) -> dict[str, str]:
    """Return the variables that make a process resolve the names of ``hosts_file``; other preloads stay."""
    preloads = [str(library), *filter(None, [os.environ.get("LD_PRELOAD", "")])]
    return {"LD_PRELOAD": ":".join(preloads), "NSS_WRAPPER_HOSTS": str(hosts_file)}
