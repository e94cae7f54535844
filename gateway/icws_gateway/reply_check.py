"""The answer to a poll, checked before anything of it reaches a client.

A replica that lies or lags must not be charged to this gateway, so of every poll it is checked, without any pairing:
the keys are of our queue; the witness is well formed and its root hash is the certified data of the canister in the
certificate; each message's hash is the leaf at its key; and each message is of the client key that it is addressed to.
Whether the certificate is genuine is for the clients, who do not believe the gateway anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from icws_secure.errors import IcwsError
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG
from icws_secure.wire.certificate import Certificate, decode_certificate
from icws_secure.wire.hashtree import Found, lookup
from icws_secure.wire.interface import CertifiedMessages, decode_get_messages_result
from icws_secure.wire.leb128 import decode_unsigned_exact
from icws_secure.wire.message import NONCE_DIGITS, TOMBSTONE_CLIENT_KEY, decode_message
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.usual_reply import usual_reply

from .directory import owner_of, owner_of_usual
from .pruned_witness import NOTHING, PrunedWitness
from .usual_witness import usual_witness

__all__ = ["CheckedReply", "PollRefused", "QueuedMessage", "ReplicaFault", "ReplyChecker", "Witness", "witnessed"]

_LAST_NONCE: Final = (1 << 64) - 1  # of a queue, as the argument of a poll has it
_MAX_MESSAGES: Final = 1_000  # of one reply; canisters send 50
_KNOWN_CERTIFICATES: Final = 32  # decoded certificates that are kept; a block's polls share one
_OVERHEAD: Final = 256  # bytes that a message takes besides its content


class ReplicaFault(Exception):  # noqa: N818 - named for whose it is
    """A replica's answer contradicts itself. ``kind`` is a short name for the metric."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class PollRefused(Exception):  # noqa: N818 - named for what happened
    """The canister answered the poll with ``Err``."""


class QueuedMessage(NamedTuple):
    """One message of our queue at a canister. (A tuple: a frozen dataclass takes five times as long to make.)

    Attributes:
        nonce: its place in the queue.
        key: its key, in ASCII.
        content: the message.
        owner: whose it is, as :func:`~.directory.owner_of` names client keys.
        leaf: SHA-256 of the content, which the witness shows.
        place: number of that leaf in the witness of its reply.
    """

    nonce: int
    key: bytes
    content: bytes
    owner: bytes
    leaf: bytes
    place: int

    def __repr__(self) -> str:
        return f"QueuedMessage(nonce={self.nonce}, key={self.key!r}, owner={self.owner.hex()})"

    @property
    def size(self) -> int:
        """Bytes that it occupies."""
        return len(self.content) + _OVERHEAD


class Witness(Protocol):
    """The witness of a poll: that of :mod:`~icws_gateway.usual_witness` where it can be, else the general one."""

    @property
    def digest(self) -> bytes:
        """Its root hash, 32 bytes."""

    @property
    def messages(self) -> Mapping[bytes, tuple[int, bytes]]:
        """Number and value of each leaf in ``websocket``, by its key."""

    def show_leaves(self, numbers: Sequence[int]) -> bytes:
        """The encoded tree with these leaves and digests for the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedReply:
    """A poll's answer that passed every check.

    Attributes:
        messages: by ascending nonce.
        more: the queue goes on.
        certificate: CBOR, as received.
        witness: ready to be shown in parts.
        time_ns: of the certificate; 0 for an empty answer, which has none.
    """

    messages: tuple[QueuedMessage, ...]
    more: bool
    certificate: bytes
    witness: Witness
    time_ns: int


_Addressed = tuple[bytes, bytes, bytes]
"""Key, content and owner of a message that was not checked yet."""


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a certificate says about the canister."""

    certified_data: bytes
    time_ns: int
    old_ranges: bool


