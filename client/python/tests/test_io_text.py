"""CSV and JSON lines: headers, names, types, pieces, and what is said of damaged files. No node is
needed.
"""

from __future__ import annotations

import csv
import gzip
import io
import threading

import pyarrow
import pytest
import vineyard.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from io_tables import source_of, table_of
from vineyard.io._ahead import in_order
from vineyard.io._formats import text


@pytest.fixture
def small(monkeypatch):
    """Blocks of a few bytes, so that small files have many pieces."""
    monkeypatch.setattr(text, "PIECE_BYTES_MIN", 16)
    monkeypatch.setattr(text, "LINE_BYTES", 5)
    monkeypatch.setattr(text, "FIRST_BLOCK_BYTES", 64)


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "given_", "found"),
    [
        ("1,a\n2,b\n", {}, {"f0": [1, 2], "f1": ["a", "b"]}),
        ("n,t\n1,a\n", {"header_row": True}, {"n": [1], "t": ["a"]}),
        ("\ufeffü,t\n1,a\n", {"header_row": True}, {"ü": [1], "t": ["a"]}),
        ("\ufeff1,a", {}, {"f0": [1], "f1": ["a"]}),
        ('\n\n"n\nm",t\r\n1,a\r\n', {"header_row": True}, {"n\nm": [1], "t": ["a"]}),
        ("1\ta\n", {"delimiter": "\\t"}, {"f0": [1], "f1": ["a"]}),
        ("1,a,x\n", {"schema": "n,t"}, {"n": [1], "t": ["a"]}),
        ("1,a,x\n", {"schema": "n", "include_all_columns": 1}, {"n": [1], "f1": ["a"], "f2": "x"}),
        ("1,a,x\n", {"schema": "2,0"}, {"f2": ["x"], "f0": [1]}),
        ("n,t,u\n1,a,x\n", {"header_row": 1, "schema": "u,0"}, {"u": ["x"], "n": [1]}),
        ("n,t\n1,2\n", {"header_row": 1, "column_types": ",string"}, {"n": [1], "t": ["2"]}),
        ("n,t\n1,2\n", {"header_row": 1, "column_types": {"n": "double"}}, {"n": [1.0], "t": [2]}),
        ("n,t\n", {"header_row": 1, "column_types": "int64_t"}, {"n": [], "t": []}),
        ("", {"schema": "n,t"}, {"n": [], "t": []}),
        ("", {}, {}),
        ("\n\n", {}, {}),
    ],
)
def test_csv_has_names_and_types(content, given_, found, tmp_path):
    read = table_of(write(tmp_path / "x.csv", content), **given_).to_pydict()
    assert read == {name: list(values) for name, values in found.items()}
    assert list(read) == list(found)


def test_only_the_first_file_may_have_a_header(tmp_path):
    write(tmp_path / "1.csv", "n,t\n1,a\n")
    write(tmp_path / "2.csv", "2,b\n")
    write(tmp_path / "3.csv", "")
    assert table_of(tmp_path, first_header_row=True).to_pydict() == {"n": [1, 2], "t": ["a", "b"]}


def test_each_header_says_where_its_columns_are(tmp_path):
    write(tmp_path / "1.csv", "n,t\n1,a\n")
    write(tmp_path / "2.csv", "t,n\nb,2\n")
    assert table_of(tmp_path, header_row=True).to_pydict() == {"n": [1, 2], "t": ["a", "b"]}
    write(tmp_path / "3.csv", "n,u\n3,c\n")
    with pytest.raises(vineyard.io.ReadError, match=r'3\.csv, column "t": is not there'):
        table_of(tmp_path, header_row=True)
    assert table_of(tmp_path, header_row=True, union_by_name=True).to_pydict() == {
        "n": [1, 2, 3],
        "t": ["a", "b", None],
        "u": [None, None, "c"],
    }


