"""Vectors of certified answers to calls, and of the parameters of registrations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from icws_conformance.vectors.build import (
    NOW_NS,
    SECOND_NS,
    Maker,
    Tree,
    fork,
    labeled,
    leaf,
    pruned,
    secret,
    too_long,
)
from icws_conformance.vectors.cast import OWNER, REGISTRATION, REQUEST, SESSION, TIME_NS
from icws_conformance.vectors.certify import (
    APP,
    CANISTER,
    FOREIGN,
    OTHER,
    ROOT,
    branches,
    certify,
    delegate,
    state_tree,
)
from icws_secure.wire.head import SessionHead
from icws_secure.wire.refusal import Refusal, RefusalCode
from icws_secure.wire.registration import (
    Audit,
    Parameters,
    SessionState,
    Suite,
    encode_audit_result,
    encode_register_result,
)

__all__ = ["audit_replies", "clocks", "receipts", "registrations"]


Reject: TypeAlias = Callable[..., None]


# Receipts ------------------------------------------------------------------------------------------------------------


def receipts() -> Maker:
    """Certified answers to calls."""
    made = Maker(
        "receipt",
        [
            "A certificate, for the request with this id to this canister. Accepted means: it is the certified answer",
            "to that request; its age does not matter.",
        ],
        {
            "None": ("It is no answer to the call.", "A message passes for executed that was not."),
            "Foreign": ("A subnet that is not the canister's says so.", "Any subnet acknowledges any call."),
            "Form": ("The status is not of its form.", "Readers that differ disagree about what happened."),
            "Bomb": ("It is longer than any real one.", "Memory and time are spent on one frame."),
        },
    )
    made.group(root_key_der_hex=ROOT.public_key.der.hex(), canister_id=CANISTER.to_text(), request_id_hex=REQUEST.hex())
    time_ns = str(TIME_NS)
    done = {"status": b"replied", "reply": b"DIDL\x00\x00"}
    refused = {"status": b"rejected", "reject_code": b"\x05", "reject_message": b"no", "error_code": b"IC0503"}
    replied = {"time_ns": time_ns, "status": "replied", "reply_hex": b"DIDL\x00\x00".hex()}
    made.accept("a reply", "CLT-040", _status(done), **replied)
    old = _status(done, time_ns=NOW_NS - 10**9 * SECOND_NS)
    made.accept("an old reply", "CLT-040", old, **(replied | {"time_ns": str(NOW_NS - 10**9 * SECOND_NS)}))
    rejected = {"time_ns": time_ns, "status": "rejected", "reject_code": "5", "reject_message": "no"}
    made.accept("a rejection", "CLT-040", _status(refused), **rejected, error_code="IC0503")
    bare = {name: value for name, value in refused.items() if name != "error_code"}
    made.accept("a rejection without error code", "CLT-040", _status(bare), **rejected)

    def reject(comment: str, names: str, reasons: str, flag: str, given: dict[str, Any]) -> None:
        made.reject(comment, names, reasons, given, flag)

    for word in ("received", "processing", "done"):
        reject(f"a call that is {word}", "CLT-040", "ReceiptNotFinal", "None", _status({"status": word.encode()}))
    reject("another request's answer", "CLT-040", "ReceiptNotFinal", "None", _status(done, request=secret("other")))
    reject("a status that is pruned", "CLT-040", "ReceiptNotFinal", "None", _status(done, hide="status"))
    foreign = _status(done, chain=delegate(OTHER, low=FOREIGN, high=FOREIGN), subnet=OTHER)
    reject("another subnet's word", "CLT-040", "CanisterNotInRanges", "Foreign", foreign)
    for comment, change, reasons in (
        ("an unknown status", {"status": b"answered"}, "Malformed"),
        ("a status with labels below it", {"status": {"replied": b""}}, "PathError"),
        ("no reply", {"reply": None}, "PathAbsent"),
        ("a reply with labels below it", {"reply": {"arg": b""}}, "PathError"),
    ):
        given = {name: value for name, value in (done | change).items() if value is not None}
        reject(comment, "LIB-010", reasons, "Form", _status(given))
    reject("a reply that is pruned", "LIB-010", "PathUnknown", "Form", _status(done, hide="reply"))
    reject("an error code that is pruned", "LIB-010", "PathUnknown", "Form", _status(refused, hide="error_code"))
    for comment, change in (
        ("a reject code of 0", {"reject_code": b"\x00"}),
        ("a reject code of 7", {"reject_code": b"\x07"}),
        ("a reject code with a byte behind it", {"reject_code": b"\x05\x00"}),
        ("a reject message that is no UTF-8", {"reject_message": b"\xff"}),
        ("an error code that is no UTF-8", {"error_code": b"\xff"}),
    ):
        reject(comment, "LIB-010", "Malformed", "Form", _status(refused | change))
    reject("longer than three megabytes", "CLT-020 CLT-040", "TooLarge", "Bomb", {"certificate_hex": too_long()})
    return made


def _status(
    fields: dict[str, Any],
    *,
    request: bytes = REQUEST,
    hide: str = "",
    chain: dict[str, bytes] | None = None,
    subnet: Any = APP,
    time_ns: int = TIME_NS,
) -> dict[str, Any]:
    entries: Tree = [0]
    for name in sorted(fields, reverse=True):
        value = fields[name]
        below = branches(*((n, leaf(v)) for n, v in value.items())) if isinstance(value, dict) else leaf(value)
        entry = labeled(name, below)
        entry = pruned(entry) if name == hide else entry
        entries = entry if entries == [0] else fork(entry, entries)
    tree = state_tree({}, time_ns, request_status=labeled(request, entries))
    return {"certificate_hex": certify(tree, subnet, delegate() if chain is None else chain).hex()}


def audit_replies() -> Maker:
    """Certified replies to ``ws_audit`` that was called as an update for one session."""
    made = Maker(
        "audit_reply",
        [
            "A certificate with the answer to ws_audit, called as an update for one session. Accepted means: it shows",
            "where the session stands; head_hex is absent where there is no such session.",
        ],
        {"Form": ("The answer is not about one session.", "Another session's state is taken for one's own.")},
    )
    made.group(root_key_der_hex=ROOT.public_key.der.hex(), canister_id=CANISTER.to_text(), request_id_hex=REQUEST.hex())
    head = SessionHead(REGISTRATION, 3, SessionState.OPEN, 6, 4, 3, 2, 3, TIME_NS, NOW_NS).encode()
    epoch = NOW_NS - 1000 * SECOND_NS

    def given(result: Audit | Refusal) -> dict[str, Any]:
        return _status({"status": b"replied", "reply": encode_audit_result(result)})

    output: dict[str, Any] = {"epoch": str(epoch), "time_ns": str(TIME_NS)}
    made.accept("of an open session", "CLT-063", given(Audit(epoch, (head,))), **output, attach="3")
    made.accept("of no session", "CLT-063", given(Audit(epoch, (None,))), **output)
    for comment, heads in (("no session", ()), ("two sessions", (head, head))):
        made.reject(f"about {comment}", "CLT-063", "Malformed", given(Audit(epoch, heads)), "Form")
    made.reject("a head that is none", "LIB-024", "Malformed", given(Audit(epoch, (b"\xff",))), "Form")
    no = given(Refusal(RefusalCode.NOT_YOUR_SESSION, "words"))
    made.reject("a refusal", "CLT-063", "Refused", no, "Form")
    rejected = _status({"status": b"rejected", "reject_code": b"\x05", "reject_message": b"no"})
    made.reject("a rejection", "CLT-063", "Rejected", rejected, "Form")
    return made


def clocks() -> Maker:
    """The calibration of a client's clock by a certificate that was made while it waited."""
    made = Maker(
        "clock",
        [
            "A certified time, and the local times at which the call was sent and answered. Accepted means:",
            "offset_ns is the smallest correction that puts the certificate between the two; it is at most 30 seconds.",
        ],
        {"Skew": ("The clock is far off.", "Certificates are judged by a clock that somebody else has set.")},
    )

    def given(certified: int, asked: int = -1, answered: int = 1) -> dict[str, str]:
        times = {"certified_ns": certified, "asked_ns": asked, "answered_ns": answered}
        return {name: str(NOW_NS + seconds * SECOND_NS) for name, seconds in times.items()}

    for comment, seconds, offset in (
        ("in between", 0, 0),
        ("when it was sent", -1, 0),
        ("thirty seconds behind", 31, 30),
        ("thirty seconds ahead", -31, -30),
    ):
        made.accept(comment, "CLT-004", given(seconds), offset_ns=str(offset * SECOND_NS))
    for comment, seconds in (("thirty-one seconds behind", 32), ("thirty-one seconds ahead", -32)):
        made.reject(comment, "CLT-004", "ClockSkew", given(seconds), "Skew")
    return made


