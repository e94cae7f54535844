"""Domain separators of signatures on the Internet Computer: what precedes the signed bytes. The first byte is the
length.

Source: IC interface specification, "Signatures", "Authentication", "Certification".
"""

from __future__ import annotations

from typing import Final

__all__ = ["DELEGATION", "QUERY_RESPONSE", "REQUEST", "SENDER_INFO", "STATE_ROOT"]

REQUEST: Final = b"\x0aic-request"
"""Before a request id, in an envelope's signature."""

DELEGATION: Final = b"\x1aic-request-auth-delegation"
"""Before the hash of a delegation, in a link's signature."""

QUERY_RESPONSE: Final = b"\x0bic-response"
"""Before the hash of a query's response, in a node's signature."""

SENDER_INFO: Final = b"\x0eic-sender-info"
"""Before ``sender_info.info``, in a canister signature."""

STATE_ROOT: Final = b"\x0dic-state-root"
"""Before the digest of a certificate's tree, in a subnet's signature."""
