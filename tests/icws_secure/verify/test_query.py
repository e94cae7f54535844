"""Node signatures on query responses, and where the nodes' keys come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from nacl.signing import SigningKey

from icws_secure.errors import CertificateError, MisuseError, Reason, SignatureError
from icws_secure.verify import node_keys_from_certificate, verify_query_response
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.http import NodeSignature, QueryRejected, QueryReplied
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.request_id import hash_of_map

pytestmark = pytest.mark.req("ICWS-LIB-020")

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
QUERY = QueryContent(CANISTER, "m", b"DIDL", ANONYMOUS, NOW)
NODES = [SigningKey(bytes([number]) * 32) for number in (1, 2, 3)]


def public_key(node: SigningKey) -> PublicKey:
    return PublicKey.ed25519(bytes(node.verify_key))


KEYS = {public_key(node).principal: public_key(node) for node in NODES}


def sign(node: SigningKey, fields: dict[str, Any], timestamp: int = NOW, query: QueryContent = QUERY) -> NodeSignature:
    signed = hash_of_map(fields | {"timestamp": timestamp, "request_id": query.request_id})
    return NodeSignature(timestamp, node.sign(b"\x0bic-response" + signed).signature, public_key(node).principal)


def replied(*signatures: NodeSignature, arg: bytes = b"reply") -> QueryReplied:
    return QueryReplied(arg, signatures)


def good(node: SigningKey = NODES[0], **arguments: Any) -> NodeSignature:
    return sign(node, {"status": "replied", "reply": {"arg": b"reply"}}, **arguments)


def verify(response: QueryReplied | QueryRejected, **arguments: Any) -> None:
    defaults: dict[str, Any] = {"node_keys": KEYS, "now": NOW}
    verify_query_response(QUERY, response, **(defaults | arguments))


def refuse(response: QueryReplied | QueryRejected, **arguments: Any) -> Reason:
    with pytest.raises(SignatureError) as caught:
        verify(response, **arguments)
    return caught.value.reason


def value(described: dict[str, Any]) -> Any:
    kind: Any
    ((kind, content),) = described.items()
    if kind == "map":
        return {name: value(item) for name, item in content.items()}
    readers: dict[str, Any] = {"nat": int, "blob": bytes.fromhex, "text": str}
    return readers[kind](content)


@pytest.mark.vectors("query_response")
def test_vectors(vector: dict[str, Any]) -> None:
    content = {name: value(item) for name, item in vector["query_content"].items()}
    fields = {name: value(item) for name, item in vector["response"].items()}
    query = QueryContent(
        canister_id=Principal(content["canister_id"]),
        method_name=content["method_name"],
        arg=content["arg"],
        sender=Principal(content["sender"]),
        ingress_expiry_ns=content["ingress_expiry"],
        nonce=content.get("nonce"),
    )
    assert query.request_id.hex() == vector["request_id_hex"]
    key = PublicKey.from_der(bytes.fromhex(vector["node_key_der_hex"]))
    signatures = tuple(
        NodeSignature(int(entry["timestamp_ns"]), bytes.fromhex(entry["signature_hex"]), key.principal)
        for entry in vector["signatures"]
    )
    response: QueryReplied | QueryRejected
    if fields["status"] == "replied":
        response = QueryReplied(fields["reply"]["arg"], signatures)
    else:
        response = QueryRejected(fields["reject_code"], fields["reject_message"], fields.get("error_code"), signatures)
    now = signatures[0].timestamp_ns if signatures else NOW

    def check() -> None:
        verify_query_response(query, response, node_keys={key.principal: key}, now=now)

    if vector["expect"] == "accept":
        check()
    else:
        with pytest.raises(SignatureError):
            check()


def test_reply_signed_by_one_or_by_all_is_accepted() -> None:
    verify(replied(good()))
    verify(replied(*(good(node) for node in NODES)))


@pytest.mark.parametrize("error_code", [None, "IC0503"])
def test_rejection_is_accepted(error_code: str | None) -> None:
    fields: dict[str, Any] = {"status": "rejected", "reject_code": 5, "reject_message": "no"}
    if error_code is not None:
        fields["error_code"] = error_code
    signature = sign(NODES[0], fields)
    response = QueryRejected(5, "no", error_code, (signature,))
    verify(response)
    for change in ({"reject_code": 4}, {"reject_message": "yes"}, {"error_code": "IC0000"}):
        assert refuse(replace(response, **change)) is Reason.BAD_SIGNATURE


def test_no_signature_is_refused() -> None:
    assert refuse(replied()) is Reason.SIGNATURE_MISSING


def test_unknown_node_is_refused() -> None:
    assert refuse(replied(good(SigningKey(b"\x09" * 32)))) is Reason.UNKNOWN_NODE


def test_more_signatures_than_nodes_are_refused() -> None:
    one = dict([next(iter(KEYS.items()))])
    assert refuse(replied(good(), good(NODES[1])), node_keys=one) is Reason.TOO_MANY


def test_node_that_signs_twice_is_refused() -> None:
    assert refuse(replied(good(), good())) is Reason.BAD_SIGNATURE


def test_one_bad_signature_among_good_ones_is_refused() -> None:
    bad = replace(good(NODES[1]), signature=good().signature)
    assert refuse(replied(good(), bad)) is Reason.BAD_SIGNATURE


def test_changed_reply_is_refused() -> None:
    assert refuse(replied(good(), arg=b"other")) is Reason.BAD_SIGNATURE


def test_signature_for_another_query_is_refused() -> None:
    assert refuse(replied(good(query=replace(QUERY, arg=b"x")))) is Reason.BAD_SIGNATURE


def test_changed_timestamp_is_refused() -> None:
    assert refuse(replied(replace(good(), timestamp_ns=NOW + 1))) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("offset", [-300 * SECOND, 300 * SECOND])
def test_timestamp_at_the_bounds_is_accepted(offset: int) -> None:
    verify(replied(good(timestamp=NOW + offset)))


@pytest.mark.parametrize("offset", [-300 * SECOND - 1, 300 * SECOND + 1])
def test_timestamp_beyond_the_bounds_is_refused(offset: int) -> None:
    assert refuse(replied(good(timestamp=NOW + offset))) is Reason.BAD_SIGNATURE


class TestNodeKeys:
    def certificate(self, issuer: Any, nodes: Any, *, subnet: Principal | None = None, scoped: bool = True) -> Any:
        subnet = subnet or issuer.subnet.subnet_id
        content = {b"subnet": {subnet.raw: {b"node": nodes}}}
        canister = CANISTER if scoped else None
        return issuer.verifier().verify(issuer.certificate(content), now=NOW, canister_id=canister)

    def nodes(self) -> dict[bytes, Any]:
        return {node_id.raw: {b"public_key": key.der} for node_id, key in KEYS.items()}

    def test_are_read_from_the_subnet_that_signed(self, issuer: Any) -> None:
        certificate = self.certificate(issuer, self.nodes())
        assert node_keys_from_certificate(certificate) == KEYS
        assert node_keys_from_certificate(certificate, issuer.subnet.subnet_id) == KEYS

    def test_of_another_subnet_do_not_count(self, issuer: Any) -> None:
        certificate = self.certificate(issuer, self.nodes(), subnet=issuer.root.subnet_id)
        with pytest.raises(CertificateError):
            node_keys_from_certificate(certificate)

    def test_are_not_taken_from_a_certificate_of_another_subnet(self, issuer: Any) -> None:
        with pytest.raises(CertificateError) as caught:
            node_keys_from_certificate(self.certificate(issuer, self.nodes()), issuer.root.subnet_id)
        assert caught.value.reason is Reason.SUBNET_MISMATCH

    def test_need_a_certificate_with_a_scope(self, issuer: Any) -> None:
        with pytest.raises(MisuseError):
            node_keys_from_certificate(self.certificate(issuer, self.nodes(), scoped=False))

    @pytest.mark.parametrize(
        "nodes", [{}, {b"\x01" * 30: {b"public_key": b""}}, {b"\x01": {b"public_key": b"junk"}}, {b"\x01": {b"x": b""}}]
    )
    def test_that_cannot_be_read_are_refused(self, issuer: Any, nodes: Any) -> None:
        with pytest.raises(CertificateError):
            node_keys_from_certificate(self.certificate(issuer, nodes))

    def test_of_another_scheme_are_refused(self, issuer: Any) -> None:
        nodes = {b"\x01": {b"public_key": issuer.subnet.der}}
        with pytest.raises(CertificateError) as caught:
            node_keys_from_certificate(self.certificate(issuer, nodes))
        assert caught.value.reason is Reason.BAD_PUBLIC_KEY
