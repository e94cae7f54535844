"""Hand-made mutants of the library."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, handmade, patch

__all__ = ["EXCEPTIONS", "MUTANTS"]

MUTANTS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-LIB-002",
        "any-checksum",
        "Reads a textual principal whose checksum, dashes or spare bits are wrong.",
        "vectors:principals-6",
        patch("icws_secure.wire.principal", "if principal.to_text() == lower:", "if lower:"),
    ),
    handmade(
        "ICWS-LIB-007",
        "pruned-is-absent",
        "Takes what is pruned for absent.",
        "vectors:hash_trees-2",
        patch(
            "icws_secure.wire.hashtree",
            "return Miss.UNKNOWN if hidden else Miss.ABSENT",
            "return Miss.ABSENT",
        ),
    ),
    handmade(
        "ICWS-LIB-013",
        "older-list-stands-in",
        "Asks the older list of ranges where no shard that is shown has the canister.",
        "vectors:canister_ranges-16",
        patch(
            "icws_secure.verify.ranges",
            "    return CanisterRanges(tuple(labels), tuple(ranges))",
            "    older = sum(_read_single(tree, subnet_id).shards, ())\n"
            "    return CanisterRanges((b'', *labels), (older, *(shard + older for shard in ranges)))",
        ),
    ),
    handmade(
        "ICWS-LIB-013",
        "hidden-shards-hide-the-older-list",
        "Takes the newer place for shown where it is pruned.",
        "vectors:canister_ranges-4",
        patch("icws_secure.verify.ranges", "if shards is ABSENT or shards is UNKNOWN:", "if shards is ABSENT:"),
    ),
    handmade(
        "ICWS-LIB-015",
        "cached-for-all-canisters",
        "Lets a certificate that was verified once speak for every canister.",
        "vectors:reused_certificates-1",
        patch(
            "icws_secure.verify.certificate",
            "        statement = self._certificates.get(key)\n",
            "        statement = self._certificates.get(key)\n        is_known = statement is not None\n",
        ),
        patch(
            "icws_secure.verify.certificate",
            "        if canister_id is not None:\n            verified.require_canister(canister_id)",
            "        if canister_id is not None and not is_known:\n            verified.require_canister(canister_id)",
        ),
    ),
    handmade(
        "ICWS-LIB-022",
        "any-root-key",
        "Pins bytes that are no point as a root key.",
        "vectors:root_keys-5",
        patch("icws_secure.verify.root_key", "points.check_public_key_encoding(self.raw)", "len(self.raw)"),
    ),
    handmade(
        "ICWS-LIB-023",
        "text-that-is-no-utf-8",
        "Ends with another exception than its own on text that is no UTF-8.",
        "vectors:cbor-13",
        patch(
            "icws_secure.wire.cbor",
            "            except UnicodeDecodeError as error:\n",
            "            except KeyError as error:\n",
        ),
    ),
    handmade(
        "ICWS-LIB-026",
        "secret-in-representation",
        "Writes a transport secret where it writes the transport key.",
        "vectors:representations-7",
        patch(
            "icws_secure.vetkd.keys",
            'return f"TransportSecretKey(public_key={self.public_key.raw.hex()})"',
            'return f"TransportSecretKey(secret={self.export_secret().hex()})"',
        ),
    ),
    handmade(
        "ICWS-LIB-027",
        "definite-lengths-only",
        "Refuses answers of indefinite length.",
        "vectors:responses-23",
        patch("icws_secure.wire.http", ", allow_indefinite=True)", ", allow_indefinite=False)"),
    ),
)

EXCEPTIONS: Final[dict[str, str]] = {}
