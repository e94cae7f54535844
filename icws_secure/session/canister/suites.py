"""The payload suites of a canister: ``hpke-x25519`` and ``vetkd-bls12-381`` behind :mod:`.sealing`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from icws_secure.errors import DecodeError, MisuseError, PayloadViolation, Reason
from icws_secure.limits import HPKE_KEY_GRACE_NS, HPKE_KEY_LIFETIME_NS
from icws_secure.payload import (
    HopChannel,
    HopEnd,
    HopSession,
    KeyRing,
    SuiteName,
    decode_room_message,
    decode_room_post,
    is_weaker,
)
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Suite

from .refusal import RefusalError, refuse
from .sealing import AttachOffer, SealedChannel

__all__ = ["SealedSuites"]

_STRONGEST_FIRST: Final = (SuiteName.VETKD, SuiteName.HPKE, SuiteName.NONE)


@dataclass(frozen=True, slots=True, repr=False)
class _HopSealing:
    """A session's content under ``hpke-x25519``."""

    channel: HopChannel

    @property
    def suite(self) -> str:
        return SuiteName.HPKE.value

    def seal(self, seq: int, data: bytes) -> tuple[_HopSealing, bytes]:
        channel, content = self.channel.seal(seq, data)
        return _HopSealing(channel), content

    def open(self, seq: int, content: bytes) -> tuple[_HopSealing, bytes]:
        channel, data = self.channel.open(seq, content)
        return _HopSealing(channel), data

    def to_stable(self) -> bytes:
        session = self.channel.session
        key = session.client_key
        names = [session.canister.raw, key.client_principal.raw, key.client_nonce, session.registration_id]
        return cbor.encode([self.suite, *names, self.channel.to_bytes()])

    def __repr__(self) -> str:
        return f"<{self.suite} {self.channel!r}>"


@dataclass(frozen=True, slots=True)
class _RoomSealing:
    """A session's content under ``vetkd-bls12-381``: members seal and open, the canister sees that it is sealed."""

    @property
    def suite(self) -> str:
        return SuiteName.VETKD.value

    def seal(self, seq: int, data: bytes) -> tuple[_RoomSealing, bytes]:
        try:
            decode_room_message(data)
        except PayloadViolation as error:
            # [ICWS-PAY-003]
            raise MisuseError(
                "under vetkd-bls12-381 a canister sends what it has of its members, and rooms' notices",
                reason=Reason.UNSEALED,
                requirement="ICWS-PAY-003",
            ) from error
        return self, data

    def open(self, seq: int, content: bytes) -> tuple[_RoomSealing, bytes]:
        # [ICWS-PAY-003]
        decode_room_post(content)
        return self, content

    def to_stable(self) -> bytes:
        return cbor.encode([self.suite])


