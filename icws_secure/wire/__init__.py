"""Bytes to values and back: every encoding of the protocol, without keys and without decisions.

Nothing here needs a signature, a clock or a socket; the only cryptography is SHA-2. Every decoder is bounded before it
allocates or nests, and raises :class:`~icws_secure.errors.DecodeError` or
:class:`~icws_secure.errors.CertificateError`.

========================  ==========================================================================================
module                    what it holds
========================  ==========================================================================================
``leb128``, ``cbor``      the integers and the container format underneath
``principal``, ``der``    identifiers and public keys
``request_id``            the hash that signatures of the Internet Computer cover
``envelope``              requests to the Internet Computer, with their signatures and delegations
``hashtree``              hash trees as a verifier reads them
``merkle_map``            hash trees as a producer grows them
``certificate``           certificates, decoded but not verified
``http``                  paths and answers of the HTTPS interface
========================  ==========================================================================================
"""

from __future__ import annotations
