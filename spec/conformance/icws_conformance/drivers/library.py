"""The driver of this project's library for the target ``vectors``, and an example for authors of others.

It reads questions ``{"id", "kind", "input"}`` and answers ``{"id", "verdict": "accept", "output"}``, or ``{"id",
"verdict": "reject", "reason"}``, or ``{"id", "verdict": "unsupported"}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from icws_secure.bls import backend
from icws_secure.errors import IcwsError
from icws_secure.payload.container import Algorithm, Encrypt0
from icws_secure.payload.hop import Direction, HopSession, hop_external, hop_info
from icws_secure.payload.room import Room, room_context, room_external, room_input
from icws_secure.payload.sealing import MessageKey, open_sealed, seal
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.delegation import verify_delegations
from icws_secure.verify.envelope import verify_envelope
from icws_secure.verify.query import verify_query_response
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.signature import verify_user_signature
from icws_secure.verify.witness import verify_witness
from icws_secure.vetkd import (
    DerivedPublicKey,
    EncryptedVetKey,
    MasterPublicKey,
    TransportSecretKey,
    VetKey,
    VrfOutput,
    derive_symmetric_key,
    ibe_decrypt,
    ibe_encrypt,
)
from icws_secure.vetkd.group import augmented_hash, hash_to_scalar
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import Delegation, Envelope, QueryContent, SignedDelegation
from icws_secure.wire.frames import decode_client_frame, decode_gateway_frame
from icws_secure.wire.hashtree import Found, Miss, check_well_formed, decode_tree, digest, lookup
from icws_secure.wire.http import NodeSignature, QueryRejected, QueryReplied
from icws_secure.wire.interface import (
    ClientKey,
    decode_close_argument,
    decode_get_messages_result,
    decode_message_argument,
    decode_open_argument,
)
from icws_secure.wire.message import decode_message, parse_message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.request_id import hash_value
from icws_secure.wire.service import decode_service_message

__all__ = ["main"]

Answer = dict[str, Any]


class _Input:
    """The fields of a question: bytes where the name ends in ``_hex``, numbers where it ends in ``_ns``."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> bytes:
        return bytes.fromhex(self._fields[f"{name}_hex"])

    def number(self, name: str) -> int:
        return int(self._fields[name])

    def text(self, name: str) -> str:
        return str(self._fields[name])

    def principal(self, name: str) -> Principal | None:
        return Principal.from_text(self._fields[name]) if name in self._fields else None

    def value(self, name: str) -> Any:
        return self._fields[name]


def _value(described: dict[str, Any]) -> Any:
    ((kind, inner),) = described.items()
    if kind == "map":
        return {name: _value(item) for name, item in inner.items()}
    if kind == "array":
        return [_value(item) for item in inner]
    if kind == "blob":
        return bytes.fromhex(inner)
    return int(inner) if kind == "nat" else str(inner)


def _found(result: Found | Miss) -> Answer:
    if isinstance(result, Found):
        return {"result": "found", "value_hex": result.value.hex()}
    return {"result": str(result.value)}


def _path(labels: list[str]) -> list[bytes]:
    return [bytes.fromhex(label) for label in labels]


def _principal(v: _Input) -> Answer:
    principal = Principal.from_text(v.text("text"))
    return {"hex": principal.raw.hex()}


def _public_key(v: _Input) -> Answer:
    key = PublicKey.from_der(v.raw("der"))
    return {"scheme": key.scheme.name.lower(), "principal": key.principal.to_text()}


def _cbor(v: _Input) -> Answer:
    return {"encoded_hex": cbor.encode(cbor.decode(v.raw("data"), what="vector")).hex()}


def _hash(v: _Input) -> Answer:
    return {"hash_hex": hash_value(_value(v.value("value"))).hex()}


def _hash_tree(v: _Input) -> Answer:
    tree = decode_tree(v.raw("tree"))
    if "require_well_formed" not in v or v.value("require_well_formed"):
        check_well_formed(tree)
    return {
        "root_hash_hex": digest(tree).hex(),
        "lookups": [_found(lookup(tree, _path(path))) for path in (v.value("lookups") if "lookups" in v else [])],
    }


def _bls(v: _Input) -> Answer:
    backend().verify(v.raw("public_key"), v.raw("message"), v.raw("signature"))
    return {}


