"""Chains and keys in agent-js' JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icws_secure.errors import DecodeError, IcwsError, MisuseError, Reason
from icws_secure.sign import DelegationChain, Ed25519Identity, ed25519_identity_from_json, sign_delegation
from icws_secure.verify import verify_delegations
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import MANAGEMENT, Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
OWNER, SESSION = Ed25519Identity(b"\x01" * 32), Ed25519Identity(b"\x02" * 32)


def chain(**fields: Any) -> DelegationChain:
    link = sign_delegation(OWNER, Delegation(SESSION.public_key_der, NOW, **fields))
    return DelegationChain(OWNER.public_key_der, (link,))


@pytest.mark.parametrize(
    "fields",
    [{}, {"targets": (CANISTER,)}, {"targets": ()}, {"targets": (MANAGEMENT, CANISTER)}, {"permissions": "queries"}],
    ids=str,
)
def test_round_trip_keeps_every_signed_field(fields: dict[str, Any]) -> None:
    stored = chain(**fields)
    assert DelegationChain.from_json(stored.to_json()) == stored
    assert DelegationChain.from_json(stored.to_json().encode()) == stored


def test_chain_of_agent_js_is_read_and_verifies() -> None:
    # The form that DelegationChain.toJSON of @dfinity/identity gives.
    link = chain(targets=(CANISTER,)).delegations[0]
    text = json.dumps(
        {
            "delegations": [
                {
                    "delegation": {
                        "expiration": format(NOW, "x"),
                        "pubkey": SESSION.public_key_der.hex(),
                        "targets": [CANISTER.raw.hex().upper()],
                    },
                    "signature": link.signature.hex(),
                }
            ],
            "publicKey": OWNER.public_key_der.hex(),
        }
    )
    identity = DelegationChain.from_json(text).with_key(SESSION)
    assert identity.principal == OWNER.principal
    verify_delegations(identity.public_key_der, identity.delegations, now=NOW, canister=CANISTER, request_type="call")


def test_key_that_the_chain_does_not_name_is_misuse() -> None:
    with pytest.raises(MisuseError):
        chain().with_key(OWNER)


def changed(path: list[Any], value: Any) -> str:
    document = json.loads(chain().to_json())
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


LINK = ["delegations", 0]


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{",
        "[" * 100_000,
        changed(["publicKey"], ...),
        changed(["publicKey"], "zz"),
        changed(["publicKey"], "0x00"),
        changed(["publicKey"], "30 2a"),
        changed(["publicKey"], 5),
        changed(["more"], 1),
        changed(["delegations"], []),
        changed(["delegations"], {}),
        changed(["delegations"], [json.loads(chain().to_json())["delegations"][0]] * 21),
        changed([*LINK, "signature"], ...),
        changed([*LINK, "more"], 1),
        changed([*LINK, "delegation"], []),
        changed([*LINK, "delegation", "senders"], []),
        changed([*LINK, "delegation", "expiration"], NOW),
        changed([*LINK, "delegation", "expiration"], "-1"),
        changed([*LINK, "delegation", "expiration"], "1" + "0" * 16),
        changed([*LINK, "delegation", "expiration"], "9" * 5000),
        changed([*LINK, "delegation", "pubkey"], None),
        changed([*LINK, "delegation", "permissions"], 1),
        changed([*LINK, "delegation", "targets"], "00"),
        changed([*LINK, "delegation", "targets"], ["00"] * 1001),
        changed([*LINK, "delegation", "targets"], ["00" * 30]),
        '"' + "x" * (1 << 20) + '"',
    ],
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        DelegationChain.from_json(text)


class TestKey:
    raw = SESSION.public_key_der[-32:]

    @pytest.mark.parametrize("public", [SESSION.public_key_der, raw])
    @pytest.mark.parametrize("secret", [b"\x02" * 32, b"\x02" * 32 + raw])
    def test_is_read_in_old_and_new_form(self, public: bytes, secret: bytes) -> None:
        identity = ed25519_identity_from_json(json.dumps([public.hex(), secret.hex()]))
        assert identity.principal == SESSION.principal

    @pytest.mark.parametrize(
        "pair",
        [
            [OWNER.public_key_der.hex(), ("02" * 32)],
            [SESSION.public_key_der.hex(), "02" * 32 + "00" * 32],
        ],
    )
    def test_with_halves_that_do_not_belong_together_is_misuse(self, pair: list[str]) -> None:
        with pytest.raises(MisuseError) as caught:
            ed25519_identity_from_json(json.dumps(pair))
        assert caught.value.reason is Reason.BAD_PUBLIC_KEY

    @pytest.mark.parametrize("value", [{}, [], ["00"], ["00", "00"], ["00", 5], ["00", "02" * 33], "x"])
    def test_in_another_form_is_refused(self, value: Any) -> None:
        with pytest.raises(IcwsError):
            ed25519_identity_from_json(json.dumps(value))
