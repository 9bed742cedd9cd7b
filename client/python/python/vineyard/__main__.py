"""`python -m vineyard`, `vineyardd`: a node in this process."""

from __future__ import annotations

import shutil
import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs a node until it is told to stop, by SIGTERM or SIGINT.

    Parameters:
        arguments: list of str or None
            The flags; None: those of the command line. ``--help`` lists them.

    Returns:
        int: 0 after a clean stop, 1 if the node could not start or go on, 2 for wrong usage.
    """
    from vineyard._C import vineyardd
    from vineyard.deploy.process import end_with_parent

    folder = end_with_parent()
    code = vineyardd(sys.argv[1:] if arguments is None else arguments)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
