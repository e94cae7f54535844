"""A witness that is checked once and shown in parts, quickly: each client of a poll gets the path of its own messages.

Decoding a poll's witness, checking it and pruning it anew for every client used to cost more than everything else that
the gateway does for a message. Here the bytes are walked once, which gives the root hash, the certainty that the tree
is well formed, and encoded pieces of which a part of it is put together in a few steps. What is accepted, the root hash
and the parts are those of :mod:`icws_secure.wire.hashtree` (``decode_tree``, ``check_well_formed``, ``prune``); a test
compares them. What nearly every poll brings is read by :mod:`~icws_gateway.usual_witness`, in half of the time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from icws_secure.errors import CertificateError, DecodeError, Reason
from icws_secure.limits import MAX_TREE_DEPTH, MAX_TREE_LABEL_BYTES, MAX_TREE_NODES, MAX_WITNESS_BYTES
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode_head, read_head
from icws_secure.wire.tree_codec import NODE_HEADS, read_longer_head

__all__ = ["NOTHING", "Path", "PrunedWitness"]

_BYTES: Final = 2  # CBOR's major type of byte strings
_EMPTY: Final = b"\x81\x00"
_FORK: Final = b"\x83\x01"
_LABELED: Final = b"\x83\x02"
_LEAF: Final = b"\x82\x03"
_PRUNED: Final = b"\x82\x04"
_LABEL: Final = b"websocket"  # of the map with the hashes of messages
_DIGEST_BYTES: Final = 32
_HIDDEN: Final = _PRUNED + encode_head(_BYTES, _DIGEST_BYTES)
_MOST_JOINED: Final = 4_096  # bytes of head and tail up to which pieces are joined; keeps the work linear in the tree
_MOST_ALONE: Final = 4 << 20  # bytes of all leaves' own parts up to which they are made together
_EMPTY_DIGEST: Final = sha256(b"\x11ic-hashtree-empty").digest()

Path = tuple[bytes, ...]
"""Labels from the root to a leaf."""


class _Piece:
    """A node, or a run of nodes on the way to one, with what encoding a part of it needs.

    Attributes:
        digest: of the node, 32 bytes.
        hidden: its encoding when nothing of it is shown.
        leaves: how many leaves are below it.
        first: index of its first leaf.
        head: its encoding when something of it is shown, up to its children.
        tail: what follows its children.
        children: one, or the two sides of a fork that both have leaves; a leaf has none.
        items: how many nodes it is in its level, as far as one can see; forks are not counted.
        alone: it is, or holds in its level, a leaf, which must be alone there.
        low: its first label in its level, None if it has none.
        high: its last label in its level.
    """

    __slots__ = (
        "alone", "children", "digest", "first", "head", "hidden", "high", "items", "leaves", "low", "tail",
    )  # fmt: skip

    def __init__(self, digest: bytes, hidden: bytes, first: int) -> None:
        self.digest = digest
        self.hidden = hidden
        self.first = first
        self.leaves = 0
        self.head = self.tail = b""
        self.children: tuple[_Piece, ...] = ()
        self.items = 1
        self.alone = False
        self.low: bytes | None = None
        self.high: bytes | None = None

    def enclose(self, below: _Piece, head: bytes, tail: bytes) -> None:
        """Makes this the node around ``below``, joined with it unless that gets long."""
        self.leaves, self.first = below.leaves, below.first
        if len(head) + len(below.head) + len(below.tail) + len(tail) > _MOST_JOINED:
            self.head, self.tail, self.children = head, tail, (below,)
        elif below.children:
            self.head, self.tail, self.children = head + below.head, below.tail + tail, below.children
        else:
            self.head = head + below.head + tail


class PrunedWitness:
    """The parts of a witness.

    Args:
        data: a hash tree in CBOR, with or without a self-describe tag.

    Attributes:
        digest: its root hash, 32 bytes. Nothing it shows means anything before that is compared.

    Raises:
        DecodeError: it is not a tree of the exact form, passes a limit, or is followed by more bytes.
        CertificateError: it is not well formed.
    """

    __slots__ = ("_alone", "_indexes", "_root", "_values", "digest")

    def __init__(self, data: bytes) -> None:
        self._alone: list[bytes] | None = None
        self._indexes: dict[Path, int] = {}
        self._values: list[bytes] = []
        self._root = self._read(data)
        self.digest = self._root.digest

    @property
    def messages(self) -> dict[bytes, tuple[int, bytes]]:
        """Number and value of each leaf in ``websocket``, by its key; made anew each time."""
        return {
            path[1]: (number, self._values[number])
            for path, number in self._indexes.items()
            if len(path) == 2 and path[0] == _LABEL
        }

    def show(self, paths: Iterable[Path]) -> bytes:
        """The encoded tree with the leaves at these paths and digests for the rest. Paths without a leaf are left
        out."""
        indexes = self._indexes
        return self.show_leaves([indexes[path] for path in paths if path in indexes])

    def show_leaves(self, numbers: Sequence[int]) -> bytes:
        """As :meth:`show`, with the leaves of these numbers, as :attr:`messages` has them."""
        # nearly always one: a poll's messages are for as many clients
        if len(numbers) == 1:
            alone = self._alone if self._alone is not None else self._show_each()
            if alone:
                return alone[numbers[0]]
        return self._encode(sorted(numbers))

    def _show_each(self) -> list[bytes]:
        """What :meth:`show` gives for each leaf alone, by its index; nothing if that is much, in all."""
        self._alone = self._parts({})
        return self._alone

    def show_each_beside(self, common: Path) -> dict[Path, bytes]:
        """What :meth:`show` gives for each path together with ``common``, for all leaves in one pass; nothing if
        ``common`` has no leaf, or if that is much, in all."""
        number = self._indexes.get(common)
        if number is None:
            return {}
        line = [self._root]  # down to the common leaf
        while line[-1].children:
            left, *right = line[-1].children
            line.append(right[0] if right and right[0].first <= number else left)
        shown: dict[int, bytes] = {}
        below = b""
        for piece in reversed(line):
            if len(piece.children) == 2:
                left, right_piece = piece.children
                below = below + right_piece.hidden if id(left) in shown else left.hidden + below
            shown[id(piece)] = below = piece.head + below + piece.tail
        parts = self._parts(shown)
        return {path: parts[index] for path, index in self._indexes.items()} if parts else {}

    def _parts(self, shown: Mapping[int, bytes]) -> list[bytes]:
        """The encoded tree with each leaf, by its index; nothing if that is much, in all, as no honest tree makes it.

        Args:
            shown: how pieces look, by their ``id``, of which something is shown in every part; the others are hidden.
        """
        parts: list[bytes] = [b""] * len(self._values)
        budget = _MOST_ALONE
        ahead = [(self._root, SELF_DESCRIBE_TAG, b"")] if parts else []
        while ahead:
            piece, before, after = ahead.pop()
            before += piece.head
            after = piece.tail + after
            children = piece.children
            if len(children) == 2:
                left, right = children
                ahead.append((left, before, shown.get(id(right), right.hidden) + after))
                ahead.append((right, before + shown.get(id(left), left.hidden), after))
            elif children:
                ahead.append((children[0], before, after))
            else:
                parts[piece.first] = part = before + after
                budget -= len(part)
                if budget < 0:
                    return []
        return parts

    def _encode(self, wanted: Sequence[int]) -> bytes:
        out = [SELF_DESCRIBE_TAG]
        ahead: list[bytes | tuple[_Piece, int, int]] = [(self._root, 0, len(wanted))]
        while ahead:
            step = ahead.pop()
            if isinstance(step, bytes):
                out.append(step)
                continue
            piece, start, stop = step
            if start == stop:
                out.append(piece.hidden)
                continue
            out.append(piece.head)
            children = piece.children
            if children:
                if piece.tail:
                    ahead.append(piece.tail)
                if len(children) == 2:
                    middle = bisect_left(wanted, children[1].first, start, stop)
                    ahead.append((children[1], middle, stop))
                    stop = middle
                ahead.append((children[0], start, stop))
        return b"".join(out)

    def _read(self, data: bytes) -> _Piece:
        """Walks the bytes; numbers the leaves from left to right and makes the pieces from the leaves up."""
        if len(data) > MAX_WITNESS_BYTES:
            raise _malformed("it is too long", Reason.TOO_LARGE)
        offset = 3 if data.startswith(SELF_DESCRIBE_TAG) else 0
        end, nodes = len(data), 0
        path: Path = ()
        # What is open above the node at hand: the label of a labelled node, None for a fork whose left side is being
        # read, the left side of a fork whose right side is.
        above: list[bytes | _Piece | None] = []
        while True:
            nodes += 1
            if nodes > MAX_TREE_NODES or len(above) > MAX_TREE_DEPTH:
                raise _malformed("it is too large", Reason.TOO_DEEP if nodes <= MAX_TREE_NODES else Reason.TOO_MANY)
            head = data[offset : offset + 2]
            offset += 2
            if head not in NODE_HEADS:
                head, offset = read_longer_head(data, offset - 2)
            if head == _FORK:
                above.append(None)
                continue
            if head == _EMPTY:
                piece = _Piece(_EMPTY_DIGEST, _EMPTY, len(self._values))
                piece.items = 0
            else:
                blob, offset = _read_blob(data, offset, end)
                if head == _LABELED:
                    if len(blob) > MAX_TREE_LABEL_BYTES:
                        raise _malformed("a label is too long", Reason.TOO_LARGE)
                    # nearly always a message's key and its hash: one step for both
                    if data[offset : offset + 2] == _LEAF and nodes < MAX_TREE_NODES and len(above) < MAX_TREE_DEPTH:
                        nodes += 1
                        value, offset = _read_blob(data, offset + 2, end)
                        piece = self._labeled_leaf(blob, value, path)
                    else:
                        above.append(blob)
                        path = (*path, blob)
                        continue
                elif head == _PRUNED:
                    if len(blob) != _DIGEST_BYTES:
                        raise _malformed("a digest has another length")
                    piece = _Piece(blob, _HIDDEN + blob, len(self._values))
                else:
                    piece = self._leaf(blob, path)
            while above:
                top = above[-1]
                if top is None:
                    above[-1] = piece
                    break
                above.pop()
                if isinstance(top, bytes):
                    path = path[:-1]
                    piece = _labeled(top, piece)
                else:
                    piece = _fork(top, piece)
            else:
                if offset != end:
                    raise _malformed("more bytes follow", Reason.TRAILING_BYTES)
                return piece

    def _labeled_leaf(self, label: bytes, value: bytes, path: Path) -> _Piece:
        """What :func:`_labeled` makes of a label and :meth:`_leaf`."""
        leaf = sha256(b"\x10ic-hashtree-leaf" + value).digest()
        digest = sha256(b"\x13ic-hashtree-labeled" + label + leaf).digest()
        index = len(self._values)
        piece = _Piece(digest, _HIDDEN + digest, index)
        piece.leaves = 1
        piece.low = piece.high = label
        piece.head = b"".join(
            (_LABELED, encode_head(_BYTES, len(label)), label, _LEAF, encode_head(_BYTES, len(value)), value)
        )
        self._indexes[*path, label] = index
        self._values.append(value)
        return piece

    def _leaf(self, value: bytes, path: Path) -> _Piece:
        digest = sha256(b"\x10ic-hashtree-leaf" + value).digest()
        index = len(self._values)
        piece = _Piece(digest, _HIDDEN + digest, index)
        piece.leaves, piece.alone = 1, True
        piece.head = _LEAF + encode_head(_BYTES, len(value)) + value
        self._indexes[path] = index
        self._values.append(value)
        return piece


def _labeled(label: bytes, below: _Piece) -> _Piece:
    digest = sha256(b"\x13ic-hashtree-labeled" + label + below.digest).digest()
    piece = _Piece(digest, _HIDDEN + digest, below.first)
    piece.low = piece.high = label
    if below.leaves:
        piece.enclose(below, _LABELED + encode_head(_BYTES, len(label)) + label, b"")
    return piece


def _fork(left: _Piece, right: _Piece) -> _Piece:
    digest = sha256(b"\x10ic-hashtree-fork" + left.digest + right.digest).digest()
    piece = _Piece(digest, _HIDDEN + digest, left.first)
    piece.items = left.items + right.items
    piece.alone = left.alone or right.alone
    # [ICWS-GWY-007] each join of two sides is checked, so the whole level is: labels increase, and a leaf is alone
    if piece.alone and piece.items > 1:
        raise _not_well_formed("a leaf stands beside other nodes")
    if left.high is not None and right.low is not None and left.high >= right.low:
        raise _not_well_formed("labels are out of order, or one stands twice")
    piece.low = left.low if left.low is not None else right.low
    piece.high = right.high if right.high is not None else left.high
    if left.leaves and right.leaves:
        piece.leaves = left.leaves + right.leaves
        piece.head, piece.children = _FORK, (left, right)
    elif left.leaves:
        piece.enclose(left, _FORK, right.hidden)
    elif right.leaves:
        piece.enclose(right, _FORK + left.hidden, b"")
    return piece


def _read_blob(data: bytes, offset: int, end: int) -> tuple[bytes, int]:
    if offset >= end:
        raise _malformed("it ends too early")
    length = data[offset] - 0x40
    offset += 1
    if length == 24 and offset < end:  # the length is in the next byte, as keys and digests have it
        length = data[offset]
        offset += 1
    elif not 0 <= length < 24:
        major, length, offset = read_head(data, offset - 1, what="a hash tree")
        if major != _BYTES:
            raise _malformed("a label, value or digest is not a byte string")
    stop = offset + length
    if stop > end:
        raise _malformed("it ends too early")
    return data[offset:stop], stop


def _malformed(why: str, reason: Reason = Reason.MALFORMED) -> DecodeError:
    return DecodeError(f"this is not a hash tree: {why}", reason=reason, requirement="ICWS-LIB-006")


def _not_well_formed(why: str) -> CertificateError:
    return CertificateError(
        f"a hash tree is not well formed: {why}", reason=Reason.TREE_NOT_WELL_FORMED, requirement="ICWS-LIB-008"
    )


NOTHING: Final = PrunedWitness(_EMPTY)
"""The witness of an answer without messages."""
