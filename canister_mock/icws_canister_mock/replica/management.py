"""The management canister ``aaaaa-aa``, as far as canisters written in Python need it.

``raw_rand`` is here; further methods are added with :meth:`Management.provide`, as :mod:`vetkd` does. Users' calls
to it are refused: canisters are installed, stopped and upgraded by the program that embeds the replica.

Source: IC interface specification, "The IC management canister".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from icws_canister_mock.replica.keys import derive
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Replied, Result
from icws_secure.errors import IcwsError
from icws_secure.wire.candid import encode
from icws_secure.wire.candid_types import Blob
from icws_secure.wire.principal import Principal

__all__ = ["Handler", "Management", "ManagementCall"]


@dataclass(slots=True)
class ManagementCall:
    """A canister's call to the management canister.

    Attributes:
        caller: the canister.
        arg: Candid.
        cycles: cycles that came with it; a handler takes its price by subtracting, the rest goes back.
    """

    caller: Principal
    arg: bytes = field(repr=False)
    cycles: int


Handler: TypeAlias = Callable[[ManagementCall], Result]
"""Answers one method. It may raise ``IcwsError`` for an argument that is not Candid of the right type."""


class Management:
    """One subnet's management canister.

    Args:
        seed: 32 secret bytes, for ``raw_rand``.
        subnet: the subnet's name, so that subnets differ.
    """

    def __init__(self, seed: bytes, subnet: str) -> None:
        self._seed = seed
        self._subnet = subnet
        self._drawn = 0
        self._handlers: dict[str, Handler] = {"raw_rand": self._raw_rand}

    def provide(self, method: str, handler: Handler) -> None:
        """Add a method, or replace it."""
        self._handlers[method] = handler

    def answer(self, method: str, call: ManagementCall) -> Result:
        """Answer a canister's call; what is left of ``call.cycles`` is the refund."""
        handler = self._handlers.get(method)
        if handler is None:
            return Rejected(
                ErrorCode.UNKNOWN_MANAGEMENT_METHOD, f"the management canister of this replica has no method {method!r}"
            )
        try:
            return handler(call)
        except IcwsError as error:
            return Rejected(ErrorCode.REJECTED_BY_CANISTER, f"{method}: {error.message}")

    def _raw_rand(self, call: ManagementCall) -> Result:
        self._drawn += 1
        random = derive(self._seed, f"raw_rand {self._subnet} {self._drawn}")[:32]
        return Replied(encode([Blob], [random]))
