"""A question of the target ``vectors``, as this project's driver reads it, and values in answers."""

from __future__ import annotations

from typing import Any

from icws_secure.wire.hashtree import Found, Miss
from icws_secure.wire.principal import Principal

__all__ = ["Answer", "Question", "labels", "shown", "value_of"]

Answer = dict[str, Any]
"""The output of an acceptance."""


class Question:
    """The fields of a question: bytes where the name ends in ``_hex``, numbers and principals as text."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def raw(self, name: str) -> bytes:
        """The bytes of the field ``NAME_hex``."""
        return bytes.fromhex(self._fields[f"{name}_hex"])

    def number(self, name: str) -> int:
        """A whole number, which JSON carries as text."""
        return int(self._fields[name])

    def text(self, name: str) -> str:
        """A text."""
        return str(self._fields[name])

    def principal(self, name: str) -> Principal:
        """A principal, which JSON carries in its textual form."""
        return Principal.from_text(self._fields[name])

    def principal_if_given(self, name: str) -> Principal | None:
        """A principal, or None where the field is absent."""
        return self.principal(name) if name in self else None

    def value(self, name: str) -> Any:
        """A field as it is."""
        return self._fields[name]


def value_of(described: dict[str, Any]) -> Any:
    """The value that ``{"nat": ...}``, ``{"blob": ...}``, ``{"text": ...}``, ``{"array": ...}`` or ``{"map": ...}``
    describes."""
    ((kind, inner),) = described.items()
    if kind == "map":
        return {name: value_of(item) for name, item in inner.items()}
    if kind == "array":
        return [value_of(item) for item in inner]
    if kind == "blob":
        return bytes.fromhex(inner)
    return int(inner) if kind == "nat" else str(inner)


def shown(result: Found | Miss) -> Answer:
    """The result of a lookup."""
    if isinstance(result, Found):
        return {"result": "found", "value_hex": result.value.hex()}
    return {"result": str(result.value)}


def labels(path: list[str]) -> list[bytes]:
    """The labels of a path."""
    return [bytes.fromhex(label) for label in path]
