"""Starting nodes: on this machine (`vineyard.deploy.local`) and on others
(`vineyard.deploy.distributed`).
"""

from vineyard.deploy import distributed, local

__all__ = ["distributed", "local"]
