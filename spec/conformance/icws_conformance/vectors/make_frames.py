"""Vectors of the frames between gateways and clients."""

from __future__ import annotations

from icws_conformance.vectors.build import Maker, empty, encode
from icws_conformance.vectors.cast import GATEWAY
from icws_secure.wire import cbor

__all__ = ["frames"]


def frames() -> Maker:
    """Frames of gateways and clients."""
    made = Maker(
        "frame",
        [
            "A WebSocket frame, from gateway or client by direction.",
            "Accepted means: exactly one of the documented shapes.",
        ],
        {"Unknown": ("The frame is of no documented shape.", "What one side skips and the other obeys is a hole.")},
    )
    tree = encode(empty())
    key = f"{GATEWAY.to_text()}_{7:020}"
    message = {"key": key, "content": b"m", "cert": b"c", "tree": tree}
    receipt = {"request_id": bytes(32), "status": "pending"}
    shapes: list[tuple[str, object, str]] = [
        ("a handshake", {"gateway_principal": GATEWAY.raw}, "Handshake"),
        (
            "a handshake of the subprotocol",
            {"gateway_principal": GATEWAY.raw, "version": "icws-secure.1"},
            "Handshake",
        ),
        ("a message", message, "MessageFrame"),
        ("messages", {"messages": [{"key": key, "content": b"m"}], "cert": b"c", "tree": tree}, "MessagesFrame"),
        ("a receipt", {"receipt": receipt}, "ReceiptFrame"),
        ("a head", {"head": {"cert": b"c", "tree": tree}}, "HeadFrame"),
        ("a drain notice", {"drain": {"seconds": 5}}, "DrainFrame"),
    ]
    for comment, value, shape in shapes:
        data = cbor.encode_self_described(value)
        made.accept(comment, "LIB-024", {"direction": "gateway", "frame_hex": data.hex()}, shape=shape)
    reasons = "UnknownField WrongType MissingField Malformed TooMany TooLarge"
    wrong: list[tuple[str, object]] = [
        ("a map without fields", {}),
        ("a list", [1]),
        ("an unknown field", {"news": 1}),
        ("two shapes in one", {"drain": {"seconds": 5}, "head": {"cert": b"c", "tree": tree}}),
        ("a message with a field more", message | {"priority": 1}),
        ("a message without witness", {name: item for name, item in message.items() if name != "tree"}),
        ("a message whose key is bytes", message | {"key": key.encode()}),
        ("no messages", {"messages": [], "cert": b"c", "tree": tree}),
        ("a receipt with a short request id", {"receipt": receipt | {"request_id": bytes(31)}}),
        ("a receipt with an unknown status", {"receipt": receipt | {"status": "done"}}),
        ("a pending receipt with a certificate", {"receipt": receipt | {"certificate": b"c"}}),
        ("a drain notice below 0", {"drain": {"seconds": -5}}),
        ("an envelope from the gateway", {"envelope": {}}),
        ("a handshake of another version", {"gateway_principal": GATEWAY.raw, "version": "icws-secure.2"}),
        ("a handshake of a principal of 30 bytes", {"gateway_principal": bytes(30)}),
        ("a field whose name is a number", message | {1: 1}),
        ("a receipt that is no map", {"receipt": 1}),
        ("a message in a list that is no map", {"messages": [1], "cert": b"c", "tree": tree}),
        ("1,001 messages", {"messages": [{"key": "k", "content": b""}] * 1_001, "cert": b"", "tree": b""}),
    ]
    for comment, value in wrong:
        data = cbor.encode_self_described(value)
        given = {"direction": "gateway", "frame_hex": data.hex()}
        made.reject(f"{comment}, from the gateway", "LIB-024", reasons, given, "Unknown")
    for comment, value in (
        ("an envelope that is no map", {"envelope": 1}),
        ("a handshake", {"gateway_principal": b""}),
    ):
        data = cbor.encode_self_described(value)
        given = {"direction": "client", "frame_hex": data.hex()}
        made.reject(f"{comment}, from the client", "LIB-024", reasons, given, "Unknown")
    return made
