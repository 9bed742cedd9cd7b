"""The opcodes of pickles, as far as plain values and listed names need them.

Promise: lists, dicts and sets are filled only if the machine made them; a state is given only to
what `states` knows; everything else ends the reading with an error that says what it was.
"""

from __future__ import annotations

import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.data.restoring import names
from vineyard.data.restoring.checks import Budget, NotListed

_U2 = struct.Struct("<H")
_U4 = struct.Struct("<I")
_I4 = struct.Struct("<i")
_U8 = struct.Struct("<Q")
_F8 = struct.Struct(">d")

_PROTOCOL_MAX = 5
_TEXT_MAX = 200
_FILLED = (list,)
_MAPPED = (dict, OrderedDict)
# What is raised here and by the libraries for bytes that are no pickle.
_MALFORMED = (
    *(ArithmeticError, AttributeError, IndexError, KeyError, NotImplementedError),
    *(StopIteration, SyntaxError, SystemError, UnicodeDecodeError, struct.error),
    *(MemoryError, RecursionError, TypeError),
)
# Kinds of values that are no functions, and hold none.
_PLAIN = frozenset((str, bytes, int, float, bool, type(None), list, dict))


def read(
    stream: Any,
    buffers: Sequence[memoryview],
    refuse: Callable[[str], PickleRefused],
    peel: bool,
) -> Any:
    """The value of a pickle.

    `refuse`: the error for a name that is not listed. `peel`: as in
    :func:`vineyard.data._unpickling.unpickle`.

    Raises:
        PickleRefused: it names something that is not listed, or is no whole pickle.
        ValueError: an argument is not what a pickle of ours has.
    """
    machine = _Machine(stream, buffers, peel)
    try:
        return machine.run()
    except NotListed as error:
        raise refuse(str(error)) from None
    except _MALFORMED as error:
        # Not its repr: that of a key may be long.
        texts = [text[:_TEXT_MAX] for text in error.args if type(text) is str]
        said = f"{type(error).__name__}: {', '.join(texts)}"
        raise refuse(f"what no put writes ({said})") from None


class _Machine:
    """One run. `stack`: the values since the last mark; `marks`: the stacks below it."""

    def __init__(self, stream: Any, buffers: Sequence[memoryview], peel: bool) -> None:
        self.bytes = bytes(stream)
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: list[Any] = []
        # Tuples with functions in them, which are arguments of a call and no values; by id.
        self.calls: dict[int, Any] = {}
        self.buffers = iter(buffers)
        self.budget = Budget(len(self.bytes) + sum(buffer.nbytes for buffer in buffers))
        self.peel = peel
        # Made when the first array of objects is filled: the machine needs no library.
        self.levels: Any = None

    def run(self) -> Any:
        """Follows the opcodes up to STOP."""
        opcodes, code = _OPCODES, self.bytes
        while True:
            opcode = code[self.at]
            self.at += 1
            if opcode == _STOP:
                return self.value(self.stack.pop())
            follow = opcodes.get(opcode)
            if follow is None:
                raise NotListed(f"opcode {bytes([opcode])!r}")
            follow(self)

    def take(self, size: int) -> bytes:
        """The next bytes of the pickle."""
        begin, end = self.at, self.at + size
        if end > len(self.bytes):
            raise IndexError(f"{size} bytes at {begin} of {len(self.bytes)}")
        self.at = end
        return self.bytes[begin:end]

    def number(self, form: struct.Struct) -> Any:
        """The next number."""
        (number,) = form.unpack_from(self.bytes, self.at)
        self.at += form.size
        return number

    def unmark(self) -> list[Any]:
        """The values since the last mark, which is removed."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def memoize(self) -> None:
        """MEMOIZE."""
        self.memo.append(self.stack[-1])

    def pop(self) -> None:
        """POP: whatever it is, it is asked nothing."""
        self.stack.pop()

    def mark(self) -> None:
        """MARK."""
        self.marks.append(self.stack)
        self.stack = []

    def proto(self) -> None:
        """PROTO."""
        if self.take(1)[0] > _PROTOCOL_MAX:
            raise ValueError("a pickle of a later protocol")

    def list_of(self, kinds: tuple[type, ...]) -> Any:
        """What is filled next, which the machine has made."""
        target = self.stack[-1]
        if type(target) not in kinds:
            raise NotListed(f"items for {_kind(target)}")
        return target

    def append(self) -> None:
        """APPEND."""
        item = self.stack.pop()
        self.list_of(_FILLED).append(self.value(item))

    def appends(self) -> None:
        """APPENDS."""
        items = self.unmark()
        self.list_of(_FILLED).extend(self.values(items))

    def setitem(self) -> None:
        """SETITEM."""
        item, key = self.stack.pop(), self.stack.pop()
        self.budget.take_for_hash(key)
        self.list_of(_MAPPED)[self.value(key)] = self.value(item)

    def setitems(self) -> None:
        """SETITEMS."""
        items = self.values(self.unmark())
        for key in items[::2]:
            self.budget.take_for_hash(key)
        self.list_of(_MAPPED).update(zip(items[::2], items[1::2], strict=True))

    def additems(self) -> None:
        """ADDITEMS."""
        items = self.hashable()
        self.list_of((set,)).update(items)

    def hashable(self) -> list[Any]:
        """The items of a set since the last mark."""
        items = self.values(self.unmark())
        for item in items:
            self.budget.take_for_hash(item)
        return items

    def name(self) -> None:
        """STACK_GLOBAL."""
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise NotListed("a name that is no text")
        self.stack.append(names.found(f"{module}.{name}"))

    def line_name(self) -> None:
        """GLOBAL, which old protocols have."""
        lines = []
        for _ in range(2):
            end = self.bytes.index(b"\n", self.at)
            lines.append(self.take(end - self.at).decode())
            self.at += 1
        self.stack.append(names.found(".".join(lines)))

    def reduce(self) -> None:
        """REDUCE: calls the table's function for a listed name."""
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(names.called(function, arguments, self))

    def new_object(self) -> None:
        """NEWOBJ: an object without its state."""
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(names.made(kind, arguments))

    def build(self) -> None:
        """BUILD: gives a state to what can take one."""
        state, target = self.stack.pop(), self.stack[-1]
        names.give(target, state)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(target, numpy.ndarray):
            if self.levels is None:
                from vineyard.data.restoring.levels import Levels

                self.levels = Levels()
            self.levels.fill(target, state[-1])

    def next_buffer(self) -> None:
        """NEXT_BUFFER: bytes that lie beside the pickle."""
        buffer = next(self.buffers, None)
        if buffer is None:
            raise IndexError("a buffer that is not there")
        self.stack.append(buffer)

    def read_only(self) -> None:
        """READONLY_BUFFER."""
        view = self.stack[-1]
        if type(view) not in (memoryview, bytearray):
            raise NotListed(f"a buffer of {_kind(view)}")
        if type(view) is bytearray or not view.readonly:
            # Nothing else may write to what counts as read-only.
            self.budget.take(memoryview(view).nbytes)
            self.stack[-1] = memoryview(bytes(view))

    def tuple_of(self, size: int) -> None:
        """TUPLE1 to TUPLE3."""
        if len(self.stack) < size:
            raise IndexError("a tuple of what is not there")
        items = self.stack[-size:]
        del self.stack[-size:]
        self.stack.append(self.tuple_with(items))

    def tuple_with(self, items: list[Any]) -> Any:
        """A tuple, which is remembered if a function is in it."""
        made = tuple(items)
        if any(map(self.is_function, self.other_than_plain(items))):
            self.calls[id(made)] = made
        return made

    def value(self, value: Any) -> Any:
        """The value itself, if it is one that can be a part of another."""
        self.values([value])
        return value

    def values(self, values: list[Any]) -> list[Any]:
        """The values themselves, if each can be a part of another.

        Raises:
            NotListed: one is a function, which a pickle names to call it.
        """
        for value in self.other_than_plain(values):
            if self.is_function(value):
                raise NotListed(f"{names.name_of(value) or _kind(value)} as a value")
        return values

    def other_than_plain(self, values: list[Any]) -> list[Any]:
        """Those that may be functions, or hold some."""
        if _PLAIN.issuperset(map(type, values)):
            return []
        return [value for value in values if type(value) not in _PLAIN]

    def is_function(self, value: Any) -> bool:
        """Whether it is a function or module, or a tuple that has one."""
        if type(value) is tuple:
            return id(value) in self.calls
        if type(value) in (names.Partial, types.ModuleType):
            return True
        is_named = names.name_of(value) is not None
        return is_named and callable(value) and not isinstance(value, type)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    """The function for an opcode that pushes one value."""

    def follow(machine: _Machine) -> None:
        value = make(machine)
        # Only now: unmarking changes which stack it is.
        machine.stack.append(value)

    return follow


