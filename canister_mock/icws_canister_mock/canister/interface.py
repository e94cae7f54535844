"""The Candid interface that a canister of the kit publishes, as its metadata ``candid:service``.

It is the text of ``icws.did`` with the methods that the canister serves, and with what it says of its own methods.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["CANDID_SERVICE", "describe"]

CANDID_SERVICE: Final = "candid:service"

_HERE: Final = Path(__file__).resolve()
#: Beside the code where it is installed, in the specification's folder in a checkout.
_PLACES: Final = (_HERE.parents[1] / "data" / "icws.did", _HERE.parents[3] / "spec" / "icws.did")
_METHOD: Final = re.compile(r"^  (\w+) :", re.MULTILINE)
_SERVICE: Final = "service : {\n"


def describe(methods: Collection[str], own: str = "") -> bytes:
    """The interface, as text in UTF-8.

    Args:
        methods: those of the protocol that the canister serves.
        own: the canister's own methods, as they stand in a Candid service: ``"add : (nat) -> (nat);"``.
    """
    head, _, service = _published().partition(_SERVICE)
    kept = [part for part in service.removesuffix("}\n").strip("\n").split("\n\n") if _METHOD.search(part)]
    kept = [part for part in kept if any(name in methods for name in _METHOD.findall(part))]
    lines = [f"  {line}".rstrip() for line in own.strip().splitlines()]
    return (head + _SERVICE + "\n\n".join(kept + ["\n".join(lines)] * bool(lines)) + "\n}\n").encode()


@cache
def _published() -> str:
    return next((place for place in _PLACES if place.is_file()), _PLACES[0]).read_text(encoding="utf-8")
