"""A local replica: keys, blocks, certificates and the HTTPS interface, for canisters written in Python."""
