"""What a hostile gateway needs from a dishonest IC: certificates that were never the canister's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from icws_secure.wire.principal import Principal

__all__ = ["Forge", "Subnet"]


class Subnet(Enum):
    """Whose key signs a forged certificate."""

    OWN = "own"  # the canister's own subnet: a replica that lies about time or data
    OTHER = "other"  # another subnet with a genuine delegation that does not cover the canister
    NOBODY = "nobody"  # a fresh key, under the genuine delegation of the canister's subnet
    SELF_DELEGATED = "self-delegated"  # a fresh key, under a delegation that no root key signed


class Forge(Protocol):
    """Makes certificates with the keys of a local IC; only a test IC can offer it."""

    def certificate(
        self,
        *,
        canister_id: Principal,
        certified_data: bytes,
        time_ns: int,
        subnet: Subnet,
        delegation_age_ns: int = 0,
    ) -> bytes:
        """A CBOR certificate that shows ``/canister/<canister_id>/certified_data`` and ``/time``.

        Args:
            canister_id: the canister named in the state tree.
            certified_data: at most 32 bytes.
            time_ns: value of ``/time``, ns since 1970.
            subnet: whose key signs.
            delegation_age_ns: age of the delegation, ns; 0 for the present one.
        """
        ...

    def receipt(
        self, *, canister_id: Principal, request_id: bytes, status: Mapping[str, bytes], time_ns: int, subnet: Subnet
    ) -> bytes:
        """A CBOR certificate that shows ``/request_status/<request_id>`` and ``/time``.

        Args:
            canister_id: whose subnet is the own one.
            request_id: 32 bytes.
            status: the leaves below the request id, such as ``status`` and ``reply``.
            time_ns: value of ``/time``, ns since 1970.
            subnet: whose key signs.
        """
        ...

    def now(self) -> int:
        """The time of the local IC, ns since 1970."""
        ...
