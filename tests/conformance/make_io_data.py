"""make_io_data.py FOLDER: the files that the released tests of I/O read, made anew: 147,892 lines of three
numbers, the first with three different ones, as text, Parquet and ORC.
"""

import pathlib
import sys

import numpy
import pyarrow
import pyarrow.orc
import pyarrow.parquet

ROWS = 147_892


def main(folder: pathlib.Path) -> None:
    numbers = numpy.random.default_rng(31).integers(1, 62_587, (ROWS, 3))
    numbers[0] = (1, 2, 3)
    text = "".join(f"{a} {b} {c}\n" for a, b, c in numbers.tolist())
    (folder / "p2p-31.e").write_text(text)
    table = pyarrow.table({name: numbers[:, at] for at, name in enumerate("abc")})
    pyarrow.parquet.write_table(table, folder / "p2p-31.e.parquet")
    pyarrow.orc.write_table(table, folder / "p2p-31.e.orc")


main(pathlib.Path(sys.argv[1]))
