"""CBOR (RFC 8949) as the Internet Computer uses it, read strictly.

One pass, no recursion. What a decoder might read in two ways is refused: duplicate keys, bytes after the document,
floats, ``undefined``, tags. Two tags are known: 55799 ("self-described") in front of a document, and 2 for a natural
number of up to 128 bits. Longer than shortest integers and lengths are accepted: deployed JavaScript clients send
them, and no signature covers the encoding. Counts are compared with what is left of the input before anything is
allocated.

Indefinite lengths are refused, but for arrays and maps where the caller allows them. The Internet Computer's HTTPS
interface has them: replicas answer queries with such a map, and the Java agent sends requests so.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_CBOR_DEPTH, MAX_CBOR_ITEMS, MAX_FRAME_BYTES

__all__ = [
    "SELF_DESCRIBE_TAG",
    "decode",
    "encode",
    "encode_head",
    "encode_self_described",
    "fields",
    "has_self_describe_tag",
    "read_head",
]

SELF_DESCRIBE_TAG: Final = b"\xd9\xd9\xf7"
"""The three bytes of tag 55799, which says "this is CBOR" and nothing else."""

_REQUIREMENT: Final = "ICWS-LIB-001"
_BIGNUM_TAG: Final = 2
_MAX_BIGNUM_BYTES: Final = 16
_NO_KEY: Final = object()  # the key of a map entry is still to come
_LIST: Final = object()  # the container is a list and has no keys
_MAX_KEY: Final = 1 << 16  # bound of integers as keys, which only COSE has
_U64: Final = 1 << 64
_one_byte, _two_bytes, _three_bytes, _five_bytes, _nine_bytes = (
    struct.Struct(form).pack for form in (">B", ">BB", ">BH", ">BI", ">BQ")
)
_MAY_BE_INDEFINITE: Final = (4, 5, 7)  # arrays and maps, and the break that ends them


def has_self_describe_tag(data: bytes) -> bool:
    """Whether the document starts with tag 55799; some signatures must."""
    return data.startswith(SELF_DESCRIBE_TAG)


def read_head(data: bytes, offset: int, *, what: str) -> tuple[int, int, int]:
    """Read the head of one data item.

    Args:
        data: the document.
        offset: where the item starts.
        what: a name for error messages.

    Returns:
        Its major type (0 to 7), its argument, and the offset after the head.

    Raises:
        DecodeError: the head is cut short, reserved, or of indefinite length.
    """
    if offset >= len(data):
        raise _malformed(what, "it ends too early", offset)
    initial = data[offset]
    argument = initial & 0x1F
    offset += 1
    if argument >= 24:
        # [ICWS-LIB-001]
        if argument > 27:
            raise _malformed(what, "an item has an indefinite or a reserved length", offset - 1)
        size = 1 << argument - 24
        if offset + size > len(data):
            raise _malformed(what, "it ends too early", offset)
        argument = int.from_bytes(data[offset : offset + size], "big")
        offset += size
    return initial >> 5, argument, offset


def decode(
    data: bytes,
    *,
    what: str,
    max_bytes: int = MAX_FRAME_BYTES,
    max_depth: int = MAX_CBOR_DEPTH,
    max_items: int = MAX_CBOR_ITEMS,
    allow_indefinite: bool = False,
) -> object:
    """Decode one document.

    Args:
        data: the whole document; a self-describe tag in front is skipped.
        what: a name for error messages, such as ``envelope``.
        max_bytes: the longest document to accept.
        max_depth: how many arrays and maps may be open at once.
        max_items: how many data items there may be in all.
        allow_indefinite: whether arrays and maps may be of indefinite length; strings never are.

    Returns:
        A ``dict``, ``list``, ``bytes``, ``str``, ``int``, ``bool`` or None. Keys of a ``dict`` are ``str``,
        ``bytes`` or ``int`` below 2^16.

    Raises:
        DecodeError: anything else, or a limit is passed.
    """
    # One loop with its state in local variables: this is the hot path of every frame and envelope.
    end = len(data)
    if end > max_bytes:
        raise DecodeError(f"{what} is too long", reason=Reason.TOO_LARGE, requirement=_REQUIREMENT, limit=max_bytes)
    offset = 3 if data.startswith(SELF_DESCRIBE_TAG) else 0
    left = max_items - 1
    enclosing: list[tuple[Any, int, object]] = []
    container: Any = None  # the list or dict being filled, which one says the key
    remaining = 0  # entries that are still to come; below 0 if their number is not told
    key: object = _LIST
    value: Any
    while True:
        if offset >= end:
            raise _malformed(what, "it ends too early", offset)
        initial = data[offset]
        major = initial >> 5
        argument = initial & 0x1F
        offset += 1
        indefinite = False
        if argument >= 24:
            indefinite = argument == 31 and allow_indefinite and major in _MAY_BE_INDEFINITE
            if indefinite:
                argument = 0
            # [ICWS-LIB-001]
            elif argument > 27 or major == 7:
                raise _malformed(what, "an item is a float or of indefinite length", offset - 1)
            else:
                stop = offset + (1 << argument - 24)
                if stop > end:
                    raise _malformed(what, "it ends too early", offset)
                argument = int.from_bytes(data[offset:stop], "big")
                offset = stop
        if major == 2:
            stop = offset + argument
            if stop > end:
                raise _malformed(what, "a byte string ends too early", offset)
            value = data[offset:stop]
            offset = stop
        elif major == 3:
            stop = offset + argument
            if stop > end:
                raise _malformed(what, "a text ends too early", offset)
            try:
                value = str(data[offset:stop], "utf-8")
            except UnicodeDecodeError as error:
                raise _malformed(what, "a text is not UTF-8", offset) from error
            offset = stop
        elif major == 0:
            value = argument
        elif major == 4 or major == 5:
            entries = argument if major == 4 else 2 * argument
            # [ICWS-LIB-001] every item has at least a byte: a count that cannot be true allocates nothing
            if entries > end - offset:
                raise _malformed(what, "an array or map has more entries than bytes are left", offset)
            left -= entries
            if left < 0:
                raise _too_many(what, max_items)
            value = [] if major == 4 else {}
            if len(enclosing) + (container is not None) >= max_depth:
                raise DecodeError(
                    f"{what} is nested too deeply", reason=Reason.TOO_DEEP, requirement=_REQUIREMENT, limit=max_depth
                )
            if entries or indefinite:
                if container is not None:
                    enclosing.append((container, remaining, key))
                container = value
                remaining = -1 if indefinite else argument
                key = _LIST if major == 4 else _NO_KEY
                continue
        elif major == 1:
            value = -1 - argument
        elif major == 6:
            value, offset = _bignum(data, argument, offset, what)
        elif indefinite:
            # The break: what is open ends here, unless its length was told or a key has no value yet.
            if container is None or remaining >= 0 or (key is not _LIST and key is not _NO_KEY):
                raise _malformed(what, "a break where nothing can end", offset - 1)
            value = container
            container, remaining, key = enclosing.pop() if enclosing else (None, 0, _LIST)
        elif argument == 20 or argument == 21:
            value = argument == 21
        elif argument == 22:
            value = None
        else:
            raise _malformed(what, "floats and simple values are not used", offset - 1)

        while container is not None:
            if key is _NO_KEY:
                # [ICWS-LIB-001] True and 1 would be one key to Python; large integers can be made to collide in a dict
                kind = type(value)
                if kind is not str and kind is not bytes and (kind is not int or not -_MAX_KEY <= value < _MAX_KEY):
                    raise _malformed(what, "a key is neither text nor bytes nor a small number", offset)
                if value in container:
                    raise DecodeError(
                        f"{what} has a key twice", reason=Reason.DUPLICATE_KEY, requirement=_REQUIREMENT, offset=offset
                    )
                key = value
                break
            if key is _LIST:
                container.append(value)
            else:
                container[key] = value
                key = _NO_KEY
            remaining -= 1
            if remaining > 0:
                break
            if remaining < 0:
                left -= 1 if key is _LIST else 2
                if left < 0:
                    raise _too_many(what, max_items)
                break
            value = container
            if enclosing:
                container, remaining, key = enclosing.pop()
            else:
                container = None
        else:
            if offset != end:
                raise DecodeError(
                    f"bytes follow {what}", reason=Reason.TRAILING_BYTES, requirement=_REQUIREMENT, excess=end - offset
                )
            return value


def fields(
    value: object,
    *,
    what: str,
    required: Mapping[str, type],
    optional: Mapping[str, type] | None = None,
    allow_unknown: bool = False,
    null_is_absent: bool = False,
    requirement: str = _REQUIREMENT,
) -> dict[str, object]:
    """Check a decoded map against the fields it must and may have.

    ``int`` stands for a natural number below 2^64, which is what every number of the protocol is; a ``bool`` is no
    number. ``object`` stands for any value.

    Args:
        value: what :func:`decode` returned.
        what: a name for error messages.
        required: name and type of each field that must be there.
        optional: name and type of each field that may be there.
        allow_unknown: whether other fields are passed over; they are in the result.
        null_is_absent: whether an optional field may be null instead of missing; it is not in the result.
        requirement: the requirement to name in errors.

    Returns:
        The fields that are there.

    Raises:
        DecodeError: ``value`` is not a map with text keys, or a field is missing, unknown, or of another type.
    """
    if type(value) is not dict:
        raise DecodeError(f"{what} is not a map", reason=Reason.WRONG_TYPE, requirement=requirement)
    found: dict[str, object] = {}
    for name, item in value.items():
        if type(name) is not str:
            raise DecodeError(f"{what} has a key that is not text", reason=Reason.WRONG_TYPE, requirement=requirement)
        kind = required.get(name)
        if kind is None:
            kind = optional.get(name) if optional else None
            if kind is None:
                # [ICWS-LIB-001]
                if not allow_unknown:
                    raise DecodeError(
                        f"{what} has an unknown field",
                        reason=Reason.UNKNOWN_FIELD,
                        requirement=requirement,
                        field=repr(name[:64]),
                    )
                found[name] = item
                continue
            if item is None and null_is_absent:
                continue
        if type(item) is not kind and kind is not object:
            raise DecodeError(
                f"a field of {what} has the wrong type",
                reason=Reason.WRONG_TYPE,
                requirement=requirement,
                field=name,
                expected=kind.__name__,
                received=type(item).__name__,
            )
        if kind is int and not 0 <= item < _U64:
            raise DecodeError(
                f"a number of {what} is out of range", reason=Reason.TOO_LARGE, requirement=requirement, field=name
            )
        found[name] = item
    for name in required:
        if name not in found:
            raise DecodeError(f"{what} lacks a field", reason=Reason.MISSING_FIELD, requirement=requirement, field=name)
    return found


def encode(value: object, *, max_depth: int = MAX_CBOR_DEPTH) -> bytes:
    """Encode a value with the shortest heads; keys of maps stay in the order given.

    Args:
        value: ``dict``, ``list``, ``tuple``, ``bytes``, ``str``, ``int`` below 2^128, ``bool`` or None, nested.
        max_depth: how many arrays and maps may be open at once.

    Raises:
        MisuseError: another type, a number out of range, a text that is not Unicode, or too deep.
    """
    out: list[bytes] = []
    _encode_item(value, out, max_depth)
    return b"".join(out)


def encode_self_described(value: object) -> bytes:
    """Encode a value with tag 55799 in front; see :func:`encode`."""
    return SELF_DESCRIBE_TAG + encode(value)


def encode_head(major: int, argument: int) -> bytes:
    """Encode the head of one data item in its shortest form; ``argument`` is a natural number below 2^64."""
    major <<= 5
    if argument < 24:
        return _one_byte(major | argument)
    if argument < 0x100:
        return _two_bytes(major | 24, argument)
    if argument < 0x1_0000:
        return _three_bytes(major | 25, argument)
    if argument < 0x1_0000_0000:
        return _five_bytes(major | 26, argument)
    return _nine_bytes(major | 27, argument)


def _bignum(data: bytes, tag: int, offset: int, what: str) -> tuple[int, int]:
    # [ICWS-LIB-001]
    if tag != _BIGNUM_TAG:
        raise _malformed(what, "a tag is not used here", offset)
    major, length, offset = read_head(data, offset, what=what)
    stop = offset + length
    if major != 2 or stop > len(data):
        raise _malformed(what, "a big number is not a byte string", offset)
    if length > _MAX_BIGNUM_BYTES:
        raise DecodeError(
            f"{what} has a number that is too large",
            reason=Reason.TOO_LARGE,
            requirement=_REQUIREMENT,
            limit=_MAX_BIGNUM_BYTES,
        )
    return int.from_bytes(data[offset:stop], "big"), stop


def _encode_item(value: object, out: list[bytes], depth: int) -> None:
    if isinstance(value, bytes):
        out += (encode_head(2, len(value)), value)
    elif isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError as error:
            raise MisuseError("a text has lone surrogates", reason=Reason.INVALID_ARGUMENT) from error
        out += (encode_head(3, len(text)), text)
    elif isinstance(value, bool):
        out.append(b"\xf5" if value else b"\xf4")
    elif isinstance(value, int):
        out.append(_encode_int(value))
    elif value is None:
        out.append(b"\xf6")
    elif isinstance(value, dict | list | tuple):
        if depth <= 0:
            raise MisuseError("the value is nested too deeply", reason=Reason.TOO_DEEP)
        if isinstance(value, dict):
            out.append(encode_head(5, len(value)))
            for name, item in value.items():
                _encode_item(name, out, 0)
                _encode_item(item, out, depth - 1)
        else:
            out.append(encode_head(4, len(value)))
            for item in value:
                _encode_item(item, out, depth - 1)
    else:
        raise MisuseError(
            "a value of this type has no CBOR form here", reason=Reason.WRONG_TYPE, received=type(value).__name__
        )


def _encode_int(value: int) -> bytes:
    if 0 <= value < _U64:
        return encode_head(0, value)
    if -_U64 <= value < 0:
        return encode_head(1, -1 - value)
    length = (value.bit_length() + 7) // 8
    if value < 0 or length > _MAX_BIGNUM_BYTES:
        raise MisuseError("a number is too large for the protocol's CBOR", reason=Reason.TOO_LARGE)
    return encode_head(6, _BIGNUM_TAG) + encode_head(2, length) + value.to_bytes(length, "big")


def _too_many(what: str, limit: int) -> DecodeError:
    return DecodeError(f"{what} has too many items", reason=Reason.TOO_MANY, requirement=_REQUIREMENT, limit=limit)


def _malformed(what: str, why: str, offset: int) -> DecodeError:
    return DecodeError(
        f"{what} is not acceptable CBOR: {why}", reason=Reason.MALFORMED, requirement=_REQUIREMENT, offset=offset
    )