DAMAGED = [
    ("n\n1\nx\n", {"column_types": "int64"}, 'line 3, column "n": "x" is not int64 (type of col'),
    ("n,t\n1,a\n\n2\n", {}, "line 4: has 1 values, not 2"),
    (b"n,t\n1,a\n2,\xff\n", {}, 'line 3, column "t": is not UTF-8'),
    (b"n,\xff\n1,a\n", {}, "line 1: is not UTF-8"),
    ('n,t\n1,"a\n', {}, "line 2: a quoted value has no end"),
    ("n,n\n1,2\n", {}, 'line 1, column "n": is there twice'),
    ("n\n1\n", {"schema": "m"}, "schema has 'm'; the columns are n"),
    ("n\n1\n", {"column_types": {"m": "int8"}}, "column_types has 'm'; columns are n"),
]


@pytest.mark.parametrize(("content", "given_", "says"), DAMAGED)
def test_a_damaged_csv_is_one_error_that_says_where(content, given_, says, tmp_path):
    path = write(tmp_path / "x.csv", content)
    with pytest.raises(vineyard.io.ReadError) as raised:
        table_of(path, header_row=True, **given_)
    assert str(raised.value).startswith(str(path))
    assert says in str(raised.value)


JSON_DAMAGED = [
    ('{"n":1}\n\n{"n":"x"}\n', 'line 3, column "n": "x" is not int64 (type from'),
    ('{"n":1}\n{"n":\n', "line 2: no JSON"),
    ('{"n":1}\n[1]\n', "line 2: is no JSON object"),
    (b'{"n":"a"}\n{"n":"\xff"}\n', "line 2: is not UTF-8"),
]


@pytest.mark.parametrize(("content", "says"), JSON_DAMAGED)
def test_damaged_json_is_one_error_that_says_where(content, says, tmp_path):
    with pytest.raises(vineyard.io.ReadError) as raised:
        table_of(write(tmp_path / "x.jsonl", content))
    assert says in str(raised.value)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_types_are_fixed_by_the_first_block(ending, small, tmp_path):
    lines = [(f'{{"n": {at}}}' if ending == ".jsonl" else str(at)) for at in range(100)]
    lines[90] = '{"n": 0.5}' if ending == ".jsonl" else "0.5"
    path = write(tmp_path / f"x{ending}", "\n".join(lines))
    with pytest.raises(vineyard.io.ReadError) as raised:
        table_of(path)
    error = raised.value
    assert (error.line, error.column, error.value) == (91, error.column, "0.5")
    assert error.reason == "is not int64 (type from the first block; set column_types)"
    assert isinstance(error.__cause__, pyarrow.ArrowInvalid)
    source = source_of(path, on_bad_rows="skip")
    assert sum(batch.num_rows for batch in source.batches()) == 99
    assert source.skipped_rows == 1
    name = source.schema.names[0]
    assert table_of(path, column_types={name: "double"}).column(0)[90].as_py() == 0.5


def test_a_column_without_values_in_the_first_block_is_text(small, tmp_path):
    content = "".join(f"{at},{'late' if at > 50 else ''}\n" for at in range(60))
    found = table_of(write(tmp_path / "x.csv", content))
    assert found.column("f1").to_pylist()[-1] == "late"


def test_a_key_that_the_first_block_lacks_is_named(small, tmp_path):
    content = '{"n":1}\n' * 20 + '{"n":1,"late":2}\n'
    path = write(tmp_path / "x.jsonl", content)
    with pytest.raises(vineyard.io.ReadError, match=r'line 21, column "late": is not in the first'):
        table_of(path)
    assert table_of(path, columns=["n"]).num_rows == 21


def test_ragged_rows_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "x.csv", "1,a\n2\n3,c,d\n4,d\n")
    source = source_of(path, on_bad_rows="skip")
    assert pyarrow.Table.from_batches(source.batches()).to_pydict() == {
        "f0": [1, 4],
        "f1": ["a", "d"],
    }
    assert source.skipped_rows == 2


