"""Files into vineyard and out of it: CSV, JSON lines, Parquet, ORC, Arrow IPC, on every file system
that fsspec knows.

>>> import vineyard.io
>>> path = f"{volume}/table.csv"
>>> vineyard.io.write(path, pandas.DataFrame({"a": [1, 2]}), header_row=True) == [path]
True
>>> meta = vineyard.io.read(path, header_row=True, accumulate=True, client=client)
>>> client.get(meta.id)[0]["a"].tolist()
[1, 2]

Needs ``pip install vineyard-rs[io]``. Importing this module imports none of these libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike, fspath
from typing import Any

from vineyard.io._paths import scheme_of
from vineyard.io._reading import read_files
from vineyard.io._registry import Registered, note
from vineyard.io._serializing import deserialize_object, serialize_object
from vineyard.io._writing import write_files
from vineyard.io.errors import ReadError, WriteError

__all__ = ["ReadError", "WriteError", "deserialize", "open", "read", "serialize", "write"]

AnyPath = str | PathLike[str]


@Registered
def read(
    path: AnyPath | Iterable[AnyPath],
    *args: Any,
    handlers: Any = None,
    accumulate: bool | str = False,
    chunk_hook: Callable[[Any], Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Reads files into the shared memory.

    Parameters:
        path: str, os.PathLike, or several
            A file, a folder, or a pattern with ``*``, ``?`` and ``[``; with a scheme (``s3://``)
            or local; or ``vineyard://NAME-or-id``, a frame. A CSV path may have options at its
            end: ``x.csv#header_row=1&delimiter=;``.
        handlers: list, dict or None
            Gets what fills each stream: appended, or by the number of the partition. Its ``join()``
            waits and raises what went wrong.
        accumulate: bool or str
            False: streams, which are filled while others read them. True: a global frame of pandas
            frames. ``"arrow"``: of Arrow record batches.
        chunk_hook: callable or None
            Takes each pyarrow.RecordBatch and returns another. Threads call it, or with
            ``workers="process"`` other processes.
        client: Client
            The client to put with. Without it, ``vineyard_ipc_socket`` or ``vineyard_endpoint``
            says where to connect to; without these, as :func:`vineyard.connect` does.
        read_options, storage_options: dict
            Options of the data, which can be keywords as well, and of fsspec's file system.
        name: str
            A name for the result.
        rank, size: int
            The share of this process, of how many that each read theirs. With `name`, all ranks of
            a `run_id` (str) make one object; each waits `rank_timeout` (int, seconds) for others.
        hosts, deployment: list of str, str
            Hosts to start processes on that read, each a share; by ``"ssh"`` or ``"kubernetes"``.
        **kwargs:
            See the table in docs/python.md.

    Returns:
        ObjectID of a ``vineyard::ParallelStream``, which can be iterated, and has ``join()``,
        ``streams`` and ``progress``; or ObjectMeta of a ``vineyard::GlobalDataFrame``. Both are
        persisted.

    Raises:
        ReadError: a file cannot be read. It says file, line, column and value; for a missing file
            it is a FileNotFoundError, too. Or another rank or host failed, which it names.
        ValueError: an option is unknown or wrong.
        ImportError: a library is not installed.
    """
    scheme = scheme_of(path) if isinstance(path, str | PathLike) else "file"
    given = {"handlers": handlers, "accumulate": accumulate, "chunk_hook": chunk_hook}
    socket = kwargs.get("vineyard_ipc_socket")
    found, raised = read.ask(scheme, path, socket, *args, **given, **kwargs)
    if found is not None:
        return found
    _expect_none(args, "read")
    try:
        return read_files(path, accumulate, chunk_hook, handlers, kwargs)
    except Exception as error:
        note(error, raised)
        raise