@dataclass(frozen=True, slots=True)
class SealedSuites:
    """Offers payload suites; its keys are a :class:`~icws_secure.payload.KeyRing`.

    A canister that leaves out ``none`` refuses sessions without protection; sessions of ``omnia/1`` have none, so such
    a canister serves the profile ``secure`` alone.

    Args:
        offered: the suites.
        lifetime_ns: how long an HPKE key is offered.
        grace_ns: how long it is taken after that, at least 15 minutes.
        canister: the canister that keys are bound to; the kit sets it.

    Raises:
        MisuseError: nothing is offered, or a duration is out of range.
    """

    offered: frozenset[SuiteName] = frozenset({SuiteName.HPKE, SuiteName.NONE})
    lifetime_ns: int = HPKE_KEY_LIFETIME_NS
    grace_ns: int = HPKE_KEY_GRACE_NS
    canister: Principal | None = None

    def __post_init__(self) -> None:
        if not self.offered or self.lifetime_ns <= 0:
            raise MisuseError("suites are offered, and their keys live for a time", reason=Reason.INVALID_ARGUMENT)
        self._no_keys()

    def for_canister(self, canister: Principal) -> SealedSuites:
        """The same suites with keys for ``canister``."""
        return replace(self, canister=canister)

    def due(self, keys: object) -> int | None:
        """When an HPKE key is to be replaced or forgotten."""
        return self._ring(keys).due_ns if SuiteName.HPKE in self.offered else None

    def renewed(self, keys: object, entropy: bytes, now: int) -> KeyRing:
        """The ring with ``entropy`` as its current key, if that was due."""
        ring = self._ring(keys).without_expired(now)
        # [ICWS-PAY-013]
        return ring.rotated(entropy, now) if ring.rotate_at_ns <= now else ring

    def suites(self, keys: object, now: int) -> tuple[Suite, ...]:
        """What is offered, strongest first; HPKE only once there is a key."""
        ring = self._ring(keys)
        found = []
        for name in _STRONGEST_FIRST:
            if name not in self.offered or (name is SuiteName.HPKE and not ring.keys):
                continue
            suite = Suite(name.value)
            if name is SuiteName.HPKE:
                key = ring.current
                suite = Suite(name.value, key.key_id, key.public_key, key.replace_at_ns)
            found.append(suite)
        return tuple(found)

    def attach(
        self, keys: object, offer: AttachOffer, previous: SealedChannel | None, now: int
    ) -> SealedChannel | None:
        """The channel of an attach."""
        # [ICWS-PAY-012]
        if all(is_weaker(offer.suite, name) for name in self.offered):
            refuse(RefusalCode.SUITE_TOO_WEAK, "this canister offers stronger suites only")
        if offer.suite not in self.offered:
            refuse(RefusalCode.UNKNOWN_SUITE, "this canister does not offer the suite")
        if offer.suite == SuiteName.HPKE:
            return self._hop(self._ring(keys), offer, previous, now)
        if offer.enc is not None or offer.key_id is not None:
            refuse(RefusalCode.MALFORMED_ARGUMENT, "the suite has no key in the open")
        return _RoomSealing() if offer.suite == SuiteName.VETKD else None

    def _hop(self, ring: KeyRing, offer: AttachOffer, previous: SealedChannel | None, now: int) -> _HopSealing:
        if self.canister is None:
            raise MisuseError("the suites are not bound to a canister", reason=Reason.WRONG_STATE)
        if offer.enc is None:
            refuse(RefusalCode.MALFORMED_ARGUMENT, "the sealed secret is missing")
        try:
            key = ring.find(offer.key_id, now)
        except PayloadViolation as error:
            # [ICWS-PAY-013]
            name = "none" if offer.key_id is None else offer.key_id[:16].hex()
            raise RefusalError(RefusalCode.UNKNOWN_KEY, name) from error
        if isinstance(previous, _HopSealing):
            channel = previous.channel
        else:
            session = HopSession(self.canister, offer.client_key, offer.registration_id)
            channel = HopChannel(session, HopEnd.CANISTER)
        try:
            # [ICWS-PAY-004]
            channel = channel.accept(
                offer.attach,
                offer.enc,
                private_key=key.private_key,
                key_id=offer.key_id,
                next_in=offer.next_in,
                next_out=offer.next_out,
            )
        except PayloadViolation as error:
            raise RefusalError(RefusalCode.MALFORMED_ARGUMENT, "the sealed secret does not open") from error
        return _HopSealing(channel)

    def restore(self, data: bytes) -> SealedChannel:
        """The channel that gave ``data``.

        Raises:
            DecodeError: it is not such data.
        """
        match cbor.decode(data, what="a sealed channel", max_bytes=1 << 20):
            case [SuiteName.VETKD]:
                return _RoomSealing()
            case [SuiteName.HPKE, bytes(canister), bytes(client), int(nonce), bytes(registration_id), bytes(keys)]:
                session = HopSession(Principal(canister), ClientKey(Principal(client), nonce), registration_id)
                return _HopSealing(HopChannel.from_bytes(session, keys))
        raise DecodeError("this is not a sealed channel", reason=Reason.MALFORMED)

    def keys_to_stable(self, keys: object) -> bytes:
        """The ring as bytes."""
        return self._ring(keys).to_bytes()

    def keys_from_stable(self, data: bytes) -> KeyRing:
        """The ring from such bytes; empty where there was none. The durations are those of the settings."""
        kept = KeyRing.from_bytes(data).keys if data else ()
        return replace(self._no_keys(), keys=kept)

    def _ring(self, keys: object) -> KeyRing:
        return keys if isinstance(keys, KeyRing) else self._no_keys()

    def _no_keys(self) -> KeyRing:
        return KeyRing((), self.lifetime_ns, self.grace_ns)
