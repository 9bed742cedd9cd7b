"""A result that a later run of the program finds by its name.

    vineyardd --socket /tmp/node.sock &
    export VINEYARD_IPC_SOCKET=/tmp/node.sock
    python named_result.py    # computes
    python named_result.py    # finds

The node keeps the result between the runs. `persist` makes it visible to the whole cluster, which
a name needs.
"""

import numpy
import vineyard

NAME = "example: squares"


def main() -> None:
    with vineyard.connect() as client:
        try:
            squares = client.get(name=NAME)
            print(f"found {len(squares)} squares")
        except vineyard.ObjectNotExistsException:
            squares = numpy.arange(1000) ** 2
            client.put(squares, persist=True, name=NAME)
            print(f"computed {len(squares)} squares")


if __name__ == "__main__":
    main()
