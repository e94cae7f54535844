"""Certificates of the Internet Computer, decoded and not verified (interface specification, "Certification").

Only the verifier may look inside the tree of one; until then it is what a stranger sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import DecodeError, Reason
from ..limits import MAX_CERTIFICATE_BYTES
from . import cbor
from .hashtree import HashTree, encode_tree, parse_tree
from .principal import Principal

__all__ = ["Certificate", "CertificateDelegation", "decode_certificate", "encode_certificate"]

_REQUIREMENT: Final = "ICWS-LIB-001"
_SIGNATURE_BYTES: Final = 48
_BYTES, _TEXT, _MAP, _SIMPLE = 2, 3, 5, 7  # CBOR's major types
_NULL: Final = 22


@dataclass(frozen=True, slots=True)
class CertificateDelegation:
    """The root subnet's word for another subnet.

    Attributes:
        subnet_id: the subnet whose key signed the outer certificate.
        certificate: an encoded certificate, signed by the root key, that shows that key.
    """

    subnet_id: Principal
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A tree with a signature on its root hash.

    Attributes:
        tree: the part of the state tree that is shown.
        signature: 48 bytes, a compressed point of G1.
        delegation: who vouches for the signing key; None if it is the root key.
        raw: the bytes that were decoded.
    """

    tree: HashTree
    signature: bytes
    delegation: CertificateDelegation | None
    raw: bytes


def decode_certificate(data: bytes) -> Certificate:
    """Decode a certificate; a delegation of null counts as none.

    Raises:
        DecodeError: it is too long, a field is missing, unknown, twice there or of another type, or the tree is
            malformed.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise DecodeError(
            "a certificate is too long", reason=Reason.TOO_LARGE, requirement=_REQUIREMENT, limit=MAX_CERTIFICATE_BYTES
        )
    tree: HashTree | None = None
    signature: bytes | None = None
    delegation: CertificateDelegation | None = None
    # The tree may be nested more deeply than other CBOR, and has a parser of its own: so this map is read by hand.
    entries, offset = _map_head(data, 3 if cbor.has_self_describe_tag(data) else 0)
    seen: set[str] = set()
    for _ in range(entries):
        name, offset = _key(data, offset, seen)
        if name == "tree":
            tree, offset = parse_tree(data, offset)
        elif name == "signature":
            signature, offset = _blob(data, offset, name)
        elif name == "delegation":
            delegation, offset = _delegation(data, offset)
        else:
            raise _unknown_field(name)
    if offset != len(data):
        raise DecodeError("bytes follow a certificate", reason=Reason.TRAILING_BYTES, requirement=_REQUIREMENT)
    if tree is None or signature is None:
        raise DecodeError(
            "a certificate lacks its tree or its signature", reason=Reason.MISSING_FIELD, requirement=_REQUIREMENT
        )
    if len(signature) != _SIGNATURE_BYTES:
        raise _malformed("the signature has the wrong length")
    return Certificate(tree, signature, delegation, data)


def encode_certificate(tree: HashTree, signature: bytes, delegation: CertificateDelegation | None = None) -> bytes:
    """Encode a certificate, with the self-describe tag."""
    out = [
        cbor.SELF_DESCRIBE_TAG,
        cbor.encode_head(_MAP, 2 if delegation is None else 3),
        cbor.encode("tree"),
        encode_tree(tree, self_described=False),
        cbor.encode("signature"),
        cbor.encode(signature),
    ]
    if delegation is not None:
        value = {"subnet_id": delegation.subnet_id.raw, "certificate": delegation.certificate}
        out += [cbor.encode("delegation"), cbor.encode(value)]
    return b"".join(out)


def _delegation(data: bytes, offset: int) -> tuple[CertificateDelegation | None, int]:
    major, argument, end = cbor.read_head(data, offset, what="a certificate")
    if (major, argument) == (_SIMPLE, _NULL) and end == offset + 1:
        return None, end
    entries, offset = _map_head(data, offset)
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    for _ in range(entries):
        name, offset = _key(data, offset, seen)
        if name not in ("subnet_id", "certificate"):
            raise _unknown_field(name)
        found[name], offset = _blob(data, offset, name)
    if len(found) != 2:
        raise DecodeError(
            "a certificate's delegation lacks a field", reason=Reason.MISSING_FIELD, requirement=_REQUIREMENT
        )
    return CertificateDelegation(Principal(found["subnet_id"]), found["certificate"]), offset


def _map_head(data: bytes, offset: int) -> tuple[int, int]:
    major, entries, offset = cbor.read_head(data, offset, what="a certificate")
    if major != _MAP:
        raise DecodeError("a certificate is not a map", reason=Reason.WRONG_TYPE, requirement=_REQUIREMENT)
    return entries, offset


def _key(data: bytes, offset: int, seen: set[str]) -> tuple[str, int]:
    text, offset = _string(data, offset, _TEXT, "a key")
    name = text.decode("utf-8", "replace")
    # [ICWS-LIB-001]
    if name in seen:
        raise DecodeError("a certificate has a key twice", reason=Reason.DUPLICATE_KEY, requirement=_REQUIREMENT)
    seen.add(name)
    return name, offset


def _blob(data: bytes, offset: int, name: str) -> tuple[bytes, int]:
    return _string(data, offset, _BYTES, name)


def _string(data: bytes, offset: int, kind: int, name: str) -> tuple[bytes, int]:
    major, length, offset = cbor.read_head(data, offset, what="a certificate")
    if major != kind:
        raise DecodeError(
            "a field of a certificate has the wrong type",
            reason=Reason.WRONG_TYPE,
            requirement=_REQUIREMENT,
            field=name,
        )
    stop = offset + length
    if stop > len(data):
        raise _malformed("it ends too early")
    return data[offset:stop], stop


def _unknown_field(name: str) -> DecodeError:
    return DecodeError(
        "a certificate has an unknown field",
        reason=Reason.UNKNOWN_FIELD,
        requirement=_REQUIREMENT,
        field=repr(name[:64]),
    )


def _malformed(why: str) -> DecodeError:
    return DecodeError(f"this is not a certificate: {why}", reason=Reason.MALFORMED, requirement=_REQUIREMENT)
