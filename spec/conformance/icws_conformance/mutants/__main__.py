"""``python -m icws_conformance.mutants ICWS-LIB-005 icws_conformance.drivers.library [...]``: run a module, mutated."""

from __future__ import annotations

import runpy
import sys

from icws_conformance.mutants.registry import mutant
from icws_conformance.mutants.rewrite import install

if __name__ == "__main__":
    install(mutant(sys.argv[1]))
    module = sys.argv[2]
    sys.argv[1:3] = []
    runpy.run_module(module, run_name="__main__")
