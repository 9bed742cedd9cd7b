"""A CSV file in, a change by a second process through a stream, a Parquet file out.

    pip install vineyard-rs[io]
    vineyardd --socket /tmp/node.sock &
    export VINEYARD_IPC_SOCKET=/tmp/node.sock
    python csv_to_parquet.py

The rows go through shared memory in parts, so the file may be larger than the memory of the node.
"""

import multiprocessing
import pathlib
import tempfile

import pyarrow.compute
import pyarrow.parquet
import vineyard
import vineyard.io
from vineyard.io.dataframe import DataframeStream


def double(source: vineyard.ObjectID, target: vineyard.ObjectID) -> None:
    with vineyard.connect() as client, client.get(target).writer as writer:
        for batch in client.get(source)[0].reader:
            twice = pyarrow.compute.multiply(batch["n"], 2)
            writer.write(batch.set_column(1, "n", twice))


def main() -> None:
    folder = pathlib.Path(tempfile.mkdtemp())
    table, result = folder / "in.csv", folder / "out.parquet"
    table.write_text("city,n\nBonn,1\nUlm,2\n")
    with vineyard.connect() as client:
        rows = vineyard.io.read(table, header_row=True, client=client)
        doubled = DataframeStream.new(client)
        source = vineyard.ObjectID(rows)
        worker = multiprocessing.get_context("spawn").Process(
            target=double, args=(source, doubled.id)
        )
        worker.start()
        vineyard.io.write(result, doubled, single_file=True)
        worker.join()
    print(pyarrow.parquet.read_table(result).to_pylist())


if __name__ == "__main__":
    main()