def _certificate(v: _Input) -> Answer:
    verifier = CertificateVerifier(RootKey.from_der(v.raw("root_key_der")))
    canister = v.principal("canister_id")
    verified = verifier.verify(
        v.raw("certificate"), now=v.number("now_ns"), canister_id=canister, subnet_id=v.principal("subnet_id")
    )
    paths = v.value("lookups") if "lookups" in v else []
    answer: Answer = {"time_ns": str(verified.time_ns), "lookups": [_found(verified.lookup(_path(p))) for p in paths]}
    if "witness_tree_hex" in v and canister is not None:
        witness = verify_witness(verified, canister, v.raw("witness_tree"))
        paths = v.value("witness_lookups") if "witness_lookups" in v else []
        answer["witness_lookups"] = [_found(witness.lookup(_path(path))) for path in paths]
        if "content_hex" in v:
            answer["content_sha256_hex"] = hash_value(v.raw("content")).hex()
    return answer


def _envelope(v: _Input) -> Answer:
    verified = verify_envelope(
        Envelope.decode(v.raw("envelope")),
        now=v.number("now_ns"),
        request_type=v.value("endpoint"),
        effective_canister_id=v.principal("effective_canister_id"),
    )
    return {"request_id_hex": verified.request_id.hex(), "sender": verified.sender.to_text()}


def _delegation(v: _Input) -> Answer:
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
        canister=v.principal("canister_id"),
        request_type=v.value("request_type") if "request_type" in v else "call",
    )
    return {"key_der_hex": key.der.hex()}


def _query_response(v: _Input) -> Answer:
    content = {name: _value(item) for name, item in v.value("query_content").items()}
    fields = {name: _value(item) for name, item in v.value("response").items()}
    query = QueryContent(
        canister_id=Principal(content["canister_id"]),
        method_name=content["method_name"],
        arg=content["arg"],
        sender=Principal(content["sender"]),
        ingress_expiry_ns=content["ingress_expiry"],
        nonce=content.get("nonce"),
    )
    key = PublicKey.from_der(v.raw("node_key_der"))
    signatures = tuple(
        NodeSignature(int(entry["timestamp_ns"]), bytes.fromhex(entry["signature_hex"]), key.principal)
        for entry in v.value("signatures")
    )
    response: QueryReplied | QueryRejected
    if fields["status"] == "replied":
        response = QueryReplied(fields["reply"]["arg"], signatures)
    else:
        response = QueryRejected(fields["reject_code"], fields["reject_message"], fields.get("error_code"), signatures)
    now = signatures[0].timestamp_ns if signatures else 0
    verify_query_response(query, response, node_keys={key.principal: key}, now=now)
    return {"request_id_hex": query.request_id.hex()}


def _user_signature(v: _Input) -> Answer:
    certificates = CertificateVerifier(RootKey.from_der(v.raw("root_key_der"))) if "root_key_der_hex" in v else None
    key = PublicKey.from_der(v.raw("public_key_der"))
    verify_user_signature(key, v.raw("message"), v.raw("signature"), certificates=certificates)
    return {}


def _frame(v: _Input) -> Answer:
    if v.text("direction") == "client":
        return {"shape": type(decode_client_frame(v.raw("frame"))).__name__}
    return {"shape": type(decode_gateway_frame(v.raw("frame"))).__name__}


def _message_key(v: _Input) -> Answer:
    gateway, nonce = parse_message_key(v.text("key"))
    return {"gateway": gateway.to_text(), "nonce": str(nonce)}


_CANDID: Final[dict[str, Callable[[bytes], object]]] = {
    "ws_open": decode_open_argument,
    "ws_close": decode_close_argument,
    "ws_message": decode_message_argument,
    "ws_get_messages_result": decode_get_messages_result,
    "service_message": decode_service_message,
    "message": decode_message,
}


def _candid(v: _Input) -> Answer:
    return {"type": type(_CANDID[v.text("of")](v.raw("data"))).__name__}


def _payload(v: _Input) -> Answer:
    if v.text("suite") == "hpke":
        session = HopSession(
            cast("Principal", v.principal("canister_id")),
            ClientKey(cast("Principal", v.principal("client_principal")), v.number("client_nonce")),
            v.raw("registration_id"),
        )
        algorithm = Algorithm.CHACHA20_POLY1305
        external = hop_external(session, Direction(v.text("direction")), v.number("seq"))
        extra = {"info_hex": hop_info(session, v.number("attach"), v.raw("key_id")).hex()}
    else:
        room = Room(cast("Principal", v.principal("canister_id")), v.raw("room"), v.number("epoch"))
        algorithm = Algorithm.AES_256_GCM
        external = room_external(room, cast("Principal", v.principal("sender")), v.number("counter"))
        extra = {
            "context_hex": room_context(v.raw("label")).hex(),
            "input_hex": room_input(v.number("canister_epoch"), room.room, room.epoch).hex(),
        }
    container = Encrypt0.decode(v.raw("content"), algorithm)
    key = MessageKey(v.raw("key"), v.raw("nonce_key"))
    plaintext = open_sealed(container, key, external=external)
    again = seal(algorithm, key, plaintext, kid=container.kid, external=external)
    return {"plaintext_hex": plaintext.hex(), "sealed_again_hex": again.hex()} | extra


