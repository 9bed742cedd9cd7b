"""Counts what an act costs, so that a test of cost does not depend on the machine."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


def calls(act: Callable[[], Any]) -> int:
    """How many functions, of Python and of C, this thread calls in `act`."""
    made = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    # A collection in between would call what others left behind.
    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
        gc.enable()
    return made