CSV_ROWS = some.lists(
    some.tuples(some.integers(-9, 10**9), some.text(some.characters(codec="utf-8"), max_size=9)),
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=CSV_ROWS, threads=some.integers(1, 4), whole=some.booleans(), count=some.integers(1, 5))
def test_rows_are_read_once_and_in_order(rows, threads, whole, count, small, tmp_path):
    rows = [(number, words.replace("\0", "").replace("\r", "")) for number, words in rows]
    if not whole:
        rows = [(number, words.replace("\n", " ")) for number, words in rows]
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows([("n", "t"), *rows])
    path = write(tmp_path / "x.csv", written.getvalue())
    schema = pyarrow.schema([("n", pyarrow.int64()), ("t", pyarrow.string())])
    source = source_of(path, threads, header_row=True, schema=schema, newlines_in_values=whole)
    shares = [source.share(at, count) for at in range(count)]
    assert [piece for share in shares for piece in share] == source.pieces
    batches = [batch for share in shares for batch in source.batches(share)]
    found = pyarrow.Table.from_batches(batches, source.schema)
    assert list(zip(*found.to_pydict().values(), strict=True)) == rows


def test_a_line_end_in_a_value_that_is_cut_names_the_option(small, tmp_path):
    content = "".join(f'{at},"two\nlines {at}"\n' for at in range(20))
    path = write(tmp_path / "x.csv", content)
    with pytest.raises(vineyard.io.ReadError) as raised:
        table_of(path)
    assert "newlines_in_values=True" in str(raised.value)
    assert table_of(path, newlines_in_values=True).num_rows == 20


def test_quotes_inside_of_plain_values_are_no_error(small, tmp_path):
    content = "".join(f'{at},5" pipe\n' for at in range(21))
    assert table_of(write(tmp_path / "x.csv", content)).num_rows == 21


def test_shares_are_contiguous_and_balanced(small, tmp_path):
    for name, lines in (("1", 400), ("2", 3), ("3", 0), ("4", 200)):
        write(tmp_path / f"{name}.csv", "12345,abc\n" * lines)
    source = source_of(tmp_path)
    for count in (1, 2, 3, 7):
        shares = [source.share(at, count) for at in range(count)]
        assert [piece for share in shares for piece in share] == source.pieces
        sizes = [sum(piece.size_bytes for piece in share) for share in shares]
        assert max(sizes) - min(sizes) <= 2 * max(piece.size_bytes for piece in source.pieces)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".lz4"])
def test_a_truncated_file_is_an_error(ending, tmp_path):
    path = tmp_path / f"x.csv{ending}"
    vineyard.io.write(path, pyarrow.table({"a": [str(at * 7919) for at in range(5000)]}))
    write(path, path.read_bytes()[:-50])
    with pytest.raises(vineyard.io.ReadError, match=str(path)):
        table_of(path)


@pytest.mark.parametrize("ending", [".parquet", ".orc", ".arrow", ".parquet.gz"])
@pytest.mark.parametrize("left", [0, 3, 50])
def test_a_damaged_binary_file_is_an_error_before_data_is_read(ending, left, tmp_path):
    path = tmp_path / f"x{ending}"
    vineyard.io.write(path, pyarrow.table({"a": list(range(5000))}))
    write(path, path.read_bytes()[:left])
    with pytest.raises(vineyard.io.ReadError, match=str(path)):
        source_of(path)


def test_several_gzip_members_are_one_file(tmp_path):
    content = gzip.compress(b"1\n2\n") + gzip.compress(b"3\n")
    assert table_of(write(tmp_path / "x.csv.gz", content)).to_pydict() == {"f0": [1, 2, 3]}


def test_pieces_in_flight_are_bounded_and_errors_are_in_their_place():
    threads, begun, lock = 3, [], threading.Lock()

    def work(piece):
        with lock:
            begun.append(piece)
        if piece == 30:
            raise ValueError("piece 30")
        yield piece
        yield -piece

    taken = []
    with pytest.raises(ValueError, match="piece 30"):
        for result in in_order(range(1, 50), work, threads):
            taken.append(result)
            with lock:
                assert max(begun) <= abs(result) + threads + 2
    assert taken == [sign * piece for piece in range(1, 30) for sign in (1, -1)]


def test_closing_early_ends_the_threads():
    before = threading.active_count()
    results = in_order(range(100), lambda piece: iter([piece] * 3), 4)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
