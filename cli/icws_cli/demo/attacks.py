"""The attacks that are shown, in order, and what each one needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from icws_conformance.hostile import CATALOGUE, AttackEntry
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.envelope import CallContent, Envelope

__all__ = ["ALL", "SHOWN", "MethodDenied", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One attack of the demo.

    Attributes:
        title: what is tried, in a few words.
        entry: how the hostile gateway does it; None where the attacker is a boundary node, between client and IC.
        requirements: the requirements that answer it.
        leaps: whether it strikes an acknowledgement, which a canister sends once a minute at most.
    """

    title: str
    entry: AttackEntry | None
    requirements: tuple[str, ...]
    leaps: bool = False


class MethodDenied:
    """A boundary node that answers ``ws_register`` as a canister of the older profile would, and passes all else on.

    A client that falls back to the older profile then is one that any boundary node can downgrade.
    """

    def __init__(self) -> None:
        self.struck = 0

    async def __call__(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        """Answer one request."""
        if not path.endswith("/call") or _method(body) != "ws_register":
            return await fetch()
        self.struck += 1
        rejection: dict[str, object] = {
            "status": "non_replicated_rejection",
            "reject_code": 5,
            "reject_message": "Canister has no update method 'ws_register'",
            "error_code": "IC0536",
        }
        return Answer(200, cbor.encode_self_described(rejection))


def _method(body: bytes) -> str:
    try:
        content = Envelope.decode(body).content
    except IcwsError:
        return ""
    return content.method_name if isinstance(content, CallContent) else ""


def _shown(title: str, name: str, *, leaps: bool = False) -> Shown:
    entry = CATALOGUE[name]
    return Shown(title, entry, entry.requirements, leaps)


SHOWN: Final = (
    _shown("altered content", "altered-content"),
    _shown("altered witness", "altered-witness"),
    _shown("certificate of another canister", "certificate-of-another-canister"),
    _shown("certificate from another subnet", "certificate-from-another-subnet"),
    _shown("forged certificate", "forged-certificate"),
    _shown("stale certificate", "stale-certificate"),
    _shown("replay", "replay"),
    _shown("reorder", "reorder"),
    _shown("drop", "drop"),
    _shown("another client's message", "another-clients-message"),
    _shown("another client's acknowledgement", "another-clients-acknowledgement", leaps=True),
    _shown("forged open", "forged-open"),
    _shown("downgraded profile: fields stripped", "downgraded-profile"),
    Shown("downgraded profile: method denied", None, ("ICWS-CLT-005",)),
    _shown("silence after the open", "silence-after-the-open"),
    _shown("withheld receipt", "withheld-receipt"),
)
"""What the demo always shows."""

_APART: Final = {shown.entry.name for shown in SHOWN if shown.entry is not None} | {"collusion"}
ALL: Final = SHOWN + tuple(_shown(name.replace("-", " "), name) for name in CATALOGUE if name not in _APART)
"""The whole catalogue, but for the attack that needs a second hostile gateway."""
