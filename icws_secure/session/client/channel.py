"""The place where payload protection is plugged into a client session.

The session decides *when* something is sealed (once, at its number) and opened (after verification, in order); a
channel decides *how*. Without one, content is the application's bytes, and the suite is ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ...errors import PayloadViolation, Reason
from ...payload import SuiteName, require_minimum

if TYPE_CHECKING:
    from ...wire.interface import ClientKey
    from ...wire.registration import Parameters

__all__ = ["PayloadChannel", "PayloadOffer", "check_plain"]


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
    enc: bytes | None = field(default=None, repr=False)


class PayloadChannel(Protocol):
    """Seals and opens the application's content of one session.

    Its methods raise :class:`icws_secure.errors.PayloadViolation` or :class:`icws_secure.errors.MisuseError`, nothing
    else.
    """

    @property
    def suite(self) -> str | None:
        """Name of the suite, None before :meth:`negotiate`."""

    @property
    def overhead(self) -> int:
        """How many bytes a content is longer than its data, at most."""

    def negotiate(self, parameters: Parameters) -> None:
        """Choose a suite from the certified ``parameters``, once for the session; later ones must have it too.

        Raises:
            PayloadViolation: SUITE_TOO_WEAK, there is none that will do.
        """

    def offer(self, parameters: Parameters, client_key: ClientKey, attach: int) -> PayloadOffer:
        """Prepare the keys of attachment ``attach``."""

    def attached(self, attach: int, *, next_in: int, next_out: int) -> None:
        """The canister has confirmed (open hash) the offer of attachment ``attach``.

        Args:
            attach: number of the attachment.
            next_in: next number to the canister, certified.
            next_out: next number from the canister, certified.
        """

    def check(self, data: bytes) -> None:
        """Check that ``data`` is something that :meth:`seal` takes.

        Raises:
            MisuseError: the suite seals otherwise.
        """

    def seal(self, seq: int, data: bytes) -> bytes:
        """Return the content of message ``seq`` to the canister. Called once for each number."""

    def open(self, seq: int, content: bytes) -> bytes:
        """Return the data of message ``seq`` from the canister, already verified and in order."""

    def taken(self, through_seq: int) -> None:
        """The application has all messages up to ``through_seq``: they will not be opened again."""

    def export_state(self) -> bytes:
        """Return what a restored session needs; contains keys. Messages that were not taken can be opened again."""

    def restore(self, state: bytes, parameters: Parameters, client_key: ClientKey) -> None:
        """Go on from what :meth:`export_state` gave.

        Raises:
            DecodeError: it is something else.
        """

    def close(self) -> None:
        """The session is over: drop all keys."""


def check_plain(parameters: Parameters, minimum: str | None) -> None:
    """Check that a session without a channel is acceptable to both ends.

    Args:
        parameters: certified.
        minimum: the client's minimum, None for no demand.

    Raises:
        PayloadViolation: SUITE_TOO_WEAK.
    """
    # [ICWS-PAY-012]
    require_minimum(SuiteName.NONE, SuiteName.NONE if minimum is None else minimum)
    if not any(suite.name == SuiteName.NONE for suite in parameters.suites):
        raise PayloadViolation(
            "the canister takes sealed content only",
            reason=Reason.SUITE_TOO_WEAK,
            requirement="ICWS-PAY-012",
            received=SuiteName.NONE.value,
        )
