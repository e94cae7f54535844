"""The suite ``hpke-x25519``: content between one client and the canister, hidden from gateways and the network.

At each attach the client seals a fresh secret to the canister's key. Both directions' ratchets come of it::

    client key  = [client principal, client nonce]
    info        = CBOR ["icws-secure/1", canister, client key, registration id, attach, suite, key id]
    chain(dir)  = HKDF-SHA-256(secret, info = CBOR ["icws-secure/1", suite, dir, info])      dir: "c2s" or "s2c"
    kid         = attach, 8 bytes big-endian
    external    = CBOR ["icws-secure/1", canister, client key, dir, seq]

The ratchet ``c2s`` starts at ``next_in`` of the attach message, ``s2c`` at the first message that is sealed under the
attach: the canister may have sealed under an attach whose attach message was held back, and the client opens that too.
What was sealed under an earlier attach is sent again as it is, so a receiver keeps the ratchets of earlier attaches
until their numbers have come, that is until a message that was sealed under a later one has had its turn.

Forward secrecy: who takes a ratchet learns no earlier content. But ``enc`` is public, and who takes the canister's
static key opens every attach that was sealed to it: that key's rotation is the granularity. Against the replicas that
run the canister there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import DecodeError, MisuseError, PayloadViolation, Reason
from ..limits import MAX_HOP_CHAINS
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
_FIRST_SEALED: Final = 0  # a ratchet that starts at the first number sealed

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
    _next_out: int = 1

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
        self, attach: int, enc: bytes, *, private_key: bytes, key_id: bytes | None, next_in: int, next_out: int
    ) -> HopChannel:
        """The canister's side of an attach: opens ``enc`` and goes on as :meth:`attached` does.

        Raises:
            PayloadViolation: OPEN_FAILED.
            MisuseError: the attach is not higher than the one before.
        """
        secret = open_secret(enc, private_key, hop_info(self.session, attach, key_id))
        return self.attached(attach, secret=secret, key_id=key_id, next_in=next_in, next_out=next_out)

    def attached(self, attach: int, *, secret: bytes, key_id: bytes | None, next_in: int, next_out: int) -> HopChannel:
        """The channel from an attach on; earlier attaches' contents can still be opened.

        Args:
            attach: the number of the attach.
            secret: the secret of :meth:`offer`.
            key_id: the name of the canister's key.
            next_in: the next number to the canister, by the attach message.
            next_out: the next number to the client, by the attach message.

        Raises:
            MisuseError: the attach is not higher than the one before.
        """
        channel = self
        if self.end is HopEnd.CLIENT and next_out == self._next_out:
            # Nothing was numbered since the attach before, so nothing is sealed under it or what was tried since.
            kept = {earlier: each for earlier, each in self._receiving.items() if earlier < self.attach}
            channel = replace(self, _receiving=MappingProxyType(kept))
        channel = channel._expecting(attach, secret, key_id, next_in if self.end is HopEnd.CANISTER else _FIRST_SEALED)
        start = next_in if self.end is HopEnd.CLIENT else _FIRST_SEALED
        sending = Ratchet(_chain(secret, self._outbound, hop_info(self.session, attach, key_id)), start)
        return replace(channel, attach=attach, _sending=sending, _next_out=next_out)

    def expecting(self, attach: int, *, secret: bytes, key_id: bytes | None) -> HopChannel:
        """The client's channel, where the canister may have taken an open whose attach message never came: what it has
        sealed since can be opened. Follow with :meth:`attached` of a later attach.

        Raises:
            MisuseError: the attach is not higher than the one before.
        """
        return self._expecting(attach, secret, key_id, _FIRST_SEALED)

    def _expecting(self, attach: int, secret: bytes, key_id: bytes | None, start: int) -> HopChannel:
        if attach <= self.attach:
            raise MisuseError("attaches are numbered upwards", reason=Reason.WRONG_STATE, attach=attach)
        chain = _chain(secret, self._inbound, hop_info(self.session, attach, key_id))
        receiving = {**self._receiving, attach: Ratchet(chain, start)}
        while len(receiving) > MAX_HOP_CHAINS:
            del receiving[min(receiving)]
        return replace(self, _receiving=MappingProxyType(receiving))

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
        """Opens message ``seq``, whose number is authenticated already.

        Keep the channel that comes back if the message was the next in order; if it has come ahead of its turn, keep
        the one before: then what is missing can still be opened, and this message again, should it be dropped.

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
        advanced, key = ratchet.take(seq)
        # [ICWS-PAY-007]
        data = open_sealed(container, key, external=hop_external(self.session, self._inbound, seq))
        # [ICWS-PAY-005] Only now: what does not open takes no key with it.
        # Numbers rise with attaches: what was sealed under earlier ones has all come once this one's turn has.
        receiving = {kept: each for kept, each in self._receiving.items() if kept > attach} | {attach: advanced}
        return replace(self, _receiving=MappingProxyType(receiving)), data

    def with_keys_of(self, earlier: HopChannel) -> HopChannel:
        """This channel, with the receiving keys that it had when it was ``earlier``, for a session that is to be given
        again what came since."""
        return replace(self, _receiving=MappingProxyType({**self._receiving, **earlier._receiving}))

    def to_bytes(self) -> bytes:
        """The channel for storage; contains keys."""
        sending = None if self._sending is None else self._sending.to_value()
        receiving = [[attach, ratchet.to_value()] for attach, ratchet in sorted(self._receiving.items())]
        return cbor.encode([self.end.value, self.attach, sending, receiving, self._next_out])

    @classmethod
    def from_bytes(cls, session: HopSession, data: bytes) -> HopChannel:
        """The channel that gave ``data`` by :meth:`to_bytes`.

        Raises:
            DecodeError: it is not such data.
        """
        match cbor.decode(data, what="channel keys"):
            case [("client" | "canister") as end, int(attach), sending, list(rows), int(next_out)]:
                ratchet = None if sending is None else Ratchet.from_value(sending)
                return cls(session, HopEnd(end), attach, ratchet, MappingProxyType(dict(map(_row, rows))), next_out)
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
