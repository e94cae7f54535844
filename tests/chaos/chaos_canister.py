"""The canister of the chaos run: it counts what it hears, echoes it in messages with numbers of its own, and tells
everybody something when it is asked to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import immutables
from chaos_stream import Numbered, Stream

from icws_canister_mock.canister import Client, WebSocketCanister, update
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey

__all__ = ["ChaosCanister"]


@dataclass(frozen=True, slots=True)
class Account:
    """One session: what the canister heard, how many messages it gave out."""

    heard: Stream = field(default_factory=Stream)
    said: int = 0


class Accounts:
    """The accounts of all sessions, closed ones too. A snapshot of it is one reference."""

    def __init__(self, entries: immutables.Map[ClientKey, Account] | None = None) -> None:
        self.entries: immutables.Map[ClientKey, Account] = immutables.Map() if entries is None else entries

    def __deepcopy__(self, memo: dict[int, Any]) -> Accounts:
        return Accounts(self.entries)

    def of(self, key: ClientKey) -> Account:
        return self.entries.get(key, Account())

    def put(self, key: ClientKey, account: Account) -> None:
        self.entries = self.entries.set(key, account)


class ChaosCanister(WebSocketCanister):
    """Echoes; ``tell`` sends one more message to everybody; ``report`` gives the accounts."""

    def on_init(self, arg: bytes) -> None:
        self.accounts = Accounts()

    def on_message(self, client: Client, data: bytes) -> None:
        message = Numbered.decode(data)
        account = self.accounts.of(client.key)
        self.accounts.put(client.key, replace(account, heard=account.heard.take(message.number)))
        self._say(client, answers=message.number)

    @update()
    def tell(self, arg: bytes) -> bytes:
        """Give every open session one more message."""
        with self.ws.batch():
            for client in self.ws.clients:
                self._say(client)
        return b""

    @update()
    def report(self, arg: bytes) -> bytes:
        """What was heard and said, by session principal."""
        return cbor.encode(
            {
                key.client_principal.to_text(): {
                    "through": account.heard.through,
                    "missing": sorted(account.heard.missing),
                    "duplicated": account.heard.duplicated,
                    "disordered": account.heard.disordered,
                    "said": account.said,
                }
                for key, account in self.accounts.entries.items()
            }
        )

    def _say(self, client: Client, answers: int = 0) -> None:
        account = self.accounts.of(client.key)
        self.ws.send(client, Numbered(account.said + 1, answers).encode())
        self.accounts.put(client.key, replace(account, said=account.said + 1))
