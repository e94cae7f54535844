"""Attacks on receipts: none, another's, unfinished ones, and the gateway's own word."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from hashlib import sha256

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import Wire
from icws_secure.wire.frames import GatewayFrame, HeadFrame, ReceiptFrame, ReceiptStatus
from icws_secure.wire.interface import MessageResult, MessageState, MessageStatus, encode_message_result
from icws_secure.wire.principal import Principal

__all__ = [
    "ClaimedStatus",
    "ForeignReceipt",
    "ForgedReceipt",
    "UnfinishedReceipt",
    "UnknownReceipt",
    "WithheldReceipt",
]


class _EachReceipt(Attack, ABC):
    """Decides about the receipts of messages, that is of all calls after the open."""

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, ReceiptFrame) and wire.calls > 1:
            await self.receipt(wire, frame)
        else:
            await wire.to_client(frame)

    @abstractmethod
    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        """Decide about the receipt of a message."""


class WithheldReceipt(_EachReceipt):
    """Relays everything, and passes on nothing that tells what became of it: no receipt of a message, and no head."""

    name = "withheld receipt"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if not isinstance(frame, HeadFrame):
            await super().from_gateway(wire, frame)

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        self.struck += 1


class ForeignReceipt(_EachReceipt):
    """Gives the certificate of an earlier call under the request id of the present one."""

    name = "receipt of another call"

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, ReceiptFrame) and frame.certificate is not None:
            wire.notes.setdefault("certificate", frame.certificate)

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        kept = wire.notes.get("certificate")
        if isinstance(kept, bytes) and frame.certificate is not None and kept != frame.certificate:
            self.struck += 1
            frame = replace(frame, certificate=kept)
        await wire.to_client(frame)


class ForgedReceipt(_EachReceipt):
    """Says that every message was executed, by a certificate that somebody else signed; relays the messages or not.

    Args:
        forge: makes the certificate.
        canister_id: the victim's canister.
        subnet: who signs.
    """

    name = "forged receipt"

    def __init__(self, forge: Forge, canister_id: Principal, subnet: Subnet) -> None:
        super().__init__()
        self.forge = forge
        self.canister_id = canister_id
        self.subnet = subnet

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        self.struck += 1
        executed = MessageResult(status=MessageStatus(1_000, 1_000, MessageState.EXECUTED))
        certificate = self.forge.receipt(
            canister_id=self.canister_id,
            request_id=frame.request_id,
            status={"status": b"replied", "reply": encode_message_result(executed)},
            time_ns=self.forge.now(),
            subnet=self.subnet,
        )
        await wire.to_client(ReceiptFrame(frame.request_id, ReceiptStatus.CERTIFICATE, certificate))


class UnfinishedReceipt(_EachReceipt):
    """Passes a genuine certificate off as a receipt that shows the call still under way.

    Args:
        forge: makes the certificate, as the canister's subnet would have made it a moment before.
        canister_id: the victim's canister.
    """

    name = "unfinished receipt"

    def __init__(self, forge: Forge, canister_id: Principal) -> None:
        super().__init__()
        self.forge = forge
        self.canister_id = canister_id

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        self.struck += 1
        certificate = self.forge.receipt(
            canister_id=self.canister_id,
            request_id=frame.request_id,
            status={"status": b"processing"},
            time_ns=self.forge.now(),
            subnet=Subnet.OWN,
        )
        await wire.to_client(ReceiptFrame(frame.request_id, ReceiptStatus.CERTIFICATE, certificate))


class UnknownReceipt(_EachReceipt):
    """Adds receipts of calls that the victim never made."""

    name = "receipt of no call"

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        self.struck += 1
        await wire.to_client(replace(frame, request_id=sha256(frame.request_id).digest()))
        await wire.to_client(frame)


class ClaimedStatus(_EachReceipt):
    """Says something about every message in place of its certificate; gateways may, and it proves nothing.

    Args:
        status: what it says: rejected, failed or pending.
    """

    def __init__(self, status: ReceiptStatus) -> None:
        super().__init__()
        self.name = f"claimed to be {status}"
        self.status = status

    async def receipt(self, wire: Wire, frame: ReceiptFrame) -> None:
        self.struck += 1
        if self.status is ReceiptStatus.REJECTED:
            claim = ReceiptFrame(frame.request_id, self.status, None, 4, "no", "IC0406")
        elif self.status is ReceiptStatus.FAILED:
            claim = ReceiptFrame(frame.request_id, self.status, reject_message="the IC is away")
        else:
            claim = ReceiptFrame(frame.request_id, self.status)
        await wire.to_client(claim)
