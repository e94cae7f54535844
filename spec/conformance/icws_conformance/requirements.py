"""The requirements, as the specification lists them: what each says, why, and the attack that it stops."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final

from icws_conformance.resources import data_path
from icws_secure.errors import MisuseError, Reason

__all__ = ["Level", "Requirement", "requirement", "requirements"]

_SENTENCE: Final = re.compile(r"\[(ICWS-[A-Z]+-\d{3})\]")
_BULLET: Final = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")


class Level(StrEnum):
    """How binding a requirement is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement.

    Attributes:
        id: such as ``ICWS-CLT-025``.
        level: MUST or SHOULD.
        role: client, gateway, canister, library or payload.
        title: the rule in short.
        sentence: the rule in the words of the specification.
        rationale: why the rule is there.
        attack: what somebody could do without it.
    """

    id: str
    level: Level
    role: str
    title: str
    sentence: str
    rationale: str
    attack: str


@cache
def requirements() -> Mapping[str, Requirement]:
    """All requirements by id, in the order of the list."""
    with data_path("requirements.toml").open("rb") as file:
        entries = tomllib.load(file)["requirement"]
    sentences = _sentences()
    return MappingProxyType(
        {
            entry["id"]: Requirement(
                id=entry["id"],
                level=Level(entry["level"]),
                role=entry["role"],
                title=entry["title"],
                sentence=sentences.get(entry["id"], ""),
                rationale=entry.get("rationale", ""),
                attack=entry.get("attack", ""),
            )
            for entry in entries
        }
    )


def requirement(name: str) -> Requirement:
    """The requirement of an id.

    Raises:
        MisuseError: there is none.
    """
    try:
        return requirements()[name]
    except KeyError:
        raise MisuseError("there is no such requirement", reason=Reason.INVALID_ARGUMENT, id=name) from None


def _sentences() -> dict[str, str]:
    """The sentence of the specification that each id stands behind."""
    found: dict[str, str] = {}
    for line in data_path("protocol.md").read_text(encoding="utf-8").splitlines():
        start = 0
        for match in _SENTENCE.finditer(line):
            found.setdefault(match[1], _BULLET.sub("", line[start : match.start()]).strip(" .|"))
            start = match.end()
    return found
