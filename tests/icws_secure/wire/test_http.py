from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, Reason, TransportError
from icws_secure.limits import MAX_NODE_SIGNATURES, MAX_REPLY_BYTES
from icws_secure.wire import cbor, http
from icws_secure.wire.principal import Principal

CANISTER = Principal.from_text("rdmx6-jaaaa-aaaaa-aaadq-cai")
SUBNET = Principal.from_text("tdb26-jop6k-aogll-7ltgs-eruif-6kk7m-qpktf-gdiqx-mxtrf-vb5e6-eqe")
REJECT = {"reject_code": 4, "reject_message": "no"}
SIGNED = {"timestamp": 5, "signature": bytes(64), "identity": SUBNET.raw}
PARSERS = [
    http.parse_call_response,
    http.parse_query_response,
    http.parse_read_state_response,
    http.parse_status_response,
]


def body(**fields: Any) -> bytes:
    return cbor.encode_self_described(fields)


def test_paths() -> None:
    assert http.call_path(CANISTER) == "/api/v4/canister/rdmx6-jaaaa-aaaaa-aaadq-cai/call"
    assert http.call_path(CANISTER, 2) == "/api/v2/canister/rdmx6-jaaaa-aaaaa-aaadq-cai/call"
    assert http.query_path(CANISTER) == "/api/v3/canister/rdmx6-jaaaa-aaaaa-aaadq-cai/query"
    assert http.read_state_path(CANISTER, 2) == "/api/v2/canister/rdmx6-jaaaa-aaaaa-aaadq-cai/read_state"
    assert http.subnet_read_state_path(SUBNET) == f"/api/v3/subnet/{SUBNET.to_text()}/read_state"
    assert http.STATUS_PATH == "/api/v2/status"


def test_versions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(MisuseError):
        http.query_path(CANISTER, 4)  # type: ignore[arg-type]  # this is what must not work
    with pytest.raises(MisuseError):
        http.call_path(CANISTER, 1)  # type: ignore[arg-type]  # this is what must not work


class TestCall:
    def test_certificate(self) -> None:
        answer = http.parse_call_response(200, body(status="replied", certificate=b"c"))
        assert answer == http.CallCertificate(b"c")

    def test_accepted_without_outcome(self) -> None:
        assert http.parse_call_response(202, b"") == http.CallAccepted()

    def test_rejection_by_one_node(self) -> None:
        answer = http.parse_call_response(200, body(status="non_replicated_rejection", **REJECT, error_code="IC0406"))
        assert answer == http.CallRejected(4, "no", "IC0406")

    def test_rejection_of_version_2_has_no_status(self) -> None:
        assert http.parse_call_response(200, body(**REJECT)) == http.CallRejected(4, "no", None)
        assert http.parse_call_response(200, body(**REJECT, error_code=None)) == http.CallRejected(4, "no", None)

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"status": "replied"},
            {"status": "replied", "certificate": "c"},
            {"status": "rejected", **REJECT},
            {"status": 1, "certificate": b"c"},
            {"status": None, **REJECT},
            {"status": [], **REJECT},
            {"reject_code": 0, "reject_message": ""},
            {"reject_code": 7, "reject_message": ""},
            {"reject_code": b"\x04", "reject_message": ""},
            {"reject_code": 4},
        ],
        ids=repr,
    )
    def test_other_answers_are_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(DecodeError):
            http.parse_call_response(200, body(**fields))


