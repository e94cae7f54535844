"""Vectors from files: those of this project's form, and the flat older form that foreign vectors were collected in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from icws_secure.errors import MisuseError, Reason

__all__ = ["FORMAT", "Vector", "read_vectors"]

FORMAT: Final = "icws-vectors/1"
_MAX_FILE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector.

    Attributes:
        name: unique: file and number, or file and name.
        kind: which question is asked.
        comment: what is special about it.
        requirements: that it tests.
        accept: whether the input is to be accepted.
        reasons: names of what is wrong; empty where they are only a hint.
        input: the question, values of JSON.
        output: what an acceptance must come with; only these fields are compared.
        gain: what an attacker would have if it were accepted.
    """

    name: str
    kind: str
    comment: str
    requirements: tuple[str, ...]
    accept: bool
    reasons: tuple[str, ...]
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    gain: str


def read_vectors(path: Path) -> list[Vector]:
    """Read a file of vectors.

    Raises:
        MisuseError: it cannot be read, or is of neither form.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise MisuseError("a file of vectors is too large", reason=Reason.TOO_LARGE, path=path.name)
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") == FORMAT:
            return list(_own(path.stem, document))
        return [_flat(path.stem, document["kind"], vector) for vector in document["vectors"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MisuseError("this is no file of vectors", reason=Reason.MALFORMED, path=path.name) from error


def _own(stem: str, document: dict[str, Any]) -> Iterator[Vector]:
    for group in document["groups"]:
        for test in group["tests"]:
            gains = [document["notes"][flag]["gain"] for flag in test["flags"]]
            yield Vector(
                name=f"{stem}-{test['id']}",
                kind=document["kind"],
                comment=test["comment"],
                requirements=tuple(test["requirements"]),
                accept=test["verdict"] == "accept",
                reasons=tuple(test.get("reasons", ())),
                input=_whole(group["shared"] | test["input"]),
                output=test.get("output", {}),
                gain=" ".join(gains),
            )


def _whole(given: dict[str, Any]) -> dict[str, Any]:
    """The input as it is asked: bytes that the file has in pieces are put together."""
    return {
        name: "".join(piece * times for piece, times in value["pieces"])
        if name.endswith("_hex") and isinstance(value, dict)
        else value
        for name, value in given.items()
    }


# The flat form -------------------------------------------------------------------------------------------------------

#: Fields of the flat form that are answers, by kind.
_ANSWERS: Final[dict[str, frozenset[str]]] = {
    "certificate": frozenset({"time_ns", "content_sha256_hex"}),
    "hash_tree": frozenset({"root_hash_hex"}),
    "representation_independent_hash": frozenset({"hash_hex"}),
    "principal": frozenset({"hex"}),
    "envelope": frozenset({"request_id_hex", "sender"}),
    "query_response": frozenset({"request_id_hex"}),
}
_VETKD_ANSWERS: Final[dict[str, frozenset[str]]] = {
    "derive_public_key": frozenset({"derived_key_hex"}),
    "transport_public_key": frozenset({"transport_public_key_hex"}),
    "decrypt_and_verify": frozenset({"vetkey_hex"}),
    "derived_key_material": frozenset({"key_hex"}),
    "aes_gcm_decrypt": frozenset({"plaintext_hex"}),
    "ibe_encrypt": frozenset({"ciphertext_hex"}),
    "ibe_decrypt": frozenset({"plaintext_hex"}),
    "hkdf": frozenset({"output_hex"}),
    "hash_to_scalar": frozenset({"scalar_be_hex"}),
    "augmented_hash_to_g1": frozenset({"point_hex"}),
    "vrf": frozenset({"output_hex"}),
}
_DESCRIPTION: Final = frozenset(
    {"name", "source", "expect", "reason", "notes", "normative", "must_reject", "content_matches", "lookups"}
    | {"witness_lookups", "secret_key_be_hex", "transport_secret_key_rust_le_hex"}
)
_REQUIREMENTS: Final[dict[str, tuple[str, ...]]] = {
    "certificate": ("ICWS-LIB-010", "ICWS-LIB-012", "ICWS-LIB-013", "ICWS-LIB-014"),
    "hash_tree": ("ICWS-LIB-007", "ICWS-LIB-006"),
    "bls": ("ICWS-LIB-010", "ICWS-LIB-009"),
    "representation_independent_hash": ("ICWS-LIB-004",),
    "principal": ("ICWS-LIB-002",),
    "envelope": ("ICWS-LIB-016", "ICWS-LIB-017", "ICWS-LIB-018"),
    "delegation": ("ICWS-LIB-018",),
    "query_response": ("ICWS-LIB-020",),
    "vetkd": ("ICWS-PAY-011", "ICWS-PAY-014"),
    "webauthn": ("ICWS-LIB-016",),
    "canister_signature": ("ICWS-LIB-019",),
}
_BY_HINT: Final[dict[str, tuple[str, ...]]] = {
    "delegation_range": ("ICWS-LIB-013",),
    "tree_not_well_formed": ("ICWS-LIB-008",),
    "bls_signature": ("ICWS-LIB-010",),
}


def _flat(stem: str, kind: str, vector: dict[str, Any]) -> Vector:
    accept = vector.get("expect", "accept") == "accept"
    requirements = _REQUIREMENTS[kind]
    if vector.get("op") == "hkdf":
        vector = vector | {"length": len(bytes.fromhex(vector["output_hex"]))}
    if kind == "vetkd" and "headerless" in vector["name"]:
        # the libraries it comes from still read the old format
        accept, requirements = False, ("ICWS-PAY-015",)
    elif not accept:
        requirements = _BY_HINT.get(vector.get("reason", ""), requirements)
    answers = _VETKD_ANSWERS.get(vector["op"], frozenset()) if kind == "vetkd" else _ANSWERS.get(kind, frozenset())
    asked = {name: value for name, value in vector.items() if name not in answers | _DESCRIPTION}
    output = {name: value for name, value in vector.items() if name in answers} if accept else {}
    for name in ("lookups", "witness_lookups"):
        if name in vector:
            asked[name] = [lookup["path_hex"] for lookup in vector[name]]
            if accept:
                output[name] = [
                    {field: value for field, value in lookup.items() if field in ("result", "value_hex")}
                    for lookup in vector[name]
                ]
    return Vector(
        name=f"{stem}: {vector['name']}",
        kind=kind,
        comment=vector["name"],
        requirements=requirements,
        accept=accept,
        reasons=(),
        input=asked,
        output=output,
        gain="",
    )
