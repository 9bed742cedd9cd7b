"""What the released client puts, ours gets equal, and the other way.

VINEYARD_PEER is an environment with the released package. Its client runs in a process of its own
(tools/peer_process.py), on the same node as ours. What it cannot do by itself is listed by name
and reason in cross_limits.py, and the lists are checked: a case that begins to work must leave
them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vineyard
from cross_limits import NOT_READ, NOT_WRITTEN, OF_OLD_LIBRARIES, READ_BETTER, WRITTEN_WITH_LOSS
from data_cases import CASES
from data_plain import plain
from test_data_types import ROWS_WITH_A_TEST_OF_THEIR_OWN, documented_rows
from vineyard.data.dataframe import make_global_dataframe
from vineyard.data.tensor import make_global_tensor

HELPER = Path(__file__).parent / "tools" / "peer_process.py"


def listed(name: str, limits: dict[str, list[str]]) -> bool:
    return any(name in names for names in limits.values())


class Peer:
    """The released client, asked by name of case or by id."""

    def __init__(self, environment: str, socket: str) -> None:
        python = str(Path(environment) / "bin" / "python")
        command = [python, str(HELPER), socket]
        # With it, the process would import the package under test.
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
        )

    def ask(self, **command: Any) -> dict[str, str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the released client's process ended"
        return json.loads(line)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="module")
def peer(node) -> Iterator[Peer]:
    environment = os.environ.get("VINEYARD_PEER")
    if environment is None:
        if os.environ.get("VINEYARD_WITHOUT_PEER") == "1":
            pytest.skip("VINEYARD_WITHOUT_PEER=1")
        pytest.fail("set VINEYARD_PEER to an environment with the released package")
    one = Peer(environment, node.socket)
    yield one
    one.stop()


def test_every_row_of_the_types_table_is_read_across() -> None:
    assert {row for row, _ in CASES.values()} | ROWS_WITH_A_TEST_OF_THEIR_OWN == documented_rows()


@pytest.mark.parametrize("name", CASES)
def test_ours_reads_what_the_released_client_wrote(peer: Peer, ipc_client, name: str) -> None:
    written = peer.ask(do="put", case=name)
    assert ("error" in written) == listed(name, NOT_WRITTEN), written
    if "error" in written:
        return
    object_id = vineyard.ObjectID(written["id"])
    if listed(name, WRITTEN_WITH_LOSS):
        with pytest.raises(ValueError, match="only the first value"):
            ipc_client.get(object_id)
    elif not listed(name, OF_OLD_LIBRARIES):
        assert plain(ipc_client.get(object_id)) == plain(CASES[name][1]())


@pytest.mark.parametrize("name", CASES)
def test_the_released_client_reads_ours_as_it_reads_its_own(
    peer: Peer, ipc_client, name: str
) -> None:
    value = CASES[name][1]()
    own = peer.ask(do="own", case=name)
    assert ("error" in own) == listed(name, NOT_READ), own
    if "error" in own:
        return
    theirs = peer.ask(do="get", id=repr(ipc_client.put(value)))
    if listed(name, READ_BETTER):
        assert own["value"] != plain(value)
        assert theirs["value"] == plain(value)
    else:
        assert theirs == own


def test_a_global_frame_is_read_across(peer: Peer, ipc_client) -> None:
    frame = CASES["pandas.DataFrame eight"][1]()
    theirs = peer.ask(do="global", of="dataframe")["id"]
    assert plain(ipc_client.get(vineyard.ObjectID(theirs))) == plain([frame, frame])
    blocks = [ipc_client.put(frame) for _ in range(2)]
    ours = make_global_dataframe(ipc_client, blocks)
    assert peer.ask(do="get", id=repr(ours.id))["value"] == plain([frame, frame])


def test_the_released_client_says_how_a_wide_frame_is_put_for_it(peer: Peer, ipc_client) -> None:
    frame = pd.DataFrame(np.arange(3003.0).reshape(3, 1001))
    theirs = peer.ask(do="get", id=repr(ipc_client.put(frame)))
    assert theirs["error"].startswith("TypeError: no resolver: got the object itself: Object <")
    assert 'put(frame, layout="columns")' in theirs["error"]
    for_it = ipc_client.put(frame, layout="columns")
    assert peer.ask(do="get", id=repr(for_it))["value"] == plain(frame)


def test_a_global_tensor_is_read_across(peer: Peer, ipc_client) -> None:
    array = CASES["numpy.ndarray float64"][1]()
    theirs = ipc_client.get_meta(vineyard.ObjectID(peer.ask(do="global", of="tensor")["id"]))
    blocks = [ipc_client.put(array) for _ in range(2)]
    ours = make_global_tensor(ipc_client, blocks)
    fields = ("typename", "global", "partitions_-size", "shape_", "partition_shape_")
    assert [ours[field] for field in fields] == [theirs[field] for field in fields]
    for at in range(2):
        part = theirs[f"partitions_-{at}"].id
        assert (ipc_client.get(part) == array).all()
        part = ipc_client.get_meta(ours.id)[f"partitions_-{at}"].id
        assert peer.ask(do="get", id=repr(part))["value"] == plain(array)
