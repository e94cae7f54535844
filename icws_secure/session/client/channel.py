"""The place where payload protection is plugged into a client session.

The session decides *when* something is sealed (once, at its number) and opened (after verification, in order); a
channel decides
*how*. Without one, content is the application's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ...wire.interface import ClientKey
    from ...wire.registration import Parameters

__all__ = ["PayloadChannel", "PayloadOffer"]


@dataclass(frozen=True, slots=True)
class PayloadOffer:
    """What a channel puts into ``ws_open``.

    Args:
        suite: name of the suite, ``none`` for no protection.
        key_id: the canister key that was used, as the certified parameters name it, or None.
        enc: the encapsulated secret, or None.
    """

    suite: str = "none"
    key_id: bytes | None = None
    enc: bytes | None = None


class PayloadChannel(Protocol):
    """Seals and opens the application's content of one session.

    Its methods raise :class:`icws_secure.errors.PayloadViolation` or :class:`icws_secure.errors.MisuseError`, nothing
    else.
    """

    def offer(self, parameters: Parameters, client_key: ClientKey, attach: int) -> PayloadOffer:
        """Choose a suite from the certified ``parameters`` and prepare the keys of attachment ``attach``."""

    def attached(self, attach: int) -> None:
        """The canister has confirmed (open hash) the offer of attachment ``attach``."""

    def seal(self, seq: int, data: bytes) -> bytes:
        """Return the content of message ``seq`` to the canister. Called once for each number."""

    def open(self, seq: int, content: bytes) -> bytes:
        """Return the data of message ``seq`` from the canister, already verified and in order."""

    def export_state(self) -> bytes:
        """Return what a restored session needs; contains keys."""
