"""The examples in the package's docstrings, run as they are written.

They are given `vineyard`, `numpy` and `pandas`, a `client` of a running node, which `connect()`
finds as well, and the folder of a CSI `volume`. What else an example uses it must make itself.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy
import pandas
import pytest
import vineyard

# Machines that are reached over ssh: `test_deploy.py` starts nodes there by a stand-in for ssh.
NEVER_RUN = {"vineyard.deploy.distributed.start_vineyardd"}
# Starting a node is all that importing these does.
PROGRAMS = ("vineyard.__main__", "vineyard.deploy.__main__")


def documented_examples() -> dict[str, doctest.DocTest]:
    """Every docstring of the package that has an example, by the name of what it documents."""
    found: dict[str, doctest.DocTest] = {}
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [info.name for info in pkgutil.walk_packages(vineyard.__path__, "vineyard.")]
    for name in ["vineyard", *names]:
        if name in PROGRAMS:
            continue
        for test in finder.find(importlib.import_module(name)):
            if test.examples:
                found[test.name] = test
    return found


EXAMPLES = documented_examples()


@pytest.fixture
def surroundings(node, ipc_client, monkeypatch, tmp_path):
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", node.socket)
    monkeypatch.delenv("VINEYARD_RPC_ENDPOINT", raising=False)
    (tmp_path / "vineyard.sock").symlink_to(node.socket)
    return {
        "vineyard": vineyard,
        "numpy": numpy,
        "pandas": pandas,
        "client": ipc_client,
        "volume": str(tmp_path),
    }


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - NEVER_RUN))
def test_an_example_in_a_docstring_runs_as_written(name, surroundings):
    test = EXAMPLES[name]
    test.globs.update(surroundings)
    told: list[str] = []
    failed, attempted = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=told.append
    )
    assert attempted == len(test.examples)
    assert not failed, "".join(told)


def test_only_listed_examples_are_never_run():
    skips = doctest.OPTIONFLAGS_BY_NAME["SKIP"]
    skipping = {
        name
        for name, test in EXAMPLES.items()
        if any(example.options.get(skips) for example in test.examples)
    }
    assert skipping == NEVER_RUN
    assert len(EXAMPLES) > len(NEVER_RUN)
