"""Vectors of Candid: the arguments and results of the protocol's methods, and what Candid itself allows."""

from __future__ import annotations

from typing import Final

from icws_conformance.vectors.build import NOW_NS, Maker, parts
from icws_conformance.vectors.cast import GATEWAY
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    OpenArgument,
    OutputMessage,
    SecureOpen,
    WebsocketMessage,
    encode_close_argument,
    encode_get_messages_result,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.message import CanisterMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.service import (
    AckMessage,
    CloseMessage,
    CloseReason,
    SessionCloseReason,
    encode_service_message,
)

__all__ = ["candid"]

_USER: Final = Principal.self_authenticating(b"user")


def _field(name: str) -> int:
    """The number of a field, from the words of Candid's specification."""
    number = 0
    for char in name.encode():
        number = (number * 223 + char) % (1 << 32)
    return number


def _record(**fields: int) -> bytes:
    """A row of a type table: a record of fields of these types."""
    rows = sorted((_field(name), type_) for name, type_ in fields.items())
    return (
        b"\x6c"
        + encode_unsigned(len(rows))
        + b"".join(encode_unsigned(number) + bytes([type_ & 0x7F]) for number, type_ in rows)
    )


_NAT64: Final = -8
_PRINCIPAL: Final = -24
_CLOSE_ROWS: Final = (_record(client_principal=_PRINCIPAL, client_nonce=_NAT64), _record(client_key=0))
_CLOSE_VALUE: Final = (
    (7).to_bytes(8, "little") + b"\x01\x1d" + _USER.raw
    if _field("client_nonce") < _field("client_principal")
    else b"\x01\x1d" + _USER.raw + (7).to_bytes(8, "little")
)


def candid() -> Maker:
    """Arguments and results of the protocol's methods."""
    made = Maker(
        "candid",
        ["An argument or result, by the field of; Candid, or CBOR for message. Accepted means: decoded."],
        {
            "Bomb": ("A few bytes claim very many values.", "Time or memory grows without bound."),
            "Malformed": ("It is no document of this type.", "A fault in the decoder is within reach of a stranger."),
        },
    )
    key = ClientKey(_USER, 7)
    secure = SecureOpen(bytes(16), 1, 1, "none", None, None)
    good: dict[str, tuple[bytes, str]] = {
        "ws_open": (encode_open_argument(OpenArgument(7, GATEWAY, secure)), "OpenArgument"),
        "ws_close": (encode_close_argument(CloseArgument(key, 1)), "CloseArgument"),
        "ws_message": (encode_message_argument(WebsocketMessage(key, 1, NOW_NS, False, b"text")), "WebsocketMessage"),
        "ws_get_messages_result": (
            encode_get_messages_result(CertifiedMessages((OutputMessage(key, "k", b"c"),), b"c", b"t", True)),
            "CertifiedMessages",
        ),
        "service_message": (encode_service_message(AckMessage(3)), "AckMessage"),
        "message": (CanisterMessage(key, 1, NOW_NS, False, b"text", None).encode(), "CanisterMessage"),
    }
    for of, (data, type_) in good.items():
        made.accept(f"{of}, as it should be", "LIB-021", {"of": of, "data_hex": data.hex()}, type=type_)
    for of, (data, _) in good.items():
        given = {"of": of, "data_hex": data[:-1].hex()}
        made.reject(f"{of}, cut short", "LIB-021 LIB-023", "Malformed", given, "Malformed")
    reasons = "Malformed TooMany TooLarge TooDeep WrongType MissingField TrailingBytes"
    for comment, text in (
        ("no magic bytes", "00"),
        ("a type that is not there", "4449444c000105"),
        ("a vector of 2^32 nulls", "4449444c016d7f0100ffffffff0f"),
        ("a type table of 2^32 types", "4449444cffffffff0f"),
        ("a record of 2^32 fields", "4449444c016cffffffff0f"),
        ("a type that is itself, for ever", "4449444c016e000100" + "01" * 3000),
        ("other types than wanted", "4449444c00017d07"),
    ):
        given = {"of": "ws_open", "data_hex": text}
        made.reject(
            comment,
            "LIB-021 LIB-023",
            reasons,
            given,
            "Bomb" if "2^32" in comment or "ever" in comment else "Malformed",
        )
    _tables(made)
    _values(made)
    _messages(made)
    return made


