"""How a rule of the canister says no.

A rule raises :class:`RefusalError`; the machine throws the draft away, so that a refusal changes nothing, and answers
``Err "<Code>: <words>"``.
"""

from __future__ import annotations

from typing import NoReturn

from icws_secure.wire.refusal import Refusal, RefusalCode

__all__ = ["RefusalError", "refuse"]


class RefusalError(Exception):
    """A call is refused. Never leaves the machine.

    Attributes:
        refusal: code and words for the caller.
    """

    def __init__(self, code: RefusalCode, words: str) -> None:
        super().__init__(words)
        # [ICWS-CAN-072]
        self.refusal = Refusal(RefusalCode(code).value, words)


def refuse(code: RefusalCode, words: str) -> NoReturn:
    """Raise :class:`RefusalError`."""
    raise RefusalError(code, words)
