"""Test vectors: data with a schema, a generator that writes it, a linter, and the target that plays it to a program."""
