"""The target ``client``: the suite plays IC, canister and gateways, honest and hostile, for a client that it starts."""
