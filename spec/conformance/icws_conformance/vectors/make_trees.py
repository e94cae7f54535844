"""Vectors of hash trees and certificates."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from icws_canister_mock.replica.keys import SubnetKey
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
    pruned,
    secret,
)
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["certificates", "hash_trees"]

_ROOT: Final = SubnetKey(secret("subnets"), "root")
_APP: Final = SubnetKey(secret("subnets"), "app")
_OTHER: Final = SubnetKey(secret("subnets"), "other")
_NOBODY: Final = SubnetKey(secret("subnets"), "nobody")
_LOW: Final = Principal(bytes.fromhex("00000000003000000101"))
_HIGH: Final = Principal(bytes.fromhex("00000000003fffff0101"))
_CANISTER: Final = Principal(bytes.fromhex("00000000003002100101"))
_FOREIGN: Final = Principal(bytes.fromhex("00000000004002100101"))
_DOMAIN: Final = b"\x0dic-state-root"
_DAY_NS: Final = 86_400 * SECOND_NS


def hash_trees() -> Maker:
    """Shape, root hash, well-formedness and lookup."""
    made = Maker(
        "hash_tree",
        [
            "A hash tree, CBOR. Accepted means: decoded, hashed, and well formed unless require_well_formed is false.",
            "Each lookup gives found with its value, absent, unknown or error.",
        ],
        {
            "TwoReadings": (
                "The tree can be read in two ways.",
                "One certified tree shows different things to different readers: a message is there and is not there.",
            ),
            "ShortHash": (
                "A pruned node is not 32 bytes.",
                "Bytes of a neighbour move into the hash, so that one root hash covers two trees.",
            ),
            "Shape": ("A node is not one of the five shapes.", "Decoders that differ see different trees."),
            "Bomb": ("The tree is deeper than any real one.", "The reader's stack or time is exhausted by one frame."),
        },
    )

    def given(tree: Any, *paths: list[bytes], **more: Any) -> dict[str, Any]:
        lookups = {"lookups": [[label.hex() for label in path] for path in paths]} if paths else {}
        return {"tree_hex": encode(tree).hex()} | lookups | more

    def found(value: bytes) -> dict[str, str]:
        return {"result": "found", "value_hex": value.hex()}

    absent, unknown = {"result": "absent"}, {"result": "unknown"}
    three = fork(labeled("b", leaf(b"B")), fork(labeled("d", labeled("x", leaf(b"X"))), labeled("f", empty())))
    made.group()
    made.accept(
        "three labels, all shown",
        "LIB-007 LIB-006",
        given(three, [b"a"], [b"b"], [b"b", b"x"], [b"c"], [b"d", b"x"], [b"d", b"y"], [b"f", b"x"], [b"g"]),
        root_hash_hex=digest(three).hex(),
        lookups=[absent, found(b"B"), absent, absent, found(b"X"), absent, absent, absent],
    )
    gap = fork(labeled("b", leaf(b"B")), fork(pruned(labeled("d", leaf(b"D"))), labeled("f", leaf(b"F"))))
    made.accept(
        "a pruned node in a gap hides what may be there, and no more",
        "LIB-007",
        given(gap, [b"a"], [b"b"], [b"c"], [b"d"], [b"f"], [b"g"]),
        root_hash_hex=digest(gap).hex(),
        lookups=[absent, found(b"B"), unknown, unknown, found(b"F"), absent],
    )
    edge = fork(pruned(labeled("a", leaf(b"A"))), labeled("b", leaf(b"B")))
    made.accept(
        "a pruned node before the first label",
        "LIB-007",
        given(edge, [b"a"], [b"b"], [b"c"]),
        root_hash_hex=digest(edge).hex(),
        lookups=[unknown, found(b"B"), absent],
    )
    hidden = labeled("a", pruned(leaf(b"A")))
    made.accept(
        "a value that is pruned",
        "LIB-007",
        given(hidden, [b"a"], [b"b"]),
        root_hash_hex=digest(hidden).hex(),
        lookups=[unknown, absent],
    )
    made.accept(
        "the empty tree", "LIB-007", given(empty(), [b"a"]), root_hash_hex=digest(empty()).hex(), lookups=[absent]
    )
    made.accept("a leaf alone", "LIB-006", given(leaf(b"")), root_hash_hex=digest(leaf(b"")).hex())
    level = empty()
    for number in range(40):
        level = labeled(f"{number}", level)
    made.accept("forty labels deep", "LIB-006", given(level), root_hash_hex=digest(level).hex())

    made.group()
    well = "TreeNotWellFormed"
    a, b = labeled("a", leaf(b"1")), labeled("b", leaf(b"2"))
    made.reject("labels in the wrong order", "LIB-008", well, given(fork(b, a)), "TwoReadings")
    made.reject("one label twice", "LIB-008", well, given(fork(a, labeled("a", leaf(b"2")))), "TwoReadings")
    made.reject(
        "one label twice, a pruned node between",
        "LIB-008",
        well,
        given(fork(fork(a, pruned(b)), labeled("a", leaf(b"2")))),
        "TwoReadings",
    )
    made.reject("a leaf beside a label", "LIB-008", well, given(fork(leaf(b"1"), b)), "TwoReadings")
    made.reject("wrong order below a label", "LIB-008", well, given(labeled("x", fork(b, a))), "TwoReadings")
    shapes = "Malformed WrongType TooMany"
    for length in (0, 31, 33):
        made.reject(
            f"a pruned node of {length} bytes", "LIB-005", f"{shapes} TooLarge", given([4, bytes(length)]), "ShortHash"
        )
    for comment, tree in (
        ("no node", []),
        ("an unknown kind of node", [5, b""]),
        ("a kind of node below 0", [-1, b""]),
        ("an empty node with content", [0, b""]),
        ("a fork with one branch", [1, [0]]),
        ("a fork with three branches", [1, [0], [0], [0]]),
        ("a label that is text", [2, "a", [0]]),
        ("a label without a tree", [2, b"a"]),
        ("a leaf that is text", [3, "value"]),
        ("a leaf with two values", [3, b"a", b"b"]),
        ("a map in place of a node", {"0": 0}),
        ("a branch that is no node", [1, [0], b""]),
    ):
        made.reject(comment, "LIB-006", shapes, given(tree), "Shape")
    deep: bytes = cbor.encode([0])
    for _ in range(3000):
        deep = b"\x83\x02\x41a" + deep
    made.reject("three thousand labels deep", "LIB-006", "TooDeep", {"tree_hex": deep.hex()}, "Bomb")
    return made


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
    tree = _state({_CANISTER: b"\x11" * 32})
    good = _certificate(tree, _APP, _delegation())
    path = [b"canister", _CANISTER.raw, b"certified_data"]
    made.group(root_key_der_hex=_ROOT.public_key.der.hex(), canister_id=_CANISTER.to_text(), now_ns=str(NOW_NS))

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
        given(_certificate(tree, _APP, _delegation(sharded=True))),
        time_ns=time_ns,
    )
    made.accept(
        "of the root subnet, without delegation", "LIB-010", given(_certificate(tree, _ROOT, None)), time_ns=time_ns
    )
    signature = bytearray(_APP.sign(_DOMAIN + digest(tree)))
    signature[-1] ^= 1
    bad = "BadBlsSignature BadBlsPoint"
    reject(
        "a signature with one bit changed",
        "LIB-010 LIB-009",
        bad,
        _document(tree, bytes(signature), _delegation()),
        "Forged",
    )
    reject(
        "a signature without the domain separator",
        "LIB-010",
        bad,
        _document(tree, _APP.sign(digest(tree)), _delegation()),
        "Forged",
    )
    reject("signed by nobody's key", "LIB-010", bad, _certificate(tree, _NOBODY, _delegation()), "Forged")
    reject(
        "a delegation signed by nobody's key",
        "LIB-012",
        bad,
        _certificate(tree, _NOBODY, _delegation(_NOBODY, root=_NOBODY)),
        "Forged",
    )
    infinity = b"\xc0" + bytes(47)
    reject("the point at infinity as signature", "LIB-009", bad, _document(tree, infinity, _delegation()), "Forged")
    reject("another root key's certificate", "LIB-010", bad, _certificate(tree, _OTHER, None), "Forged")
    reject(
        "a delegation within the delegation",
        "LIB-011",
        "NestedDelegation",
        _certificate(tree, _APP, _delegation(inner=_delegation())),
        "Forged",
    )
    reject(
        "another subnet's certificate, with its own genuine delegation",
        "LIB-013",
        "CanisterNotInRanges",
        _certificate(tree, _OTHER, _delegation(_OTHER, low=_FOREIGN, high=_FOREIGN)),
        "ForeignSubnet",
    )
    for sharded in (False, True):
        where = "in shards" if sharded else "in one list"
        reject(
            f"an empty list of ranges, {where}",
            "LIB-013",
            "CanisterNotInRanges PathAbsent PathUnknown Malformed",
            _certificate(tree, _APP, _delegation(sharded=sharded, low=None)),
            "ForeignSubnet",
        )
    reject(
        "pruned ranges",
        "LIB-013",
        "CanisterNotInRanges PathAbsent PathUnknown",
        _certificate(tree, _APP, _delegation(hide_ranges=True)),
        "ForeignSubnet",
    )
    reject(
        "a delegation that shows another subnet's key",
        "LIB-012",
        "SubnetKeyMissing PathAbsent PathUnknown",
        _certificate(tree, _APP, {"subnet_id": _OTHER.principal.raw, "certificate": _delegation()["certificate"]}),
        "ForeignSubnet",
    )
    for comment, age in (("ten minutes old", 600), ("ten minutes ahead", -600)):
        reason = "CertificateStale" if age > 0 else "CertificateFromFuture"
        state = _state({_CANISTER: b"\x11" * 32}, NOW_NS - age * SECOND_NS)
        reject(f"a certificate {comment}", "LIB-014", reason, _certificate(state, _APP, _delegation()), "Stale")
    old = _delegation(time_ns=NOW_NS - 60 * _DAY_NS)
    reject("a delegation sixty days old", "LIB-014", "DelegationStale", _certificate(tree, _APP, old), "Stale")
    timeless = labeled("canister", empty())
    reject(
        "without a time",
        "LIB-014",
        "TimeMissing PathAbsent PathUnknown",
        _certificate(timeless, _APP, _delegation()),
        "Stale",
    )
    reject("bytes after its end", "LIB-001", "TrailingBytes", good + b"\x00", "Forged")
    _witnesses(made)
    return made


def _witnesses(made: Maker) -> None:
    gateway = Principal.self_authenticating(b"gateway")
    content = cbor.encode_self_described({"content": b"a message"})
    key, other = (f"{gateway.to_text()}_{nonce:020}".encode() for nonce in (7, 8))
    message = labeled(key, leaf(hashlib.sha256(content).digest()))
    neighbour = labeled(other, leaf(hashlib.sha256(b"").digest()))
    witness = labeled("websocket", fork(message, pruned(neighbour)))
    certificate = _certificate(_state({_CANISTER: digest(witness)}), _APP, _delegation())
    where = [[b"websocket".hex(), key.hex()]]

    def given(tree: Tree, certificate_: bytes = certificate) -> dict[str, Any]:
        return {
            "certificate_hex": certificate_.hex(),
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
    foreign = _certificate(_state({_FOREIGN: digest(witness), _CANISTER: b"\x11" * 32}), _APP, _delegation())
    made.reject(
        "a witness that another canister certified",
        "CLT-023",
        "CertifiedDataMismatch",
        given(witness, foreign),
        "WrongWitness",
    )
    twice = labeled("websocket", fork(message, labeled(key, leaf(bytes(32)))))
    certified = _certificate(_state({_CANISTER: digest(twice)}), _APP, _delegation())
    made.reject(
        "a certified witness with the key twice",
        "LIB-008",
        "TreeNotWellFormed",
        given(twice, certified),
        "WrongWitness",
    )
    nothing = _certificate(_state({}), _APP, _delegation())
    made.reject(
        "a certificate that shows no certified data of the canister",
        "CLT-023",
        "CertifiedDataMismatch PathAbsent PathUnknown",
        given(witness, nothing),
        "WrongWitness",
    )


def _state(certified: dict[Principal, bytes], time_ns: int = NOW_NS - SECOND_NS) -> Tree:
    """A state tree: the canisters' certified data and the time."""
    canisters: Tree = empty()
    for canister in sorted(certified, reverse=True):
        entry = labeled(canister.raw, labeled("certified_data", leaf(certified[canister])))
        canisters = entry if canisters == [0] else fork(entry, canisters)
    return fork(labeled("canister", canisters), labeled("time", leaf(encode_unsigned(time_ns))))


