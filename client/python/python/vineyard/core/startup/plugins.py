"""Start-up plug-ins: Python files of the administrator and the user, and packages below
`vineyard.drivers`.

Promise: a plug-in that fails is logged and does not keep `import vineyard` from working.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import pkgutil
import sys
from glob import glob

logger = logging.getLogger("vineyard")

CONFIGS = ("/etc/vineyard/config.py", "{prefix}/etc/vineyard/config.py")
PATTERNS = (
    "/usr/share/vineyard/*-*.py",
    "/usr/local/share/vineyard/*-*.py",
    "{prefix}/share/vineyard/*-*.py",
    "~/.vineyard/*-*.py",
)


def load_plugins(package_path: list[str]) -> None:
    """Runs the plug-ins in their order: /etc, the prefix's etc, the share folders, the home folder,
    drivers.

    Parameters:
        package_path: list of str
            Where the package's parts are, `vineyard.__path__`.
    """
    for pattern in CONFIGS + PATTERNS:
        for path in sorted(glob(os.path.expanduser(pattern.format(prefix=sys.prefix)))):
            _run(path)
    drivers = [os.path.join(folder, "drivers") for folder in package_path]
    for _, name, _ in pkgutil.iter_modules([folder for folder in drivers if os.path.isdir(folder)]):
        try:
            importlib.import_module(f"vineyard.drivers.{name}")
        except Exception:
            logger.debug("Failed to load module vineyard.drivers.%s", name, exc_info=True)


def _run(path: str) -> None:
    try:
        spec = importlib.util.spec_from_file_location("vineyard._contrib", path)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except Exception:
        logger.debug("Failed to load %s", path, exc_info=True)
