"""A client is turned away: with which close code of the protocol's table, and why."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from icws_secure.errors import IcwsError, Reason
from icws_secure.wire.close_codes import CloseCode, close_reason

__all__ = ["ClientRefused", "refusal_of"]


class ClientRefused(Exception):  # noqa: N818 - named for what happens
    """The connection is to be closed with a code. Stays inside the gateway.

    Args:
        code: from the protocol's table.
        words: for people; never contains what the client sent.
        limit: name of the bound that was crossed, for the metric; None where no bound is concerned.
    """

    def __init__(self, code: CloseCode, words: str, *, limit: str | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.limit = limit

    @property
    def reason(self) -> str:
        """Text of the close frame."""
        return close_reason(self.code, self.words)


_CODES: Final = MappingProxyType(
    {
        Reason.BAD_SIGNATURE: CloseCode.INVALID_SIGNATURE,
        Reason.BAD_PUBLIC_KEY: CloseCode.INVALID_SIGNATURE,
        Reason.SIGNATURE_MISSING: CloseCode.INVALID_SIGNATURE,
        Reason.ANONYMOUS_SIGNED: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_TOO_LONG: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_EXPIRED: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_CYCLE: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_TARGET: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_PERMISSION: CloseCode.INVALID_SIGNATURE,
        Reason.DELEGATION_NOT_ALLOWED: CloseCode.DELEGATION_NOT_ALLOWED,
        Reason.SENDER_MISMATCH: CloseCode.SENDER_MISMATCH,
        Reason.INGRESS_EXPIRED: CloseCode.INGRESS_EXPIRY,
        Reason.INGRESS_EXPIRY_TOO_FAR: CloseCode.INGRESS_EXPIRY,
        Reason.WRONG_CANISTER: CloseCode.WRONG_CANISTER,
        Reason.WRONG_METHOD: CloseCode.METHOD_NOT_ALLOWED,
        Reason.WRONG_REQUEST_TYPE: CloseCode.METHOD_NOT_ALLOWED,
        Reason.TOO_LARGE: CloseCode.ENVELOPE_TOO_LARGE,
    }
)


def refusal_of(error: IcwsError, *, signature: bool) -> ClientRefused:
    """The refusal that an error of the protocol core leads to.

    Args:
        error: what a decoder or verifier raised.
        signature: whether the envelope's signature was being checked; then what has no code of its own (a canister
            signature's certificate, say) counts as an invalid signature, otherwise as a malformed frame.
    """
    # [ICWS-GWY-011]
    fallback = CloseCode.INVALID_SIGNATURE if signature else CloseCode.MALFORMED_FRAME
    return ClientRefused(_CODES.get(error.reason, fallback), error.message)
