"""Session state machines of the client and of the canister, without I/O."""