class ReplyChecker:
    """Checks the answers of one canister.

    Args:
        canister: who was asked.
        gateway: our own principal, whose queue it is.
    """

    def __init__(self, canister: Principal, gateway: Principal) -> None:
        self._canister = canister
        self._prefix = gateway.to_text().encode("ascii") + b"_"
        self._statements: OrderedDict[bytes, _Statement] = OrderedDict()

    def check(self, arg: bytes) -> CheckedReply:
        """Decodes and checks the reply of ``ws_get_messages``.

        Raises:
            ReplicaFault: it is malformed or contradicts itself.
            PollRefused: the canister refused.
        """
        usual = usual_reply(arg)
        if usual is not None:
            addressed = [(key, content, owner_of_usual(client)) for key, content, client in usual.messages]
            return self._checked(addressed, usual.cert, usual.tree, more=not usual.is_end_of_queue)
        result = _decoded(arg)
        addressed = [(m.key.encode(), m.content, owner_of(m.client_key)) for m in result.messages]
        return self._checked(addressed, result.cert, result.tree, more=not result.is_end_of_queue)

    def _checked(self, addressed: Sequence[_Addressed], certificate: bytes, tree: bytes, *, more: bool) -> CheckedReply:
        if not addressed:
            return CheckedReply((), False, b"", NOTHING, 0)
        if len(addressed) > _MAX_MESSAGES:
            raise ReplicaFault("too_many", "a poll brought too many messages")
        statement = self._statement(certificate)
        witness = usual_witness(tree) or _general_witness(tree)
        _check_root(witness, statement.certified_data)
        messages = self._messages(addressed, witness)
        return CheckedReply(messages, more, certificate, witness, statement.time_ns)

    def readable_by_all(self, certificate: bytes) -> bool:
        """Whether clients that know only the old place of canister ranges can verify this certificate."""
        return self._statement(certificate).old_ranges

    def certified_data(self, certificate: bytes) -> bytes:
        """What the certificate says the canister certified.

        Raises:
            ReplicaFault: it says nothing of the kind.
        """
        return self._statement(certificate).certified_data

    def _statement(self, data: bytes) -> _Statement:
        known = self._statements.get(data)
        if known is None:
            known = self._statements[data] = _read_certificate(data, self._canister)
            if len(self._statements) > _KNOWN_CERTIFICATES:
                self._statements.popitem(last=False)
        return known

    def _messages(self, addressed: Iterable[_Addressed], witness: Witness) -> tuple[QueuedMessage, ...]:
        prefix, size, shown_at = self._prefix, len(self._prefix) + NONCE_DIGITS, witness.messages.get
        messages = []
        for key, content, owner in addressed:
            digits = key[-NONCE_DIGITS:]
            if len(key) != size or not key.startswith(prefix) or not digits.isdigit():
                raise ReplicaFault("key", "a message has a key of another queue")
            nonce = int(digits)
            # [ICWS-GWY-012] the place after it must be one that can be asked for
            if nonce >= _LAST_NONCE:
                raise ReplicaFault("key", "a message has a nonce that no queue reaches")
            leaf = sha256(content).digest()
            # [ICWS-GWY-007]
            shown = shown_at(key)
            if shown is None or shown[1] != leaf:
                raise ReplicaFault("leaf", "the witness does not show a message")
            if not (content.startswith(_USUAL_STARTS) and content.startswith(owner, _USUAL_START_BYTES)):
                _check_addressee(content, owner)
            messages.append(_queued(QueuedMessage, (nonce, key, content, owner, leaf, shown[0])))
        return tuple(messages)


def _decoded(arg: bytes) -> CertifiedMessages:
    try:
        result = decode_get_messages_result(arg)
    except IcwsError as error:
        raise ReplicaFault("malformed", error.message) from error
    if isinstance(result, Refusal):
        raise PollRefused(result.code or "Err")
    return result


# Contents begin as every canister that we know encodes them: five or six entries, the client key before all others.
_USUAL_STARTS: Final = (SELF_DESCRIBE_TAG + b"\xa5", SELF_DESCRIBE_TAG + b"\xa6")
_USUAL_START_BYTES: Final = len(SELF_DESCRIBE_TAG) + 1
_TOMBSTONE_OWNER: Final = owner_of(TOMBSTONE_CLIENT_KEY)
_queued: Final = tuple.__new__  # what the class does, without what it does besides


def _check_addressee(content: bytes, owner: bytes) -> None:
    """Only the content is certified; the address beside it must not lead it to somebody else."""
    if owner == _TOMBSTONE_OWNER and not content:
        return
    try:
        inner = decode_message(content).client_key
    except IcwsError as error:
        raise ReplicaFault("content", error.message) from error
    # [ICWS-GWY-008]
    if owner_of(inner) != owner:
        raise ReplicaFault("addressee", "a message is addressed to another client than its own")


def witnessed(tree: bytes, certified_data: bytes) -> PrunedWitness:
    """A witness, whatever it shows, whose root hash must be the certified data.

    Raises:
        ReplicaFault: malformed, not well formed, or of another root.
    """
    witness = _general_witness(tree)
    _check_root(witness, certified_data)
    return witness


def _general_witness(tree: bytes) -> PrunedWitness:
    try:
        return PrunedWitness(tree)
    except IcwsError as error:
        raise ReplicaFault("witness", error.message) from error


def _check_root(witness: Witness, certified_data: bytes) -> None:
    # [ICWS-GWY-007]
    if witness.digest != certified_data:
        raise ReplicaFault("root", "the witness is not of the certified root")


def _read_certificate(data: bytes, canister: Principal) -> _Statement:
    try:
        certificate = decode_certificate(data)
        shown = lookup(certificate.tree, (b"canister", canister.raw, b"certified_data"))
        time = lookup(certificate.tree, (b"time",))
        if not isinstance(shown, Found) or not isinstance(time, Found):
            raise ReplicaFault("certificate", "a certificate does not show the canister's certified data")
        return _Statement(shown.value, decode_unsigned_exact(time.value, what="/time"), _old_ranges(certificate))
    except IcwsError as error:
        raise ReplicaFault("certificate", error.message) from error


def _old_ranges(certificate: Certificate) -> bool:
    delegation = certificate.delegation
    if delegation is None:
        return True  # the root subnet's certificates need no ranges
    inner = decode_certificate(delegation.certificate)
    path = (b"subnet", delegation.subnet_id.raw, b"canister_ranges")
    return isinstance(lookup(inner.tree, path), Found)
