"""Vectors of the two places where a delegation shows its subnet's canisters, and of what each hides of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Maker, Tree, digest, labeled, leaf, pruned
from icws_conformance.vectors.certify import (
    APP,
    CANISTER,
    DAY_NS,
    DOMAIN,
    FOREIGN,
    HIGH,
    LOW,
    OTHER,
    ROOT,
    assemble,
    branches,
    certify,
    state_tree,
)
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["canister_ranges"]

Entries: TypeAlias = list[tuple[bytes | str, Tree]]

#: Between LOW and CANISTER, and between CANISTER and HIGH: where shards may begin.
_BELOW: Final = Principal(bytes.fromhex("00000000003001000101"))
_ABOVE: Final = Principal(bytes.fromhex("00000000003003000101"))
_NAMES: Final = "LIB-013"


def _ranges(low: Principal, high: Principal) -> Tree:
    return leaf(cbor.encode_self_described([[low.raw, high.raw]]))


_HELD: Final = _ranges(LOW, HIGH)
_ELSEWHERE: Final = _ranges(FOREIGN, FOREIGN)


@dataclass(frozen=True)
class _Shown:
    """What a delegation shows of its subnet's canisters.

    Attributes:
        newer: what is at ``/canister_ranges``; None if nothing is.
        older: what is at ``/subnet/<subnet>/canister_ranges``; None if nothing is.
        hides_newer: whether the newer place is pruned, its label with it.
        hides_older: whether the older place is pruned, its label with it.
    """

    newer: Tree | None = None
    older: Tree | None = None
    hides_newer: bool = False
    hides_older: bool = False

    def certificate(self) -> dict[str, str]:
        """A certificate of the subnet with such a delegation."""
        subnet = _side_by_side([("public_key", leaf(APP.public_key.der))], self.older, self.hides_older)
        top: Entries = [
            ("subnet", labeled(APP.principal.raw, subnet)),
            ("time", leaf(encode_unsigned(NOW_NS - DAY_NS))),
        ]
        tree = _side_by_side(top, self.newer, self.hides_newer)
        delegation = {
            "subnet_id": APP.principal.raw,
            "certificate": assemble(tree, ROOT.sign(DOMAIN + digest(tree)), None),
        }
        return {"certificate_hex": certify(state_tree({CANISTER: b"\x11" * 32}), APP, delegation).hex()}


def _side_by_side(others: Entries, ranges: Tree | None, hides_ranges: bool) -> Tree:
    """The label ``canister_ranges``, which sorts before all the others, beside them."""
    if ranges is None:
        return branches(*others)
    entry = labeled("canister_ranges", ranges)
    return [1, pruned(entry) if hides_ranges else entry, branches(*others)]


def canister_ranges() -> Maker:
    """Certificates whose delegations show ranges in the newer place, in the older one, in both, or hide one."""
    made = Maker(
        "certificate",
        [
            "A certificate, CBOR, whose delegation may show the subnet's canisters in two places: in shards at",
            "/canister_ranges/<subnet>, and in one list at /subnet/<subnet>/canister_ranges. Accepted means: it",
            "verifies under the root key, at now_ns, for canister_id. Where the newer place is shown it alone decides;",
            "the older one counts where the newer one is hidden or not there.",
        ],
        {
            "ForeignSubnet": (
                "The subnet is not shown to hold the canister.",
                "One corrupt subnet among many speaks for all canisters.",
            ),
        },
    )
    made.group(root_key_der_hex=ROOT.public_key.der.hex(), canister_id=CANISTER.to_text(), now_ns=str(NOW_NS))
    for comment, shown in _HOLD:
        made.accept(comment, _NAMES, shown.certificate(), time_ns=str(NOW_NS - SECOND_NS))
    for comment, shown in _DO_NOT_HOLD:
        made.reject(comment, _NAMES, "CanisterNotInRanges", shown.certificate(), "ForeignSubnet")
    return made


def _shards(*shards: tuple[Principal, Tree], subnet: Principal = APP.principal) -> Tree:
    """What is at ``/canister_ranges`` for one subnet."""
    return labeled(subnet.raw, branches(*((first.raw, ranges) for first, ranges in shards)))


_NEWER: Final = _shards((LOW, _HELD))
_NEWER_ELSEWHERE: Final = _shards((LOW, _ELSEWHERE))

_HOLD: Final = (
    ("the newer place alone", _Shown(newer=_NEWER)),
    ("the older place alone", _Shown(older=_HELD)),
    ("both, which say the same", _Shown(newer=_NEWER, older=_HELD)),
    ("the newer one is hidden", _Shown(newer=_NEWER, older=_HELD, hides_newer=True)),
    ("the newer one shows that there are others, and hides this subnet", _Shown(pruned(_NEWER), _HELD)),
    ("the newer one has shards of another subnet only", _Shown(_shards((LOW, _HELD), subnet=OTHER.principal), _HELD)),
    ("the older one is hidden", _Shown(newer=_NEWER, older=_HELD, hides_older=True)),
    ("they differ, and the newer one has the canister", _Shown(newer=_NEWER, older=_ELSEWHERE)),
    (
        "a shard below and a shard above are hidden",
        _Shown(_shards((LOW, pruned(_ELSEWHERE)), (_BELOW, _ranges(_BELOW, CANISTER)), (_ABOVE, pruned(_ELSEWHERE)))),
    ),
)

_DO_NOT_HOLD: Final = (
    ("neither place", _Shown()),
    ("both are hidden", _Shown(newer=_NEWER, older=_HELD, hides_newer=True, hides_older=True)),
    (
        "the newer one is hidden, and the older one has other canisters",
        _Shown(newer=_NEWER, older=_ELSEWHERE, hides_newer=True),
    ),
    ("the newer one is hidden, and there is no older one", _Shown(newer=_NEWER, hides_newer=True)),
    (
        "the older one is hidden, and the newer one has other canisters",
        _Shown(newer=_NEWER_ELSEWHERE, older=_HELD, hides_older=True),
    ),
    ("the older one is hidden, and there is no newer one", _Shown(older=_HELD, hides_older=True)),
    ("they differ, and the older one alone has the canister", _Shown(newer=_NEWER_ELSEWHERE, older=_HELD)),
    ("the newer one has shards above the canister only", _Shown(_shards((_ABOVE, _HELD)), _HELD)),
    ("the only shard of the newer one is hidden", _Shown(_shards((LOW, pruned(_HELD))), _HELD)),
    (
        "all that is below the subnet in the newer one is hidden",
        _Shown(labeled(APP.principal.raw, pruned(_HELD)), _HELD),
    ),
    ("the newer one has a leaf where shards should be", _Shown(labeled(APP.principal.raw, _HELD), _HELD)),
    (
        "a shard far below has the canister, the one next below does not",
        _Shown(_shards((LOW, _HELD), (_BELOW, _ranges(_BELOW, _BELOW))), _HELD),
    ),
    (
        "the newer one has shards of another subnet only, and there is no older one",
        _Shown(_shards((LOW, _HELD), subnet=OTHER.principal)),
    ),
)
