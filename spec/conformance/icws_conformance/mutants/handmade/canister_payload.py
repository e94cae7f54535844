"""Mutants of what a canister does for payload protection."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, Patch, handmade, patch

__all__ = ["PAYLOAD"]


def _in(module: str, old: str, new: str) -> Patch:
    return patch(f"icws_secure.session.canister.{module}", old, new)


PAYLOAD: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-PAY-003",
        "takes-what-is-not-sealed",
        "A canister takes content in the clear under an agreed suite.",
        "canister:payload/unsealed",
        _in(
            "inbound",
            'raise RefusalError(code, "the content is not sealed as agreed") from error',
            "return session, message.content",
        ),
    ),
    handmade(
        "ICWS-PAY-012",
        "opens-below-the-minimum",
        "A canister takes an open under a weaker suite than its owner asked for.",
        "canister:payload/downgrade",
        _in("opening", "if registration.minimum_suite is not None and is_weaker(", "if False and is_weaker("),
    ),
    handmade(
        "ICWS-PAY-012",
        "talked-down",
        "A canister lets a sealed session go on in the clear.",
        "canister:payload/downgrade",
        _in("opening", "if session.channel is not None and is_weaker(", "if False and is_weaker("),
    ),
    handmade(
        "ICWS-PAY-013",
        "one-key-for-ever",
        "A canister's HPKE key is never replaced.",
        "canister:payload/rotation",
        _in(
            "suites",
            "ring.rotated(entropy, now) if ring.rotate_at_ns <= now else ring",
            "ring if ring.keys else ring.rotated(entropy, now)",
        ),
        _in("suites", "return self._ring(keys).due_ns if", "return (None if self._ring(keys).keys else 0) if"),
    ),
)
"""Rules about payloads that are a canister's too."""
