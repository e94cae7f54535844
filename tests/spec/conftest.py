"""A reader of the part of CDDL (RFC 8610) that ``spec/icws.cddl`` is written in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from icws_secure.errors import DecodeError
from icws_secure.wire import cbor

CDDL = Path(__file__).resolve().parents[2] / "spec/icws.cddl"

_TOKEN = re.compile(
    r""";[^\n]*|\s+|("[^"]*"|\#6\.\d+|\.\.|=>|\.[a-z]+|\d+\*\d+|[A-Za-z][A-Za-z0-9_-]*|\d+|[=/<>(){}\[\],:?*])"""
)
Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Entry:
    """An entry of a group: a key (None in arrays), what its value is, and how often it may be there."""

    key: Check | None
    value: Check
    low: int = 1
    high: int = 1


@dataclass
class Grammar:
    """The rules of a file. ``takes`` says whether a document is what a rule describes."""

    rules: dict[str, Check] = field(default_factory=dict)
    groups: dict[str, list[Entry]] = field(default_factory=dict)

    def takes(self, rule: str, data: bytes) -> bool:
        return self.matches(self.rules[rule], data)

    @staticmethod
    def matches(check: Check, data: bytes) -> bool:
        try:
            return check(cbor.decode(data, what="document", max_depth=500))
        except DecodeError:
            return False


_PRELUDE: dict[str, Check] = {
    "any": lambda value: True,
    "uint": lambda value: type(value) is int and value >= 0,
    "bytes": lambda value: type(value) is bytes,
    "text": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "null": lambda value: value is None,
}


def _named(name: str) -> Check:
    return lambda key: type(key) is str and key == name


class Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match is not None, text[position : position + 40]
            position = match.end()
            if match[1]:
                self.tokens.append(match[1])
        self.at = 0
        self.grammar = Grammar(rules=dict(_PRELUDE))

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        assert expected in (None, token), (expected, self.tokens[self.at : self.at + 6])
        self.at += 1
        return token

    def found(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def parse(self) -> Grammar:
        while self.peek():
            name = self.take()
            if self.found("<"):  # self-described<x>: the tag is the CBOR reader's affair
                while not self.found("="):
                    self.take()
                self.type({"x": _PRELUDE["any"]})
                continue
            self.take("=")
            if self.peek() == "(":
                self.take()
                self.grammar.groups[name] = self.entries(")")
            else:
                assert name not in self.grammar.rules, name
                self.grammar.rules[name] = self.type()
        return self.grammar

    def type(self, known: dict[str, Check] | None = None) -> Check:
        choices = [self.operated(known or {})]
        while self.found("/"):
            choices.append(self.operated(known or {}))
        return lambda value: any(choice(value) for choice in choices)

    def operated(self, known: dict[str, Check]) -> Check:
        base = self.single(known)
        if self.found(".size"):
            low, high = self.range()
            return lambda value: (
                base(value) and (value < 1 << 8 * high if type(value) is int else low <= len(value) <= high)
            )
        if self.found(".cbor"):
            inner = self.single(known)
            return lambda value: base(value) and Grammar.matches(inner, value)
        if self.found(".regexp"):
            pattern = re.compile(self.take()[1:-1])
            return lambda value: base(value) and pattern.fullmatch(value) is not None
        return base

    def range(self) -> tuple[int, int]:
        if not self.found("("):
            size = int(self.take())
            return size, size
        low = int(self.take())
        self.take("..")
        high = int(self.take())
        self.take(")")
        return low, high

    def single(self, known: dict[str, Check]) -> Check:
        token = self.take()
        if token == "(":
            inner = self.type(known)
            self.take(")")
            return inner
        if token == "{":
            return self.map(self.entries("}"))
        if token == "[":
            return self.array(self.entries("]"))
        if token.startswith("#6."):
            return self.single(known)
        if token.startswith('"') or token.isdigit():
            literal = token[1:-1] if token.startswith('"') else int(token)
            return lambda value: type(value) is type(literal) and value == literal
        if self.found("<"):
            inner = self.type(known)
            self.take(">")
            return inner
        return known.get(token) or (lambda value: self.grammar.rules[token](value))

    def entries(self, end: str) -> list[Entry]:
        entries: list[Entry] = []
        while not self.found(end):
            low, high = self.occurrence()
            token = self.peek()
            if token in self.grammar.groups and self.peek(1) in (",", end):
                self.take()
                entries += self.grammar.groups[token]
            elif self.peek(1) == ":":
                self.take()
                self.take(":")
                entries.append(Entry(_named(token), self.type(), low, high))
            else:
                value = self.type()
                entries.append(
                    Entry(value, self.type(), low, high) if self.found("=>") else Entry(None, value, low, high)
                )
            self.found(",")
        return entries

    def occurrence(self) -> tuple[int, int]:
        token = self.peek()
        if token == "?":
            self.take()
            return 0, 1
        if token == "*":
            self.take()
            return 0, 1 << 32
        if "*" in token:
            low, high = self.take().split("*")
            return int(low), int(high)
        return 1, 1

    @staticmethod
    def map(entries: list[Entry]) -> Check:
        def check(value: Any) -> bool:
            if type(value) is not dict:
                return False
            left = dict(value)
            for entry in entries:
                assert entry.key is not None
                keys = [key for key in left if entry.key(key)][: entry.high]
                if len(keys) < entry.low or not all(entry.value(left.pop(key)) for key in keys):
                    return False
            return not left

        return check

    @staticmethod
    def array(entries: list[Entry]) -> Check:
        def check(value: Any) -> bool:
            if type(value) is not list:
                return False
            at = 0
            for entry in entries:
                count = 0
                while count < entry.high and at < len(value) and entry.value(value[at]):
                    count, at = count + 1, at + 1
                if count < entry.low:
                    return False
            return at == len(value)

        return check


@pytest.fixture(scope="session")
def grammar() -> Grammar:
    """The rules of ``spec/icws.cddl``."""
    return Parser(CDDL.read_text()).parse()
