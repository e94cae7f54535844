"""Writes the project's vectors: the same bytes every time, so that a change of one is a change of the protocol."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from icws_conformance.vectors import (
    make_bytes,
    make_candid,
    make_certificates,
    make_frames,
    make_messages,
    make_nodes,
    make_payload,
    make_ranges,
    make_receipts,
    make_sealed,
    make_signatures,
    make_signed,
    make_trees,
    make_vetkd,
)
from icws_conformance.vectors.build import Maker

__all__ = ["FILES", "check_folder", "write_folder"]

FILES: Final[dict[str, Callable[[], Maker]]] = {
    "audit_replies": make_receipts.audit_replies,
    "bls": make_signatures.bls,
    "candid": make_candid.candid,
    "canister_ranges": make_ranges.canister_ranges,
    "canister_signatures": make_signatures.canister_signatures,
    "cbor": make_bytes.cbor_values,
    "certificates": make_certificates.certificates,
    "clocks": make_receipts.clocks,
    "delegations": make_signed.delegations,
    "envelopes": make_signed.envelopes,
    "frames": make_frames.frames,
    "hash_trees": make_trees.hash_trees,
    "heads": make_messages.heads,
    "hop_streams": make_sealed.hop_streams,
    "hpke": make_sealed.hpke,
    "key_rings": make_sealed.key_rings,
    "message_keys": make_bytes.message_keys,
    "messages": make_messages.messages,
    "node_keys": make_nodes.node_keys,
    "payloads": make_payload.payloads,
    "principals": make_bytes.principals,
    "public_keys": make_bytes.public_keys,
    "query_responses": make_nodes.query_responses,
    "receipts": make_receipts.receipts,
    "registrations": make_receipts.registrations,
    "representations": make_sealed.representations,
    "request_ids": make_bytes.request_ids,
    "responses": make_nodes.responses,
    "reused_certificates": make_certificates.reused_certificates,
    "room_messages": make_sealed.room_messages,
    "room_streams": make_sealed.room_streams,
    "root_keys": make_signatures.root_keys,
    "suites": make_sealed.suites,
    "user_signatures": make_signatures.user_signatures,
    "vetkd": make_vetkd.vetkd,
}
_SCHEMA: Final = Path(__file__).with_name("schema.json")


def write_folder(folder: Path) -> None:
    """Write all files and their schema."""
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for name, text in _texts().items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copyfile(_SCHEMA, folder / "schemas" / "icws-vectors-1.json")


def check_folder(folder: Path) -> list[str]:
    """The names of files that are not as they would be written."""
    return [
        name
        for name, text in _texts().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def _texts() -> dict[str, str]:
    return {f"{name}.json": json.dumps(make().document(), indent=1) + "\n" for name, make in FILES.items()}
