"""The ingress history: statuses, forgetting, bounds."""

from __future__ import annotations

from icws_canister_mock.replica.history import CallStatus, IngressHistory
from icws_canister_mock.replica.limits import INGRESS_STATUS_TTL_NS
from icws_canister_mock.replica.messages import Ingress
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Replied
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT

EXPIRY_NS = 1_000


def ingress(number: int, expiry_ns: int = EXPIRY_NS) -> Ingress:
    return Ingress(number.to_bytes(32, "big"), ANONYMOUS, MANAGEMENT, "m", b"", expiry_ns, 10)


def below(history: IngressHistory, number: int) -> dict[bytes, object] | None:
    """What the tree shows of a call."""
    history.commit()
    tree = history.tree.get(number.to_bytes(32, "big"))
    return dict(tree.items()) if isinstance(tree, MerkleMap) else None


def test_call_goes_from_received_to_its_outcome() -> None:
    history = IngressHistory()
    first = ingress(1)
    history.receive(first)
    assert below(history, 1) == {b"status": b"received"}
    history.process(first.request_id)
    assert below(history, 1) == {b"status": b"processing"}
    history.finish(first.request_id, Replied(b"r"), 10)
    assert history.commit() == [first.request_id]
    assert below(history, 1) == {b"status": b"replied", b"reply": b"r"}


def test_rejected_call_shows_codes_and_message_and_no_reply() -> None:
    history = IngressHistory()
    history.receive(ingress(1))
    history.finish(ingress(1).request_id, Rejected(ErrorCode.STOPPED, "stopped"), 10)
    assert below(history, 1) == {
        b"status": b"rejected",
        b"reject_code": b"\x05",
        b"reject_message": b"stopped",
        b"error_code": b"IC0508",
    }


def test_outcome_is_forgotten_after_five_minutes_and_not_before_the_envelope_has_expired() -> None:
    history = IngressHistory()
    late = 10 + INGRESS_STATUS_TTL_NS + 5
    for number, expiry in ((1, EXPIRY_NS), (2, late)):
        history.receive(ingress(number, expiry))
        history.finish(ingress(number).request_id, Replied(b"r"), 10)
    history.forget_old(10 + INGRESS_STATUS_TTL_NS)
    assert below(history, 1) is not None
    history.forget_old(10 + INGRESS_STATUS_TTL_NS + 1)
    assert below(history, 1) is None
    assert below(history, 2) is not None
    history.forget_old(late + 1)
    assert below(history, 2) is None
    assert len(history) == 0
    assert not history.tree


def test_call_that_has_not_ended_is_not_forgotten() -> None:
    history = IngressHistory()
    history.receive(ingress(1))
    history.forget_old(10**20)
    assert below(history, 1) == {b"status": b"received"}


def test_oldest_outcomes_are_dropped_when_replies_take_too_much_room() -> None:
    history = IngressHistory(max_bytes=100)
    for number in range(1, 4):
        history.receive(ingress(number))
        history.finish(ingress(number).request_id, Replied(bytes(40)), number)
    assert below(history, 1) == {b"status": b"done"}
    assert below(history, 2) == {b"status": b"replied", b"reply": bytes(40)}
    entry = history.get(ingress(1).request_id)
    assert entry is not None
    assert entry.status is CallStatus.DONE
    history.forget_old(10**20)
    history.commit()
    assert len(history) == 0
    # what was dropped or forgotten no longer counts
    history.receive(ingress(5))
    history.finish(ingress(5).request_id, Replied(bytes(100)), 10**20)
    assert below(history, 5) == {b"status": b"replied", b"reply": bytes(100)}