class TestQuery:
    def test_reply(self) -> None:
        answer = http.parse_query_response(200, body(status="replied", reply={"arg": b"r"}, signatures=[SIGNED]))
        assert answer == http.QueryReplied(b"r", (http.NodeSignature(5, bytes(64), SUBNET),))

    @pytest.mark.req("ICWS-LIB-027")
    def test_reply_as_the_main_network_writes_it(self) -> None:
        # d9d9f7 bf "status" "replied" "reply" a1 "arg" 43 010203 "signatures" 81 a3 .. ff
        signed = cbor.encode([SIGNED])
        answer = (
            bytes.fromhex("d9d9f7bf66737461747573677265706c696564657265706c79a163617267430102036a7369676e617475726573")
            + signed
            + b"\xff"
        )
        expected = http.QueryReplied(b"\1\2\3", (http.NodeSignature(5, bytes(64), SUBNET),))
        assert http.parse_query_response(200, answer) == expected

    def test_reply_without_signatures(self) -> None:
        answer = http.parse_query_response(200, body(status="replied", reply={"arg": b""}))
        assert answer == http.QueryReplied(b"", ())

    def test_rejection(self) -> None:
        answer = http.parse_query_response(200, body(status="rejected", **REJECT, error_code="IC0503", signatures=[]))
        assert answer == http.QueryRejected(4, "no", "IC0503", ())

    def test_unknown_fields_are_passed_over(self) -> None:
        answer = http.parse_query_response(200, body(status="replied", reply={"arg": b"r", "new": 1}, new=None))
        assert answer == http.QueryReplied(b"r", ())

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"status": "replied"},
            {"status": "replied", "reply": b"r"},
            {"status": "replied", "reply": {}},
            {"status": "rejected"},
            {"status": "processing"},
            {"status": "replied", "reply": {"arg": b""}, "signatures": [{}]},
            {"status": "replied", "reply": {"arg": b""}, "signatures": {"a": 1}},
            {"status": "replied", "reply": {"arg": b""}, "signatures": [{**SIGNED, "identity": bytes(30)}]},
            {"status": "replied", "reply": {"arg": b""}, "signatures": [{**SIGNED, "timestamp": -1}]},
            {"status": "replied", "reply": {"arg": b""}, "signatures": [SIGNED] * (MAX_NODE_SIGNATURES + 1)},
        ],
        ids=lambda fields: repr(fields)[:80],
    )
    def test_other_answers_are_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(DecodeError):
            http.parse_query_response(200, body(**fields))

    def test_reply_is_bounded(self) -> None:
        largest = body(status="replied", reply={"arg": bytes(MAX_REPLY_BYTES)}, signatures=[SIGNED] * 40)
        assert isinstance(http.parse_query_response(200, largest), http.QueryReplied)
        with pytest.raises(DecodeError) as caught:
            http.parse_query_response(200, body(status="replied", reply={"arg": bytes(MAX_REPLY_BYTES + (64 << 10))}))
        assert caught.value.reason is Reason.TOO_LARGE


def test_read_state() -> None:
    assert http.parse_read_state_response(200, body(certificate=b"c")) == b"c"
    others: list[dict[str, Any]] = [{}, {"certificate": []}]
    for fields in others:
        with pytest.raises(DecodeError):
            http.parse_read_state_response(200, body(**fields))


def test_status() -> None:
    answer = http.parse_status_response(200, body(root_key=b"k", replica_health_status="healthy", impl_version="1"))
    assert answer == http.ReplicaStatus(b"k", "healthy")
    assert http.parse_status_response(200, body()) == http.ReplicaStatus(None, None)
    with pytest.raises(DecodeError):
        http.parse_status_response(200, body(root_key="k"))


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize("status", [100, 201, 204, 302, 400, 404, 429, 500, 503])
def test_other_http_status_is_a_transport_error_with_the_start_of_the_text(parse: Any, status: int) -> None:
    with pytest.raises(TransportError) as caught:
        parse(status, b"Invalid request expiry: \x1b[31m\xff" + b"x" * 1000)
    assert caught.value.reason is Reason.HTTP_STATUS
    assert caught.value.facts["status"] == status
    detail = str(caught.value.facts["detail"])
    assert detail.startswith("Invalid request expiry: ")
    assert detail.isprintable()
    assert len(detail) <= 200


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize("data", [b"", b"<html>", b"\x80", b"\xf6", b"\xa1\x00\x00\x00"])
def test_body_that_is_no_map_is_refused(parse: Any, data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse(200, data)
