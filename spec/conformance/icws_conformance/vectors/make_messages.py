"""Vectors of certified messages, and of certified heads of sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from icws_conformance.vectors.build import (
    NOW_NS,
    SECOND_NS,
    Maker,
    Tree,
    digest,
    encode,
    fork,
    labeled,
    leaf,
    pruned,
    too_long,
)
from icws_conformance.vectors.cast import GATEWAY, KEY, OTHER_GATEWAY, OWNER, REGISTRATION, SESSION, TIME_NS
from icws_conformance.vectors.certify import (
    APP,
    CANISTER,
    FOREIGN,
    ROOT,
    branches,
    certify,
    delegate,
    state_tree,
)
from icws_secure.wire import cbor
from icws_secure.wire.head import SessionHead
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.message import CanisterMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

__all__ = ["heads", "messages"]


Reject: TypeAlias = Callable[..., None]


# Messages ------------------------------------------------------------------------------------------------------------


def messages() -> Maker:
    """Certified messages, as a gateway hands them over."""
    made = Maker(
        "messages",
        [
            "Messages with the certificate and the witness that they share, at now_ns, for a session: canister,",
            "gateway attached to, client principal and nonce. Accepted means: every check that needs no memory of",
            "earlier messages has passed, for all of them. A message without content is a removed entry.",
        ],
        {
            "NotShown": ("The witness does not show the message.", "The bearer makes messages up."),
            "NotMine": ("The message is another's.", "Messages are swapped between clients, gateways or canisters."),
            "Late": ("The message is younger than its certificate.", "What was never certified at a time seems to be."),
            "Bomb": ("The frame is longer than any real one.", "Memory and time are spent on one frame."),
        },
    )
    made.group(
        root_key_der_hex=ROOT.public_key.der.hex(),
        canister_id=CANISTER.to_text(),
        gateway=GATEWAY.to_text(),
        client_principal=SESSION.to_text(),
        client_nonce="7",
        now_ns=str(NOW_NS),
    )
    stream = [(_key(7), _content(1)), (_key(8), _content(2))]
    shown: list[dict[str, str]] = [
        {"nonce": "7", "sequence_num": "1", "content_hex": b"message 1".hex()},
        {"nonce": "8", "sequence_num": "2", "content_hex": b"message 2".hex()},
    ]
    made.accept("two messages", "CLT-023 CLT-024 CLT-025", _frame(stream), messages=shown)
    made.accept("one of two, the other pruned", "CLT-024", _frame(stream, stream[:1]), messages=shown[:1])
    gone = (_key(9), b"")
    made.accept("a removed entry", "CLT-024", _frame([gone]), messages=[{"nonce": "9"}])

    def reject(comment: str, names: str, reasons: str, flag: str, given: dict[str, Any]) -> None:
        made.reject(comment, names, reasons, given, flag)

    _unshown_messages(reject, stream)
    _foreign_messages(reject, stream)
    _long_messages(reject, stream)
    return made


def _unshown_messages(reject: Reject, stream: list[tuple[str, bytes]]) -> None:
    first, second = stream
    forged = (first[0], _content(1, text=b"other words"))
    given = _frame([first], [forged], certified=[first])
    reject("another content under a genuine witness", "CLT-025", "LeafMismatch", "NotShown", given)
    swapped = [(first[0], second[1]), (second[0], first[1])]
    reject("two contents swapped", "CLT-025", "LeafMismatch", "NotShown", _frame(stream, swapped, certified=stream))
    reject(
        "a key that is not there", "CLT-024", "PathAbsent", "NotShown", _frame(stream, [(_key(9), b"")], show=stream)
    )
    hidden = _frame(stream, [second], hide=[second[0]])
    reject("a key that is pruned", "CLT-024", "PathUnknown", "NotShown", hidden)
    half = _frame(stream, [first, (_key(9), b"")], show=stream)
    reject("one genuine message, and one that is not there", "CLT-024 CLT-033", "PathAbsent", "NotShown", half)
    other = _frame(stream, label="other")
    reject("a witness that shows them under another label", "CLT-024", "PathAbsent", "NotShown", other)


def _foreign_messages(reject: Reject, stream: list[tuple[str, bytes]]) -> None:
    theirs = (_key(7), _content(1, key=ClientKey(OWNER, 7)))
    reject("another client's", "CLT-028", "WrongClientKey", "NotMine", _frame([theirs]))
    earlier = (_key(7), _content(1, key=ClientKey(SESSION, 6)))
    reject("of an earlier session of the client", "CLT-028", "WrongClientKey", "NotMine", _frame([earlier]))
    elsewhere = (_key(7, OTHER_GATEWAY), _content(1))
    reject("of another gateway's queue", "CLT-026", "WrongGateway", "NotMine", _frame([elsewhere]))
    reject(
        "of another canister",
        "CLT-023",
        "CertifiedDataMismatch PathAbsent",
        "NotMine",
        _frame(stream, canister=FOREIGN),
    )
    young = (_key(7), _content(1, time_ns=TIME_NS + 1))
    reject("a nanosecond younger than its certificate", "CLT-030", "TimestampAfterCertificate", "Late", _frame([young]))
    for comment, key, reasons in (
        ("a key with 19 digits", _key(7)[:-1], "WrongKeyForm"),
        ("a key in capitals", _key(7).upper(), "WrongKeyForm"),
    ):
        reject(comment, "LIB-025", reasons, "NotMine", _frame([(key, _content(1))]))
    empty = (_key(7), cbor.encode_self_described({}))
    reject("a content that is no message", "CLT-021 LIB-024", "MissingField", "NotMine", _frame([empty]))


def _long_messages(reject: Reject, stream: list[tuple[str, bytes]]) -> None:
    given = _frame(stream)
    reject("no message", "CLT-020", "TooMany", "Bomb", given | {"messages": []})
    many = [{"key": _key(7), "content_hex": ""}] * 1_001
    reject("1,001 messages", "CLT-020", "TooMany", "Bomb", given | {"messages": many})
    for name in ("certificate_hex", "witness_tree_hex"):
        long = given | {name: too_long()}
        reject(f"a {name.removesuffix('_hex')} longer than three megabytes", "CLT-020", "TooLarge", "Bomb", long)


def _key(nonce: int, gateway: Principal = GATEWAY) -> str:
    return f"{gateway.to_text()}_{nonce:020}"


def _content(number: int, *, text: bytes = b"", key: ClientKey = KEY, time_ns: int = TIME_NS) -> bytes:
    return CanisterMessage(key, number, time_ns, False, text or f"message {number}".encode(), bytes(16)).encode()


def _frame(
    queue: list[tuple[str, bytes]],
    shown: list[tuple[str, bytes]] | None = None,
    *,
    certified: list[tuple[str, bytes]] | None = None,
    hide: list[str] | None = None,
    show: list[tuple[str, bytes]] | None = None,
    label: str = "websocket",
    canister: Principal = CANISTER,
) -> dict[str, Any]:
    """Messages of a queue; by default all of it is handed over."""
    shown = queue if shown is None else shown
    visible = {key for key, _ in show or shown} - set(hide or ())
    leaves: Tree = [0]
    for key, content in sorted(certified or queue, reverse=True):
        entry = labeled(key, leaf(hashlib.sha256(content).digest()))
        entry = entry if key in visible else pruned(entry)
        leaves = entry if leaves == [0] else fork(entry, leaves)
    witness = labeled(label, leaves)
    return {
        "certificate_hex": certify(state_tree({canister: digest(witness)}), APP, delegate()).hex(),
        "witness_tree_hex": encode(witness).hex(),
        "messages": [{"key": key, "content_hex": content.hex()} for key, content in shown],
    }


# Heads ---------------------------------------------------------------------------------------------------------------

_HEAD: Final = SessionHead(
    REGISTRATION, 3, SessionState.OPEN, 6, 4, 3, 2, 3, TIME_NS - SECOND_NS, NOW_NS + 3600 * SECOND_NS, None, (2,)
)


def heads() -> Maker:
    """Certified heads of sessions."""
    made = Maker(
        "head",
        [
            "Certificate and witness of where a session stands, at now_ns. Accepted means: the epoch is shown,",
            "and the session's head is shown or proven to be absent (head is null then).",
        ],
        {
            "NotShown": ("Something is hidden.", "A session that is there passes for one that is not, or the reverse."),
            "Form": ("The head is not of its form.", "Client and canister disagree about where the session stands."),
            "Bomb": ("It is longer than any real one.", "Memory and time are spent on one frame."),
        },
    )
    made.group(
        root_key_der_hex=ROOT.public_key.der.hex(),
        canister_id=CANISTER.to_text(),
        session_principal=SESSION.to_text(),
        now_ns=str(NOW_NS),
    )
    epoch = NOW_NS - 10 * SECOND_NS
    output: dict[str, Any] = {"epoch": str(epoch), "time_ns": str(TIME_NS)}
    seen = {"attach": "3", "state": "open", "next_out": "6", "next_in": "4", "executed_through": "3"}
    made.accept("of an open session", "CLT-063", _head(epoch, _HEAD.encode()), **output, head=seen)
    later = cbor.decode(_HEAD.encode(), what="head")
    if not isinstance(later, dict):
        raise TypeError("a head is a map")
    made.accept(
        "with a field that nobody knows", "CLT-063", _head(epoch, cbor.encode(later | {"x": 1})), **output, head=seen
    )
    made.accept("of no session, proven", "CLT-063", _head(epoch, None), **output, head=None)

    def reject(comment: str, names: str, reasons: str, flag: str, given: dict[str, Any]) -> None:
        made.reject(comment, names, reasons, given, flag)

    unknown = "PathUnknown"
    reject("a head that is pruned", "CLT-063", unknown, "NotShown", _head(epoch, _HEAD.encode(), hide="head"))
    reject("an epoch that is pruned", "CLT-063", unknown, "NotShown", _head(epoch, _HEAD.encode(), hide="epoch"))
    big = _head(epoch, _HEAD.encode(), epoch_leaf=b"\x80" * 9 + b"\x02")
    reject("an epoch of more than 64 bits", "LIB-024", "TooLarge", "Form", big)
    long = _head(epoch, _HEAD.encode(), epoch_leaf=encode_unsigned(epoch) + b"\x00")
    reject("an epoch with a byte behind it", "LIB-024", "TrailingBytes", "Form", long)
    for comment, change, reasons in (
        ("without its state", {"state": None}, "MissingField WrongType"),
        ("in a state that there is not", {"state": "sleeping"}, "Malformed"),
        ("of an attach below 0", {"attach": -1}, "WrongType Malformed TooLarge"),
        ("with a trapped number that is text", {"trapped": ["2"]}, "WrongType"),
        ("with a trapped number below 0", {"trapped": [-2]}, "WrongType"),
        ("with 33 trapped numbers", {"trapped": list(range(33))}, "Malformed"),
        ("with a registration id of 15 bytes", {"registration_id": bytes(15)}, "Malformed"),
    ):
        odd = cbor.encode({name: value for name, value in (later | change).items() if value is not None})
        reject(f"a head {comment}", "LIB-024", reasons, "Form", _head(epoch, odd))
    huge = cbor.encode(later | {"x": bytes(1_024)})
    reject("a head of more than a kilobyte", "LIB-024", "TooLarge", "Form", _head(epoch, huge))
    given = _head(epoch, _HEAD.encode())
    for name in ("certificate_hex", "witness_tree_hex"):
        one = given | {name: too_long()}
        reject(f"a {name.removesuffix('_hex')} longer than three megabytes", "CLT-020", "TooLarge", "Bomb", one)
    return made


def _head(epoch: int, head: bytes | None, *, epoch_leaf: bytes | None = None, hide: str = "") -> dict[str, Any]:
    other = (OWNER.raw, pruned(leaf(b"another's")))
    listed = branches(other) if head is None else branches(other, (SESSION.raw, leaf(head)))
    entries = {"epoch": leaf(encode_unsigned(epoch) if epoch_leaf is None else epoch_leaf), "head": listed}
    below = fork(
        *(pruned(labeled(name, entry)) if name == hide else labeled(name, entry) for name, entry in entries.items())
    )
    witness = labeled("icws", below)
    return {
        "certificate_hex": certify(state_tree({CANISTER: digest(witness)}), APP, delegate()).hex(),
        "witness_tree_hex": encode(witness).hex(),
    }
