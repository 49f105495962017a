"""The ids of sessions as mongod shows them: with the digest of the user, of whom there is none here."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

ANONYMOUS: Final = hashlib.sha256(b"").digest()


def session_text(session: str) -> str:
    """Return a session's id, given in hexadecimal, as messages show it."""
    uuid = f"{session[:8]}-{session[8:12]}-{session[12:16]}-{session[16:20]}-{session[20:]}"
    return f"{uuid} - {base64.b64encode(ANONYMOUS).decode()} -  - "
