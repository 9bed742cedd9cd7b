"""Warns when the released package is installed beside this one: both import as `vineyard`, and
their files would mix.
"""

from __future__ import annotations

import os
import sys
import warnings
from glob import escape, glob

RELEASED = ("vineyard-[0-9]*", "vineyard_bdist-[0-9]*", "vineyard_io-[0-9]*")


def warn_of_released_package() -> None:
    """Warns, once, if the import path has the released package on it."""
    for folder in dict.fromkeys(sys.path):
        for pattern in RELEASED:
            for found in glob(os.path.join(escape(folder or "."), f"{pattern}.dist-info")):
                name, _, version = os.path.basename(found).removesuffix(".dist-info").partition("-")
                warnings.warn(
                    f"{name} {version} is installed in {folder} beside vineyard-rs: both import as "
                    "`vineyard`, and which files are used depends on the order of installation. "
                    "Remove one: pip uninstall vineyard vineyard-bdist vineyard-io; "
                    "pip install --force-reinstall vineyard-rs",
                    RuntimeWarning,
                    stacklevel=3,
                )
                return
