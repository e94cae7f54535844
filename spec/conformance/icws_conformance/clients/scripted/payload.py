"""Scripted cases about payload protection: what a client takes, what it refuses, and what a gateway sees of it."""

from __future__ import annotations

from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Stage
from icws_secure.errors import DecodeError
from icws_secure.limits import NS_PER_S
from icws_secure.wire import cbor
from icws_secure.wire.interface import OpenArgument, Refusal, RefusalCode, SecureOpen, decode_message_argument
from icws_secure.wire.registration import Suite

__all__ = ["SCRIPTS"]

_HPKE: Final = "hpke-x25519"
_SECRET: Final = b"a text that no gateway is to see"


def _key(number: int) -> Suite:
    """A key of the canister; the number tells keys apart."""
    private = X25519PrivateKey.from_private_bytes(bytes((number,)) * 32)
    return Suite(_HPKE, bytes((number,)) * 8, private.public_key().public_bytes_raw(), 86_400 * NS_PER_S << 10)


async def _too_weak(stage: Stage, *, suites: tuple[Suite, ...], wanted: str, what: str) -> Finding:
    stage.need("payload")
    stage.canister.suites, stage.canister.plain = suites, not suites
    found = await stage.refused(what, payload=wanted)
    if any(call.method == "ws_message" for call in stage.calls):
        raise Failed(f"a message was sent, though {what}")
    return found


async def _below_the_minimum(stage: Stage) -> Finding:
    """The canister offers less than the client's minimum, which is less than what the client would like."""
    stage.need("payload")
    return await stage.refused("the canister offers no protection", payload="vetkd", minimum="hpke")


async def _unsealed(stage: Stage) -> Finding:
    """Under an agreed suite the canister says something in the clear."""
    stage.need("payload")
    stage.canister.suites = (_key(1),)
    gateway = await stage.connected(payload="hpke")
    stage.canister.say(b"wrong")
    await gateway.deliver()
    await stage.until(lambda: gateway.was_left, "the client stayed, though a message was not sealed")
    stage.not_given(b"wrong", "it was not sealed")
    stage.lives("a message was not sealed")
    return Finding("not given")


def _opens(stage: Stage) -> list[SecureOpen]:
    return [argument.secure for argument, _ in stage.canister.opens if argument.secure is not None]


async def _seals(stage: Stage) -> Finding:
    """What goes over the wire under a suite, first by one gateway and, since that one swallows it, by another."""
    stage.need("payload")
    stage.canister.suites, stage.canister.echoes = (_key(1),), False
    first = await stage.connected(payload="hpke")
    stage.relays = lambda call: call.gateway is not first or call.method != "ws_message"
    answer = await stage.send(_SECRET)
    if answer.get("ok") is not True:
        raise Failed(f"the message ended as {answer.get('error')}")
    opens = _opens(stage)
    if any(secure.suite != _HPKE or secure.key_id != _key(1).key_id or not secure.enc for secure in opens):
        raise Failed("an open does not carry a secret for the certified key")
    if len({secure.enc for secure in opens}) != len(opens):
        raise Failed("two attaches have one secret")
    contents = _contents(stage)
    if not contents:
        raise Failed("no message was seen")
    if any(_SECRET in content for content in contents):
        raise Failed("the message is in the clear")
    if len(set(contents)) != 1:
        stage.log.note("the message came again with other bytes", source="client", blamed=True)
        raise Failed("the message came again with other bytes under its number")
    _is_container(contents[0])
    return Finding(f"sealed once; seen {len(contents)} times, the same bytes")


def _contents(stage: Stage) -> list[bytes]:
    calls = [call.envelope.content for call in stage.calls if call.method == "ws_message"]
    messages = [decode_message_argument(getattr(content, "arg", b"")) for content in calls]
    return [message.content for message in messages if not message.is_service_message]


def _is_container(content: bytes) -> None:
    """COSE_Encrypt0 without its tag: protected headers, unprotected headers with IV only, ciphertext."""
    try:
        value = cbor.decode(content, what="a sealed content", max_bytes=len(content))
    except DecodeError as error:
        raise Failed("the content is no COSE_Encrypt0") from error
    match value:
        case [bytes() as protected, dict() as unprotected, bytes()]:
            named = cbor.decode(protected, what="protected headers", max_bytes=len(protected))
        case _:
            raise Failed("the content is no COSE_Encrypt0 without tag")
    if set(unprotected) != {5} or not isinstance(named, dict) or set(named) != {1, 4}:
        raise Failed("the headers are not alg and kid, protected, and IV, unprotected")


async def _key_rotated(stage: Stage) -> Finding:
    """The canister has replaced its key since the registration."""
    stage.need("payload")
    canister = stage.canister
    canister.suites = (_key(1),)

    def refused(argument: OpenArgument) -> Refusal | None:
        if argument.secure is None or argument.secure.key_id == _key(2).key_id:
            return None
        canister.rotate((_key(2),))
        return Refusal(RefusalCode.UNKNOWN_KEY, "the key was replaced")

    canister.on_open = refused
    await stage.connected(payload="hpke")
    if not any(call.method == "ws_params" and call.gateway is None for call in stage.calls):
        raise Failed("the parameters were not asked for anew, directly")
    if _opens(stage)[-1].key_id != _key(2).key_id:
        raise Failed("the open does not name the new key")
    return Finding("the parameters were asked for anew, and the new key taken")


SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "payload/nothing-offered",
        "the client asks for hpke, and the canister offers no protection",
        "PAY-012",
        "refused",
        partial(_too_weak, suites=(), wanted="hpke", what="the canister offers no protection"),
    ),
    script(
        "payload/sealed-only",
        "the canister takes sealed content only, and the client has none",
        "PAY-012",
        "refused",
        partial(_too_weak, suites=(_key(1),), wanted="none", what="the canister takes sealed content only"),
    ),
    script(
        "payload/below-the-minimum",
        "the canister offers less than the client's minimum",
        "PAY-012",
        "refused",
        _below_the_minimum,
    ),
    script(
        "payload/unsealed-from-the-canister",
        "a message in the clear comes under an agreed suite",
        "PAY-003",
        "not given; the client leaves",
        _unsealed,
    ),
    script(
        "payload/sealed-once",
        "a sealed message that the first gateway swallows",
        "PAY-002 PAY-001 PAY-004",
        "sealed once to the certified key, and sent again with the same bytes",
        _seals,
    ),
    script(
        "payload/key-rotated",
        "the canister has replaced its key, and refuses the old one",
        "PAY-013",
        "the parameters are asked for anew, and the new key is taken",
        _key_rotated,
    ),
)
