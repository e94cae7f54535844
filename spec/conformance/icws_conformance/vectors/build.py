"""What the makers of vectors share: how a file is put together, and encodings made by hand.

Nothing here or in the makers uses the verifier. Hashes and trees are computed from the interface specification's
words, signatures by ``cryptography`` and by the local replica's keys; CBOR and Candid come from the codecs, whose
encodings are held against foreign vectors, and deviations are made on the bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from icws_conformance.vectors.vector import FORMAT
from icws_secure.wire import cbor

__all__ = [
    "GENERATOR",
    "NOW_NS",
    "SECOND_NS",
    "Maker",
    "Tree",
    "digest",
    "empty",
    "encode",
    "fork",
    "labeled",
    "leaf",
    "parts",
    "pruned",
    "secret",
    "too_long",
]

GENERATOR: Final = "icws conformance generate, version 1"
SECOND_NS: Final = 1_000_000_000
NOW_NS: Final = 1_800_000_000 * SECOND_NS
_SEED: Final = b"icws-secure test vectors, version 1"

Tree: TypeAlias = list[Any]


def secret(purpose: str, length: int = 32) -> bytes:
    """Bytes that look random and are the same every time."""
    return hashlib.shake_256(_SEED + purpose.encode()).digest(length)


@dataclass
class Maker:
    """A file of vectors in the making.

    Attributes:
        kind: which question is asked.
        header: what the file is about, line by line.
        notes: of each flag, what it means and what an attacker would gain.
    """

    kind: str
    header: list[str]
    notes: dict[str, tuple[str, str]] = field(default_factory=dict)
    _groups: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0

    def group(self, **shared: Any) -> None:
        """Begin a group whose tests have these inputs in common."""
        self._groups.append({"shared": shared, "tests": []})

    def accept(self, comment: str, requirements: str, given: dict[str, Any], **output: Any) -> None:
        """Add an input that must be accepted with this output."""
        self._add(comment, requirements, {"verdict": "accept", "flags": [], "input": given, "output": output})

    def reject(
        self, comment: str, requirements: str, reasons: str, given: dict[str, Any], flag: str | None = None
    ) -> None:
        """Add an input that must be refused, for one of these reasons."""
        flags = [flag] if flag is not None else []
        self._add(
            comment, requirements, {"verdict": "reject", "reasons": reasons.split(), "flags": flags, "input": given}
        )

    def document(self) -> dict[str, Any]:
        """The file."""
        used = {flag for group in self._groups for test in group["tests"] for flag in test["flags"]}
        return {
            "format": FORMAT,
            "kind": self.kind,
            "header": self.header,
            "generator": GENERATOR,
            "notes": {
                flag: {"description": words, "gain": gain} for flag, (words, gain) in self.notes.items() if flag in used
            },
            "count": self._count,
            "groups": self._groups,
        }

    def _add(self, comment: str, requirements: str, test: dict[str, Any]) -> None:
        if not self._groups:
            self.group()
        self._count += 1
        names = [f"ICWS-{name}" for name in requirements.split()]
        self._groups[-1]["tests"].append({"id": self._count, "comment": comment, "requirements": names} | test)


def parts(*repeated: tuple[bytes, int]) -> dict[str, list[list[Any]]]:
    """Bytes that are long and dull, as a file of vectors has them: pieces, and how often each comes."""
    return {"pieces": [[piece.hex(), times] for piece, times in repeated]}


# Hash trees, from the words of the interface specification ------------------------------------------------------------


def too_long() -> dict[str, list[list[Any]]]:
    """A byte string of 3 MiB, longer than anything real."""
    size = 3 << 20
    return parts((b"\x5a" + size.to_bytes(4, "big"), 1), (b"\x00", size))


def empty() -> Tree:
    """An empty tree."""
    return [0]


def fork(left: Tree, right: Tree) -> Tree:
    """Two trees side by side."""
    return [1, left, right]


def labeled(label: bytes | str, below: Tree) -> Tree:
    """A tree below a label."""
    return [2, label.encode() if isinstance(label, str) else label, below]


def leaf(value: bytes) -> Tree:
    """A value."""
    return [3, value]


def pruned(tree: Tree) -> Tree:
    """The hash of a tree in its place."""
    return [4, digest(tree)]


def digest(tree: Tree) -> bytes:
    """The root hash."""
    match tree:
        case [0]:
            return _domain("ic-hashtree-empty")
        case [1, left, right]:
            return _domain("ic-hashtree-fork", digest(left), digest(right))
        case [2, label, below]:
            return _domain("ic-hashtree-labeled", label, digest(below))
        case [3, value]:
            return _domain("ic-hashtree-leaf", value)
        case [4, hash_]:
            return bytes(hash_)
    raise ValueError("not a node of a hash tree")


def encode(tree: Tree) -> bytes:
    """The tree as a document."""
    return cbor.encode_self_described(tree)


def _domain(name: str, *parts: bytes) -> bytes:
    return hashlib.sha256(bytes([len(name)]) + name.encode() + b"".join(parts)).digest()
