"""Verification: certificates, witnesses, receipts, envelopes, query responses.

Each module's docstring lists its steps in order, and the code carries their numbers. A function returns what it
verified, in a type that nothing else makes, or raises; none returns a bool.
"""

from .certificate import CertificatePolicy, CertificateVerifier, VerifiedCertificate
from .delegation import RequestType, verify_delegations
from .envelope import VerifiedEnvelope, verify_envelope
from .query import node_keys_from_certificate, verify_query_response
from .request_status import (
    AbsentStatus,
    Done,
    Processing,
    Received,
    Rejected,
    Replied,
    RequestStatus,
    UnknownStatus,
    read_request_status,
)
from .root_key import MAINNET_ROOT_KEY, RootKey
from .signature import verify_user_signature
from .witness import VerifiedWitness, verify_witness

__all__ = [
    "MAINNET_ROOT_KEY",
    "AbsentStatus",
    "CertificatePolicy",
    "CertificateVerifier",
    "Done",
    "Processing",
    "Received",
    "Rejected",
    "Replied",
    "RequestStatus",
    "RequestType",
    "RootKey",
    "UnknownStatus",
    "VerifiedCertificate",
    "VerifiedEnvelope",
    "VerifiedWitness",
    "node_keys_from_certificate",
    "read_request_status",
    "verify_delegations",
    "verify_envelope",
    "verify_query_response",
    "verify_user_signature",
    "verify_witness",
]
