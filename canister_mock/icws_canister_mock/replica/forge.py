"""A local IC that lies when asked to: certificates that were never a canister's.

A real IC has no such thing. Here the keys of all subnets are at hand, so that tests and demonstrations can show what a
client does when a replica, a subnet or nobody at all vouches for a canister.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import Enum

from icws_canister_mock.replica.certification import CertifiedState, RangesForm
from icws_canister_mock.replica.keys import SEED_BYTES, SubnetKey
from icws_canister_mock.replica.replica import Replica
from icws_canister_mock.replica.subnet import Subnet
from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.certificate import CertificateDelegation
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["ReplicaForge", "forge_for"]

_NOBODY_NAME = "nobody"


class ReplicaForge:
    """Signs any state tree with the keys of a local replica.

    Args:
        replica: whose keys.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._nobody = SubnetKey(secrets.token_bytes(SEED_BYTES), _NOBODY_NAME)

    def now(self) -> int:
        """The replica's present time, ns since 1970."""
        return self._replica.time_ns

    def certificate(
        self, *, canister_id: Principal, certified_data: bytes, time_ns: int, subnet: Enum, delegation_age_ns: int = 0
    ) -> bytes:
        """A CBOR certificate that shows ``/canister/<canister_id>/certified_data`` and ``/time``.

        Args:
            canister_id: the canister named in the state tree.
            certified_data: at most 32 bytes.
            time_ns: value of ``/time``, ns since 1970.
            subnet: whose key signs, by the value of the enum member: ``own`` (the canister's subnet), ``other``
                (another one, with its genuine delegation), ``nobody`` (a fresh key under the own subnet's genuine
                delegation) or ``self-delegated`` (a fresh key under a delegation that no root key signed).
            delegation_age_ns: how long before the present a made-up delegation was signed, ns; 0 takes the genuine
                delegation where there is one.

        Raises:
            MisuseError: no such subnet, or no subnet has this canister.
        """
        data = MerkleMap().insert(b"certified_data", certified_data)
        tree = MerkleMap().insert(b"canister", MerkleMap().insert(canister_id.raw, data))
        path = (b"canister", canister_id.raw, b"certified_data")
        return self._certify(tree, [path], canister_id, time_ns, str(subnet.value), delegation_age_ns)

    def receipt(
        self,
        *,
        canister_id: Principal,
        request_id: bytes,
        status: Mapping[str, bytes],
        time_ns: int,
        subnet: Enum,
    ) -> bytes:
        """A CBOR certificate that shows ``/request_status/<request_id>`` and ``/time``.

        Args:
            canister_id: whose subnet is the own one.
            request_id: 32 bytes.
            status: the leaves below the request id, such as ``status`` and ``reply``.
            time_ns: value of ``/time``, ns since 1970.
            subnet: as for :meth:`certificate`.

        Raises:
            MisuseError: no such subnet, or no subnet has this canister.
        """
        below = MerkleMap()
        for name, value in status.items():
            below = below.insert(name.encode(), value)
        tree = MerkleMap().insert(b"request_status", MerkleMap().insert(request_id, below))
        paths = [(b"request_status", request_id, name.encode()) for name in status]
        return self._certify(tree, paths, canister_id, time_ns, str(subnet.value), 0)

    def _certify(
        self,
        tree: MerkleMap,
        paths: Sequence[Sequence[bytes]],
        canister_id: Principal,
        time_ns: int,
        whose: str,
        delegation_age_ns: int,
    ) -> bytes:
        tree = tree.insert(b"time", encode_unsigned(time_ns))
        home = self._home(canister_id)
        if whose == "other":
            home = next(s for s in self._replica.subnets.values() if s not in (home, self._replica.root))
        key = home.info.key if whose in ("own", "other") else self._nobody
        if whose == "self-delegated":
            delegation: CertificateDelegation | None = self._delegation(home, key, SubnetKey(bytes(32), "no root"), 0)
        elif whose not in ("own", "other", "nobody"):
            raise MisuseError("there is no such subnet", reason=Reason.INVALID_ARGUMENT, subnet=whose)
        elif delegation_age_ns:
            delegation = self._delegation(home, home.info.key, self._replica.root.info.key, delegation_age_ns)
        else:
            delegation = self._replica.delegations.issue(home.id, RangesForm.FLAT, canister_id)
        return CertifiedState(0, time_ns, tree, key).certificate(paths, delegation)

    def _delegation(self, home: Subnet, key: SubnetKey, root: SubnetKey, age_ns: int) -> CertificateDelegation:
        """A delegation for ``home``'s id and ranges that names ``key``, signed by ``root``."""
        entry = home.state.tree.get(b"subnet")
        shown = entry.get(home.id.raw) if isinstance(entry, MerkleMap) else None
        below = shown if isinstance(shown, MerkleMap) else MerkleMap()
        below = below.insert(b"public_key", key.public_key.der)
        time_ns = self._replica.time_ns - age_ns
        tree = MerkleMap().insert(b"time", encode_unsigned(time_ns))
        tree = tree.insert(b"subnet", MerkleMap().insert(home.id.raw, below))
        paths = [(b"subnet", home.id.raw, name) for name in (b"public_key", b"type", b"canister_ranges")]
        return CertificateDelegation(home.id, CertifiedState(0, time_ns, tree, root).certificate(paths, None))

    def _home(self, canister_id: Principal) -> Subnet:
        home = self._replica.subnet_of(canister_id)
        if home is None:
            raise MisuseError("no subnet has this canister", reason=Reason.INVALID_ARGUMENT, id=canister_id)
        return home


def forge_for(replica: Replica) -> ReplicaForge:
    """What a dishonest IC would sign, with the keys of a local one."""
    return ReplicaForge(replica)
