"""End-to-end message authentication for the Internet Computer: the protocol, without I/O."""
