"""Every refusal of the library's decoders and verifiers is shown by a published vector that fails because of it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from icws_conformance.cli import app
from icws_conformance.verdict import ExitCode

VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"

#: Rules that no vector can show alone, and why not: (module, condition).
NOT_SHOWN = {
    # Another rule of the same reader stands behind: with the first one off, the second one refuses.
    (
        "bls/points.py",
        "int.from_bytes(coordinate, 'big') >= FIELD_MODULUS",
    ): "the backend refuses such a coordinate too",
    ("payload/room.py", "len(counters) > MAX_ROOM_SENDERS"): "it takes ten thousand senders",
    ("verify/canister_signature.py", "not isinstance(shown, Found)"): "what is not found is no empty leaf either",
    ("verify/delegation.py", "canister is None"): "None is no target either",
    ("verify/ed25519.py", "len(public_key) != 32"): "the decoder of keys lets none of another length in",
    ("verify/ed25519.py", "len(signature) != 64"): "the library below refuses another length too",
    ("verify/head.py", "len(certificate) > MAX_CERTIFICATE_BYTES"): "the decoder of certificates has the same bound",
    ("verify/head.py", "len(tree) > MAX_WITNESS_BYTES"): "the decoder of trees has the same bound",
    ("verify/message.py", "size > limit"): "the decoders behind have the same bounds",
    ("verify/ranges.py", "not isinstance(pairs, list)"): "what is no list has no pairs",
    ("verify/receipt.py", "len(certificate) > MAX_CERTIFICATE_BYTES"): "the decoder of certificates has the same bound",
    ("verify/root_key.py", "key.scheme is not KeyScheme.BLS12_381"): "no other key has 96 bytes",
    ("verify/webauthn.py", "length is not None and len(value) != length"): "such a coordinate gives no point",
    ("wire/candid_decode.py", "index >= len(cases)"): "there is no reader for such a case",
    ("wire/candid_skip.py", "index >= len(cases)"): "there is no reader for such a case",
    ("wire/candid_table.py", "data[:4] != _MAGIC"): "what follows is no type table",
    ("wire/cbor.py", "container is None"): "where nothing is open there is nothing to end, and no map comes of it",
    ("wire/cbor.py", "argument > 27"): "such a length reaches beyond the end",
    ("wire/cbor.py", "len(enclosing) + (container is not None) >= max_depth"): "the encoder has the same bound",
    ("wire/cbor.py", "major == 7"): "only false, true and null are read from this type",
    ("wire/cbor.py", "offset + size > len(data)"): "what the length stands for is missing then, too",
    ("wire/cbor.py", "tag != _BIGNUM_TAG"): "what is not tagged a big number is not of its type",
    ("wire/envelope.py", "kind is not bytes and kind is not str and (kind is not int)"): "it has no hash",
    ("wire/envelope.py", "type(name) is not str"): "it has no hash",
    ("wire/envelope.py", "type(path) is not list"): "the labels of what is no list are no byte strings",
    ("wire/message.py", "not separator"): "nothing is left to be the number then",
    ("wire/tree_codec.py", "len(above) > MAX_TREE_DEPTH"): "the CBOR around such a tree is refused for its depth",
    ("wire/tree_codec.py", "nodes > MAX_TREE_NODES"): "the CBOR around such a tree is refused for its items",
    # No input of a vector leads there.
    ("bls/backend.py", "not installed"): "the driver has a library for BLS",
    ("wire/interface.py", "not isinstance(value, type_)"): "it tells the type checker what the decoder has done",
    ("wire/tree_prune.py", "first.digest != second.digest"): "pruning is what gateways do, and reads nothing",
}


def run(*paths: Path) -> list[dict[str, Any]]:
    """What becomes of each rule, from a process of its own."""
    command = [sys.executable, "-m", "icws_conformance.mutants.rules", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a module of ours
    return [json.loads(line) for line in done.stdout.splitlines()]


@cache
def played() -> list[dict[str, Any]]:
    """What becomes of each rule with the published vectors."""
    return run(*sorted(VECTORS.glob("*.json")))


def concerns_input(rule: dict[str, Any]) -> bool:
    """Whether a rule is about what comes in, not about how the library is called or what it encodes."""
    is_callers = "MisuseError" in rule["raises"] and not rule["met"]
    return not is_callers and rule["path"] != "wire/candid_encode.py"


def test_library_has_the_rules_that_are_looked_for() -> None:
    conditions = {(rule["path"], rule["condition"]) for rule in played()}
    assert len(conditions) > 200
    assert set(NOT_SHOWN) <= conditions


def test_every_rule_is_shown_by_a_vector_or_listed_with_a_reason() -> None:
    hidden = {(rule["path"], rule["condition"]) for rule in played() if concerns_input(rule) and not rule["shown_by"]}
    assert hidden - set(NOT_SHOWN) == set(), "make a vector that is refused by this rule alone"


def test_no_rule_is_listed_that_a_vector_shows() -> None:
    hidden = {(rule["path"], rule["condition"]) for rule in played() if not rule["shown_by"]}
    assert set(NOT_SHOWN) - hidden == set()


def test_rule_is_not_shown_by_vectors_that_do_not_meet_it(tmp_path: Path) -> None:
    document = json.loads((VECTORS / "hash_trees.json").read_text())
    tests = [test for group in document["groups"] for test in group["tests"]]
    for name, kept in (("all", tests), ("fewer", [test for test in tests if "65,537" not in test["comment"]])):
        document["groups"] = [{"shared": {}, "tests": kept}]
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    for name, shown in (("all", True), ("fewer", False)):
        (found,) = (
            rule for rule in run(tmp_path / f"{name}.json") if rule["condition"] == "length > MAX_TREE_LABEL_BYTES"
        )
        assert bool(found["shown_by"]) is shown


def test_command_tells_what_is_not_shown(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["rules", str(VECTORS / "clocks.json")])
    assert done.exit_code == 0, done.output
    assert "1 of " in done.output
    assert "rules are shown by a vector" in done.output
    assert "verify/registration.py" in CliRunner().invoke(app, ["rules", "-v", str(VECTORS / "clocks.json")]).output
    (tmp_path / "none.json").write_text("[]")
    for command in (["rules", str(tmp_path / "none.json")], ["mutants", "--vectors", str(tmp_path)]):
        refused = CliRunner().invoke(app, command)
        assert refused.exit_code == ExitCode.MISUSE
        assert "this is no file of vectors" in refused.output
