"""The place where payload protection is plugged into a canister's sessions.

A provider offers suites and makes a channel for each attach that agrees on one. Channels are immutable: sealing and
opening give the channel to go on with, which the session keeps only if the whole execution succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from icws_secure.wire.interface import ClientKey
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Suite

from .refusal import refuse

__all__ = ["NO_SUITE", "SUITE_STRENGTH", "AttachOffer", "PlainSuite", "SealedChannel", "SuiteProvider", "is_weaker"]

NO_SUITE: Final = "none"
"""Name of the suite that protects nothing."""

SUITE_STRENGTH: Final = (NO_SUITE, "hpke-x25519", "vetkd-bls12-381")
"""The suites of the protocol, weakest first."""


def is_weaker(suite: str, minimum: str) -> bool:
    """Whether ``suite`` protects less than ``minimum``; a minimum that is not known is stronger than everything."""
    if suite not in SUITE_STRENGTH:
        return True
    return minimum not in SUITE_STRENGTH or SUITE_STRENGTH.index(suite) < SUITE_STRENGTH.index(minimum)


@dataclass(frozen=True, slots=True)
class AttachOffer:
    """What an open says about payload protection, with all that its keys are bound to.

    Attributes:
        suite: name of the suite.
        key_id: the canister key used, or None.
        enc: the encapsulated secret, or None.
        client_key: of the session.
        registration_id: 16 bytes, of the session.
        attach: number of the attach.
        next_in: next number from the client.
        next_out: next number to the client.
    """

    suite: str
    key_id: bytes | None
    enc: bytes | None
    client_key: ClientKey
    registration_id: bytes
    attach: int
    next_in: int
    next_out: int


class SealedChannel(Protocol):
    """Seals and opens the application's content of one session. Immutable.

    Methods raise :class:`icws_secure.errors.PayloadViolation`, nothing else.
    """

    def seal(self, seq: int, data: bytes) -> tuple[SealedChannel, bytes]:
        """The channel to go on with, and the content of message ``seq`` to the client. Called once for each number."""

    def open(self, seq: int, content: bytes) -> tuple[SealedChannel, bytes]:
        """The channel to go on with, and the data of message ``seq`` from the client; numbers may come out of order."""

    def to_stable(self) -> bytes:
        """What :meth:`SuiteProvider.restore` makes the channel from after an upgrade; contains keys."""


class SuiteProvider(Protocol):
    """Offers payload suites.

    ``keys`` is the provider's own state (the canister's keys): an immutable value that is kept with the canister's and
    rolled back with it, None until set with :meth:`~icws_secure.session.canister.CanisterSessions.set_suite_keys`.
    """

    def suites(self, keys: object, now: int) -> tuple[Suite, ...]:
        """What the certified parameters list, strongest first."""

    def attach(
        self, keys: object, offer: AttachOffer, previous: SealedChannel | None, now: int
    ) -> SealedChannel | None:
        """The channel of an attach, None for the suite ``none``; ``previous`` is that of the attach before.

        Raises:
            RefusalError: ``UnknownSuite``, ``UnknownKey`` or ``MalformedArgument``; by
                :func:`icws_secure.session.canister.refusal.refuse`.
        """

    def restore(self, data: bytes) -> SealedChannel:
        """The channel that gave ``data`` by :meth:`SealedChannel.to_stable`."""

    def keys_to_stable(self, keys: object) -> bytes:
        """``keys`` as bytes, for an upgrade."""

    def keys_from_stable(self, data: bytes) -> object:
        """``keys`` from such bytes."""


class PlainSuite:
    """The suite ``none`` alone."""

    def suites(self, keys: object, now: int) -> tuple[Suite, ...]:
        """``none``."""
        return (Suite(NO_SUITE),)

    def attach(
        self, keys: object, offer: AttachOffer, previous: SealedChannel | None, now: int
    ) -> SealedChannel | None:
        """No channel; every other suite is refused."""
        if offer.suite != NO_SUITE:
            refuse(RefusalCode.UNKNOWN_SUITE, "this canister offers the suite none alone")
        return None

    def restore(self, data: bytes) -> SealedChannel:
        """Cannot happen: there are no channels."""
        refuse(RefusalCode.UNKNOWN_SUITE, "this canister offers the suite none alone")

    def keys_to_stable(self, keys: object) -> bytes:
        """No keys."""
        return b""

    def keys_from_stable(self, data: bytes) -> object:
        """No keys."""
        return None
