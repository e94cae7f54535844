"""A price ticker: clients name symbols, and hear each new price of them."""

from __future__ import annotations

import json
import re
from typing import Final

from icws_canister_mock.replica.canister_api import query, update
from icws_secure.wire.interface import ClientKey

from ..kit import WebSocketCanister
from ..sockets import Client

__all__ = ["Ticker"]

_SYMBOL: Final = re.compile(r"[A-Z]{1,10}")
_MAX_SYMBOLS: Final = 100  # that a client may follow


class Ticker(WebSocketCanister):
    """Clients send ``{"follow": "BTC"}`` or ``{"unfollow": "BTC"}``, and get ``{"symbol", "price", "time"}``.

    Prices come by the update method ``set_price`` with ``{"symbol": ..., "price": ...}``; the first caller is the only
    one who may.
    """

    def on_init(self, arg: bytes) -> None:
        """No prices, nobody who follows."""
        self.source: str | None = None
        self.prices: dict[str, float] = {}
        self.followers: dict[str, set[ClientKey]] = {}

    def on_message(self, client: Client, data: bytes) -> None:
        """Follow a symbol, or no longer."""
        try:
            wish = json.loads(data)
            verb, symbol = next(iter(wish.items()))
        except (ValueError, AttributeError, StopIteration):
            verb, symbol = None, None
        if verb not in ("follow", "unfollow") or not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
            self.ws.send(client, json.dumps({"error": 'send {"follow": SYMBOL}'}).encode())
            return
        if verb == "unfollow":
            self.followers.get(symbol, set()).discard(client.key)
            return
        followed = sum(client.key in keys for keys in self.followers.values())
        if followed >= _MAX_SYMBOLS:
            self.ws.send(client, json.dumps({"error": f"at most {_MAX_SYMBOLS} symbols"}).encode())
            return
        self.followers.setdefault(symbol, set()).add(client.key)
        if symbol in self.prices:
            self.ws.send(client, self._line(symbol))

    def on_close(self, client: Client, code: str) -> None:
        """Forget who is gone."""
        for keys in self.followers.values():
            keys.discard(client.key)

    @update()
    def set_price(self, arg: bytes) -> bytes:
        """A new price, from the one who may set prices."""
        caller = self.ic.caller.to_text()
        if self.source is None and not self.ic.caller.is_anonymous:
            self.source = caller
        if caller != self.source:
            self.ic.reject("prices come from somebody else")
        price = json.loads(arg)
        self.prices[price["symbol"]] = float(price["price"])
        failed = self.ws.broadcast(self._line(price["symbol"]), sorted(self.followers.get(price["symbol"], set())))
        return json.dumps({"missed": len(failed)}).encode()

    @query()
    def get_prices(self, arg: bytes) -> bytes:
        """All prices."""
        return json.dumps(self.prices, sort_keys=True).encode()

    def _line(self, symbol: str) -> bytes:
        line = {"symbol": symbol, "price": self.prices[symbol], "time": self.ic.time_ns}
        return json.dumps(line).encode()