def _vetkd(v: _Input) -> Answer:
    match v.text("op"):
        case "derive_public_key":
            if "master_public_key_hex" in v:
                canister_key = MasterPublicKey(v.raw("master_public_key")).derive_canister_key(
                    Principal(v.raw("canister_id"))
                )
            else:
                canister_key = DerivedPublicKey(v.raw("canister_key"))
            return {"derived_key_hex": canister_key.derive_sub_key(v.raw("context")).raw.hex()}
        case "transport_public_key":
            key = TransportSecretKey(v.raw("transport_secret_key_be")).public_key
            return {"transport_public_key_hex": key.raw.hex()}
        case "decrypt_and_verify":
            transport = TransportSecretKey(v.raw("transport_secret_key_be"))
            vetkey = EncryptedVetKey.from_bytes(v.raw("encrypted_key")).decrypt_and_verify(
                transport, DerivedPublicKey(v.raw("derived_key")), v.raw("input")
            )
            return {"vetkey_hex": vetkey.export_secret().hex()}
        case "verify_vetkey":
            VetKey(v.raw("vetkey")).verify(DerivedPublicKey(v.raw("derived_key")), v.raw("input"))
            return {}
        case "derived_key_material":
            return {"key_hex": VetKey(v.raw("vetkey")).key_material().export_secret().hex()}
        case "aes_gcm_decrypt":
            material = VetKey(v.raw("vetkey")).key_material()
            plaintext = material.decrypt_message(v.raw("ciphertext"), v.text("domain_sep").encode(), v.raw("aad"))
            return {"plaintext_hex": plaintext.hex()}
        case "ibe_encrypt":
            derived = DerivedPublicKey(v.raw("derived_key"))
            sealed = ibe_encrypt(derived, v.raw("identity"), v.raw("plaintext"), seed=v.raw("seed"))
            return {"ciphertext_hex": sealed.hex()}
        case "ibe_decrypt":
            return {"plaintext_hex": ibe_decrypt(VetKey(v.raw("vetkey")), v.raw("ciphertext")).hex()}
        case "hkdf":
            length = v.number("length") if "length" in v else 32
            return {"output_hex": derive_symmetric_key(v.raw("input"), v.raw("info"), length).hex()}
        case "hash_to_scalar":
            return {"scalar_be_hex": hash_to_scalar(v.raw("input"), v.text("dst").encode()).to_bytes(32, "big").hex()}
        case "augmented_hash_to_g1":
            return {"point_hex": bytes(augmented_hash(v.raw("derived_key"), v.raw("input")).compress()).hex()}
        case "vrf":
            canister_key = MasterPublicKey(v.raw("master_public_key")).derive_canister_key(
                Principal(v.raw("canister_id"))
            )
            return {
                "output_hex": VrfOutput.verify(v.raw("vrf"), canister_key.derive_sub_key(v.raw("context"))).output.hex()
            }
    raise KeyError(v.text("op"))


_KINDS: Final[dict[str, Callable[[_Input], Answer]]] = {
    "principal": _principal,
    "public_key": _public_key,
    "cbor": _cbor,
    "representation_independent_hash": _hash,
    "hash_tree": _hash_tree,
    "bls": _bls,
    "certificate": _certificate,
    "envelope": _envelope,
    "delegation": _delegation,
    "query_response": _query_response,
    "webauthn": _user_signature,
    "canister_signature": _user_signature,
    "frame": _frame,
    "message_key": _message_key,
    "candid": _candid,
    "payload": _payload,
    "vetkd": _vetkd,
}


def answer(question: dict[str, Any]) -> Answer:
    """The answer to one question."""
    ask = _KINDS.get(question["kind"])
    if ask is None:
        return {"id": question["id"], "verdict": "unsupported"}
    try:
        return {"id": question["id"], "verdict": "accept", "output": ask(_Input(question["input"]))}
    except IcwsError as error:
        return {"id": question["id"], "verdict": "reject", "reason": str(error.reason)}


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line)), separators=(",", ":")) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