def _close(*rows: bytes, types: bytes = b"", values: bytes = b"") -> dict[str, str]:
    """An argument of ``ws_close`` with further rows in its type table, and further arguments behind it."""
    table = encode_unsigned(2 + len(rows)) + b"".join(_CLOSE_ROWS) + b"".join(rows)
    data = b"DIDL" + table + encode_unsigned(1 + len(types)) + b"\x01" + types + _CLOSE_VALUE + values
    return {"of": "ws_close", "data_hex": data.hex()}


def _tables(made: Maker) -> None:
    """Type tables. Whatever stands in one is checked, used or not."""
    made.accept("an argument made by hand", "LIB-021", _close(), type="CloseArgument")
    made.accept("a type that is not used", "LIB-021", _close(b"\x6d\x7b"), type="CloseArgument")
    func = b"\x6a\x00\x00\x00"
    for comment, row in (
        ("a primitive type that there is not", b"\x6e\x60"),
        ("fields in the wrong order", b"\x6c\x02\x02\x7f\x01\x7f"),
        ("a field twice", b"\x6c\x02\x01\x7f\x01\x7f"),
        ("a field number of 33 bits", b"\x6c\x01\x80\x80\x80\x80\x10\x7f"),
        ("a function with an unknown annotation", b"\x6a\x00\x00\x01\x09"),
        ("a function with four annotations", b"\x6a\x00\x00\x04\x01\x01\x01\x01"),
        ("a row that is a primitive type", b"\x7f"),
        ("methods in the wrong order", func + b"\x69\x02\x01b\x02\x01a\x02"),
        ("a service whose method is no function", b"\x69\x01\x01a\x00"),
        ("a service whose method is a primitive type", b"\x69\x01\x01a\x7f"),
        ("a method's name that is no UTF-8", func + b"\x69\x01\x01\xff\x02"),
    ):
        rows = (func, row[len(func) :]) if row.startswith(func) and len(row) > len(func) else (row,)
        made.reject(f"a type table with {comment}", "LIB-021", "Malformed TooMany", _close(*rows), "Malformed")


def _values(made: Maker) -> None:
    """Arguments that nobody asked for are passed over, and checked on the way."""
    made.accept("an argument more", "LIB-021", _close(types=b"\x7e", values=b"\x01"), type="CloseArgument")
    for comment, rows, types, values in (
        ("a bool of 2", (), b"\x7e", b"\x02"),
        ("an opt of 2", (b"\x6e\x7f",), b"\x02", b"\x02"),
        ("a variant's case that there is not", (b"\x6b\x01\x00\x7f",), b"\x02", b"\x01"),
        ("a principal that is no transparent reference", (), b"\x68", b"\x00\x00"),
        ("a principal of 30 bytes", (), b"\x68", b"\x01\x1e" + bytes(30)),
        ("a function that is no transparent reference", (b"\x6a\x00\x00\x00",), b"\x02", b"\x00\x01\x00\x00"),
        ("a value of a later type, with references", (b"\x67\x00",), b"\x02", b"\x00\x01"),
        ("a value of the empty type", (), b"\x6f", b""),
        ("a text that is no UTF-8", (), b"\x71", b"\x01\xff"),
        ("a blob that is cut short", (b"\x6d\x7b",), b"\x02", b"\x05a"),
        ("a number of 257 bytes", (), b"\x7d", b"\x80" * 256 + b"\x01"),
        ("a number that does not end", (), b"\x7d", b"\x80\x80"),
    ):
        made.reject(
            f"an argument more: {comment}",
            "LIB-021",
            "Malformed TooLarge",
            _close(*rows, types=types, values=values),
            "Malformed",
        )
    nulls = _close(b"\x6d\x7f", types=b"\x02", values=encode_unsigned(90_000))
    made.reject("an argument more: 90,000 nulls in five bytes", "LIB-021", "TooMany", nulls, "Bomb")
    deep = [b"\x6e" + encode_unsigned(number + 1) for number in range(2, 42)]
    nested = _close(*deep, b"\x6e\x7f", types=b"\x02", values=b"\x01" * 40 + b"\x00")
    made.reject("an argument more: forty levels deep", "LIB-021", "TooDeep", nested, "Bomb")


