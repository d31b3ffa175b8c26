"""The single-file verifier, loaded as the script that it is."""

import importlib.util
import sys
from functools import cache
from typing import Any

from tests.house.tree import ROOT


@cache
def verifier() -> Any:
    """Return the module; it shares no code with the package."""
    path = ROOT / "rescue" / "strongroom_verify.py"
    spec = importlib.util.spec_from_file_location("strongroom_verify", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for their own module
    spec.loader.exec_module(module)
    return module


def verify(*arguments: object) -> int:
    """Run it as its command line does; return the exit code."""
    return int(verifier().main([str(one) for one in arguments]))
