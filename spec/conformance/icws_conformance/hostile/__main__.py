"""``python -m icws_conformance.hostile``: without the keys of any IC."""

from icws_conformance.hostile.cli import hostile_command

if __name__ == "__main__":
    hostile_command()(prog_name="python -m icws_conformance.hostile")
