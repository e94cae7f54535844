"""Vectors of certificates, with and without delegation, and of witnesses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

from icws_conformance.vectors.build import (
    NOW_NS,
    SECOND_NS,
    Maker,
    Tree,
    digest,
    empty,
    encode,
    fork,
    labeled,
    leaf,
    parts,
    pruned,
)
from icws_conformance.vectors.certify import (
    APP,
    CANISTER,
    DAY_NS,
    DOMAIN,
    FOREIGN,
    LOW,
    NOBODY,
    OTHER,
    ROOT,
    assemble,
    certify,
    delegate,
    state_tree,
)
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

__all__ = ["certificates", "reused_certificates"]

Reject: TypeAlias = Callable[[str, str, str, bytes, str], None]


def certificates() -> Maker:
    """Certificates with and without delegation, and witnesses of messages."""
    made = Maker(
        "certificate",
        [
            "A certificate, CBOR. Accepted means: it verifies under the root key, at now_ns, for canister_id, with",
            "certificates up to 5 minutes old and ahead; and, where there is witness_tree_hex, that tree is well",
            "formed and its root hash is the canister's certified data.",
        ],
        {
            "Forged": ("The signature is not the subnet's.", "Anybody certifies anything."),
            "ForeignSubnet": (
                "A genuine subnet that is not the canister's signed.",
                "One corrupt subnet among many speaks for all canisters.",
            ),
            "Stale": ("The certificate is too old or from the future.", "Yesterday's state is passed off as today's."),
            "WrongWitness": (
                "The witness is not what the canister certified.",
                "The bearer chooses the canister's messages.",
            ),
        },
    )
    tree = state_tree({CANISTER: b"\x11" * 32})
    good = certify(tree, APP, delegate())
    path = [b"canister", CANISTER.raw, b"certified_data"]
    made.group(root_key_der_hex=ROOT.public_key.der.hex(), canister_id=CANISTER.to_text(), now_ns=str(NOW_NS))

    def given(certificate: bytes, **more: Any) -> dict[str, Any]:
        return {"certificate_hex": certificate.hex()} | more

    def reject(comment: str, names: str, reasons: str, certificate: bytes, flag: str, **more: Any) -> None:
        made.reject(comment, names, reasons, given(certificate, **more), flag)

    time_ns = str(NOW_NS - SECOND_NS)
    made.accept(
        "of the canister's subnet, ranges in one list",
        "LIB-010 LIB-012 LIB-013 LIB-014",
        given(good, lookups=[[label.hex() for label in path]]),
        time_ns=time_ns,
        lookups=[{"result": "found", "value_hex": (b"\x11" * 32).hex()}],
    )
    made.accept(
        "of the canister's subnet, ranges in shards",
        "LIB-013",
        given(certify(tree, APP, delegate(sharded=True))),
        time_ns=time_ns,
    )
    made.accept("of the root subnet, without delegation", "LIB-010", given(certify(tree, ROOT, None)), time_ns=time_ns)
    signature = bytearray(APP.sign(DOMAIN + digest(tree)))
    signature[-1] ^= 1
    bad = "BadBlsSignature BadBlsPoint"
    reject(
        "a signature with one bit changed",
        "LIB-010 LIB-009",
        bad,
        assemble(tree, bytes(signature), delegate()),
        "Forged",
    )
    reject(
        "a signature without the domain separator",
        "LIB-010",
        bad,
        assemble(tree, APP.sign(digest(tree)), delegate()),
        "Forged",
    )
    reject("signed by nobody's key", "LIB-010", bad, certify(tree, NOBODY, delegate()), "Forged")
    reject(
        "a delegation signed by nobody's key",
        "LIB-012",
        bad,
        certify(tree, NOBODY, delegate(NOBODY, root=NOBODY)),
        "Forged",
    )
    infinity = b"\xc0" + bytes(47)
    reject("the point at infinity as signature", "LIB-009", bad, assemble(tree, infinity, delegate()), "Forged")
    reject("another root key's certificate", "LIB-010", bad, certify(tree, OTHER, None), "Forged")
    reject(
        "a delegation within the delegation",
        "LIB-011",
        "NestedDelegation",
        certify(tree, APP, delegate(inner=delegate())),
        "Forged",
    )
    reject(
        "another subnet's certificate, with its own genuine delegation",
        "LIB-013",
        "CanisterNotInRanges",
        certify(tree, OTHER, delegate(OTHER, low=FOREIGN, high=FOREIGN)),
        "ForeignSubnet",
    )
    for sharded in (False, True):
        where = "in shards" if sharded else "in one list"
        reject(
            f"an empty list of ranges, {where}",
            "LIB-013",
            "CanisterNotInRanges PathAbsent PathUnknown Malformed",
            certify(tree, APP, delegate(sharded=sharded, low=None)),
            "ForeignSubnet",
        )
    reject(
        "pruned ranges",
        "LIB-013",
        "CanisterNotInRanges PathAbsent PathUnknown",
        certify(tree, APP, delegate(hide_ranges=True)),
        "ForeignSubnet",
    )
    reject(
        "a delegation that shows another subnet's key",
        "LIB-012",
        "SubnetKeyMissing PathAbsent PathUnknown",
        certify(tree, APP, {"subnet_id": OTHER.principal.raw, "certificate": delegate()["certificate"]}),
        "ForeignSubnet",
    )
    for comment, age in (("ten minutes old", 600), ("ten minutes ahead", -600)):
        reason = "CertificateStale" if age > 0 else "CertificateFromFuture"
        state = state_tree({CANISTER: b"\x11" * 32}, NOW_NS - age * SECOND_NS)
        reject(f"a certificate {comment}", "LIB-014", reason, certify(state, APP, delegate()), "Stale")
    old = delegate(time_ns=NOW_NS - 60 * DAY_NS)
    reject("a delegation sixty days old", "LIB-014", "DelegationStale", certify(tree, APP, old), "Stale")
    timeless = labeled("canister", empty())
    reject(
        "without a time",
        "LIB-014",
        "TimeMissing PathAbsent PathUnknown",
        certify(timeless, APP, delegate()),
        "Stale",
    )
    reject("bytes after its end", "LIB-001", "TrailingBytes", good + b"\x00", "Forged")
    _times(reject)
    _delegations(made, reject)
    _forms(made, reject)
    _witnesses(made)
    return made


def _times(reject: Reject) -> None:
    tree = state_tree({CANISTER: b"\x11" * 32})
    ahead = delegate(time_ns=NOW_NS + DAY_NS)
    reject("a delegation from the future", "LIB-014", "DelegationStale", certify(tree, APP, ahead), "Stale")
    for comment, value in (("of more than 64 bits", b"\x80" * 9 + b"\x02"), ("followed by a byte", b"\x01\x00")):
        odd = fork(labeled("canister", empty()), labeled("time", leaf(value)))
        reject(f"a time {comment}", "LIB-014", "TimeMissing", certify(odd, APP, delegate()), "Stale")


def _delegations(made: Maker, reject: Reject) -> None:
    tree = state_tree({CANISTER: b"\x11" * 32})
    user = bytes.fromhex("302a300506032b6570032100") + bytes(31) + b"\x01"
    reject(
        "a delegation to a key that is none of BLS",
        "LIB-012",
        "SubnetKeyMissing",
        certify(tree, APP, delegate(key=user)),
        "Forged",
    )
    reject(
        "a delegation to bytes that are no key",
        "LIB-012",
        "SubnetKeyMissing",
        certify(tree, APP, delegate(key=b"key")),
        "Forged",
    )
    pair = [LOW.raw, CANISTER.raw]
    for comment, ranges in (
        ("that are no list", cbor.encode_self_described({"ranges": [pair]})),
        ("that are no CBOR", b"\xff"),
        ("of which one is no pair", cbor.encode_self_described([pair, 7])),
        ("of which one has three ends", cbor.encode_self_described([[*pair, CANISTER.raw]])),
        ("that begin with a text", cbor.encode_self_described([["", CANISTER.raw], pair])),
        ("that end with a text", cbor.encode_self_described([[LOW.raw, "z"], pair])),
    ):
        made.reject(
            f"ranges {comment}",
            "LIB-013",
            "CanisterNotInRanges Malformed WrongType",
            {"certificate_hex": certify(tree, APP, delegate(ranges=ranges)).hex()},
            "ForeignSubnet",
        )
    many = b"\xd9\xd9\xf7\x99\xc3\x51" + _encoded(pair) + b"\x82\x40\x40" * 50_000
    before, after = certify(tree, APP, delegate(ranges=many)).split(b"\x82\x40\x40" * 50_000)
    long = {"certificate_hex": parts((before, 1), (b"\x82\x40\x40", 50_000), (after, 1))}
    made.reject("50,001 ranges", "LIB-013", "CanisterNotInRanges", long, "ForeignSubnet")
    nested = {"subnet_id": APP.principal.raw, "certificate": delegate()["certificate"], "note": b""}
    reject("a delegation with a field more", "LIB-001", "UnknownField", certify(tree, APP, nested), "Forged")
    for name in ("subnet_id", "certificate"):
        fewer = {field: value for field, value in delegate().items() if field != name}
        reject(f"a delegation without {name}", "LIB-001", "MissingField", certify(tree, APP, fewer), "Forged")


def _forms(made: Maker, reject: Reject) -> None:
    """Documents that are no certificates, though one may seem to be in them."""
    tree = state_tree({CANISTER: b"\x11" * 32})
    signature, chain = _encoded(APP.sign(DOMAIN + digest(tree))), _encoded(delegate())
    shown = _encoded(tree)

    def reject_map(comment: str, reasons: str, *items: bytes, count: int | None = None) -> None:
        data = b"\xd9\xd9\xf7" + bytes([0xA0 | (len(items) // 2 if count is None else count)]) + b"".join(items)
        reject(comment, "LIB-001", reasons, data, "Forged")

    names = {name: _encoded(name) for name in ("tree", "signature", "delegation", "note")}
    whole = (names["tree"], shown, names["signature"], signature, names["delegation"], chain)
    reject_map("no tree", "MissingField", *whole[2:])
    reject_map("no signature", "MissingField", *whole[:2], *whole[4:])
    reject_map("a tree twice", "DuplicateKey", *whole, *whole[:2])
    reject_map("a field more", "UnknownField", *whole, names["note"], b"\x00")
    reject_map("a signature that is text", "WrongType", *whole[:3], b"\x78\x30" + signature[2:], *whole[4:])
    reject_map("a signature of 47 bytes", "Malformed BadBlsPoint", *whole[:3], b"\x58\x2f" + signature[3:], *whole[4:])
    reject_map("a signature that is cut short", "Malformed", *whole[:3], b"\x58\x31" + signature[2:])
    reject("a list in place of the map", "LIB-001", "WrongType Malformed", b"\xd9\xd9\xf7\x80", "Forged")
    head = b"\xd9\xd9\xf7\xa3" + names["tree"] + b"\x82\x03\x5a\x00\x30\x00\x00"
    rest = names["signature"] + signature + names["delegation"] + chain
    long = parts((head, 1), (b"\x00", 3 << 20), (rest, 1))
    made.reject(
        "longer than three megabytes",
        "LIB-001",
        "TooLarge",
        {"certificate_hex": long},
        "Forged",
    )


def _encoded(value: object) -> bytes:
    return cbor.encode(value)


def _witnesses(made: Maker) -> None:
    gateway = Principal.self_authenticating(b"gateway")
    content = cbor.encode_self_described({"content": b"a message"})
    key, other = (f"{gateway.to_text()}_{nonce:020}".encode() for nonce in (7, 8))
    message = labeled(key, leaf(hashlib.sha256(content).digest()))
    neighbour = labeled(other, leaf(hashlib.sha256(b"").digest()))
    witness = labeled("websocket", fork(message, pruned(neighbour)))
    genuine = certify(state_tree({CANISTER: digest(witness)}), APP, delegate())
    where = [[b"websocket".hex(), key.hex()]]

    def given(tree: Tree, certificate: bytes = genuine) -> dict[str, Any]:
        return {
            "certificate_hex": certificate.hex(),
            "witness_tree_hex": encode(tree).hex(),
            "witness_lookups": where,
            "content_hex": content.hex(),
        }

    hashed = hashlib.sha256(content).hexdigest()
    made.accept(
        "a message with its witness",
        "LIB-007 CLT-023",
        given(witness),
        time_ns=str(NOW_NS - SECOND_NS),
        witness_lookups=[{"result": "found", "value_hex": hashed}],
        content_sha256_hex=hashed,
    )
    made.accept(
        "a witness that hides the message: certified, and the message is not shown",
        "LIB-007 CLT-024",
        given(labeled("websocket", fork(pruned(message), neighbour))),
        time_ns=str(NOW_NS - SECOND_NS),
        witness_lookups=[{"result": "unknown"}],
    )
    changed = labeled("websocket", fork(labeled(key, leaf(bytes(32))), pruned(neighbour)))
    made.reject("a witness of other messages", "CLT-023", "CertifiedDataMismatch", given(changed), "WrongWitness")
    foreign = certify(state_tree({FOREIGN: digest(witness), CANISTER: b"\x11" * 32}), APP, delegate())
    made.reject(
        "a witness that another canister certified",
        "CLT-023",
        "CertifiedDataMismatch",
        given(witness, foreign),
        "WrongWitness",
    )
    twice = labeled("websocket", fork(message, labeled(key, leaf(bytes(32)))))
    certified = certify(state_tree({CANISTER: digest(twice)}), APP, delegate())
    made.reject(
        "a certified witness with the key twice",
        "LIB-008",
        "TreeNotWellFormed",
        given(twice, certified),
        "WrongWitness",
    )
    nothing = certify(state_tree({}), APP, delegate())
    made.reject(
        "a certificate that shows no certified data of the canister",
        "CLT-023",
        "CertifiedDataMismatch PathAbsent PathUnknown",
        given(witness, nothing),
        "WrongWitness",
    )


def reused_certificates() -> Maker:
    """One certificate, used again and again by one verifier."""
    made = Maker(
        "reused_certificate",
        [
            "One certificate, used in this order by one verifier, which may keep what it has verified. Accepted means:",
            "results are, for each use, accepted or the reason of the refusal; what was kept does not change one.",
        ],
        {"Kept": ("It was verified for another use.", "What holds for one canister passes for another.")},
    )
    made.group(root_key_der_hex=ROOT.public_key.der.hex())
    witness, other = labeled("websocket", leaf(b"1")), labeled("websocket", leaf(b"2"))
    tree = state_tree({CANISTER: digest(witness), LOW: digest(other)})
    names = "LIB-015 LIB-013 LIB-014"

    def use(canister: Principal = CANISTER, now_ns: int = NOW_NS, shown: Tree | None = None) -> dict[str, str]:
        given = {"canister_id": canister.to_text(), "now_ns": str(now_ns)}
        return given if shown is None else given | {"witness_tree_hex": encode(shown).hex()}

    def accept(comment: str, uses: list[dict[str, str]], *results: str) -> None:
        given = {"certificate_hex": certify(tree, APP, delegate()).hex(), "uses": uses}
        made.accept(comment, names, given, results=list(results))

    good, foreign, stale = "accepted", "CanisterNotInRanges", "CertificateStale"
    accept("for its canister, then for one of another subnet", [use(), use(FOREIGN), use()], good, foreign, good)
    accept("for one of another subnet, then for its canister", [use(FOREIGN), use()], foreign, good)
    late = NOW_NS + 600 * SECOND_NS
    accept("in time, then too late", [use(), use(now_ns=late), use()], good, stale, good)
    accept("too late, then in time", [use(now_ns=late), use()], stale, good)
    wrong = "CertifiedDataMismatch"
    uses = [use(shown=witness), use(LOW, shown=witness), use(LOW, shown=other), use(shown=other)]
    accept("with witnesses of two canisters", uses, good, wrong, good, wrong)
    return made
