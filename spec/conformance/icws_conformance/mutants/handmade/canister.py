"""Hand-made mutants of canisters: this project's kit, broken in one rule each."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.handmade.canister_payload import PAYLOAD
from icws_conformance.mutants.handmade.canister_sessions import SESSIONS
from icws_conformance.mutants.handmade.canister_streams import STREAMS
from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

MUTANTS: Final[tuple[Mutant, ...]] = (*SESSIONS, *STREAMS, *PAYLOAD)

EXCEPTIONS: Final[dict[str, str]] = {}