def _sized(form: struct.Struct, make: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    """The function for an opcode that has a length and as many bytes."""
    return _push(lambda machine: make(machine.take(machine.number(form))))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _whole(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


_U1 = struct.Struct("<B")
_STOP = ord(".")
_OPCODES: dict[int, Callable[[_Machine], None]] = {
    0x80: _Machine.proto,
    0x95: lambda machine: machine.number(_U8),
    ord("("): _Machine.mark,
    ord("0"): _Machine.pop,
    ord("N"): _push(lambda machine: None),
    0x88: _push(lambda machine: True),
    0x89: _push(lambda machine: False),
    ord("J"): _push(lambda machine: machine.number(_I4)),
    ord("K"): _push(lambda machine: machine.number(_U1)),
    ord("M"): _push(lambda machine: machine.number(_U2)),
    0x8A: _sized(_U1, _whole),
    0x8B: _sized(_U4, _whole),
    ord("G"): _push(lambda machine: machine.number(_F8)),
    ord("C"): _sized(_U1, bytes),
    ord("B"): _sized(_U4, bytes),
    0x8E: _sized(_U8, bytes),
    0x8C: _sized(_U1, _text),
    ord("X"): _sized(_U4, _text),
    0x8D: _sized(_U8, _text),
    0x96: _sized(_U8, bytearray),
    0x97: _Machine.next_buffer,
    0x98: _Machine.read_only,
    ord("]"): _push(lambda machine: []),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord(")"): _push(lambda machine: ()),
    ord("t"): _push(lambda machine: machine.tuple_with(machine.unmark())),
    0x85: lambda machine: machine.tuple_of(1),
    0x86: lambda machine: machine.tuple_of(2),
    0x87: lambda machine: machine.tuple_of(3),
    ord("}"): _push(lambda machine: {}),
    ord("s"): _Machine.setitem,
    ord("u"): _Machine.setitems,
    0x8F: _push(lambda machine: set()),
    0x90: _Machine.additems,
    0x91: _push(lambda machine: frozenset(machine.hashable())),
    ord("h"): _push(lambda machine: machine.memo[machine.number(_U1)]),
    ord("j"): _push(lambda machine: machine.memo[machine.number(_U4)]),
    0x94: _Machine.memoize,
    0x93: _Machine.name,
    ord("c"): _Machine.line_name,
    ord("R"): _Machine.reduce,
    0x81: _Machine.new_object,
    ord("b"): _Machine.build,
}
