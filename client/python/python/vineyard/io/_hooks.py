"""`chunk_hook`: the caller's function that changes each batch, in threads or processes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from typing import Any

from vineyard.io._needs import needed
from vineyard.io.errors import ReadError, WriteError

Function = Callable[[Any], Any]


class HookFailure(Exception):
    """A hook in another process returned nothing."""

    def __init__(self, did: str, reason: str) -> None:
        """`did`: what it did instead, with the verb first; `reason`: why."""
        super().__init__(did, reason)
        self.did, self.reason = did, reason


class WrongType(Exception):
    """A hook in another process returned something else than a batch; the text is its type."""


@dataclasses.dataclass(frozen=True)
class Hook:
    """A `chunk_hook`, or none, and where it is called."""

    function: Function | None = None
    # The function for other processes; None: threads of this process call it.
    pickled: bytes | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(cls, function: Function | None, call: dict[str, Any]) -> Hook:
        """The hook of a call.

        Parameters:
            function: callable or None
                What `chunk_hook` is.
            call: dict
                May have `workers`.

        Raises:
            TypeError: it cannot be called, or another process must have it, and it cannot be
                pickled.
            ImportError: cloudpickle is not installed, and another process must have it.
        """
        if function is None:
            return cls()
        if not callable(function):
            raise TypeError(f"chunk_hook must be callable, not a {type(function).__name__}")
        if call.get("workers") != "process":
            return cls(function)
        try:
            return cls(function, needed("cloudpickle").dumps(function))
        except ImportError:
            raise
        except Exception as error:
            raise TypeError(f"chunk_hook cannot be sent to another process: {error}") from error

    @contextlib.contextmanager
    def opened(self, calls_max: int) -> Generator[Function | None, Any, Any]:
        """What :func:`hooked` calls inside the block, if there is a hook.

        Parameters:
            calls_max: int
                How many calls there may be at the same time; as many processes there are at most.
        """
        if self.pickled is None:
            yield self.function
            return
        from vineyard.io._hook_processes import HookProcesses

        with contextlib.closing(HookProcesses(self.pickled, calls_max)) as processes:
            yield processes


NO_HOOK = Hook()


def hooked(hook: Function | None, batch: Any, path: str, at: int, *, reads: bool) -> Any:
    """What the hook makes of a batch; without a hook, the batch.

    Parameters:
        hook: callable or None
            Takes and returns a pyarrow.RecordBatch.
        batch: pyarrow.RecordBatch
            What it is given.
        path: str
            The file, for errors.
        at: int
            The number of the batch there.
        reads: bool
            Whether this is a read; else a write.

    Raises:
        TypeError: it returned something else.
        ReadError, WriteError: it raised, which is the cause, or its process died.
    """
    if hook is None:
        return batch
    import pyarrow

    kind = ReadError if reads else WriteError
    try:
        changed = hook(batch)
    except WrongType as error:
        raise _wrong_type(str(error), at, path) from None
    except HookFailure as error:
        reason = f"chunk_hook {error.did} for batch {at}: {error.reason}"
        raise kind(path, reason) from error.__cause__
    except Exception as error:
        reason = f"chunk_hook raised {type(error).__name__} for batch {at}: {error}"
        raise kind(path, reason) from error
    if not isinstance(changed, pyarrow.RecordBatch):
        raise _wrong_type(type(changed).__name__, at, path)
    return changed


def _wrong_type(name: str, at: int, path: str) -> TypeError:
    return TypeError(
        f"chunk_hook must return a pyarrow.RecordBatch; it returned a {name} for batch {at} of "
        f"{path}"
    )
