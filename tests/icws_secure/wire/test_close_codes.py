"""Close codes of gateways and sessions."""

from __future__ import annotations

import pytest

from icws_secure.wire.close_codes import MAX_REASON_BYTES, CloseCode, SessionCloseCode, close_reason
from icws_secure.wire.service import SessionCloseReason


@pytest.mark.parametrize("table", [CloseCode, SessionCloseCode])
def test_codes_and_labels_are_unique_and_described(table: type[CloseCode] | type[SessionCloseCode]) -> None:
    members = list(table)

    assert len({int(member) for member in members}) == len(members) == len(table.__members__)
    assert len({member.label for member in members}) == len(members)
    assert all(member.description.endswith(".") for member in members)
    assert all(1000 <= member < 1016 or 4000 <= member < 5000 for member in members)


def test_every_reason_a_canister_closes_with_has_a_code_for_the_application() -> None:
    assert {str(reason) for reason in SessionCloseReason} <= {member.label for member in SessionCloseCode}


def test_reason_names_the_code_and_is_cut_to_what_a_close_frame_holds() -> None:
    assert close_reason(CloseCode.TOO_BIG) == "TooBig"
    assert close_reason(CloseCode.STALE_ATTACH, "3 after 3") == "StaleAttach: 3 after 3"
    for words in ("x" * 500, "é" * 500, "x" + "☃" * 500, "\ud800"):
        assert len(close_reason(CloseCode.INTERNAL, words).encode()) <= MAX_REASON_BYTES
