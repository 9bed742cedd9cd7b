"""A cluster of two nodes: what is persisted on one can be read on the other.

    python small_cluster.py

Both nodes run on this machine and end with the program. On several machines,
`vineyard.deploy.distributed` starts them over ssh, or `vineyardd --join` by hand.
"""

import numpy
import vineyard
from vineyard.deploy.local import start_vineyardd


def main() -> None:
    with (
        start_vineyardd(size="64M", rpc_socket_port=0) as (_, first, cluster),
        start_vineyardd(etcd_endpoints=cluster, size="64M", rpc_socket_port=0) as (_, second, _),
    ):
        with vineyard.connect(first) as client:
            client.put(numpy.arange(1000), persist=True, name="numbers")

        with vineyard.connect(second) as client:
            # Read from the first node over the network; nothing is stored on the second.
            print(f"read: {client.get(name='numbers').sum()}")
            # Copied to the second node, which keeps it and gives it without a copy from then on.
            fetched = client.get(name="numbers", fetch=True)
            print(f"fetched: {fetched.sum()}, in place: {client.is_shared_memory(fetched)}")


if __name__ == "__main__":
    main()
