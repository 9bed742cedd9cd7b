"""Many processes read one array, without copies.

    python share_array.py

The array is put once. Each process gets it as a read-only view of the node's memory, whatever its
size, and sums its own part.
"""

import multiprocessing

import numpy
import vineyard

PROCESSES = 4


def sum_part(socket: str, array_id: vineyard.ObjectID, part: int) -> int:
    with vineyard.connect(socket) as client:
        array = client.get(array_id)
        return int(numpy.array_split(array, PROCESSES)[part].sum())


def main() -> None:
    # The node that VINEYARD_IPC_SOCKET names; without that, one that ends with this process.
    with vineyard.connect() as client:
        array_id = client.put(numpy.arange(1_000_000))
        work = [(client.ipc_socket, array_id, part) for part in range(PROCESSES)]
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            sums = pool.starmap(sum_part, work)
        client.delete(array_id)
    print(f"{PROCESSES} processes, together {sum(sums)}")


if __name__ == "__main__":
    main()
