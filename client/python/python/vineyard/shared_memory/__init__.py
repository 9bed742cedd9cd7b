"""`multiprocessing.shared_memory` on vineyard: blocks and lists that freeze and then are visible to
all processes.
"""

from vineyard.shared_memory.block import SharedMemory
from vineyard.shared_memory.shareable_list import ShareableList

__all__ = ["ShareableList", "SharedMemory"]
