"""The target ``gateway``: the suite plays the IC, canisters and clients, honest and hostile, for a gateway."""
