"""Identities for clients: made here, loaded from files, or taken over from ``ic-py``.

The core has no randomness and reads no files, so what needs either is here. All of these give an
:class:`icws_secure.sign.Identity`::

    >>> generate().principal.is_self_authenticating
    True
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.sign import (
    DelegatedIdentity,
    DelegationChain,
    Ed25519Identity,
    Identity,
    ed25519_identity_from_json,
    identity_from_icpy,
    identity_from_pem,
)

__all__ = ["as_identity", "generate", "load_delegation", "load_ed25519_json", "load_pem"]

MAX_FILE_BYTES: Final = 1 << 20  # a PEM file has a few hundred bytes, a chain of 20 delegations some 20 KiB


def generate() -> Ed25519Identity:
    """Return a new Ed25519 identity from the operating system's randomness; nothing is written anywhere."""
    return Ed25519Identity.from_seed(os.urandom(32))


def load_pem(path: str | os.PathLike[str], password: bytes | None = None) -> Identity:
    """Return the identity in a PEM file: Ed25519, secp256k1 or P-256, as ``dfx identity export`` writes them.

    Args:
        path: the file.
        password: for an encrypted PKCS #8 key; None for a plain one.

    Raises:
        MisuseError: the file cannot be read, or is too large.
        DecodeError: it holds no key of a known kind, or the password does not open it.
    """
    with _naming(path):
        return identity_from_pem(_read(path), password)


def load_delegation(path: str | os.PathLike[str], inner: Identity) -> DelegatedIdentity:
    """Return *inner* acting through the delegation chain in a JSON file, as clients of Internet Identity keep them.

    Args:
        path: the file: ``{"delegations": [...], "publicKey": ...}``.
        inner: the identity of the last key of the chain.

    Raises:
        MisuseError: the file cannot be read, or the chain does not end at *inner*.
        DecodeError: it is not a delegation chain.
    """
    with _naming(path):
        return DelegationChain.from_json(_read(path)).with_key(inner)


def load_ed25519_json(path: str | os.PathLike[str]) -> Ed25519Identity:
    """Return the Ed25519 key in a JSON file ``[public, secret]``, the form in which browsers' agents store it.

    Raises:
        MisuseError: the file cannot be read, or the two keys do not belong together.
        DecodeError: it is not such a key.
    """
    with _naming(path):
        return ed25519_identity_from_json(_read(path))


def as_identity(value: object) -> Identity:
    """Return *value* as an identity: ours as it is, None as a new one, and ``ic-py``'s objects adapted.

    Raises:
        MisuseError: it is none of these.
    """
    if value is None:
        return generate()
    if isinstance(value, Identity):
        return value
    if isinstance(value, str | bytes | os.PathLike):
        raise MisuseError(
            "an identity is an object: load_pem() and load_delegation() of icws_client.identities read files",
            reason=Reason.WRONG_TYPE,
        )
    return identity_from_icpy(value)


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors name the file that they are about."""
    try:
        yield
    except (DecodeError, MisuseError) as error:
        facts = {**error.facts, "file": Path(path).name}
        raise type(error)(error.message, reason=error.reason, requirement=error.requirement, **facts) from error


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise MisuseError(f"cannot read the file: {words}", reason=Reason.INVALID_ARGUMENT) from error
    if len(data) > MAX_FILE_BYTES:
        raise MisuseError("this is no key file: it is too large", reason=Reason.TOO_LARGE, limit=MAX_FILE_BYTES)
    return data
