"""A local Internet Computer and the kit for canisters that speak WebSocket, both in Python."""
