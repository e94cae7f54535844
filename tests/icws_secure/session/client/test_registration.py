"""Registration: what the client asks for, and what it takes for an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import (
    CanisterRejected,
    CertificateError,
    MisuseError,
    Reason,
    Refused,
    RegistrationViolation,
    SessionEnded,
    TransportError,
    TrustUnavailable,
)
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import HttpRequest, Registered, SessionState
from icws_secure.sign import DelegatedIdentity, Ed25519Identity, sign_delegation
from icws_secure.sign.identity import AnonymousIdentity
from icws_secure.verify import verify_envelope
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.envelope import CallContent, Delegation, Envelope
from icws_secure.wire.http import call_path
from icws_secure.wire.registration import (
    Parameters,
    decode_register_argument,
    decode_register_result,
    encode_register_result,
)

OWNER = Ed25519Identity(b"\x01" * 32)


def registering(kit: Any, **options: Any) -> Any:
    return kit.World(gateways=1, **options)


def with_parameters(kit: Any, **changes: Any) -> Any:
    """A world whose canister certifies other parameters than it has."""
    world = registering(kit)
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        reply = honest(caller, method, arg)
        if method == "ws_register":
            parameters = decode_register_result(reply)
            assert isinstance(parameters, Parameters)
            return encode_register_result(replace(parameters, **changes))
        return reply  # type: ignore[no-any-return]

    world.ic.execute = execute
    return world


@pytest.mark.req("ICWS-CLT-001")
def test_the_registration_is_a_direct_call_signed_by_the_owner(kit: Any) -> None:
    world = registering(kit)
    (request,) = [action for action in world.log if isinstance(action, HttpRequest)]
    assert request.path == call_path(world.ic.canister_id, 4)
    envelope = Envelope.decode(request.body)
    assert verify_envelope(envelope, now=world.now).sender == OWNER.principal
    assert isinstance(envelope.content, CallContent)
    assert envelope.content.method_name == "ws_register"
    assert decode_register_argument(envelope.content.arg).session_principal == world.client.session_principal
    world.attached()
    relayed = [item.content.method_name for item in world.gateways[0].received]
    assert "ws_register" not in relayed


@pytest.mark.req("ICWS-CLT-002")
def test_the_certified_reply_gives_the_parameters(kit: Any) -> None:
    world = registering(kit).attached()
    (event,) = world.of(Registered)
    parameters = world.client.parameters
    assert event.registration_id == parameters.registration_id
    assert parameters.epoch == event.epoch == kit.START_NS
    assert parameters.owner == OWNER.principal


@pytest.mark.req("ICWS-CLT-002")
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after 202"])
def test_a_reply_that_was_meddled_with_ends_the_attempt(kit: Any, late: bool) -> None:
    world = registering(kit)
    world.ic.delay_replies = late

    def spoil(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes]:
        return status, body.replace(b"icws-secure/1", b"icws-secure/2")

    world.http_filter = spoil
    error = world.end()
    assert isinstance(error, CertificateError)
    assert error.reason is Reason.BAD_BLS_SIGNATURE
    assert world.client.state is SessionState.ENDED


@pytest.mark.req("ICWS-CLT-002")
def test_the_answer_to_another_request_is_none(kit: Any) -> None:
    first = registering(kit).attached()
    recorded: list[bytes] = []
    world = kit.World(gateways=1, ic=first.ic, owner=Ed25519Identity(b"\x02" * 32))

    def swap(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes]:
        other = next(iter(first.ic.statuses))
        recorded.append(body)
        return 200, cbor.encode({"status": "replied", "certificate": first.ic.status_certificate(other)})

    world.http_filter = swap
    world.run(3)
    assert recorded
    assert world.client.parameters is None


@pytest.mark.req("ICWS-CLT-002")
def test_a_certificate_of_another_subnet_is_none(kit: Any) -> None:
    world = registering(kit)
    elsewhere = type(kit.CANISTER)(bytes.fromhex("00000000002000010101"))
    world.ic.signer = kit.OTHER_SUBNET
    world.ic.delegation = kit.delegation_for(kit.OTHER_SUBNET, elsewhere, elsewhere, world.now)
    error = world.end()
    assert isinstance(error, CertificateError)
    assert error.reason is Reason.CANISTER_NOT_IN_RANGES


@pytest.mark.req("ICWS-CLT-002")
def test_a_reply_that_does_not_decode_ends_the_attempt(kit: Any) -> None:
    world = registering(kit)
    world.ic.execute = lambda caller, method, arg: b"DIDL\x00\x00"
    error = world.end()
    assert isinstance(error, RegistrationViolation)
    assert error.requirement == "ICWS-CLT-002"


def test_a_registration_may_take_its_time(kit: Any) -> None:
    world = registering(kit)
    world.ic.delay_replies = True
    world.attached()


def test_a_registration_survives_a_network_that_fails_at_first(kit: Any) -> None:
    world = registering(kit)
    answers = iter([None, (503, b"busy"), (429, b"slow down")])

    def fail(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes] | None:
        return next(answers, (status, body))

    world.http_filter = fail
    world.attached()
    assert [content.method_name for content in world.ic.calls].count("ws_register") == 1


def test_old_endpoints_are_taken_where_there_are_no_newer_ones(kit: Any) -> None:
    world = registering(kit)
    world.http_filter = lambda request, status, body: (status, body) if "/v2/" in request.path else (404, b"")
    world.attached()
    world.client.audit(world.client_now)
    world.drain()
    world.run(1)
    assert {request.path.split("/")[2] for request in world.log if isinstance(request, HttpRequest)} == {
        "v2",
        "v3",
        "v4",
    }


@pytest.mark.req("ICWS-CLT-003")
def test_the_session_does_not_outlive_the_owners_delegations(kit: Any) -> None:
    key = Ed25519Identity(b"\x03" * 32)
    until = kit.START_NS + 600 * NS_PER_S
    chain = (sign_delegation(OWNER, Delegation(key.public_key_der, until)),)
    world = registering(kit, owner=DelegatedIdentity(key, OWNER.public_key_der, chain)).attached()
    (call,) = [content for content in world.ic.calls if content.method_name == "ws_register"]
    assert decode_register_argument(call.arg).expires_at_ns == until
    assert world.client.parameters.expires_at_ns <= until


@pytest.mark.req("ICWS-CLT-003")
def test_a_wish_for_less_than_the_delegations_allow_is_kept(kit: Any) -> None:
    world = registering(kit, expires_at_ns=kit.START_NS + 300 * NS_PER_S).attached()
    assert world.client.parameters.expires_at_ns == kit.START_NS + 300 * NS_PER_S


@pytest.mark.req("ICWS-CLT-004")
@pytest.mark.parametrize("error_s", [-31, 31, -3_600])
def test_a_clock_that_is_wrong_ends_the_attempt_and_blames_nobody(kit: Any, error_s: int) -> None:
    world = registering(kit, start=False)
    world.clock_error_ns = error_s * NS_PER_S
    # the replica takes what is in its window; beyond that it refuses, and there is no certificate to compare with
    world.ic.call = _any_expiry(world.ic)
    world.client.start(world.client_now)
    world.drain()
    error = world.end()
    assert isinstance(error, TrustUnavailable)
    assert error.reason is Reason.CLOCK_SKEW
    assert world.lost == []


def _any_expiry(ic: Any) -> Any:
    honest = ic.call

    def call(envelope: Envelope) -> str | None:
        now, ic.now = ic.now, envelope.content.ingress_expiry_ns - NS_PER_S
        try:
            reply = honest(envelope)
        finally:
            ic.now = now
        return reply  # type: ignore[no-any-return]

    return call


@pytest.mark.req("ICWS-CLT-004")
@pytest.mark.parametrize("error_s", [-29, 29])
def test_a_clock_that_is_a_little_wrong_is_corrected(kit: Any, error_s: int) -> None:
    world = registering(kit, start=False)
    world.clock_error_ns = error_s * NS_PER_S
    world.client.start(world.client_now)
    world.drain()
    world.attached()
    world.canister_sends(b"hello")
    assert world.run_until(lambda: world.received == [b"hello"])
    send_id = world.send(b"hello")
    assert world.run_until(lambda: world.outcome(send_id) is not None)
    call = world.ic.calls[-1]
    assert 0 < call.ingress_expiry_ns - world.now <= 61 * NS_PER_S


@pytest.mark.req("ICWS-CLT-005")
def test_a_canister_without_the_method_is_an_error_and_no_reason_for_another_profile(kit: Any) -> None:
    world = registering(kit)
    world.ic.methods = frozenset({"ws_open", "ws_message", "ws_close"})
    error = world.end()
    assert isinstance(error, RegistrationViolation)
    assert error.reason is Reason.PROFILE_UNAVAILABLE
    assert error.requirement == "ICWS-CLT-005"
    assert world.ic.calls == [call for call in world.ic.calls if call.method_name == "ws_register"]


@pytest.mark.req("ICWS-CLT-005")
def test_an_uncertified_rejection_is_an_error_and_no_reason_for_another_profile(kit: Any) -> None:
    world = registering(kit)
    answer = cbor.encode(
        {"status": "non_replicated_rejection", "reject_code": 5, "reject_message": "no", "error_code": "IC0536"}
    )
    world.http_filter = lambda request, status, body: (200, answer)
    error = world.end()
    assert isinstance(error, RegistrationViolation)
    assert error.reason is Reason.NOT_CERTIFIED
    assert isinstance(error.__cause__, CanisterRejected)
    assert not error.__cause__.certified


@pytest.mark.req("ICWS-CLT-005")
def test_another_profile_in_the_certified_reply_is_an_error(kit: Any) -> None:
    error = with_parameters(kit, profile="omnia/1").end()
    assert isinstance(error, RegistrationViolation)
    assert error.reason is Reason.PROFILE_UNAVAILABLE


def test_a_certified_rejection_is_told_as_it_is(kit: Any) -> None:
    world = registering(kit)

    def trap(caller: Any, method: str, arg: bytes) -> bytes:
        raise kit.Trap("out of order")

    world.ic.execute = trap
    error = world.end()
    assert isinstance(error, CanisterRejected)
    assert error.certified
    assert error.error_code == "IC0503"


def test_a_refusal_is_told_with_its_code(kit: Any) -> None:
    world = registering(kit, minimum_suite="hpke-x25519")
    error = world.end()
    assert isinstance(error, Refused)
    assert error.certified
    assert error.code == "SuiteTooWeak"


def test_an_ic_that_cannot_be_reached_ends_the_attempt_at_the_limit(kit: Any) -> None:
    world = registering(kit, open_limit_ns=20 * NS_PER_S)
    world.ic.is_reachable = False
    error = world.end(30)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.NO_GATEWAY
    assert isinstance(error.__cause__, TransportError)


@pytest.mark.req("ICWS-CLT-006")
def test_each_session_has_a_key_of_its_own(kit: Any) -> None:
    first, second = registering(kit), registering(kit)
    second.counter = iter(range(10_000, 20_000))
    third = kit.World(gateways=1, start=False)
    principals = {world.client.session_principal for world in (first, third)}
    assert OWNER.principal not in principals


@pytest.mark.req("ICWS-CLT-006")
def test_the_owner_may_not_be_the_session_key_nor_nobody(kit: Any) -> None:
    with pytest.raises(MisuseError) as caught:
        kit.World(gateways=1, owner=AnonymousIdentity())
    assert caught.value.requirement == "ICWS-CLT-006"
    sample = kit.World(gateways=1, start=False)
    seed = sample.client._core.identity.export_secret()
    with pytest.raises(MisuseError) as caught:
        kit.World(gateways=1, owner=Ed25519Identity(seed))
    assert caught.value.requirement == "ICWS-CLT-006"


@pytest.mark.req("ICWS-CLT-007")
@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at_ns": 0},
        {"ack_interval_ns": 59 * NS_PER_S},
        {"ack_interval_ns": 1 << 63},
        {"keep_alive_timeout_ns": 0},
        {"resume_window_ns": 86_401 * NS_PER_S},
        {"resume_window_ns": 0},
        {"window_messages": 0},
        {"window_messages": 1_025},
        {"window_bytes": 0},
        {"max_content_bytes": 0},
        {"max_content_bytes": 1 << 40},
        {"retained_messages": 0},
        {"features": ("x",) * 100},
    ],
    ids=str,
)
def test_parameters_out_of_bounds_are_refused(kit: Any, changes: dict[str, Any]) -> None:
    error = with_parameters(kit, **changes).end()
    assert isinstance(error, RegistrationViolation)
    assert error.reason is Reason.PARAMETER_OUT_OF_RANGE


@pytest.mark.req("ICWS-CLT-007")
@pytest.mark.parametrize("field", ["owner", "session_principal"])
def test_a_reply_about_somebody_else_is_refused(kit: Any, field: str) -> None:
    error = with_parameters(kit, **{field: kit.CANISTER}).end()
    assert isinstance(error, RegistrationViolation)
    assert error.reason is Reason.REGISTRATION_MISMATCH


@pytest.mark.req("ICWS-CLT-007")
def test_a_session_that_lasts_longer_than_was_asked_is_refused(kit: Any) -> None:
    world = with_parameters(kit, expires_at_ns=kit.START_NS + 7_200 * NS_PER_S)
    world = kit.World(gateways=1, expires_at_ns=kit.START_NS + 600 * NS_PER_S, ic=world.ic)
    error = world.end()
    assert error.reason is Reason.PARAMETER_OUT_OF_RANGE


def test_the_canister_caps_the_expiry(kit: Any) -> None:
    world = registering(kit, canister=CanisterConfig(), expires_at_ns=kit.START_NS + 10**18).attached()
    assert world.client.parameters.expires_at_ns < kit.START_NS + 7 * 86_400 * NS_PER_S
