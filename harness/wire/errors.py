"""How a message can fail, as mongod lets it fail: with an error reply, or by closing the connection."""

from __future__ import annotations

from typing import Any


class RefusedError(Exception):
    """The message is answered by an error; the connection goes on. Code, name and words are mongod's."""

    def __init__(self, code: int, message: str, code_name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.code_name = code_name or f"Location{code}"

    def reply(self) -> dict[str, Any]:
        """Return the reply document."""
        return {"ok": 0.0, "errmsg": self.message, "code": self.code, "codeName": self.code_name}


class BrokenConnectionError(Exception):
    """The message, or what became of its member, makes the server close the connection without an answer."""
