"""The suite ``hpke-x25519``: content between one client and the canister, hidden from gateways and the network.

At each attach the client seals a fresh secret to the canister's key. Both directions' ratchets come of it::

    info        = CBOR ["icws-secure/1", canister, [client principal, client nonce], registration id, attach, suite,
    key id] chain(dir)  = HKDF-SHA-256(secret, info = CBOR ["icws-secure/1", suite, dir, info])        dir: "c2s" or
    "s2c" kid         = attach, 8 bytes big-endian
    external    = CBOR ["icws-secure/1", canister, [client principal, client nonce], dir, seq]

Each ratchet starts at the number that the attach message certifies as the next one of its direction. What was sealed
under an earlier attach is sent again as it is, so a receiver keeps the ratchets of earlier attaches until their
numbers have come.

Forward secrecy: who takes a ratchet learns no earlier content. But ``enc`` is public, and who takes the canister's
static key opens every attach that was sealed to it: that key's rotation is the granularity. Against the replicas that
run the canister there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import DecodeError, MisuseError, PayloadViolation, Reason
from ..limits import MAX_HOP_CHAINS, REORDER_WINDOW_MESSAGES
from ..wire import cbor
from ..wire.interface import ClientKey
from ..wire.principal import Principal
from .container import Algorithm, Encrypt0
from .hpke import open_secret, seal_secret
from .ratchet import Ratchet
from .sealing import open_sealed, seal
from .suites import SuiteName

__all__ = ["HOP_OVERHEAD_BYTES", "Direction", "HopChannel", "HopEnd", "HopSession", "hop_external", "hop_info"]

_VERSION: Final = "icws-secure/1"
_ALGORITHM: Final = Algorithm.CHACHA20_POLY1305
_ATTACH_BYTES: Final = 8

HOP_OVERHEAD_BYTES: Final = 52
"""What a sealed content is longer than its text, at most: array 1, headers 15, nonce 15, tag 16, length 1 to 5."""


class Direction(StrEnum):
    """Which way a message goes."""

    TO_CANISTER = "c2s"
    TO_CLIENT = "s2c"


class HopEnd(StrEnum):
    """Which end of a session a channel is."""

    CLIENT = "client"
    CANISTER = "canister"


@dataclass(frozen=True, slots=True)
class HopSession:
    """What all keys of a session are bound to.

    Attributes:
        canister: the canister.
        client_key: names the session at the canister.
        registration_id: 16 bytes, from the certified registration.
    """

    canister: Principal
    client_key: ClientKey
    registration_id: bytes


def hop_info(session: HopSession, attach: int, key_id: bytes | None) -> bytes:
    """What the secret of an attach is bound to: HPKE's ``info``."""
    # [ICWS-PAY-004]
    return cbor.encode(
        [
            _VERSION,
            session.canister.raw,
            _client_key(session.client_key),
            session.registration_id,
            attach,
            SuiteName.HPKE.value,
            key_id,
        ]
    )


def hop_external(session: HopSession, direction: Direction, seq: int) -> bytes:
    """The place of a content, which its seal is bound to."""
    # [ICWS-PAY-007]
    return cbor.encode([_VERSION, session.canister.raw, _client_key(session.client_key), direction.value, seq])


