"""vetKD, the IC's scheme for keys that only their receivers learn, as ``vetkd_derive_key`` and ``@dfinity/vetkeys``
have it."""

from .identity_encryption import IBE_OVERHEAD_BYTES, ibe_decrypt, ibe_encrypt
from .keys import EncryptedVetKey, TransportPublicKey, TransportSecretKey, VetKey
from .public_key import MAINNET_MASTER_KEYS, DerivedPublicKey, MasterPublicKey
from .symmetric import GCM_OVERHEAD_BYTES, DerivedKeyMaterial, derive_symmetric_key
from .vrf import VrfOutput

__all__ = [
    "GCM_OVERHEAD_BYTES",
    "IBE_OVERHEAD_BYTES",
    "MAINNET_MASTER_KEYS",
    "DerivedKeyMaterial",
    "DerivedPublicKey",
    "EncryptedVetKey",
    "MasterPublicKey",
    "TransportPublicKey",
    "TransportSecretKey",
    "VetKey",
    "VrfOutput",
    "derive_symmetric_key",
    "ibe_decrypt",
    "ibe_encrypt",
]
