"""The witness of a poll as deployed canisters make it, read by one regular expression.

Nearly every poll's witness is of one form: the map ``websocket`` with keys of one length, each with the hash of a
message or a digest in its place, and digests for what else the canister certified. Such a tree is cut into its nodes by
one pass of the expression and put together from its end, which takes half of the time of
:mod:`~icws_gateway.pruned_witness`. That module's verdict counts for everything else, malformed and hostile trees
among them; a test holds the two together.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from icws_secure.wire.cbor import SELF_DESCRIBE_TAG

__all__ = ["UsualWitness", "usual_witness"]

_MOST_NODES: Final = 512  # some 200 messages; keeps depth, and the parts of all leaves together, far below every limit
_KEYED_BYTES: Final = 124  # of a key with what is below it, the longest of the nodes
_PRUNED_BYTES: Final = 36
_TAG_BYTES: Final = len(SELF_DESCRIBE_TAG)
_LABEL: Final = b"websocket"
_CONTAINER: Final = b"\x83\x02\x49" + _LABEL
_FORK: Final = b"\x83\x01"
_HIDDEN: Final = b"\x82\x04\x58\x20"

# A key is the text of a gateway's principal, as of any that signs, an underscore and twenty digits: 84 characters.
_NODE: Final = re.compile(
    rb"(\x83\x02\x58\x54(.{84})\x82\x03\x58\x20(.{32}))"  # a message: key and hash
    rb"|(?:\x83\x02\x58\x54(.{84}))?\x82\x04\x58\x20(.{32})"  # a key with a digest below it, or a digest alone
    rb"|(\x83\x02\x49websocket)"
    rb"|\x83\x01",  # a fork
    re.DOTALL,
)

# What is below a node and can be shown: the number of a leaf, or of a fork its left side with that one's digest, its
# right side with its digest, and the first number of the left side; None if nothing can be shown.
_Shape = Any
_HERE: Final = object()  # in place of a shape: the container is below


class UsualWitness:
    """A witness in the usual form.

    Attributes:
        digest: its root hash, 32 bytes. Nothing it shows means anything before that is compared.
        messages: number and value of each leaf in ``websocket``, by its key. (Numbers go from right to left.)
    """

    __slots__ = ("_after", "_alone", "_before", "_leaves", "_shape", "digest", "messages")

    def __init__(
        self,
        digest: bytes,
        messages: Mapping[bytes, tuple[int, bytes]],
        leaves: Sequence[bytes],
        shape: _Shape,
        before: bytes,
        after: bytes,
    ) -> None:
        self.digest = digest
        self.messages = messages
        self._leaves = leaves
        self._shape = shape
        self._before = before
        self._after = after
        self._alone: list[bytes] | None = None

    def show_leaves(self, numbers: Sequence[int]) -> bytes:
        """The encoded tree with the leaves of these numbers, at least one, and digests for the rest."""
        # nearly always one: a poll's messages are for as many clients
        if len(numbers) == 1:
            return (self._alone or self._show_each())[numbers[0]]
        return self._encode(sorted(numbers))

    def _show_each(self) -> list[bytes]:
        """What :meth:`show_leaves` gives for each leaf alone."""
        leaves = self._leaves
        self._alone = parts = [b""] * len(leaves)
        ahead = [(self._shape, self._before, self._after)]
        pop, push = ahead.pop, ahead.append
        while ahead:
            shape, before, after = pop()
            if shape.__class__ is int:
                parts[shape] = before + leaves[shape] + after
                continue
            left, left_digest, right, right_digest, _ = shape
            if left is not None:
                push((left, before + _FORK, _HIDDEN + right_digest + after))
            if right is not None:
                push((right, before + _FORK + _HIDDEN + left_digest, after))
        return parts

    def _encode(self, wanted: Sequence[int]) -> bytes:
        out = [self._before]
        ahead: list[tuple[_Shape, bytes, int, int]] = [(self._shape, b"", 0, len(wanted))]
        while ahead:
            shape, digest, start, stop = ahead.pop()
            if start == stop:
                out.append(_HIDDEN + digest)
            elif shape.__class__ is int:
                out.append(self._leaves[shape])
            else:
                out.append(_FORK)
                left, left_digest, right, right_digest, boundary = shape
                middle = bisect_left(wanted, boundary, start, stop)
                ahead.append((right, right_digest, start, middle))
                ahead.append((left, left_digest, middle, stop))
        out.append(self._after)
        return b"".join(out)


def usual_witness(data: bytes) -> UsualWitness | None:
    """Reads a witness, or gives None if it is not of the usual form or shows no message.

    Args:
        data: a hash tree in CBOR, of any length and content.
    """
    if len(data) > _MOST_NODES * _KEYED_BYTES:
        return None
    start = _TAG_BYTES if data.startswith(SELF_DESCRIBE_TAG) else 0
    nodes = _NODE.findall(data, start)
    if len(nodes) > _MOST_NODES:
        return None
    messages: dict[bytes, tuple[int, bytes]] = {}
    leaves: list[bytes] = []
    # Nodes stand before what is below them: from the end, everything below a node is known when it comes. Of each tree
    # that is done: digest, first and last label, the first number that was free when it began, shape.
    done: list[tuple[bytes, bytes | None, bytes | None, int, _Shape]] = []
    pop, push = done.pop, done.append
    number = hidden = hidden_bytes = 0
    content: _Shape = None  # of the container
    held = 0  # messages in it
    before = after = b""  # what stands around its content, from the root on
    try:
        for leaf, key, value, hidden_key, digest, container in reversed(nodes):
            if leaf:
                below = sha256(b"\x10ic-hashtree-leaf" + value).digest()
                push((sha256(b"\x13ic-hashtree-labeled" + key + below).digest(), key, key, number, number))
                messages[key] = (number, value)
                leaves.append(leaf)
                number += 1
            elif digest:
                hidden += 1
                if hidden_key:
                    hidden_bytes += _KEYED_BYTES
                    below = sha256(b"\x13ic-hashtree-labeled" + hidden_key + digest).digest()
                    push((below, hidden_key, hidden_key, number, None))
                else:
                    hidden_bytes += _PRUNED_BYTES
                    push((digest, None, None, number, None))
            elif container:
                below, _, _, first, content = pop()
                if first:  # messages stand to the right of it
                    return None
                held, before = number, container
                below = sha256(b"\x13ic-hashtree-labeled" + _LABEL + below).digest()
                push((below, _LABEL, _LABEL, 0, _HERE))
            else:
                left_digest, left_low, left_high, boundary, left = pop()
                right_digest, right_low, right_high, first, right = pop()
                # [ICWS-GWY-007] each join of two sides is checked, so in the whole level labels increase
                if left_high is not None and right_low is not None and left_high >= right_low:
                    return None
                shape = None
                if left is _HERE:
                    shape, before, after = _HERE, _FORK + before, after + _HIDDEN + right_digest
                elif right is _HERE:
                    shape, before = _HERE, _FORK + _HIDDEN + left_digest + before
                elif left is not None or right is not None:
                    shape = (left, left_digest, right, right_digest, boundary)
                digest = sha256(b"\x10ic-hashtree-fork" + left_digest + right_digest).digest()
                push((digest, left_low or right_low, right_high or left_high, first, shape))
    except IndexError:
        return None  # a node without what should be below it
    size = _KEYED_BYTES * number + hidden_bytes + len(_CONTAINER) + len(_FORK) * (number + hidden - 1)
    # the nodes are one tree without anything between them, with one container, and all messages are in it
    if len(done) != 1 or start + size != len(data) or held != number or not held:
        return None
    return UsualWitness(done[0][0], messages, leaves, content, SELF_DESCRIBE_TAG + before, after)