@dataclass(frozen=True, slots=True, repr=False)
class HopChannel:
    """One end of a session's sealed content. Immutable: methods give the channel to go on with.

    Attributes:
        session: what it belongs to.
        end: which end it is.
        attach: the attach that new contents are sealed under; 0 before the first.
    """

    session: HopSession
    end: HopEnd
    attach: int = 0
    _sending: Ratchet | None = None
    _receiving: Mapping[int, Ratchet] = field(default_factory=lambda: MappingProxyType({}))

    def offer(self, attach: int, *, secret: bytes, public_key: bytes, key_id: bytes | None) -> bytes:
        """``enc`` of an attach, for ``ws_open``. Nothing changes until the attach is confirmed; see :meth:`attached`.

        Args:
            attach: the number of the attach.
            secret: 32 uniformly random bytes, used for this attach alone.
            public_key: the canister's key, from its certified parameters.
            key_id: its name there.

        Raises:
            MisuseError: the secret has another length.
            PayloadViolation: BAD_PUBLIC_KEY.
        """
        return seal_secret(secret, public_key, hop_info(self.session, attach, key_id))

    def accept(
        self, attach: int, enc: bytes, *, private_key: bytes, key_id: bytes | None, send_from: int, receive_from: int
    ) -> HopChannel:
        """The canister's side of an attach: opens ``enc`` and goes on as :meth:`attached` does.

        Raises:
            PayloadViolation: OPEN_FAILED.
            MisuseError: the attach is not higher than the one before.
        """
        secret = open_secret(enc, private_key, hop_info(self.session, attach, key_id))
        return self.attached(attach, secret=secret, key_id=key_id, send_from=send_from, receive_from=receive_from)

    def attached(
        self, attach: int, *, secret: bytes, key_id: bytes | None, send_from: int, receive_from: int
    ) -> HopChannel:
        """The channel from an attach on; earlier attaches' contents can still be opened.

        Args:
            attach: the number of the attach, higher than any before.
            secret: the secret of :meth:`offer`.
            key_id: the name of the canister's key.
            send_from: the next number of this end's direction, by the certified attach message.
            receive_from: the next number of the other direction.

        Raises:
            MisuseError: the attach is not higher than the one before.
        """
        if attach <= self.attach:
            raise MisuseError("attaches are numbered upwards", reason=Reason.WRONG_STATE, attach=attach)
        info = hop_info(self.session, attach, key_id)
        receiving = dict(self._receiving)
        if self.end is HopEnd.CLIENT:
            # The canister seals what it sends from here on under this attach: ratchets that have come so far are done.
            receiving = {old: ratchet for old, ratchet in receiving.items() if ratchet.position < receive_from}
        receiving[attach] = Ratchet(_chain(secret, self._inbound, info), receive_from)
        while len(receiving) > MAX_HOP_CHAINS:
            del receiving[min(receiving)]
        return replace(
            self,
            attach=attach,
            _sending=Ratchet(_chain(secret, self._outbound, info), send_from),
            _receiving=MappingProxyType(receiving),
        )

    def seal(self, seq: int, data: bytes) -> tuple[HopChannel, bytes]:
        """Seals message ``seq``. What is sent again must be these bytes: no number is sealed twice.

        Raises:
            MisuseError: there was no attach yet, or the number was sealed or passed.
        """
        # [ICWS-PAY-002]
        if self._sending is None or seq < self._sending.position:
            raise MisuseError(
                "a message number is sealed once, after an attach",
                reason=Reason.WRONG_STATE,
                requirement="ICWS-PAY-002",
                seq=seq,
            )
        sending, key = self._sending.take(seq)
        external = hop_external(self.session, self._outbound, seq)
        content = seal(_ALGORITHM, key, data, kid=_kid(self.attach), external=external)
        # [ICWS-PAY-005]
        return replace(self, _sending=sending), content

    def open(self, seq: int, content: bytes) -> tuple[HopChannel, bytes]:
        """Opens message ``seq``, whose number is authenticated already; numbers may come out of order, within the
        window.

        Raises:
            PayloadViolation: UNSEALED, UNKNOWN_KEY, REPLAYED, TOO_MANY or OPEN_FAILED. Nothing has changed then.
        """
        # [ICWS-PAY-003]
        container = Encrypt0.decode(content, _ALGORITHM)
        attach = int.from_bytes(container.kid, "big")
        ratchet = self._receiving.get(attach)
        # [ICWS-PAY-005]
        if ratchet is None or container.kid != _kid(attach):
            raise PayloadViolation(
                "content is sealed under an attach whose keys are not kept",
                reason=Reason.UNKNOWN_KEY,
                requirement="ICWS-PAY-005",
                attach=attach if len(container.kid) == _ATTACH_BYTES else None,
            )
        advanced, key = ratchet.take(seq, window=REORDER_WINDOW_MESSAGES)
        # [ICWS-PAY-007]
        data = open_sealed(container, key, external=hop_external(self.session, self._inbound, seq))
        # [ICWS-PAY-005] Only now: what does not open takes no key with it.
        return replace(self, _receiving=MappingProxyType({**self._receiving, attach: advanced})), data

    def forgetting(self, before_attach: int) -> HopChannel:
        """The channel without the receiving keys of attaches before ``before_attach``, whose contents have all come."""
        kept = {attach: ratchet for attach, ratchet in self._receiving.items() if attach >= before_attach}
        return replace(self, _receiving=MappingProxyType(kept))

    def delivered(self, through_seq: int) -> HopChannel:
        """The channel without the receiving keys that messages above ``through_seq`` cannot need.

        For the client: the canister seals number n under the newest attach that starts at or below it.
        """
        starts = sorted(self._receiving.items())
        last = self.attach
        for (attach, _), (_, later) in pairwise(starts):
            if later.position > through_seq + 1:
                last = attach
                break
        return self.forgetting(last)

    def to_bytes(self) -> bytes:
        """The channel for storage; contains keys."""
        sending = None if self._sending is None else self._sending.to_value()
        receiving = [[attach, ratchet.to_value()] for attach, ratchet in sorted(self._receiving.items())]
        return cbor.encode([self.end.value, self.attach, sending, receiving])

    @classmethod
    def from_bytes(cls, session: HopSession, data: bytes) -> HopChannel:
        """The channel that gave ``data`` by :meth:`to_bytes`.

        Raises:
            DecodeError: it is not such data.
        """
        match cbor.decode(data, what="channel keys"):
            case [("client" | "canister") as end, int(attach), sending, list(rows)]:
                ratchet = None if sending is None else Ratchet.from_value(sending)
                return cls(session, HopEnd(end), attach, ratchet, MappingProxyType(dict(map(_row, rows))))
            case _:
                raise DecodeError("stored channel keys cannot be read", reason=Reason.WRONG_TYPE)

    @property
    def _outbound(self) -> Direction:
        return Direction.TO_CANISTER if self.end is HopEnd.CLIENT else Direction.TO_CLIENT

    @property
    def _inbound(self) -> Direction:
        return Direction.TO_CLIENT if self.end is HopEnd.CLIENT else Direction.TO_CANISTER

    def __repr__(self) -> str:
        return f"HopChannel(end={self.end.value!r}, attach={self.attach}, kept={sorted(self._receiving)})"


def _client_key(client_key: ClientKey) -> list[object]:
    return [client_key.client_principal.raw, client_key.client_nonce]


def _chain(secret: bytes, direction: Direction, info: bytes) -> bytes:
    label = cbor.encode([_VERSION, SuiteName.HPKE.value, direction.value, info])
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=label).derive(secret)


def _kid(attach: int) -> bytes:
    return attach.to_bytes(_ATTACH_BYTES, "big")


def _row(row: object) -> tuple[int, Ratchet]:
    match row:
        case [int(attach), value]:
            return attach, Ratchet.from_value(value)
        case _:
            raise DecodeError("stored channel keys cannot be read", reason=Reason.WRONG_TYPE)
