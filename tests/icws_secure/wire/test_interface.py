"""Arguments and results of the canister's methods: both profiles, and what happens between old and new peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError
from icws_secure.wire import candid as c
from icws_secure.wire import interface as i
from icws_secure.wire import registration as r
from icws_secure.wire.principal import ANONYMOUS, Principal

OWNER = Principal.self_authenticating(b"owner")
SESSION = Principal.self_authenticating(b"session")
GATEWAY = Principal.self_authenticating(b"gateway")
KEY = i.ClientKey(SESSION, 2**64 - 1)
SECURE = i.SecureOpen(bytes(range(16)), 3, 7, "hpke-x25519", b"key", bytes(80))
MESSAGE = i.WebsocketMessage(KEY, 5, 1_700_000_000_000_000_000, True, b"content")
STATUS = i.MessageStatus(5, 4, i.MessageState.ACCEPTED)
OUTPUT = i.OutputMessage(KEY, f"{GATEWAY}_{7:020}", b"\xd9\xd9\xf7")
REFUSAL = i.Refusal("StaleAttach", "attach 3 is not above 3")
PARAMETERS = r.Parameters(
    registration_id=bytes(16),
    session_principal=SESSION,
    owner=OWNER,
    profile=i.SECURE_PROFILE,
    epoch=1,
    expires_at_ns=2,
    ack_interval_ns=3,
    keep_alive_timeout_ns=4,
    resume_window_ns=5,
    detach_after_open_ns=6,
    window_messages=7,
    window_bytes=8,
    max_content_bytes=9,
    retained_messages=10,
    retained_bytes=11,
    suites=(r.Suite("hpke-x25519", b"id", bytes(32), 9), r.Suite("none")),
    features=("batch",),
)
INFO = r.SessionInfo(SESSION, bytes(16), 1, 2, r.SessionState.DETACHED, 3, 4)

EACH_METHOD: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any], list[Any]]] = [
    (
        i.encode_open_argument,
        i.decode_open_argument,
        [i.OpenArgument(1, GATEWAY), i.OpenArgument(1, GATEWAY, SECURE)],
    ),
    (i.encode_open_result, i.decode_open_result, [None, REFUSAL]),
    (i.encode_close_argument, i.decode_close_argument, [i.CloseArgument(KEY), i.CloseArgument(KEY, 2)]),
    (i.encode_close_result, i.decode_close_result, [None, REFUSAL]),
    (i.encode_message_argument, i.decode_message_argument, [MESSAGE]),
    (
        i.encode_message_result,
        i.decode_message_result,
        [i.MessageResult(), i.MessageResult(REFUSAL), i.MessageResult(None, STATUS), i.MessageResult(REFUSAL, STATUS)],
    ),
    (i.encode_message_batch_argument, i.decode_message_batch_argument, [(), (MESSAGE, MESSAGE)]),
    (i.encode_message_batch_result, i.decode_message_batch_result, [i.MessageResult(None, STATUS)]),
    (i.encode_get_messages_argument, i.decode_get_messages_argument, [0, 2**64 - 1]),
    (
        i.encode_get_messages_result,
        i.decode_get_messages_result,
        [
            i.CertifiedMessages((), b"", b"", True),
            i.CertifiedMessages((OUTPUT,) * 50, b"cert", b"tree", False),
            REFUSAL,
        ],
    ),
    (
        r.encode_register_argument,
        r.decode_register_argument,
        [r.RegisterArgument(SESSION, 1), r.RegisterArgument(SESSION, 1, 2, OWNER, "hpke-x25519")],
    ),
    (r.encode_register_result, r.decode_register_result, [PARAMETERS, REFUSAL]),
    (r.encode_params_argument, r.decode_params_argument, [bytes(16)]),
    (r.encode_params_result, r.decode_params_result, [PARAMETERS, REFUSAL]),
    (r.encode_audit_argument, r.decode_audit_argument, [(), (SESSION, GATEWAY)]),
    (
        r.encode_audit_result,
        r.decode_audit_result,
        [r.Audit(1, (b"head", None), b"cert", b"tree"), r.Audit(1, (None,)), REFUSAL],
    ),
    (
        r.encode_revoke_argument,
        r.decode_revoke_argument,
        [r.RevokeArgument(SESSION, 1), r.RevokeArgument(None, 1)],
    ),
    (r.encode_revoke_result, r.decode_revoke_result, [0, 3, REFUSAL]),
    (lambda _: r.encode_sessions_argument(), r.decode_sessions_argument, [None]),
    (r.encode_sessions_result, r.decode_sessions_result, [(), (INFO, INFO), REFUSAL]),
]


@pytest.mark.parametrize(
    ("encode", "decode", "value"),
    [(encode, decode, value) for encode, decode, values in EACH_METHOD for value in values],
)
def test_what_one_side_encodes_the_other_decodes(
    encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], value: Any
) -> None:
    assert decode(encode(value)) == value


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(("encode", "decode", "values"), EACH_METHOD)
def test_damaged_bytes_are_decoded_or_refused_but_nothing_else(
    encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], values: list[Any]
) -> None:
    data = encode(values[-1])[:400]
    for position in range(len(data)):
        for damaged in (data[:position], data[:position] + bytes([data[position] ^ 0x81]) + data[position + 1 :]):
            try:
                decode(damaged)
            except DecodeError as error:
                assert type(error) is DecodeError  # noqa: PT017  either outcome is right


# Old and new peers ----------------------------------------------------------------------------------------------------

_KEY = c.Record({"client_principal": c.PrincipalType, "client_nonce": c.Nat64})
_OLD_OPEN = c.Record({"client_nonce": c.Nat64, "gateway_principal": c.PrincipalType})
_OLD_RESULT = c.Variant({"Ok": c.Null, "Err": c.Text})


def test_older_canister_reads_a_secure_open_as_one_of_omnia() -> None:
    (argument,) = c.decode([_OLD_OPEN], i.encode_open_argument(i.OpenArgument(9, GATEWAY, SECURE)))

    assert argument == {"client_nonce": 9, "gateway_principal": GATEWAY}


def test_older_canister_reads_a_close_that_names_its_attach() -> None:
    (argument,) = c.decode([c.Record({"client_key": _KEY})], i.encode_close_argument(i.CloseArgument(KEY, 4)))

    assert argument["client_key"] == {"client_principal": SESSION, "client_nonce": 2**64 - 1}


def test_older_client_reads_a_result_with_a_status() -> None:
    data = i.encode_message_result(i.MessageResult(REFUSAL, STATUS))

    assert c.decode([_OLD_RESULT], data) == (("Err", REFUSAL.text),)


def test_open_whose_secure_fields_do_not_fit_loses_them() -> None:
    """Candid demands it, which is why a canister refuses a registered key without them [R8]."""
    newer = c.Record({"client_nonce": c.Nat64, "gateway_principal": c.PrincipalType, "secure": c.Text})

    decoded = i.decode_open_argument(
        c.encode([newer], [{"client_nonce": 1, "gateway_principal": GATEWAY, "secure": ""}])
    )

    assert decoded == i.OpenArgument(1, GATEWAY, None)


def test_open_with_a_registration_id_of_another_length_is_refused() -> None:
    good = i.encode_open_argument(i.OpenArgument(1, GATEWAY, SECURE))
    position = good.index(b"\x10" + bytes(range(16)))
    bad = good[:position] + b"\x0f" + good[position + 2 :]

    with pytest.raises(DecodeError):
        i.decode_open_argument(bad)
    with pytest.raises(MisuseError):
        i.SecureOpen(bytes(15), 1, 1, "none")


@pytest.mark.parametrize("application", [None, c.Text, c.Opt(c.Record({"text": c.Text}))])
def test_second_argument_of_a_message_may_be_of_any_type_or_absent(application: c.Type | None) -> None:
    first = c.Record({"msg": c.Record({"client_key": _KEY, "sequence_num": c.Nat64, "timestamp": c.Nat64,
                                       "is_service_message": c.Bool, "content": c.Blob})})  # fmt: skip
    key = {"client_principal": SESSION, "client_nonce": 2**64 - 1}
    value = {"msg": {"client_key": key, "sequence_num": 5, "timestamp": MESSAGE.timestamp_ns,
                     "is_service_message": True, "content": b"content"}}  # fmt: skip
    if application is None:
        data = c.encode([first], [value])
    else:
        data = c.encode([first, application], [value, "text" if application == c.Text else {"text": ""}])

    assert i.decode_message_argument(data) == MESSAGE


def test_status_of_a_message_is_from_a_closed_list() -> None:
    wide: list[c.Type] = [
        _OLD_RESULT,
        c.Record({"accepted_through": c.Nat64, "executed_through": c.Nat64, "status": c.Text}),
    ]
    value = {"accepted_through": 1, "executed_through": 1, "status": "maybe"}

    with pytest.raises(DecodeError):
        i.decode_message_result(c.encode(wide, [("Ok", None), value]))
    with pytest.raises(MisuseError):
        i.MessageStatus(1, 1, "maybe")  # type: ignore[arg-type]  # what is tested


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("StaleAttach: attach 3: too low", "StaleAttach", "attach 3: too low"),
        ("Closed: ", "Closed", ""),
        ("NewCode: of a later version", "NewCode", "of a later version"),
        ("Closed", "", "Closed"),
        ("client with principal x: not open", "", "client with principal x: not open"),
        ("", "", ""),
        ("Closed:\nby whom", "", "Closed:\nby whom"),
        (": ", "", ": "),
    ],
)
def test_refusal_is_split_into_code_and_words(text: str, code: str, words: str) -> None:
    assert i.parse_refusal(text) == (code, words)
    assert i.Refusal.from_text(text).text == text


@pytest.mark.parametrize("code", list(i.RefusalCode))
def test_refusal_of_each_code_is_read_back(code: i.RefusalCode) -> None:
    assert i.parse_refusal(i.format_refusal(code, "words")) == (code, "words")


def test_anonymous_is_a_principal_like_any_other_to_the_codec() -> None:
    key = i.ClientKey(ANONYMOUS, 0)

    assert i.decode_close_argument(i.encode_close_argument(i.CloseArgument(key))).client_key == key
