"""Payload protection of one client session: a suite chosen once, and its keys.

Under ``hpke-x25519`` content is sealed to the canister here. Under ``vetkd-bls12-381`` it is sealed by a room's members
before it comes here (see :mod:`icws_secure.payload.room`), and what is not sealed is refused, in both directions.

An open whose answer is held back may have been taken by the canister all the same, and messages may be sealed under
it: the secrets of such attaches are kept, and saved, until a later attach is confirmed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from ...errors import DecodeError, MisuseError, PayloadViolation, Reason
from ...limits import MAX_HOP_CHAINS
from ...payload import (
    HOP_OVERHEAD_BYTES,
    HopChannel,
    HopEnd,
    HopSession,
    SuiteName,
    choose_suite,
    decode_room_message,
    decode_room_post,
    is_weaker,
)
from ...wire import cbor
from ...wire.interface import ClientKey
from ...wire.principal import Principal
from ...wire.registration import Parameters, Suite
from .channel import PayloadOffer

__all__ = ["SuiteChannel"]

_SECRET_BYTES: Final = 32
_MAX_STATE_BYTES: Final = 1 << 20


class SuiteChannel:
    """Seals and opens the content of one session; a :class:`~.channel.PayloadChannel`. Not to be used for two.

    Args:
        canister: the canister.
        strongest: the strongest suite to take.
        minimum: the weakest suite to take.
        entropy: gives that many unpredictable bytes.

    Raises:
        MisuseError: the minimum is stronger than the strongest.
    """

    def __init__(
        self, canister: Principal, *, strongest: SuiteName, minimum: SuiteName, entropy: Callable[[int], bytes]
    ) -> None:
        # [ICWS-PAY-012]
        if is_weaker(strongest, minimum):
            raise MisuseError("the minimum is stronger than the suite", suite=str(strongest), minimum=str(minimum))
        self._canister = canister
        self._minimum = minimum
        self._supported = [suite.value for suite in SuiteName if not is_weaker(strongest, suite)]
        self._entropy = entropy
        self._suite: str | None = None
        self._hop: HopChannel | None = None
        self._offered: dict[int, tuple[bytes, bytes | None]] = {}  # secret and key id by attach, ascending
        self._untaken: deque[tuple[int, HopChannel]] = deque()  # number opened, and the channel before

    def __repr__(self) -> str:
        return f"<SuiteChannel {self._suite}>"

    @property
    def suite(self) -> str | None:
        """Name of the suite, None before it is chosen."""
        return self._suite

    @property
    def overhead(self) -> int:
        """How many bytes a content is longer than its data."""
        return HOP_OVERHEAD_BYTES if self._suite in (None, SuiteName.HPKE) else 0

    def negotiate(self, parameters: Parameters) -> None:
        """Choose a suite."""
        self._suite = self._chosen(parameters).name

    def offer(self, parameters: Parameters, client_key: ClientKey, attach: int) -> PayloadOffer:
        """Prepare an attachment's keys."""
        suite = self._chosen(parameters)
        self._suite = suite.name
        if suite.name != SuiteName.HPKE:
            return PayloadOffer(suite.name)
        if suite.public_key is None:
            raise PayloadViolation("the canister's HPKE key is missing", reason=Reason.BAD_PUBLIC_KEY)
        if self._hop is None:
            session = HopSession(self._canister, client_key, parameters.registration_id)
            self._hop = HopChannel(session, HopEnd.CLIENT)
        secret = self._entropy(_SECRET_BYTES)
        enc = self._hop.offer(attach, secret=secret, public_key=suite.public_key, key_id=suite.key_id)
        self._offered[attach] = secret, suite.key_id
        while len(self._offered) > MAX_HOP_CHAINS:
            del self._offered[min(self._offered)]
        return PayloadOffer(suite.name, suite.key_id, enc)

    def attached(self, attach: int, *, next_in: int, next_out: int) -> None:
        """An attachment is confirmed."""
        if self._hop is None:
            return
        if attach not in self._offered:
            raise MisuseError("an attach that was not offered", reason=Reason.WRONG_STATE, attach=attach)
        for earlier in [each for each in sorted(self._offered) if each < attach]:
            secret, key_id = self._offered.pop(earlier)
            self._hop = self._hop.expecting(earlier, secret=secret, key_id=key_id)
        secret, key_id = self._offered.pop(attach)
        self._hop = self._hop.attached(attach, secret=secret, key_id=key_id, next_in=next_in, next_out=next_out)

    def check(self, data: bytes) -> None:
        """Refuse what is not sealed where members seal."""
        if self._suite == SuiteName.VETKD:
            try:
                decode_room_post(data)
            except PayloadViolation as error:
                # [ICWS-PAY-003]
                raise MisuseError(
                    "under vetkd-bls12-381 a message is sealed for a room",
                    reason=Reason.UNSEALED,
                    requirement="ICWS-PAY-003",
                ) from error

    def seal(self, seq: int, data: bytes) -> bytes:
        """Seal a message."""
        if self._suite != SuiteName.HPKE:
            self.check(data)
            return data
        self._hop, content = self._keys().seal(seq, data)
        return content

    def open(self, seq: int, content: bytes) -> bytes:
        """Open a message."""
        if self._suite != SuiteName.HPKE:
            if self._suite == SuiteName.VETKD:
                # [ICWS-PAY-003]
                decode_room_message(content)
            return content
        before = self._keys()
        self._hop, data = before.open(seq, content)
        self._untaken.append((seq, before))
        return data

    def taken(self, through_seq: int) -> None:
        """Forget how to open these messages again."""
        while self._untaken and self._untaken[0][0] <= through_seq:
            self._untaken.popleft()

    def export_state(self) -> bytes:
        """The keys, and those of messages that were not taken."""
        keys = None
        if self._hop is not None:
            hop = self._hop
            for _, before in reversed(self._untaken):
                hop = hop.with_keys_of(before)
            keys = hop.to_bytes()
        offered = [[attach, secret, key_id] for attach, (secret, key_id) in sorted(self._offered.items())]
        return cbor.encode([self._suite, keys, offered])

    def restore(self, state: bytes, parameters: Parameters, client_key: ClientKey) -> None:
        """Go on from saved keys."""
        match cbor.decode(state, what="saved keys", max_bytes=_MAX_STATE_BYTES):
            case [None, None, []]:
                return
            case [str(suite), (bytes() | None) as keys, list(offered)]:
                pass
            case _:
                raise _malformed()
        self._suite = suite
        self._chosen(parameters)
        session = HopSession(self._canister, client_key, parameters.registration_id)
        self._hop = None if keys is None else HopChannel.from_bytes(session, keys)
        self._offered = dict(map(_offer, offered))

    def close(self) -> None:
        """Drop all keys."""
        self._hop = None
        self._offered.clear()
        self._untaken.clear()

    def _keys(self) -> HopChannel:
        if self._hop is None:
            raise MisuseError("there are no keys before the first attach, and after the end", reason=Reason.WRONG_STATE)
        return self._hop

    def _chosen(self, parameters: Parameters) -> Suite:
        supported = self._supported
        if self._suite is not None:
            # Content is sent again as it was sealed, so a session keeps its suite.
            supported = [suite for suite in supported if suite == self._suite]
        # [ICWS-PAY-012]
        return choose_suite(parameters.suites, minimum=self._minimum, supported=supported)


def _offer(row: object) -> tuple[int, tuple[bytes, bytes | None]]:
    match row:
        case [int(attach), bytes(secret), (bytes() | None) as key_id] if len(secret) == _SECRET_BYTES:
            return attach, (secret, key_id)
        case _:
            raise _malformed()


def _malformed() -> DecodeError:
    return DecodeError("saved keys cannot be read", reason=Reason.MALFORMED)