@Registered
def write(
    path: AnyPath,
    stream: Any,
    *args: Any,
    handlers: Any = None,
    chunk_hook: Callable[[Any], Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Writes a value, or what an object is, to files that are seen whole or not at all.

    Parameters:
        path: str or os.PathLike
            The file. With ``{}`` or ``*`` in it each part of the value has a file of its own, with
            its number there; with ``/`` at its end it is a folder of files ``part-00000`` and so
            on. The end of the name says format and compression, unless options do.
        stream: object
            A pandas or polars frame, an Arrow table or batch, a list of these, or bytes; or the
            ObjectID, ObjectMeta or Object of one, also of a global frame.
        handlers: list or None
            Accepted; a write has ended when this returns.
        chunk_hook: callable or None
            Takes each pyarrow.RecordBatch and returns another.
        write_options, storage_options: dict
            As for :func:`read`.
        exists: str
            If a file is there: ``"overwrite"`` (the default), ``"error"``, or ``"ignore"``, which
            writes nothing.
        partition_cols: list of str
            Columns whose values become folders ``column=value``.
        progress: bool or None
            Whether a bar shows the bytes that are written (needs tqdm). None: in a notebook, if
            they are many.
        **kwargs:
            See the table in docs/python.md.

    Returns:
        list of str: the paths of the files; for ``vineyard://NAME`` the ObjectID of the global
        frame that has the name.

    Raises:
        WriteError: a file cannot be written; what was there before is as it was.
        ValueError: an option is unknown or wrong.
        TypeError: the value is none of these.
        ImportError: a library is not installed.
    """
    socket = kwargs.get("vineyard_ipc_socket")
    given = {"handlers": handlers, "chunk_hook": chunk_hook}
    found, raised = write.ask(scheme_of(path), path, stream, socket, *args, **given, **kwargs)
    if found is not None:
        return found
    _expect_none(args, "write")
    try:
        return write_files(path, stream, chunk_hook, kwargs)
    except Exception as error:
        note(error, raised)
        raise


@Registered
def open(
    path: AnyPath,
    *args: Any,
    mode: str = "r",
    handlers: Any = None,
    chunk_hook: Callable[[Any], Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Reads (``mode="r"``) or writes (``mode="w"``), as :func:`read` and :func:`write` do.

    Parameters:
        path: str or os.PathLike
            The path.
        *args:
            To write: the value.
        mode: str
            ``"r"`` or ``"w"``.
        handlers: list or None
            As for these.
        chunk_hook: callable or None
            As for these.
        **kwargs:
            As for these.

    Returns:
        What these return.

    Raises:
        RuntimeError: another mode.
        ReadError: a file cannot be read.
        WriteError: a file cannot be written.
    """
    both = {"handlers": handlers, "chunk_hook": chunk_hook}
    socket = kwargs.get("vineyard_ipc_socket")
    found, _ = open.ask(scheme_of(path), path, *args, socket, mode=mode, **both, **kwargs)
    if found is not None:
        return found
    if mode == "r":
        return read(path, *args, **both, **kwargs)
    if mode == "w":
        if len(args) != 1:
            raise TypeError("vineyard.io.open(path, value, mode='w') takes one value to write")
        return write(path, args[0], **both, **kwargs)
    raise RuntimeError(f"Opening {fspath(path)} with mode {mode} is not supported")


@Registered
def serialize(path: AnyPath, object_id: Any, *args: Any, **kwargs: Any) -> Any:
    """Writes an object to a folder, with the members that are on other instances, so that
    :func:`deserialize` makes an equal object of it. The folder has the old object or the new one,
    at every moment.

    Parameters:
        path: str or os.PathLike
            The folder; with a scheme, or local.
        object_id: ObjectID, ObjectMeta, Object, or a value
            The object. A value is put first, and deleted again.
        compression: str or None
            ``"zstd"`` (the default) or None. ``level=`` is how much (int).
        names: bool
            Whether its names are written, too, and given to what :func:`deserialize` makes.
        parallelism: int
            How many blobs to compress at once. Default: as many as there are processors.
        client, vineyard_ipc_socket, vineyard_endpoint, storage_options, progress:
            As for :func:`read`.
        serialization_options: dict
            Holds `compression_method` and `compression_level`, as in the released package.

    Raises:
        WriteError: the folder cannot be written.
        ObjectNotExistsException: there is no such object, or bytes of it are gone.
        ValueError: an option is unknown or wrong.
        ImportError: a library is not installed.
    """
    socket = kwargs.get("vineyard_ipc_socket")
    kind = str(kwargs.get("type", "default"))
    found, raised = serialize.ask(kind, path, object_id, socket, *args, **kwargs)
    if found is not None:
        return found
    _expect_none(args, "serialize")
    try:
        return serialize_object(path, object_id, kwargs)
    except Exception as error:
        note(error, raised)
        raise


@Registered
def deserialize(path: AnyPath, *args: Any, **kwargs: Any) -> Any:
    """Makes the object that :func:`serialize` wrote, or the released package's `serialize`.

    Parameters:
        path: str or os.PathLike
            The folder.
        spread: str
            Where the members of a global object go: all ``"here"`` (the default), to the instance
            they were on (``"origin"``; here, if that is gone), or ``"even"``.
        client, vineyard_ipc_socket, vineyard_endpoint, storage_options, progress:
            As for :func:`read`.

    Returns:
        ObjectID: the new object, which is persisted.

    Raises:
        ReadError: a file is missing (then it is a FileNotFoundError, too), damaged, or of a newer
            version.
        NotEnoughMemoryException: there is no room.
        ValueError: an option is unknown or wrong.
        ImportError: a library is not installed.
    """
    socket = kwargs.get("vineyard_ipc_socket")
    kind = str(kwargs.get("type", "default"))
    found, raised = deserialize.ask(kind, path, socket, *args, **kwargs)
    if found is not None:
        return found
    _expect_none(args, "deserialize")
    try:
        return deserialize_object(path, kwargs)
    except Exception as error:
        note(error, raised)
        raise


def _expect_none(args: tuple[Any, ...], name: str) -> None:
    if args:
        raise TypeError(f"vineyard.io.{name} takes no more positional arguments: {len(args)} given")
