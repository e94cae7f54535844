"""What is fuzzed: one reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: for the command line.
        read: what is fuzzed.
        seeds: inputs it takes, or nearly.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
