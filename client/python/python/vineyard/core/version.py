"""The version of this package: that of its extension."""

from vineyard import _C

__version__: str = _C.__version__
