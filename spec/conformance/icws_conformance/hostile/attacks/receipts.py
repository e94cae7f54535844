"""Attacks on certified receipts."""

from __future__ import annotations

from dataclasses import replace

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_secure.wire.frames import GatewayFrame, ReceiptFrame, ReceiptStatus

__all__ = ["ForeignReceipt", "InventedRejection", "WithheldReceipt"]


class WithheldReceipt(Attack):
    """Relays everything and passes no receipt on after the open's."""

    name = "withheld receipt"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, ReceiptFrame) and wire.notes.get("first"):
            self.struck += 1
            return
        if isinstance(frame, ReceiptFrame):
            wire.notes["first"] = True
        await wire.to_client(frame)


class ForeignReceipt(Attack):
    """Gives the certificate of an earlier call under the request id of the present one."""

    name = "receipt of another call"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, ReceiptFrame) and frame.certificate is not None:
            kept = wire.notes.setdefault("certificate", frame.certificate)
            if kept is not frame.certificate and isinstance(kept, bytes):
                self.struck += 1
                frame = replace(frame, certificate=kept)
        await wire.to_client(frame)


class InventedRejection(Attack):
    """Says, without proof, that the canister rejected."""

    name = "invented rejection"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, ReceiptFrame) and wire.notes.get("first"):
            self.struck += 1
            frame = ReceiptFrame(
                request_id=frame.request_id,
                status=ReceiptStatus.REJECTED,
                reject_code=4,
                reject_message="no",
                error_code="IC0406",
            )
        elif isinstance(frame, ReceiptFrame):
            wire.notes["first"] = True
        await wire.to_client(frame)