# Registrations -------------------------------------------------------------------------------------------------------

_MINUTE_NS: Final = 60 * SECOND_NS
_PARAMETERS: Final = Parameters(
    registration_id=REGISTRATION,
    session_principal=SESSION,
    owner=OWNER,
    profile="icws-secure/1",
    epoch=NOW_NS - 1000 * SECOND_NS,
    expires_at_ns=NOW_NS + 60 * _MINUTE_NS,
    ack_interval_ns=5 * _MINUTE_NS,
    keep_alive_timeout_ns=_MINUTE_NS,
    resume_window_ns=10 * _MINUTE_NS,
    detach_after_open_ns=_MINUTE_NS,
    window_messages=32,
    window_bytes=256 << 10,
    max_content_bytes=1 << 20,
    retained_messages=2_048,
    retained_bytes=4 << 20,
    suites=(Suite("hpke-x25519", b"\x01", bytes(31) + b"\x09", NOW_NS), Suite("none")),
    features=("batch",),
)


def registrations() -> Maker:
    """Certified replies to ``ws_register`` and ``ws_params``."""
    made = Maker(
        "registration",
        [
            "A certificate with the answer to ws_register or ws_params, and what was asked for. Accepted means: the",
            "reply is certified, about this registration, of this profile, and every parameter is within the",
            "protocol's bounds.",
        ],
        {
            "Downgrade": ("The answer is of another profile, or none.", "A client goes on without what it asked for."),
            "Swapped": ("The answer is about another registration.", "A client binds itself to another's session."),
            "Bounds": ("A parameter is out of bounds.", "A canister disarms the client's own checks by parameters."),
        },
    )
    made.group(
        root_key_der_hex=ROOT.public_key.der.hex(),
        canister_id=CANISTER.to_text(),
        request_id_hex=REQUEST.hex(),
        owner=OWNER.to_text(),
        session_principal=SESSION.to_text(),
        now_ns=str(NOW_NS),
    )
    output: dict[str, Any] = {
        "registration_id_hex": REGISTRATION.hex(),
        "epoch": str(_PARAMETERS.epoch),
        "expires_at_ns": str(_PARAMETERS.expires_at_ns),
        "suites": ["hpke-x25519", "none"],
    }
    made.accept("parameters", "CLT-002 CLT-007", _reply(_PARAMETERS), **output)
    asked = {"expires_at_ns": str(_PARAMETERS.expires_at_ns)}
    made.accept("parameters, with the end that was asked for", "CLT-007", _reply(_PARAMETERS) | asked, **output)
    again = {"registration_id_hex": REGISTRATION.hex(), "epoch": str(_PARAMETERS.epoch)}
    made.accept("parameters anew", "CLT-007", _reply(_PARAMETERS) | again, **output)

    def reject(comment: str, names: str, reasons: str, flag: str, given: dict[str, Any]) -> None:
        made.reject(comment, names, reasons, given, flag)

    missing = {"status": b"rejected", "reject_code": b"\x05", "reject_message": b"no", "error_code": b"IC0536"}
    reject("no such method", "CLT-005", "ProfileUnavailable", "Downgrade", _status(missing))
    stopped = missing | {"error_code": b"IC0508"}
    reject("a rejection", "CLT-005", "Rejected", "Downgrade", _status(stopped))
    no = Refusal(RefusalCode.TOO_MANY_SESSIONS, "words")
    reject("a refusal", "CLT-002", "Refused", "Downgrade", _reply(no))
    other = replace(_PARAMETERS, profile="omnia/1")
    reject("another profile", "CLT-005", "ProfileUnavailable", "Downgrade", _reply(other))
    garbage = _status({"status": b"replied", "reply": b"DIDL\x00\x00"})
    reject("a reply that does not decode", "CLT-002", "Malformed", "Downgrade", garbage)
    swaps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("session", {"session_principal": OWNER}),
        ("owner", {"owner": SESSION}),
    )
    for comment, change in swaps:
        given = _reply(replace(_PARAMETERS, **change))
        reject(f"another {comment}", "CLT-007", "RegistrationMismatch", "Swapped", given)
    for comment, asked in (
        ("registration id than before", {"registration_id_hex": bytes(16).hex()}),
        ("epoch than before", {"epoch": "1"}),
    ):
        reject(f"another {comment}", "CLT-007", "RegistrationMismatch", "Swapped", _reply(_PARAMETERS) | asked)
    for name, value in _out_of_bounds():
        given = _reply(replace(_PARAMETERS, **{name: value}))
        number = len(value) if isinstance(value, tuple) else value
        reject(f"{name} of {number}", "CLT-007", "ParameterOutOfRange", "Bounds", given)
    early = {"expires_at_ns": str(_PARAMETERS.expires_at_ns - 1)}
    reject("a later end than was asked for", "CLT-007", "ParameterOutOfRange", "Bounds", _reply(_PARAMETERS) | early)
    return made


def _out_of_bounds() -> list[tuple[str, Any]]:
    day = 86_400 * SECOND_NS
    none = Suite("none")
    return [
        ("expires_at_ns", NOW_NS),
        ("ack_interval_ns", _MINUTE_NS - 1),
        ("ack_interval_ns", day + 1),
        ("keep_alive_timeout_ns", 0),
        ("keep_alive_timeout_ns", day + 1),
        ("resume_window_ns", 0),
        ("resume_window_ns", day + 1),
        ("detach_after_open_ns", 0),
        ("detach_after_open_ns", day + 1),
        ("window_messages", 0),
        ("window_messages", 1_025),
        ("window_bytes", 0),
        ("window_bytes", (64 << 20) + 1),
        ("max_content_bytes", 0),
        ("max_content_bytes", (1 << 20) + 1),
        ("retained_messages", 0),
        ("retained_bytes", 0),
        ("suites", (none,) * 33),
        ("features", ("x",) * 33),
    ]


def _reply(result: Parameters | Refusal) -> dict[str, Any]:
    return _status({"status": b"replied", "reply": encode_register_result(result)})
