"""The conformance suite: it tests any implementation of the protocol from outside."""
