"""make_io_data.py FOLDER: the files that the released tests of I/O read, made anew: 147,892 lines of three
numbers, the first with three different ones, as text, Parquet and ORC; and for those that need HDFS the table
ldbc_sample/tag_0_0.csv, and pt, the folder of a table of Hive.
"""

import pathlib
import sys

import numpy
import pyarrow
import pyarrow.orc
import pyarrow.parquet

ROWS = 147_892
TAGS = 16_080


def main(folder: pathlib.Path) -> None:
    numbers = numpy.random.default_rng(31).integers(1, 62_587, (ROWS, 3))
    numbers[0] = (1, 2, 3)
    text = "".join(f"{a} {b} {c}\n" for a, b, c in numbers.tolist())
    (folder / "p2p-31.e").write_text(text)
    table = pyarrow.table({name: numbers[:, at] for at, name in enumerate("abc")})
    pyarrow.parquet.write_table(table, folder / "p2p-31.e.parquet")
    pyarrow.orc.write_table(table, folder / "p2p-31.e.orc")
    tags = "".join(f"{at}|tag {at}|http://localhost/tag/{at}\n" for at in range(TAGS))
    (folder / "ldbc_sample").mkdir()
    (folder / "ldbc_sample" / "tag_0_0.csv").write_text("id|name|url\n" + tags)
    (folder / "pt").mkdir()
    pyarrow.orc.write_table(table.slice(0, TAGS), folder / "pt" / "000000_0")


main(pathlib.Path(sys.argv[1]))
