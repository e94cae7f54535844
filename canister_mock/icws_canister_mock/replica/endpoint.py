"""The address of a request, and the refusals that are HTTP errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from icws_canister_mock.replica.certification import RangesForm
from icws_secure.errors import IcwsError
from icws_secure.wire.principal import Principal

__all__ = ["Endpoint", "HttpError"]


_principal: Final = lru_cache(maxsize=1024)(Principal.from_text)  # users name the same few over and over


class HttpError(Exception):
    """A request is answered with an HTTP status and one sentence of plain text.

    Args:
        status: 4xx.
        text: what the user got wrong.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request was sent to.

    Attributes:
        kind: whether the path names a canister or a subnet.
        id: which.
        form: where delegations show the canister ranges there.
        flat_ranges: whether it is one of the older endpoints, which show ``/subnet/<id>/canister_ranges``.
    """

    kind: Literal["canister", "subnet"]
    id: Principal
    form: RangesForm
    flat_ranges: bool

    @classmethod
    def parse(cls, kind: Literal["canister", "subnet"], text: str, *, flat_ranges: bool) -> Endpoint:
        """Read the id in a path.

        Raises:
            HttpError: it is not a principal.
        """
        try:
            principal = _principal(text)
        except IcwsError as error:
            raise HttpError(400, f"The path does not name a principal: {error}") from error
        if kind == "subnet":
            return cls(kind, principal, RangesForm.NONE, flat_ranges)
        return cls(kind, principal, RangesForm.FLAT if flat_ranges else RangesForm.SHARDED, flat_ranges)
