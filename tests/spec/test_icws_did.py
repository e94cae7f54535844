"""``spec/icws.did`` is the interface that the code speaks: same methods, same types, same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from icws_canister_mock.canister import WebSocketCanister
from icws_canister_mock.canister.samples import SAMPLES, SealedRoom
from icws_secure.session.canister import OMNIA_METHODS
from icws_secure.wire import candid as c
from icws_secure.wire import interface as i
from icws_secure.wire import registration as r
from icws_secure.wire import service as s
from icws_secure.wire.principal import Principal
from icws_secure.wire.rooms import (
    RoomKeyReply,
    encode_room_create,
    encode_room_key,
    encode_room_key_result,
    encode_room_member,
    encode_room_result,
)

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "spec/icws.did").read_text()

_TOKEN = re.compile(r"//[^\n]*|\s+|(->|[A-Za-z_][A-Za-z_0-9]*|[{}():;,=])")
_PRIMITIVES: dict[str, c.Type] = {
    "null": c.Null,
    "bool": c.Bool,
    "nat64": c.Nat64,
    "text": c.Text,
    "blob": c.Blob,
    "principal": c.PrincipalType,
}


class Method(NamedTuple):
    arguments: list[c.Type]
    results: list[c.Type]
    query: bool


class Parser:
    """Reads the part of the ``.did`` grammar that the file uses."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match is not None, text[position : position + 40]
            position = match.end()
            if match[1]:
                self.tokens.append(match[1])
        self.types = dict(_PRIMITIVES)
        self.methods: dict[str, Method] = {}

    def take(self, expected: str | None = None) -> str:
        token = self.tokens.pop(0)
        assert expected in (None, token), (expected, token, self.tokens[:5])
        return token

    def found(self, token: str) -> bool:
        if self.tokens[0] != token:
            return False
        self.take()
        return True

    def parse(self) -> Parser:
        while self.found("type"):
            name = self.take()
            self.take("=")
            self.types[name] = self.type()
            self.take(";")
        self.take("service")
        self.take(":")
        self.take("{")
        while not self.found("}"):
            name = self.take()
            self.take(":")
            arguments = self.tuple()
            self.take("->")
            self.methods[name] = Method(arguments, self.tuple(), self.found("query"))
            self.found(";")
        assert not self.tokens
        return self

    def tuple(self) -> list[c.Type]:
        types: list[c.Type] = []
        self.take("(")
        while not self.found(")"):
            types.append(self.type())
            self.found(",")
        return types

    def type(self) -> c.Type:
        name = self.take()
        if name == "opt":
            return c.Opt(self.type())
        if name == "vec":
            return c.Vec(self.type())
        if name not in ("record", "variant"):
            return self.types[name]
        fields: dict[str, c.Type] = {}
        self.take("{")
        while not self.found("}"):
            label = self.take()
            fields[label] = self.type() if self.found(":") else c.Null
            self.found(";")
        return c.Record(fields) if name == "record" else c.Variant(fields)


DID = Parser(TEXT).parse()

SESSION = Principal.self_authenticating(b"session")
KEY = i.ClientKey(SESSION, 1)
SECURE = i.SecureOpen(bytes(16), 1, 1, "none", b"id", b"enc")
MESSAGE = i.WebsocketMessage(KEY, 1, 2, False, b"content")
STATUS = i.MessageResult(i.Refusal("Closed", "x"), i.MessageStatus(1, 1, i.MessageState.EXECUTED))
PARAMETERS = r.Parameters(
    bytes(16), SESSION, SESSION, "icws-secure/1", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    (r.Suite("none", b"", b"", 1),), ("batch",),
)  # fmt: skip
MESSAGES = i.CertifiedMessages((i.OutputMessage(KEY, "key", b"content"),), b"cert", b"tree", False)
INFO = r.SessionInfo(SESSION, bytes(16), 1, 2, r.SessionState.OPEN, 3, 4)

ROOMS = {
    "room_create": (encode_room_create(b"room", (SESSION,)), encode_room_result(1)),
    "room_add": (encode_room_member(b"room", SESSION), encode_room_result(1)),
    "room_remove": (encode_room_member(b"room", SESSION), encode_room_result(1)),
    "room_key": (encode_room_key(b"room", bytes(48)), encode_room_key_result(RoomKeyReply(1, bytes(192)))),
}

