"""Candid values as people read them, for the wire log."""

from __future__ import annotations

from typing import Any, Final

from icws_conformance.canisters.candid import CandidError, Case, Type, decode
from icws_conformance.canisters.interface import ARGUMENT_NAMES, NAMES
from icws_secure.errors import IcwsError
from icws_secure.wire.principal import Principal

__all__ = ["rendered"]

_BYTES: Final = 24
_ITEMS: Final = 8
_LENGTH: Final = 900


def rendered(data: bytes) -> str:
    """The values of a Candid document, shortened; what is none is told to be none."""
    try:
        values, types = decode(data, (*NAMES, *ARGUMENT_NAMES))
    except CandidError as error:
        return f"{len(data)} bytes that are no Candid: {error}"
    text = ", ".join(_value(value, kind) for value, kind in zip(values, types, strict=True))
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"


def _value(value: Any, kind: Type) -> str:
    if value is None:
        return "null"
    if isinstance(kind, str):
        return _principal(value) if kind == "principal" else repr(value)
    name, inner = kind
    if name == "opt":
        return f"opt {_value(value, inner)}"
    if isinstance(value, bytes):
        return _blob(value)
    if isinstance(value, Case):
        return value.name if value.value is None else f"{value.name}: {_value(value.value, inner[value.name])}"
    if isinstance(value, dict):
        return "{" + "; ".join(f"{field} {_value(value[field], inner[field])}" for field in value) + "}"
    items = [_value(item, inner) for item in value[:_ITEMS]]
    return "[" + ", ".join(items) + (", …]" if len(value) > _ITEMS else "]")


def _principal(raw: bytes) -> str:
    try:
        return Principal(raw).to_text()
    except IcwsError:
        return f"no principal {raw.hex()}"


def _blob(data: bytes) -> str:
    if data and data.isascii() and data.decode().isprintable():
        return repr(data[: 2 * _BYTES].decode()) + ("…" if len(data) > 2 * _BYTES else "")
    return f"{data[:_BYTES].hex()}{'…' if len(data) > _BYTES else ''} ({len(data)} bytes)"