def _messages(made: Maker) -> None:
    """What was asked for, and is not what it should be."""
    good = encode_message_argument(WebsocketMessage(ClientKey(_USER, 7), 1, NOW_NS, False, b"text"))
    close, nothing = _close()["data_hex"], "4449444c0000"
    loose = _CLOSE_VALUE.replace(b"\x01\x1d", b"\x00\x1d", 1)
    long = _CLOSE_VALUE.replace(b"\x01\x1d" + _USER.raw, b"\x01\x1e\x00" + _USER.raw, 1)
    table = close[: -2 * len(_CLOSE_VALUE)]
    true = encode_message_argument(WebsocketMessage(ClientKey(_USER, 7), 1, NOW_NS, True, b"text"))
    flag = next(index for index, pair in enumerate(zip(good, true, strict=True)) if pair[0] != pair[1])
    odd = _with(good, flag, 2)
    ack = encode_service_message(AckMessage(3))
    last = ack.rindex((3).to_bytes(8, "little")) - 1
    for comment, of, text, reasons in (
        ("no argument at all", "ws_close", nothing, "MissingField"),
        ("a byte after the last value", "ws_close", close + "00", "TrailingBytes"),
        ("a principal that is no transparent reference", "ws_close", table + loose.hex(), "Malformed"),
        ("a principal of 30 bytes, asked for", "ws_close", table + long.hex(), "Malformed TooLarge"),
        ("a bool of 2, asked for", "ws_message", odd.hex(), "Malformed"),
        ("a service message of a case that there is not", "service_message", _with(ack, last, 9).hex(), "Malformed"),
        ("an argument of another method", "ws_open", close, "MissingField WrongType"),
    ):
        names = "LIB-002 LIB-021" if "30 bytes" in comment else "LIB-021 LIB-023"
        made.reject(comment, names, reasons, {"of": of, "data_hex": text}, "Malformed")
    present = bytearray(encode_close_argument(CloseArgument(ClientKey(_USER, 7), 1)))
    index = present.index(b"\x01" + (1).to_bytes(8, "little"))
    present[index] = 2
    made.reject(
        "an opt of 2, asked for", "LIB-021", "Malformed", {"of": "ws_close", "data_hex": present.hex()}, "Malformed"
    )
    huge = parts((b"DIDL\x00\x00", 1), (b"\x00", 3 << 20))
    made.reject("longer than three megabytes", "LIB-021", "TooLarge", {"of": "ws_open", "data_hex": huge}, "Bomb")
    message = CanisterMessage(ClientKey(_USER, 7), 1, NOW_NS, False, b"text", bytes(16)).encode()
    salt = message.replace(b"\x50" + bytes(16), b"\x4f" + bytes(15))
    made.reject(
        "a message with a salt of 15 bytes",
        "LIB-024",
        "Malformed",
        {"of": "message", "data_hex": salt.hex()},
        "Malformed",
    )
    _details(made)


def _details(made: Maker) -> None:
    """Values that are of their Candid type, and none of the protocol's."""
    close = encode_service_message(CloseMessage(CloseReason.KEEP_ALIVE_TIMEOUT, SessionCloseReason.REVOKED))
    secure = SecureOpen(bytes(16), 1, 1, "none", None, None)
    opened = encode_open_argument(OpenArgument(7, GATEWAY, secure))
    code = str(SessionCloseReason.REVOKED).encode()
    for comment, of, data, reasons in (
        (
            "a close message with a code that there is not",
            "service_message",
            close.replace(code, b"x" * len(code)),
            "Malformed",
        ),
        (
            "a text that is no UTF-8, asked for",
            "service_message",
            close.replace(code, b"\xff" * len(code)),
            "Malformed",
        ),
        ("a suite that is no UTF-8", "ws_open", opened.replace(b"\x04none", b"\x04no\xffe"), "Malformed"),
        (
            "a registration id of 15 bytes",
            "ws_open",
            opened.replace(b"\x10" + bytes(16), b"\x0f" + bytes(15)),
            "Malformed",
        ),
        ("nothing behind the magic bytes", "ws_open", b"DIDL", "Malformed"),
        ("a header that ends in its type table", "ws_open", opened[:12], "Malformed"),
    ):
        made.reject(comment, "LIB-021 LIB-024", reasons, {"of": of, "data_hex": data.hex()}, "Malformed")


def _with(data: bytes, index: int, value: int) -> bytes:
    return data[:index] + bytes([value]) + data[index + 1 :]
