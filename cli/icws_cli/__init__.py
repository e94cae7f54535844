"""The command ``icws``."""
