"""`python -m vineyard.ctl`: the name that the released package has for `python -m vineyard.cli`."""

import sys

from vineyard.cli import main, run

__all__ = ["main", "run"]

if __name__ == "__main__":
    sys.exit(main())
