"""The place where payload protection is plugged into a canister's sessions.

A provider offers suites and makes a channel for each attach that agrees on one. Channels are immutable: sealing and
opening give the channel to go on with, which the session keeps only if the whole execution succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from icws_secure.payload import SuiteName
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Suite

from .refusal import refuse

__all__ = ["AttachOffer", "PlainSuite", "SealedChannel", "SuiteProvider"]

_NONE: Final = SuiteName.NONE.value


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

    ``open`` raises :class:`icws_secure.errors.PayloadViolation`, ``seal`` :class:`icws_secure.errors.MisuseError`,
    nothing else.
    """

    @property
    def suite(self) -> str:
        """Name of the suite."""

    def seal(self, seq: int, data: bytes) -> tuple[SealedChannel, bytes]:
        """The channel to go on with, and the content of message ``seq`` to the client. Called once for each number."""

    def open(self, seq: int, content: bytes) -> tuple[SealedChannel, bytes]:
        """The data of message ``seq`` from the client, and the channel to go on with if it was the next in order.

        What has come ahead of its turn is opened with a channel that is not kept: it may be dropped and come again.
        """

    def to_stable(self) -> bytes:
        """What :meth:`SuiteProvider.restore` makes the channel from after an upgrade; contains keys."""


class SuiteProvider(Protocol):
    """Offers payload suites.

    ``keys`` is the provider's own state (the canister's keys): an immutable value that is kept with the canister's and
    rolled back with it, None until set with :meth:`~icws_secure.session.canister.CanisterSessions.set_suite_keys`.
    """

    def for_canister(self, canister: Principal) -> SuiteProvider:
        """The provider of one canister, whose id the keys are bound to."""

    def due(self, keys: object) -> int | None:
        """Canister time at which :meth:`renewed` has something to do, or None; 0 where there are no keys yet."""

    def renewed(self, keys: object, entropy: bytes, now: int) -> object:
        """``keys`` with a fresh one in place of one that is too old, and without those that are past their grace.

        Args:
            keys: the keys so far, or None.
            entropy: 32 bytes that nobody can guess.
            now: canister time.
        """

    def suites(self, keys: object, now: int) -> tuple[Suite, ...]:
        """What the certified parameters list, strongest first."""

    def attach(
        self, keys: object, offer: AttachOffer, previous: SealedChannel | None, now: int
    ) -> SealedChannel | None:
        """The channel of an attach, None for the suite ``none``; ``previous`` is that of the attach before.

        Raises:
            RefusalError: ``UnknownSuite``, ``SuiteTooWeak``, ``UnknownKey`` or ``MalformedArgument``; by
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

    def for_canister(self, canister: Principal) -> PlainSuite:
        """The same for all."""
        return self

    def due(self, keys: object) -> int | None:
        """Never."""
        return None

    def renewed(self, keys: object, entropy: bytes, now: int) -> object:
        """No keys."""
        return None

    def suites(self, keys: object, now: int) -> tuple[Suite, ...]:
        """``none``."""
        return (Suite(_NONE),)

    def attach(
        self, keys: object, offer: AttachOffer, previous: SealedChannel | None, now: int
    ) -> SealedChannel | None:
        """No channel; every other suite is refused."""
        if offer.suite != _NONE:
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
