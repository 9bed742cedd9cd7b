"""Options and paths of `vineyard.io`: what they mean, and what is refused. No node is needed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
import vineyard
import vineyard.io
from io_tables import source_of, table_of
from vineyard.io import _options as options
from vineyard.io import _paths as paths
from vineyard.io import _texts as texts

MARKER = "MARKER-of-a-secret"


@pytest.mark.parametrize("value", [True, 1, "1", "true", "Yes", " on "])
def test_texts_that_mean_true(value):
    assert options.for_reading({"header_row": value}).data.header_row is True


@pytest.mark.parametrize("value", [False, 0, "0", "False", "no", "off"])
def test_texts_that_mean_false(value):
    assert options.for_reading({"read_options": {"header_row": value}}).data.header_row is False


@pytest.mark.parametrize(
    ("value", "size"),
    [("64M", 64 << 20), (1000, 1000), ("1GiB", 1 << 30), ("1.5k", 1536), ("7 mb", 7 << 20)],
)
def test_sizes_have_units(value, size):
    assert options.for_reading({"storage_options": {"chunk_size": value}}).data.chunk_size == size


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int64_t", pyarrow.int64()),
        ("long", pyarrow.int64()),
        ("int", pyarrow.int32()),
        ("byte", pyarrow.int8()),
        ("double", pyarrow.float64()),
        ("half", pyarrow.float16()),
        ("std::string", pyarrow.large_string()),
        ("string", pyarrow.string()),
        ("bool", pyarrow.bool_()),
        ("large_list<item: double>", pyarrow.large_list(pyarrow.float64())),
        ("timestamp[us, tz=UTC]", pyarrow.timestamp("us", "UTC")),
        ("decimal128(9, 2)", pyarrow.decimal128(9, 2)),
    ],
)
def test_types_have_the_released_names_and_those_of_arrow(name, kind):
    assert texts.arrow_type("column_types", name) == kind


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"header_rwo": 1}, "header_rwo in the call is no option: did you mean header_row?"),
        ({"read_options": {"delimeter": ","}}, "delimeter in read_options .* mean delimiter"),
        ({"header_row": "maybe"}, "header_row is 'maybe'"),
        ({"delimiter": "::"}, "delimiter is '::'"),
        ({"delimiter": "\\q"}, "must be one ASCII character"),
        ({"storage_options": {"chunk_size": "much"}}, "chunk_size is 'much'"),
        ({"chunk_size": "2G"}, "at most 1G"),
        ({"format": "xls"}, "format is 'xls': it must be csv, jsonl"),
        ({"column_types": "int65"}, "'int65' is no type"),
        ({"on_bad_rows": "warn"}, "must be error or skip"),
        ({"threads": -1}, "threads is -1"),
        ({"AWS_KEY": "x"}, "AWS_KEY in the call is no option: set variables of the environment"),
        ({"read_options": 5}, "read_options must be a dict, not int"),
        ({"header_row": 1, "read_options": {"header_row": "0"}}, "header_row is True in the call"),
        ({"format": "csv", "storage_options": {"filetype": "orc"}}, "format is 'csv' in the call"),
    ],
)
def test_a_wrong_option_is_refused_by_name(given, says):
    with pytest.raises(ValueError, match=says):
        options.for_reading(given)


def test_an_option_may_be_given_twice_alike():
    given = {"delimiter": "\t", "read_options": {"delimiter": "\\t"}}
    assert options.for_reading(given, {"delimiter": "\t"}).data.delimiter == "\t"


def test_options_of_a_write():
    asked = options.for_writing({"sep": ";", "write_options": {"data_page_size": "1M"}})
    assert (asked.data.delimiter, asked.data.data_page_size) == (";", 1 << 20)
    with pytest.raises(ValueError, match=r"compresion in write_options .* mean compression"):
        options.for_writing({"write_options": {"compresion": "zstd"}})


def test_a_type_of_the_released_kubernetes_example_is_accepted_with_a_warning():
    with pytest.warns(UserWarning, match="type= of vineyard.io"):
        assert options.for_reading({"type": "global", "index_col": 0}).call == {"index_col": 0}


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("x.csv#header_row=1&delimiter=,", "x.csv", {"header_row": "1", "delimiter": ","}),
        ("x.csv#header_row=1#delimiter=%23", "x.csv", {"header_row": "1", "delimiter": "#"}),
        ("x#1.csv#sep=%26", "x#1.csv", {"sep": "&"}),
        ("x#y.csv", "x#y.csv", {}),
        ("x.csv#header_row", "x.csv#header_row", {}),
        ("x.csv#a=1&header_row=1", "x.csv#a=1&header_row=1", {}),
        ("x.csv#", "x.csv#", {}),
    ],
)
def test_the_end_of_a_path_is_options_only_if_all_of_it_is(path, name, found):
    assert paths.split_options(path, options.is_read_option) == (name, found)


ODD_NAMES = ["$(touch x)", "a'b\"c", "line\nend", "a#b", "a b", "`id`", "[a]*?", "%20", "x;y"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_is_only_a_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pyarrow.table({"a": [1]})
    given = name.replace("*", "star")
    for path in (given, f"file://{tmp_path}/{given}"):
        assert vineyard.io.write(path, table, format="parquet") == [path.removeprefix("file://")]
        assert table_of(path).equals(table)
    assert os.listdir(tmp_path) == [given]


def test_home_and_variables_are_known_in_local_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("A_FOLDER", str(tmp_path))
    (tmp_path / "x.csv").write_text("1\n")
    for path in ("~/x.csv", "$A_FOLDER/x.csv", "${A_FOLDER}/x.csv", "file://$A_FOLDER/x.csv"):
        assert table_of(path).to_pydict() == {"f0": [1]}
    with pytest.raises(vineyard.io.ReadError):
        table_of("memory://$A_FOLDER/x.csv")


def test_a_missing_file_is_never_a_longer_name(tmp_path):
    (tmp_path / "data.csv.bak").write_text("1\n")
    (tmp_path / "other.csv_0").write_text("1\n")
    with pytest.raises(FileNotFoundError, match=r"data\.csv: there is no such file") as raised:
        table_of(tmp_path / "data.csv")
    assert isinstance(raised.value, vineyard.io.ReadError)
    with pytest.raises(FileNotFoundError, match=r"to read its parts: .*other\.csv_\*"):
        table_of(tmp_path / "other.csv")
    with pytest.raises(FileNotFoundError, match="'header_rwo=1' are options"):
        (tmp_path / "x.csv").write_text("a\n1\n")
        table_of(f"{tmp_path}/x.csv#header_rwo=1")


def test_patterns_folders_and_lists(tmp_path):
    for name in ("b/2.csv", "b/10.csv", "a/1.csv", "_log/x.csv", ".hidden.csv", "b/.3.csv.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name.split("/")[-1].split(".")[0] + "\n")
    folder = str(tmp_path)
    assert table_of(folder).to_pydict() == {"f0": [1, 10, 2]}
    assert table_of(f"{folder}/b/*.csv").to_pydict() == {"f0": [10, 2]}
    assert table_of(f"{folder}/[ab]").to_pydict() == {"f0": [1, 10, 2]}
    assert table_of([f"{folder}/b/2.csv", f"{folder}/a"]).to_pydict() == {"f0": [2, 1]}
    with pytest.raises(FileNotFoundError, match="the pattern matches no file"):
        table_of(f"{folder}/c*")
    with pytest.raises(FileNotFoundError, match="the folder has no files"):
        (tmp_path / "_nothing").mkdir()
        table_of(tmp_path / "_nothing")
    with pytest.raises(ValueError, match="the list of paths is empty"):
        table_of([])


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="No IO driver registered for zz://x"):
        source_of("zz://x")


@pytest.mark.parametrize("scheme", ["oss", "gs", "abfs"])
def test_a_scheme_without_its_library_names_the_extra(scheme, monkeypatch):
    for library in ("ossfs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"pip install vineyard-rs\[(oss|gcs|azure)\]"):
        source_of(f"{scheme}://x/y")


@pytest.mark.parametrize("library", ["pyarrow", "fsspec"])
def test_without_a_library_one_error_says_what_to_install(library):
    words = f"""
