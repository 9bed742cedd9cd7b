"""An Arrow table: its columns are used in place by pyarrow, and by all that takes Arrow tables.

    python arrow_table.py

What `get` gives is a table on the node's memory, so a computation reads what was put without
copying it first.
"""

import pyarrow
import pyarrow.compute
import vineyard


def main() -> None:
    with vineyard.connect() as client:
        table = pyarrow.table({"city": ["Bonn", "Oslo", "Bonn"], "degrees": [9.5, 2.0, 10.5]})
        table_id = client.put(table)

        stored = client.get(table_id)
        degrees = stored["degrees"].chunk(0).buffers()[1]
        print(f"{stored.num_rows} rows, in place: {client.is_shared_memory(degrees.address)}")

        bonn = stored.filter(pyarrow.compute.equal(stored["city"], "Bonn"))
        mean = pyarrow.compute.mean(bonn["degrees"]).as_py()
        print(f"mean of Bonn: {mean}")
        client.delete(table_id)


if __name__ == "__main__":
    main()
