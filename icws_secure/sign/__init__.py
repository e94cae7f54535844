"""Signing of requests and delegations."""

from .delegation_json import DelegationChain, ed25519_identity_from_json
from .icpy import identity_from_icpy
from .identity import (
    AnonymousIdentity,
    DelegatedIdentity,
    Ed25519Identity,
    Identity,
    P256Identity,
    Secp256k1Identity,
    expires_at_ns,
)
from .pem import identity_from_pem, identity_to_pem
from .request import sign_call, sign_content, sign_delegation, sign_query, sign_read_state

__all__ = [
    "AnonymousIdentity",
    "DelegatedIdentity",
    "DelegationChain",
    "Ed25519Identity",
    "Identity",
    "P256Identity",
    "Secp256k1Identity",
    "ed25519_identity_from_json",
    "expires_at_ns",
    "identity_from_icpy",
    "identity_from_pem",
    "identity_to_pem",
    "sign_call",
    "sign_content",
    "sign_delegation",
    "sign_query",
    "sign_read_state",
]