def _delegation(
    subnet: SubnetKey = _APP,
    *,
    root: SubnetKey = _ROOT,
    low: Principal | None = _LOW,
    high: Principal = _HIGH,
    sharded: bool = False,
    hide_ranges: bool = False,
    time_ns: int = NOW_NS - _DAY_NS,
    inner: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    ranges = leaf(cbor.encode_self_described([] if low is None else [[low.raw, high.raw]]))
    entry = labeled("public_key", leaf(subnet.public_key.der))
    if not sharded:
        shown = labeled("canister_ranges", ranges)
        entry = fork(pruned(shown) if hide_ranges else shown, entry)
    tree = fork(
        labeled("subnet", labeled(subnet.principal.raw, entry)), labeled("time", leaf(encode_unsigned(time_ns)))
    )
    if sharded:
        shard = labeled(_LOW.raw, ranges)
        tree = fork(labeled("canister_ranges", labeled(subnet.principal.raw, shard)), tree)
    return {"subnet_id": subnet.principal.raw, "certificate": _document(tree, root.sign(_DOMAIN + digest(tree)), inner)}


def _certificate(tree: Tree, key: SubnetKey, delegation: dict[str, bytes] | None) -> bytes:
    return _document(tree, key.sign(_DOMAIN + digest(tree)), delegation)


def _document(tree: Tree, signature: bytes, delegation: dict[str, bytes] | None) -> bytes:
    document: dict[str, object] = {"tree": tree, "signature": signature}
    if delegation is not None:
        document["delegation"] = delegation
    return cbor.encode_self_described(document)
