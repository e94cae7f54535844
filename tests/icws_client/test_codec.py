from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from icws_client.codec import Codec
from icws_secure.errors import MisuseError, Reason

JSON: Codec[Any] = Codec(lambda value: json.dumps(value).encode(), json.loads)


async def test_values_are_encoded_on_the_way_out_and_decoded_on_the_way_in(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(JSON)
    ws = await rig.open()
    await ws.send({"text": "hello"})
    assert rig.session.named("send") == [(b'{"text": "hello"}', "executed")]
    rig.session.message(1, b'{"text": "hi"}')
    rig.step()
    assert await ws.recv() == {"text": "hi"}


async def test_a_message_that_is_no_bytes_is_refused_before_it_is_queued(rig: Any) -> None:
    with pytest.raises(MisuseError) as caught:
        await rig.connection.send("text")
    assert caught.value.reason is Reason.WRONG_TYPE
    assert rig.session.named("send") == []


@pytest.mark.parametrize("message", [bytearray(b"text"), memoryview(b"text")])
async def test_whatever_is_like_bytes_is_sent_as_bytes(rig: Any, message: Any) -> None:
    await rig.connection.send(message)
    assert rig.session.named("send") == [(b"text", "executed")]


async def test_a_message_that_the_codec_cannot_read_counts_as_taken(make_rig: Callable[..., Any]) -> None:
    rig = make_rig(JSON)
    ws = await rig.open()
    rig.session.message(1, b"no json")
    rig.session.message(2, b"2")
    rig.step()
    with pytest.raises(json.JSONDecodeError):
        await ws.recv()
    assert await ws.recv() == 2
    assert rig.session.named("taken") == [(1,), (2,)]
