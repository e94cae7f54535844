"""What the catalogue says of an attack, and when and on whom it is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.attacks.nodes import NodeAttack
from icws_conformance.hostile.forge import Forge
from icws_conformance.hostile.target import Target
from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.principal import Principal

__all__ = [
    "AFTER_THE_OPEN",
    "ALL",
    "ASKS",
    "AT_THE_OPEN",
    "BOTH_SECURE",
    "DISCARDS",
    "EVERYWHERE",
    "REFUSED",
    "SUBPROTOCOL",
    "AttackEntry",
    "NodeEntry",
    "Play",
    "Profile",
    "Scene",
    "Stage",
]


class Stage(Enum):
    """When in a session an attack begins."""

    OPEN = "open"  # at the handshake and the first message
    FIRST = "first"  # at the application's first message
    LATER = "later"  # after several messages
    IN_FLIGHT = "in-flight"  # while messages are on their way
    RESUMED = "resumed"  # at the first message after a failover to the hostile gateway


class Profile(Enum):
    """Which protocol the victim speaks, and how much of it the hostile gateway admits."""

    SECURE = "secure"  # icws-secure/1 over the subprotocol
    BARE = "bare"  # icws-secure/1 without the subprotocol: no receipts, no heads
    OMNIA = "omnia"  # omnia/1


ALL: Final = frozenset(Profile)
SUBPROTOCOL: Final = frozenset({Profile.SECURE})
BOTH_SECURE: Final = frozenset({Profile.SECURE, Profile.BARE})
EVERYWHERE: Final = tuple(Stage)
AFTER_THE_OPEN: Final = tuple(stage for stage in Stage if stage is not Stage.OPEN)
AT_THE_OPEN: Final = (Stage.OPEN, Stage.RESUMED)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an attack is played: the victim's canister, another canister, and a dishonest IC.

    Attributes:
        canister_id: the canister that the victim talks to.
        other_canister_id: another canister of the same subnet.
        maybe_forge: certificates that were never the canister's; None where nobody lends the keys.
        target: which messages are struck, for attacks that strike single messages.
    """

    canister_id: Principal
    other_canister_id: Principal
    maybe_forge: Forge | None = None
    target: Callable[[], Target] = Target

    @property
    def forge(self) -> Forge:
        """The dishonest IC.

        Raises:
            MisuseError: there is none.
        """
        if self.maybe_forge is None:
            raise MisuseError("this attack needs the keys of a local IC", reason=Reason.INVALID_ARGUMENT)
        return self.maybe_forge


@dataclass(frozen=True, slots=True)
class AttackEntry:
    """One attack.

    Attributes:
        name: short, unique; also its name on the command line and in the threat model.
        gain: what the attacker would have if nobody checked.
        answer: what the client, the canister or the IC does.
        requirements: the requirements that answer it.
        make: builds the attack for a scene.
        reasons: why the client leaves the hostile gateway; one of them. Empty: it need not, the attack is without
            effect.
        reasons_at_open: the same at :attr:`Stage.OPEN`; None for no difference.
        profiles: where the answer is promised.
        stages: when it can begin.
        victims: how many clients the attack needs; the last one is struck.
        needs_ic: whether it submits calls to the IC itself.
    """

    name: str
    gain: str
    answer: str
    requirements: tuple[str, ...]
    make: Callable[[Scene], Attack]
    reasons: tuple[Reason, ...] = ()
    reasons_at_open: tuple[Reason, ...] | None = None
    profiles: frozenset[Profile] = ALL
    stages: tuple[Stage, ...] = EVERYWHERE
    victims: int = 1
    needs_ic: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Play:
    """An attack that begins at a stage, on a client of a profile."""

    entry: AttackEntry
    stage: Stage
    profile: Profile

    @property
    def id(self) -> str:
        """Its name as a test."""
        return f"{self.entry.name}-{self.stage.value}-{self.profile.value}"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the client leaves the hostile gateway; empty if it need not."""
        at_open = self.entry.reasons_at_open
        return at_open if self.stage is Stage.OPEN and at_open is not None else self.entry.reasons


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One attack of a boundary node.

    Attributes:
        name: short, unique among all attacks.
        gain: what the attacker would have if nobody checked.
        answer: what the client does.
        requirements: the requirements that answer it.
        make: builds the attack for a scene.
        reasons: why the registration fails, or the direct attachment ends; one of them. Empty: nothing need end.
        direct: whether it strikes a client that is its own gateway, rather than a registration.
    """

    name: str
    gain: str
    answer: str
    requirements: tuple[str, ...]
    make: Callable[[Scene], NodeAttack]
    reasons: tuple[Reason, ...] = ()
    direct: bool = False


DISCARDS: Final = "The client discards the frame, delivers nothing after it and goes on through the next gateway."
REFUSED: Final = "The gateway after it refuses, as the canister would; the client goes on through the next gateway."
ASKS: Final = (
    "The client asks the IC directly, then goes on through the next gateway; the number and bytes stay the same."
)