import sys
sys.modules[{library!r}] = None
import vineyard.io
for call in (
    lambda: vineyard.io.read("x.csv", accumulate=True),
    lambda: vineyard.io.write("x.csv", b""),
):
    try:
        call()
    except ImportError as error:
        print(error)
"""
    # The file that the second call would write is never made: the folder is the root.
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env=_with_this_package(),
    )
    line = f"vineyard.io needs {library}: pip install vineyard-rs[io]\n"
    assert line in done.stdout, done.stderr
    assert done.stdout.replace(line, "") == ""


def test_importing_needs_none_of_the_libraries():
    words = "import vineyard.io, sys; print({'pyarrow', 'fsspec', 'pandas'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        timeout=60,
        env=_with_this_package(),
    )
    assert done.stdout == "set()\n", done.stderr


def _with_this_package() -> dict[str, str]:
    """The environment of a process that imports the very package that is tested here."""
    return os.environ | {"PYTHONPATH": str(Path(vineyard.__file__).parents[1])}


def _all_texts(error: BaseException | None) -> str:
    found = ""
    while error is not None:
        found += f"{error!r} {error} {vars(error) if hasattr(error, '__dict__') else ''}"
        error = error.__cause__
    return found


@pytest.mark.parametrize(
    "path",
    [
        f"ftp://user:{MARKER}@localhost:1/x.csv",
        f"http://localhost:1/x.csv?signature={MARKER}",
        f"s3://user:{MARKER}@bucket/x.csv",
        "memory://x.csv",
        "zz://x.csv",
    ],
)
def test_secrets_stand_in_no_error(path):
    pytest.importorskip("s3fs")
    storage = {"key": MARKER, "secret": {"inner": [f"{MARKER}2"]}}
    storage |= {"endpoint_url": "http://localhost:1"} if path.startswith("s3") else {}
    with pytest.raises((vineyard.io.ReadError, ValueError, ImportError)) as raised:
        source_of(path, storage_options=storage)
    assert MARKER not in _all_texts(raised.value)
    with pytest.raises((vineyard.io.WriteError, ValueError, ImportError, Exception)) as raised:
        vineyard.io.write(path.replace("memory://", "zz://"), b"1", storage_options=storage)
    assert MARKER not in _all_texts(raised.value)


def test_secrets_stand_in_no_representation():
    asked = options.for_reading({"storage_options": {"secret": MARKER}})
    assert MARKER not in repr(asked) + str(asked.storage) + repr(asked.storage.secrets)
    with pytest.raises(ValueError, match="storage_options must be a dict") as raised:
        options.for_reading({"storage_options": MARKER})
    assert MARKER not in str(raised.value)


def test_errors_can_be_pickled():
    for kind in (vineyard.io.ReadError, vineyard.io.WriteError):
        error = kind("x.csv", "is not int64", line=3, column="a", value="x" * 100)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert str(again) == f'x.csv, line 3, column "a": "{"x" * 80}…" is not int64'
