"""What a mutant is: this project's own code, broken in one way, and what it breaks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutant", "Patch", "handmade", "patch"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A replacement in the source of one module, made while it is imported; the file stays as it is.

    Attributes:
        module: its full name.
        old: source that stands there exactly once.
        new: source that takes its place.
    """

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """This project's code, broken in one way.

    Attributes:
        name: unique. An automatic mutant is named like its requirement, a hand-made one has words after it.
        requirement: what it no longer holds to.
        breaks: what it does, one sentence.
        case: the case that is meant to catch it, as ``target:case``; empty for any case of the requirement.
        patches: what is changed; none for an automatic mutant.
        without: requirements whose checks are taken out as well.
    """

    name: str
    requirement: str
    breaks: str
    case: str = ""
    patches: tuple[Patch, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def is_handmade(self) -> bool:
        """Whether somebody wrote it, rather than that it follows from the citations."""
        return self.name != self.requirement


def patch(module: str, old: str, new: str) -> Patch:
    """One change: ``old``, which stands exactly once in the module, becomes ``new``."""
    return Patch(module, old, new)


def handmade(
    requirement: str, words: str, breaks: str, case: str, *patches: Patch, without: tuple[str, ...] = ()
) -> Mutant:
    """A hand-made mutant.

    Args:
        requirement: what it breaks.
        words: its name beside the requirement, in lower case with hyphens.
        breaks: what it does, one sentence.
        case: the case that is meant to catch it, as ``target:case``.
        patches: what is changed.
        without: requirements whose checks are taken out as well, as the automatic mutants do.
    """
    return Mutant(f"{requirement}/{words}", requirement, breaks, case, patches, without)
