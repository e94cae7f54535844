"""The key that everything rests on: the root subnet's, pinned by whoever uses this library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..bls import points
from ..errors import CertificateError, DecodeError, MisuseError, Reason
from ..wire.der import KeyScheme, PublicKey
from ..wire.principal import Principal

__all__ = ["MAINNET_ROOT_KEY", "RootKey"]


@dataclass(frozen=True, slots=True)
class RootKey:
    """A pinned root key.

    It comes from this program or its configuration. Where it comes from the network, whoever answers can forge
    everything; a replica on the same machine, for development, is the one exception.

    Args:
        raw: 96 bytes, a compressed point of G2.

    Attributes:
        subnet_id: the id of the root subnet, which is the self-authenticating id of this key.

    Raises:
        MisuseError: BAD_PUBLIC_KEY, the bytes cannot be such a point.
    """

    raw: bytes
    subnet_id: Principal = field(init=False, compare=False)

    def __post_init__(self) -> None:
        try:
            points.check_public_key_encoding(self.raw)
        except CertificateError as error:
            # [ICWS-LIB-022]
            raise _unusable() from error
        object.__setattr__(self, "subnet_id", Principal.self_authenticating(self.der))

    @classmethod
    def from_der(cls, der: bytes) -> RootKey:
        """The root key in the DER form that ``/api/v2/status`` and configurations use, 133 bytes.

        Raises:
            MisuseError: BAD_PUBLIC_KEY, it is not a BLS12-381 key in exactly that form.
        """
        try:
            key = PublicKey.from_der(der)
        except DecodeError as error:
            raise _unusable() from error
        # [ICWS-LIB-022]
        if key.scheme is not KeyScheme.BLS12_381:
            raise _unusable()
        return cls(key.raw)

    @property
    def der(self) -> bytes:
        """The key in DER form, 133 bytes."""
        return PublicKey.bls(self.raw).der

    def __repr__(self) -> str:
        return f"RootKey(subnet_id={self.subnet_id.to_text()!r})"


def _unusable() -> MisuseError:
    return MisuseError(
        "the root key is not a BLS12-381 public key", reason=Reason.BAD_PUBLIC_KEY, requirement="ICWS-LIB-022"
    )


#: The root key of the Internet Computer's main network.
MAINNET_ROOT_KEY: Final = RootKey(
    bytes.fromhex(
        "814c0e6ec71fab583b08bd81373c255c3c371b2e84863c98a4f1e08b74235d14fb5d9c0cd546d9685f913a0c0b2cc534"
        "1583bf4b4392e467db96d65b9bb4cb717112f8472e0d5a4d14505ffd7484b01291091c5f87b98883463f98091a0baaae"
    )
)
