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
    make_payload,
    make_signed,
    make_trees,
)
from icws_conformance.vectors.build import Maker

__all__ = ["FILES", "check_folder", "write_folder"]

FILES: Final[dict[str, Callable[[], Maker]]] = {
    "candid": make_candid.candid,
    "cbor": make_bytes.cbor_values,
    "certificates": make_certificates.certificates,
    "delegations": make_signed.delegations,
    "envelopes": make_signed.envelopes,
    "frames": make_frames.frames,
    "hash_trees": make_trees.hash_trees,
    "message_keys": make_bytes.message_keys,
    "payloads": make_payload.payloads,
    "principals": make_bytes.principals,
    "public_keys": make_bytes.public_keys,
    "request_ids": make_bytes.request_ids,
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
