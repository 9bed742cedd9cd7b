"""The libraries that reading and writing need, which the package does not require.

Promise: a library that is absent is one ImportError that says what to install.
"""

from __future__ import annotations

import importlib
from typing import Any

# The extra that brings what reads and writes the files of a scheme.
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
    "oss": "oss",
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
    **dict.fromkeys(("hdfs", "hive", "arrow_hdfs"), "hdfs"),
}


def needed(module: str) -> Any:
    """The module of that name.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ImportError(
            f"vineyard.io needs {library}: pip install vineyard-rs[io]", name=library
        ) from error


def for_scheme(scheme: str, error: ImportError) -> ImportError:
    """The error to raise where fsspec lacks the library of a scheme."""
    extra = EXTRAS.get(scheme)
    what = f"vineyard-rs[{extra}]" if extra else error.name or str(error)
    return ImportError(f"{scheme}:// needs more: pip install {what}", name=error.name)
