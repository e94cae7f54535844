"""Application messages: bytes to the protocol, values to the application.

A session carries bytes. Canisters mostly speak Candid, so a connection takes a *codec*, any pair of functions that
turns a value into bytes and back::

    >>> import json
    >>> codec = Codec(encode=lambda value: json.dumps(value).encode(), decode=json.loads)
    >>> codec.decode(codec.encode({"text": "hello"}))
    {'text': 'hello'}

With ``ic-py`` the same is ``Codec(lambda v: encode([{"type": T, "value": v}]), lambda b: decode(b, T)[0]["value"])``.
A codec runs after verification and never before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["BYTES", "Codec"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """A pair of functions between an application's values and bytes.

    Attributes:
        encode: value to bytes; what it raises comes out of ``send`` and nothing is sent.
        decode: bytes to value; what it raises comes out of ``recv`` for that one message, which counts as taken.
    """

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


def _identity(data: bytes) -> bytes:
    return data


BYTES: Final[Codec[bytes]] = Codec(_identity, _identity)
"""The codec of a connection that was given none: messages are bytes."""
