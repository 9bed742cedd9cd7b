"""The released package's own tests of I/O: with this package, and with the released client on our
node. Their files are in the released package, and are not changed but for the marks of those that
are skipped for want of a server; their data is made anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import io_servers
import pytest
import s3fs
import vineyard
from conftest import ROOT, Node

MAKE_DATA = ROOT / "tests" / "conformance" / "make_io_data.py"
# Of test_open, test_serialize and test_migrate_stream. What they skip needs HDFS, OSS and S3, or
# is skipped by its decorator.
PASSED, SKIPPED = 14, 12
# Rows of the table of Hive.
TAGS = 16_080
# Variables that would lead a client elsewhere.
LEADING_ELSEWHERE = ("VINEYARD_IPC_SOCKET", "VINEYARD_RPC_ENDPOINT", "PYTHONPATH")


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    """A node whose memory is not filled by what other tests left: streams wait for room."""
    one = Node(short_folder / "of-released", size="1G")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def released() -> Path:
    if os.environ.get("VINEYARD_WITHOUT_PEER"):
        pytest.skip("VINEYARD_WITHOUT_PEER=1")
    (found,) = Path(os.environ["VINEYARD_PEER"]).glob("lib/python3*/site-packages/vineyard")
    return found


@pytest.fixture(scope="module")
def data(released, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, MAKE_DATA, folder], check=True)
    return folder


@pytest.fixture
def files(released, tmp_path_factory) -> Path:
    """The files of the tests, outside of their package: it is not the one that they import."""
    # What chooses tests by name looks at the names of folders, too: not that of this test.
    folder = tmp_path_factory.mktemp("of-io") / "files"
    folder.mkdir()
    for one in (released / "drivers" / "io" / "tests").glob("test_*.py"):
        shutil.copy(one, folder)
    # The tests of a library that the released package has a copy of.
    (folder / "test_ossfs.py").unlink()
    shutil.copy(released / "conftest.py", folder)
    return folder


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in LEADING_ELSEWHERE}


def ours() -> dict[str, str]:
    """The environment of a process that imports the very package that is tested here."""
    return environment() | {"PYTHONPATH": str(Path(vineyard.__file__).parents[1])}


def counted(
    files: Path,
    node: Node,
    data: Path,
    *arguments: str,
    python: str = sys.executable,
    env: dict[str, str],
) -> dict[str, int]:
    """Runs tests, none of which fails: how many there were, and how many were skipped."""
    out = files.parent / "out"
    out.mkdir()
    report = files.parent / "report.xml"
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += [f"--rootdir={files}", str(files), f"--vineyard-ipc-socket={node.socket}"]
    command += [f"--vineyard-endpoint={node.endpoint}", f"--junitxml={report}"]
    command += [f"--test-dataset={data}", f"--test-dataset-tmp={out}", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=files, env=env)
    assert run.returncode == 0, run.stdout
    # What was printed was once cut short; the report says each test.
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors")}
    assert (counts.pop("failures"), counts.pop("errors")) == (0, 0)
    return counts


def test_the_released_tests_of_io_pass(node, files, data) -> None:
    found = counted(files, node, data, env=ours())
    assert found == {"tests": PASSED + SKIPPED, "skipped": SKIPPED}


def test_the_released_tests_of_hdfs_pass_on_webhdfs(node, files, data, tmp_path) -> None:
    root = tmp_path / "hdfs"
    shutil.copytree(data / "pt", root / "user" / "hive" / "warehouse" / "pt")
    with io_servers.webhdfs(root) as server:
        place = f"webhdfs://{server['host']}:{server['port']}"
        chosen = ["--with-hdfs", f"--hdfs-endpoint={place}", f"--hive-endpoint={place}"]
        found = counted(files, node, data, *chosen, "-k", "hdfs or hive", env=ours())
    assert found == {"tests": 5, "skipped": 0}
    # One of them compares nothing.
    written = (data / "testout1.e_0").read_text().splitlines()
    assert len(written) == TAGS
    assert written == (data / "p2p-31.e").read_text().replace(" ", ",").splitlines()[:TAGS]


def without_marks(files: Path, server: str) -> None:
    """Lets tests run that are skipped for want of a server."""
    marks = re.compile(rf"^@pytest\.mark\.skip\(.*\b{server}\b.*\)\n", re.MULTILINE)
    for name in ("test_open.py", "test_serialize.py"):
        (files / name).write_text(marks.sub("", (files / name).read_text()))


def keys_of(options: dict[str, Any]) -> dict[str, str]:
    return {"ACCESS_KEY_ID": options["key"], "SECRET_ACCESS_KEY": options["secret"]}


def test_the_released_tests_of_s3_pass(node, files, data) -> None:
    without_marks(files, "s3")
    with io_servers.s3("ldbc") as options:
        storage = s3fs.S3FileSystem(**options)
        storage.mkdir("test-bucket")
        storage.put_file(str(data / "p2p-31.e"), "ldbc/p2p-31.e")
        keys = {"AWS_ENDPOINT_URL": options["endpoint_url"], "REGION": "us-east-1"}
        env = ours() | keys | keys_of(options)
        found = counted(files, node, data, "-k", "s3", env=env)
        storage.invalidate_cache()
        parts = [storage.cat_file(f"ldbc/p2p-31.out_{number}") for number in range(2)]
    assert found == {"tests": 3, "skipped": 0}
    # They compare nothing of what they wrote.
    assert b"".join(parts) == (data / "p2p-31.e").read_bytes()


def test_the_released_tests_of_oss_pass(node, files, data) -> None:
    ossfs = pytest.importorskip("ossfs")
    without_marks(files, "oss")
    with io_servers.oss("grape-uk") as options:
        storage = ossfs.OSSFileSystem(**options)
        storage.put_file(str(data / "p2p-31.e"), "grape-uk/p2p-31.e")
        env = ours() | {"ENDPOINT": options["endpoint"]} | keys_of(options)
        found = counted(files, node, data, "-k", "oss", env=env)
        storage.invalidate_cache()
        parts = [storage.cat_file(f"grape-uk/p2p-31.out_{number}") for number in range(2)]
    assert found == {"tests": 3, "skipped": 0}
    assert b"".join(parts) == (data / "p2p-31.e").read_bytes()


def test_the_released_client_passes_its_tests_of_io_on_our_node(node, files, data) -> None:
    if not os.environ.get("VINEYARD_IO_RELEASED"):
        pytest.skip("takes minutes: VINEYARD_IO_RELEASED=1 runs it")
    programs = Path(os.environ["VINEYARD_PEER"]) / "bin"
    # It starts programs of its own by their names.
    env = environment() | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    found = counted(files, node, data, python=str(programs / "python"), env=env)
    assert found == {"tests": PASSED + SKIPPED, "skipped": SKIPPED}
