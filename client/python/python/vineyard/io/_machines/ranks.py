"""Ranks: processes of one run that read one object together, each its own shares.

Rank 0 waits until all have put theirs, makes the object and names it; the others wait for that. Who
begins says so, and that note goes with its process: so who is killed is missed within seconds, and
a run that failed leaves nothing that disturbs the next.

Promise: all ranks get the object, or all raise an error; in that case no rank's parts are left but
those of a process that was killed while it read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from vineyard._C import ObjectID, ObjectMeta, ObjectNotExistsException, VineyardException
from vineyard.io._machines.board import Board, Note
from vineyard.io.errors import ReadError

# How long a rank waits for others once it has put its own shares.
RANK_SECONDS = 600
# How often a rank looks whether another has failed.
LOOK_SECONDS = 0.5
# How long a process that is done stays, so that others read its last note.
LEAVE_SECONDS = 10.0
_PAUSE_SECONDS = 0.02

BEGUN, DONE, FAILED = "begun", "done", "failed"

# Rounds that ranks of this process were in: rank 0 may still be there when the next one begins.
_past: set[tuple[int, str]] = set()


def read_joined(reading: Any, handlers: Any) -> Any:
    """Reads the shares of this rank, and returns the object of all ranks.

    Parameters:
        reading: Reading
            A read with a name, of more than one rank.
        handlers: list, dict or None
            Gets what fills the streams of this rank.

    Raises:
        ReadError: this rank or another cannot read, was killed, or did not begin or end in time.
        ValueError: nothing says which run this is.
    """
    run_id = run_id_of(reading.call)
    kind = _Leader if reading.rank == 0 else _Follower
    with kind(reading, run_id) as run:
        parts: list[ObjectID] = []
        try:
            run.begin()
            reading.open()
            parts = reading.put(run.check)
            for part in parts:
                reading.client.persist(part)
            made = run.finish(parts)
        except BaseException as error:
            # What may have broken the connection is the error to raise.
            with contextlib.suppress(VineyardException):
                run.fail(error)
            with contextlib.suppress(VineyardException):
                reading.discard(parts)
            raise
        return reading.result(made, handlers)


def run_id_of(call: dict[str, Any]) -> str:
    """Which run this is: what was given, or what torchrun or Slurm say (str).

    Raises:
        ValueError: none of these.
    """
    if "run_id" in call:
        return str(call["run_id"])
    for name, attempt in (
        ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
        ("SLURM_JOB_ID", "SLURM_RESTART_COUNT"),
    ):
        if found := os.environ.get(name):
            return f"{found}.{os.environ.get(attempt, '0')}"
    raise ValueError(
        "name= with size= makes one object of all ranks: give each the same run_id= (torchrun and "
        "Slurm set TORCHELASTIC_RUN_ID and SLURM_JOB_ID, which are used)"
    )


class _RankError(ReadError):
    """What a rank failed of; `path` says which."""


class _Told(_RankError):
    """What rank 0 told this rank of."""


class _Run:
    """One rank in its run; a context manager. A thread of its own looks after the others."""

    def __init__(self, reading: Any, run_id: str) -> None:
        """Says nothing yet."""
        self._reading, self._run_id = reading, run_id
        self._rank, self._size = reading.rank, reading.size
        self._seconds = float(reading.call.get("rank_timeout", RANK_SECONDS))
        where = (reading.client, run_id, reading.call["name"])
        self._board, self._watched = Board(*where), Board(*where)
        self._patience = self._seconds
        self._round = ""
        self._is_done = self._is_late = False
        self._error: Exception | None = None
        self._result: Any = None
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="vineyard-io-ranks", daemon=True)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        try:
            if self._is_done:
                self._leave()
        finally:
            if self._watcher.ident is not None:
                self._watcher.join()
            self._watched.close()
            self._board.close()

    def begin(self) -> None:
        """Says that this rank has begun."""
        self._wait(lambda: self._board.read(self._rank) is None, LEAVE_SECONDS, self._is_taken)
        self._round = self._find_round()
        _past.add((self._rank, self._round))
        self._say(BEGUN)
        self._watcher.start()

    def check(self) -> None:
        """Raises what another rank failed of."""
        if self._error is not None:
            raise self._error

    def finish(self, parts: list[ObjectID]) -> ObjectMeta:
        """Waits for the others; returns the object of all.

        Parameters:
            parts: list of ObjectID
                What this rank has put, which is persisted.
        """
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Tells the others, and stays until they have read it."""
        self._ended.set()
        if not self._round or isinstance(error, _Told):
            return
        who, reason = f"rank {self._rank}", str(error) or repr(error)
        if isinstance(error, _RankError):
            who, reason = error.path, error.reason
        # Everybody in the cluster can read a note.
        self._say(FAILED, who=who, reason=self._reading.storage.secrets.hide(reason))
        self._watcher.join()
        # An interrupt does not wait for others.
        if isinstance(error, Exception):
            self._wait(self._have_heard, LEAVE_SECONDS)

    def _leave(self) -> None:
        """Stays until the others know that the object is made."""

    def _find_round(self) -> str:
        raise NotImplementedError

    def _look(self) -> Any:
        """What this rank waits for, or None if it is not there yet."""
        raise NotImplementedError

    def _missing(self) -> str:
        """Who is waited for, for an error."""
        raise NotImplementedError

    def _have_heard(self) -> bool:
        """Whether all who are to hear of a failure have."""
        raise NotImplementedError

    def _say(self, state: str, **more: Any) -> ObjectID:
        content = {"state": state, "round": self._round, **more}
        return self._board.write(self._rank, content, is_last=state != BEGUN)

    def _watch(self) -> None:
        try:
            while self._result is None and not self._ended.is_set():
                self._result = self._look()
        except Exception as error:
            self._error = error

    def _result_in_time(self) -> Any:
        self._watcher.join(self._patience)
        self._ended.set()
        self._watcher.join()
        self.check()
        if self._result is None:
            self._is_late = True
            raise self._failed(f"waited {self._seconds:g} s for {self._missing()}")
        return self._result

    def _wait(
        self,
        is_so: Callable[[], bool],
        seconds: float,
        too_late: Callable[[], Exception] | None = None,
    ) -> None:
        """Waits until something is so; `too_late` makes what to raise if that takes longer."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                if too_late is None:
                    return
                raise too_late()
            time.sleep(_PAUSE_SECONDS)

    def _failed(self, reason: str, rank: int | None = None) -> ReadError:
        return _RankError(f"rank {self._rank if rank is None else rank}", reason)

    def _is_taken(self) -> ReadError:
        return self._failed(
            f"another process is this rank of run {self._run_id!r}: end it, or give each run a "
            "run_id of its own"
        )


class _Leader(_Run):
    """Rank 0. Only this rank reads what all others say."""

    def __init__(self, reading: Any, run_id: str) -> None:
        super().__init__(reading, run_id)
        # The last notes of this round, also of ranks that are gone.
        self._notes: dict[int, Note] = {}

    def finish(self, parts: list[ObjectID]) -> ObjectMeta:
        done: dict[int, Note] = self._result_in_time()
        whole = list(parts)
        for rank, note in sorted(done.items()):
            found = note.content["files"]
            if found != self._reading.described:
                reason = f"found {found}, and rank 0 {self._reading.described}"
                raise self._failed(reason, rank)
            whole += [ObjectID(part) for part in note.content["parts"]]
        made: ObjectMeta = self._reading.join(whole)
        self._say(DONE, made=repr(made.id), joined=[repr(note.id) for note in done.values()])
        self._is_done = True
        return made

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        # A rank that was killed deletes nothing.
        parts = [ObjectID(part) for one in self._done().values() for part in one.content["parts"]]
        self._reading.client.delete(parts, force=True)

    def _leave(self) -> None:
        self._wait(lambda: not self._of_round(self._board), LEAVE_SECONDS)

    def _find_round(self) -> str:
        return secrets.token_hex(8)

    def _look(self) -> dict[int, Note] | None:
        before = self._notes
        notes = self._of_round(self._watched)
        gone = self._notes.keys() - notes.keys()
        self._notes = before | notes
        for rank, note in notes.items():
            if note.content["state"] == FAILED:
                raise self._failed(note.content["reason"], rank)
        if gone:
            raise self._failed("its process ended before all ranks were done", min(gone))
        done = self._done()
        if len(done) == self._size - 1:
            return done
        if self._notes == before:
            others = range(1, self._size)
            absent = next((rank for rank in others if rank not in notes), None)
            if absent is not None:
                # Seen at once, it is missed, too, if its process ends soon.
                self._watched.wait(absent, LOOK_SECONDS, for_last=False)
            else:
                slow = next(rank for rank in others if rank not in done)
                self._watched.wait(slow, LOOK_SECONDS)
            # What came may be of another round.
            self._ended.wait(_PAUSE_SECONDS)
        return None

    def _of_round(self, board: Board) -> dict[int, Note]:
        """What the other ranks say in this round."""
        notes = board.read_all(self._size)
        return {
            rank: note
            for rank, note in notes.items()
            if rank and note.content["round"] == self._round
        }

    def _done(self) -> dict[int, Note]:
        return {rank: one for rank, one in self._notes.items() if one.content["state"] == DONE}

    def _missing(self) -> str:
        done = self._done()
        absent = [str(rank) for rank in range(1, self._size) if rank not in self._notes]
        slow = [str(rank) for rank in self._notes if rank not in done]
        texts = [f"rank {', '.join(absent)} to begin"] if absent else []
        texts += [f"rank {', '.join(slow)} to read"] if slow else []
        return " and for ".join(texts)

    def _have_heard(self) -> bool:
        here = self._of_round(self._board)
        self._notes = self._notes | here
        # Those that come late are told, too, unless they are what was waited for.
        return not here and (self._is_late or len(self._notes) == self._size - 1)


class _Follower(_Run):
    """Any other rank. It reads what rank 0 says."""

    def __init__(self, reading: Any, run_id: str) -> None:
        super().__init__(reading, run_id)
        # Rank 0 knows better who is missing.
        self._patience += LEAVE_SECONDS

    def finish(self, parts: list[ObjectID]) -> ObjectMeta:
        names = [repr(part) for part in parts]
        mine = self._say(DONE, parts=names, files=self._reading.described)
        try:
            content = self._result_in_time()
        except _Told:
            # Rank 0 may have made the object, and ended before it could say so.
            named = self._named()
            if named is None or not set(parts) <= set(self._reading.parts_of(named)):
                raise
            return named
        if repr(mine) not in content["joined"]:
            raise self._is_taken()
        made: ObjectMeta = self._reading.client.get_meta(ObjectID(content["made"]))
        return made

    def _named(self) -> ObjectMeta | None:
        client = self._reading.client
        try:
            found: ObjectMeta = client.get_meta(client.get_name(self._reading.call["name"]))
        except ObjectNotExistsException:
            return None
        return found

    def _find_round(self) -> str:
        found: list[str] = []

        def has_begun() -> bool:
            self._board.wait(0, LOOK_SECONDS, for_last=False)
            note = self._board.read(0)
            if note is not None and (self._rank, note.content["round"]) not in _past:
                found.append(note.content["round"])
            return bool(found)

        self._wait(has_begun, self._seconds, self._is_alone)
        return found[0]

    def _is_alone(self) -> ReadError:
        reason = f"rank 0 of run {self._run_id!r} did not begin within {self._seconds:g} s"
        return self._failed(reason)

    def _look(self) -> dict[str, Any] | None:
        note = self._watched.read(0)
        if note is None or note.content["round"] != self._round:
            raise _Told("rank 0", "its process ended before all ranks were done")
        if note.content["state"] == FAILED:
            raise _Told(note.content["who"], note.content["reason"])
        if note.content["state"] == DONE:
            return note.content
        self._watched.wait(0, LOOK_SECONDS)
        return None

    def _missing(self) -> str:
        return "rank 0, which waits for others or reads"

    def _have_heard(self) -> bool:
        note = self._board.read(0)
        if note is None or note.content["round"] != self._round:
            return True
        return bool(note.content["state"] == FAILED)