# What each method's argument and result are encoded as by the code, with all that is optional.
ENCODED: dict[str, tuple[bytes, bytes]] = {
    "ws_open": (i.encode_open_argument(i.OpenArgument(1, SESSION, SECURE)), i.encode_open_result()),
    "ws_close": (i.encode_close_argument(i.CloseArgument(KEY, 1)), i.encode_close_result()),
    "ws_get_messages": (i.encode_get_messages_argument(1), i.encode_get_messages_result(MESSAGES)),
    "ws_message_batch": (i.encode_message_batch_argument((MESSAGE,)), i.encode_message_batch_result(STATUS)),
    "ws_register": (
        r.encode_register_argument(r.RegisterArgument(SESSION, 1, 2, SESSION, "none")),
        r.encode_register_result(PARAMETERS),
    ),
    "ws_params": (r.encode_params_argument(bytes(16)), r.encode_params_result(PARAMETERS)),
    "ws_audit": (r.encode_audit_argument((SESSION,)), r.encode_audit_result(r.Audit(1, (b"", None), b"", b""))),
    "ws_revoke": (r.encode_revoke_argument(r.RevokeArgument(SESSION, 1)), r.encode_revoke_result(1)),
    "ws_sessions": (r.encode_sessions_argument(), r.encode_sessions_result((INFO,))),
}


def test_methods_are_those_of_the_code() -> None:
    assert DID.methods.keys() == ENCODED.keys() | {"ws_message"}
    assert {name for name, method in DID.methods.items() if method.query} == {
        "ws_get_messages",
        "ws_audit",
        "ws_sessions",
    }


@pytest.mark.parametrize("name", ENCODED)
def test_code_writes_exactly_the_types_of_the_file(name: str) -> None:
    method = DID.methods[name]
    for types, data in zip((method.arguments, method.results), ENCODED[name], strict=True):
        assert c.encode(types, c.decode(types, data)) == data


@pytest.mark.parametrize("name", ENCODED)
def test_code_reads_what_is_written_with_the_types_of_the_file(name: str) -> None:
    argument, result = ENCODED[name]
    decoders: dict[str, Callable[[bytes], Any]] = vars(i) | vars(r)
    short = name.removeprefix("ws_")

    decoders[f"decode_{short}_argument"](argument)
    decoders[f"decode_{short}_result"](result)


def test_message_and_its_result_are_those_of_the_file() -> None:
    method = DID.methods["ws_message"]

    message, application = c.decode(method.arguments, i.encode_message_argument(MESSAGE))
    assert application is None
    assert i.decode_message_argument(c.encode(method.arguments, [message, b"x"])) == MESSAGE
    data = i.encode_message_result(STATUS)
    assert c.encode(method.results, c.decode(method.results, data)) == data


def test_service_messages_are_those_of_the_file() -> None:
    type_ = DID.types["ServiceMessage"]
    attach = s.AttachMessage(KEY, bytes(16), 1, 2, 3, 4, 5, 6, bytes(32))
    close = s.CloseMessage(s.CloseReason.CLOSED_BY_APPLICATION, s.SessionCloseReason.EXPIRED)
    for message in (attach, close, s.SkipMessage()):
        data = s.encode_service_message(message)
        assert c.encode([type_], c.decode([type_], data)) == data
    for omnia in (s.OpenMessage(KEY), s.AckMessage(1), s.KeepAliveMessage(1)):
        (value,) = c.decode([type_], s.encode_service_message(omnia))
        assert s.decode_service_message(c.encode([type_], [value])) == omnia


@pytest.mark.parametrize("name", [name for name, kind in SAMPLES.items() if issubclass(kind, WebSocketCanister)])
def test_samples_publish_the_methods_that_they_serve(name: str) -> None:
    kind = SAMPLES[name]
    published = Parser(kind.metadata["candid:service"].decode()).parse()
    own = set(ROOMS) if kind is SealedRoom else set()
    served = OMNIA_METHODS if name == "echo-omnia" else DID.methods.keys()
    assert published.methods.keys() == served | own
    for method in served:
        assert published.methods[method] == DID.methods[method]
    for method in published.methods:
        assert published.methods[method].query == (kind.methods[method].kind == "query")


@pytest.mark.parametrize("name", ROOMS)
def test_sealed_room_publishes_the_types_of_the_code(name: str) -> None:
    method = Parser(SealedRoom.metadata["candid:service"].decode()).parse().methods[name]
    for types, data in zip((method.arguments, method.results), ROOMS[name], strict=True):
        assert c.encode(types, c.decode(types, data)) == data


def test_words_of_closed_lists_are_in_the_file() -> None:
    for word in (*i.MessageState, *r.SessionState, *s.CloseReason, *s.SessionCloseReason):
        assert str(word) in TEXT
