"""Weights of a model for readers that do not trust every writer: without pickles.

    python model_weights.py

A dict of arrays is stored with a plain description, so a reader that refuses pickles gets it, and
no code of a writer runs in the reader. A value that needs a pickle is an error there.
"""

import numpy
import vineyard


class Model:
    """A class of the writer: only a pickle can store it."""


def main() -> None:
    with vineyard.connect() as writer:
        random = numpy.random.default_rng(seed=1)
        weights = {f"layer{n}": random.random((64, 64), dtype=numpy.float32) for n in range(3)}
        weights_id = writer.put(weights)
        model_id = writer.put(Model())

        reader = vineyard.connect(writer.ipc_socket, pickle="refuse")
        read = reader.get(weights_id)
        same = all((read[name] == weights[name]).all() for name in weights)
        print(f"{len(read)} layers, as written: {same}, writable: {read['layer0'].flags.writeable}")
        try:
            reader.get(model_id)
        except vineyard.PickleRefused as error:
            print(f"refused: {error.typename}")
        writer.delete([weights_id, model_id])


if __name__ == "__main__":
    main()
