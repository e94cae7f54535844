"""The representation-independent hash: what signatures on requests and delegations cover.

Source: IC interface specification, "Request ids".

A blob and a text hash to SHA-256 of their bytes, a number to SHA-256 of its shortest LEB128, an array to SHA-256 of its
elements' hashes, a map to SHA-256 of its sorted pairs of hashed name and hashed value. Fields that are absent are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, TypeAlias, Union

from ..errors import MisuseError, Reason
from ..limits import MAX_CBOR_DEPTH
from .leb128 import encode_signed, encode_unsigned
from .principal import Principal

__all__ = ["Value", "hash_of_map", "hash_value", "request_id"]

Value: TypeAlias = Union[bytes, str, int, Principal, "list[Value]", "tuple[Value, ...]", "Mapping[str, Value]"]
"""What can be hashed. A ``bool`` or None cannot, a principal counts as its bytes."""

_REQUIREMENT: Final = "ICWS-LIB-004"

# Hashes of the field names that nearly every request, delegation and response has.
_NAMES: Final = {
    name: sha256(name.encode()).digest()
    for name in (
        "arg",
        "canister_id",
        "error_code",
        "expiration",
        "ingress_expiry",
        "method_name",
        "nonce",
        "paths",
        "permissions",
        "pubkey",
        "reject_code",
        "reject_message",
        "reply",
        "request_id",
        "request_type",
        "sender",
        "status",
        "targets",
        "timestamp",
    )
}


def hash_value(value: Value) -> bytes:
    """Hash a value; 32 bytes.

    Raises:
        MisuseError: the value, or something in it, is of a type that has no hash, or it is nested too deeply.
    """
    return _hash(value, MAX_CBOR_DEPTH)


def hash_of_map(fields: Mapping[str, Value]) -> bytes:
    """Hash a map; 32 bytes. Raises as :func:`hash_value` does."""
    return _hash(fields, MAX_CBOR_DEPTH)


def request_id(content: Mapping[str, Value]) -> bytes:
    """The id of a request: the hash of its ``content``, 32 bytes. Raises as :func:`hash_value` does."""
    return hash_of_map(content)


def _hash(value: object, depth: int) -> bytes:
    # [ICWS-LIB-004]
    if isinstance(value, bytes):
        data = value
    elif isinstance(value, str):
        data = _utf8(value)
    elif isinstance(value, bool):
        raise MisuseError("booleans have no hash", reason=Reason.WRONG_TYPE, requirement=_REQUIREMENT)
    elif isinstance(value, int):
        data = encode_unsigned(value) if value >= 0 else encode_signed(value)
    elif isinstance(value, Principal):
        data = value.raw
    elif depth <= 0:
        raise MisuseError("the value is nested too deeply", reason=Reason.TOO_DEEP, requirement=_REQUIREMENT)
    elif isinstance(value, Mapping):
        pairs: list[bytes] = []
        for name, item in value.items():
            if not isinstance(name, str):
                raise MisuseError("a field name is not text", reason=Reason.WRONG_TYPE, requirement=_REQUIREMENT)
            known = _NAMES.get(name) or sha256(_utf8(name)).digest()
            pairs.append(known + _hash(item, depth - 1))
        pairs.sort()
        data = b"".join(pairs)
    elif isinstance(value, list | tuple):
        data = b"".join([_hash(item, depth - 1) for item in value])
    else:
        raise MisuseError(
            "a value of this type has no hash",
            reason=Reason.WRONG_TYPE,
            requirement=_REQUIREMENT,
            received=type(value).__name__,
        )
    return sha256(data).digest()


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MisuseError(
            "a text has lone surrogates", reason=Reason.INVALID_ARGUMENT, requirement=_REQUIREMENT
        ) from error
