"""The released package's own tests of I/O, unmodified, with this package: their files are in the
released package, and their data is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import ROOT, Node

MAKE_DATA = ROOT / "tests" / "conformance" / "make_io_data.py"
# Of test_open, test_serialize and test_migrate_stream. What they skip needs HDFS, OSS and S3, or
# is skipped by its decorator.
PASSED, SKIPPED = 14, 12


@pytest.fixture(scope="module")
def node(short_folder) -> Iterator[Node]:
    """A node whose memory is not filled by what other tests left: streams wait for room."""
    one = Node(short_folder / "of-released", size="1G")
    yield one
    one.stop()


@pytest.fixture
def released() -> Path:
    if os.environ.get("VINEYARD_WITHOUT_PEER"):
        pytest.skip("VINEYARD_WITHOUT_PEER=1")
    (found,) = Path(os.environ["VINEYARD_PEER"]).glob("lib/python3*/site-packages/vineyard")
    return found


def test_the_released_tests_of_io_pass(node, released, tmp_path) -> None:
    files, data, out = (tmp_path / name for name in ("files", "data", "out"))
    for folder in (files, data, out):
        folder.mkdir()
    for one in (released / "drivers" / "io" / "tests").glob("test_*.py"):
        shutil.copy(one, files)
    (files / "test_ossfs.py").unlink()
    shutil.copy(released / "conftest.py", files)
    subprocess.run([sys.executable, MAKE_DATA, data], check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += [f"--rootdir={files}", files, f"--vineyard-ipc-socket={node.socket}"]
    command += [f"--vineyard-endpoint={node.endpoint}"]
    command += [f"--test-dataset={data}", f"--test-dataset-tmp={out}"]
    report = tmp_path / "report.xml"
    command.append(f"--junitxml={report}")
    run = subprocess.run(command, capture_output=True, text=True, cwd=files)
    assert run.returncode == 0, run.stdout
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors")}
    assert counts == {"tests": PASSED + SKIPPED, "skipped": SKIPPED, "failures": 0, "errors": 0}
