"""This library's answers to questions about signatures, certificates and what is read from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from icws_conformance.drivers.question import Answer, Question, labels, shown, value_of
from icws_secure.bls import backend
from icws_secure.errors import IcwsError
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.delegation import verify_delegations
from icws_secure.verify.envelope import verify_envelope
from icws_secure.verify.head import read_audit_reply, verify_head
from icws_secure.verify.message import MessageSource, verify_messages
from icws_secure.verify.query import node_keys_from_certificate, verify_query_response
from icws_secure.verify.receipt import VerifiedReceipt, verify_receipt
from icws_secure.verify.registration import RegistrationRequest, clock_offset_ns, verify_registration
from icws_secure.verify.request_status import Replied
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.signature import verify_user_signature
from icws_secure.verify.witness import verify_witness
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import Delegation, Envelope, QueryContent, SignedDelegation
from icws_secure.wire.frames import KeyedContent
from icws_secure.wire.http import NodeSignature, QueryRejected, QueryReplied
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.request_id import hash_value

__all__ = ["CERTIFIED"]


def _bls(v: Question) -> Answer:
    backend().verify(v.raw("public_key"), v.raw("message"), v.raw("signature"))
    return {}


def _root_key(v: Question) -> Answer:
    return {"subnet_id": RootKey.from_der(v.raw("root_key_der")).subnet_id.to_text()}


def _verifier(v: Question) -> CertificateVerifier:
    return CertificateVerifier(RootKey.from_der(v.raw("root_key_der")))


def _certificate(v: Question) -> Answer:
    verifier = _verifier(v)
    canister = v.principal_if_given("canister_id")
    verified = verifier.verify(
        v.raw("certificate"), now=v.number("now_ns"), canister_id=canister, subnet_id=v.principal_if_given("subnet_id")
    )
    paths = v.value("lookups") if "lookups" in v else []
    answer: Answer = {"time_ns": str(verified.time_ns), "lookups": [shown(verified.lookup(labels(p))) for p in paths]}
    if "witness_tree_hex" in v and canister is not None:
        witness = verify_witness(verified, canister, v.raw("witness_tree"))
        paths = v.value("witness_lookups") if "witness_lookups" in v else []
        answer["witness_lookups"] = [shown(witness.lookup(labels(path))) for path in paths]
        if "content_hex" in v:
            answer["content_sha256_hex"] = hash_value(v.raw("content")).hex()
    return answer


def _reused(v: Question) -> Answer:
    """One verifier is asked again and again, as it is in a client: what it keeps must not answer for it."""
    verifier = _verifier(v)
    certificate = v.raw("certificate")
    results = []
    for use in map(Question, v.value("uses")):
        try:
            verified = verifier.verify(certificate, now=use.number("now_ns"), canister_id=use.principal("canister_id"))
            if "witness_tree_hex" in use:
                verify_witness(verified, use.principal("canister_id"), use.raw("witness_tree"))
        except IcwsError as error:
            results.append(str(error.reason))
        else:
            results.append("accepted")
    return {"results": results}


def _envelope(v: Question) -> Answer:
    verified = verify_envelope(
        Envelope.decode(v.raw("envelope")),
        now=v.number("now_ns"),
        request_type=v.value("endpoint"),
        effective_canister_id=v.principal_if_given("effective_canister_id"),
        certificates=_verifier(v) if "root_key_der_hex" in v else None,
    )
    return {"request_id_hex": verified.request_id.hex(), "sender": verified.sender.to_text()}


def _delegation(v: Question) -> Answer:
    links = [
        SignedDelegation(
            Delegation(
                bytes.fromhex(entry["pubkey_hex"]),
                int(entry["expiration_ns"]),
                tuple(map(Principal.from_text, entry["targets"])) if "targets" in entry else None,
                entry.get("permissions"),
            ),
            bytes.fromhex(entry["signature_hex"]),
        )
        for entry in v.value("delegations")
    ]
    key = verify_delegations(
        v.raw("root_public_key_der"),
        links,
        now=v.number("now_ns") if "now_ns" in v else None,
        canister=v.principal_if_given("canister_id"),
        request_type=v.value("request_type") if "request_type" in v else "call",
    )
    return {"key_der_hex": key.der.hex()}


def _query_response(v: Question) -> Answer:
    content = {name: value_of(item) for name, item in v.value("query_content").items()}
    fields = {name: value_of(item) for name, item in v.value("response").items()}
    query = QueryContent(
        canister_id=Principal(content["canister_id"]),
        method_name=content["method_name"],
        arg=content["arg"],
        sender=Principal(content["sender"]),
        ingress_expiry_ns=content["ingress_expiry"],
        nonce=content.get("nonce"),
    )
    ders = v.value("node_keys_der_hex") if "node_keys_der_hex" in v else [v.text("node_key_der_hex")]
    keys = {key.principal: key for key in (PublicKey.from_der(bytes.fromhex(der)) for der in ders)}
    signatures = tuple(
        NodeSignature(
            int(entry["timestamp_ns"]),
            bytes.fromhex(entry["signature_hex"]),
            Principal.from_text(entry["node"]) if "node" in entry else next(iter(keys)),
        )
        for entry in v.value("signatures")
    )
    response: QueryReplied | QueryRejected
    if fields["status"] == "replied":
        response = QueryReplied(fields["reply"]["arg"], signatures)
    else:
        response = QueryRejected(fields["reject_code"], fields["reject_message"], fields.get("error_code"), signatures)
    now = v.number("now_ns") if "now_ns" in v else signatures[0].timestamp_ns if signatures else 0
    verify_query_response(query, response, node_keys=keys, now=now)
    return {"request_id_hex": query.request_id.hex()}


def _user_signature(v: Question) -> Answer:
    certificates = _verifier(v) if "root_key_der_hex" in v else None
    key = PublicKey.from_der(v.raw("public_key_der"))
    verify_user_signature(key, v.raw("message"), v.raw("signature"), certificates=certificates)
    return {}


def _node_keys(v: Question) -> Answer:
    verified = _verifier(v).verify(v.raw("certificate"), now=v.number("now_ns"), canister_id=v.principal("canister_id"))
    keys = node_keys_from_certificate(verified, v.principal_if_given("subnet_id"))
    return {"keys": {node.to_text(): key.der.hex() for node, key in sorted(keys.items())}}


def _receipt(v: Question) -> VerifiedReceipt:
    return verify_receipt(
        v.raw("certificate"),
        verifier=_verifier(v),
        canister_id=v.principal("canister_id"),
        request_id=v.raw("request_id"),
    )


def _receipt_answer(v: Question) -> Answer:
    receipt = _receipt(v)
    answer = receipt.answer
    output: Answer = {"time_ns": str(receipt.certificate_time_ns)}
    if isinstance(answer, Replied):
        return output | {"status": "replied", "reply_hex": answer.arg.hex()}
    rejected = {"status": "rejected", "reject_code": str(answer.code), "reject_message": answer.message}
    return output | rejected | ({} if answer.error_code is None else {"error_code": answer.error_code})


def _registration(v: Question) -> Answer:
    request = RegistrationRequest(
        v.principal("owner"),
        v.principal("session_principal"),
        v.number("expires_at_ns") if "expires_at_ns" in v else None,
        v.raw("registration_id") if "registration_id_hex" in v else None,
        v.number("epoch") if "epoch" in v else None,
    )
    found = verify_registration(_receipt(v), request, now=v.number("now_ns"))
    return {
        "registration_id_hex": found.registration_id.hex(),
        "epoch": str(found.epoch),
        "expires_at_ns": str(found.expires_at_ns),
        "suites": [suite.name for suite in found.suites],
    }


def _messages(v: Question) -> Answer:
    source = MessageSource(
        v.principal("canister_id"),
        v.principal("gateway"),
        ClientKey(v.principal("client_principal"), v.number("client_nonce")),
    )
    items = [KeyedContent(item["key"], bytes.fromhex(item["content_hex"])) for item in v.value("messages")]
    certificate, tree = v.raw("certificate"), v.raw("witness_tree")
    found = verify_messages(items, certificate, tree, verifier=_verifier(v), source=source, now=v.number("now_ns"))
    return {
        "messages": [
            {"nonce": str(item.nonce)}
            | (
                {}
                if item.message is None
                else {"sequence_num": str(item.message.sequence_num), "content_hex": item.message.content.hex()}
            )
            for item in found
        ]
    }


def _head(v: Question) -> Answer:
    found = verify_head(
        v.raw("certificate"),
        v.raw("witness_tree"),
        verifier=_verifier(v),
        canister_id=v.principal("canister_id"),
        session=v.principal("session_principal"),
        now=v.number("now_ns"),
    )
    output: Answer = {"epoch": str(found.epoch), "time_ns": str(found.time_ns)}
    if found.head is None:
        return output | {"head": None}
    head = found.head
    return output | {
        "head": {"attach": str(head.attach), "state": str(head.state), "next_out": str(head.next_out)}
        | {"next_in": str(head.next_in), "executed_through": str(head.executed_through)}
    }


def _audit_reply(v: Question) -> Answer:
    found = read_audit_reply(_receipt(v), not_before_ns=0)
    output = {"epoch": str(found.epoch), "time_ns": str(found.time_ns)}
    return output if found.head is None else output | {"attach": str(found.head.attach)}


def _clock(v: Question) -> Answer:
    asked, answered = v.number("asked_ns"), v.number("answered_ns")
    return {"offset_ns": str(clock_offset_ns(v.number("certified_ns"), asked_at=asked, answered_at=answered))}


CERTIFIED: Final[dict[str, Callable[[Question], Answer]]] = {
    "audit_reply": _audit_reply,
    "bls": _bls,
    "canister_signature": _user_signature,
    "certificate": _certificate,
    "clock": _clock,
    "delegation": _delegation,
    "envelope": _envelope,
    "head": _head,
    "messages": _messages,
    "node_keys": _node_keys,
    "query_response": _query_response,
    "reused_certificate": _reused,
    "receipt": _receipt_answer,
    "registration": _registration,
    "root_key": _root_key,
    "user_signature": _user_signature,
    "webauthn": _user_signature,
}
"""Questions of these kinds."""
