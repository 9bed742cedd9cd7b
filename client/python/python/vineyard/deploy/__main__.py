"""`python -m vineyard.deploy`: the same as `vineyardd`."""

import sys

from vineyard.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
