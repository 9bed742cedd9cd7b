"""Pickles written opcode by opcode, as one who means harm would: they call any name with anything.

No tests here.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np


class Name(NamedTuple):
    """The value that a name, ``module:path``, stands for."""

    name: str


class Opcodes(NamedTuple):
    """These opcodes."""

    code: bytes


class Call:
    """What a call of a name gives."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.function: Any = Name(name)
        self.arguments = arguments


class Keywords(Call):
    """As :class:`Call`, with keywords, by a `functools.partial`."""

    def __init__(self, called: str, /, *arguments: Any, **said: Any) -> None:
        super().__init__(called, *arguments)
        bare = Call("functools:partial", self.function)
        self.function = WithState(bare, (self.function, (), said, None))


class WithState(NamedTuple):
    """A value that is given a state."""

    value: Any
    state: Any


def by_hand(value: Any) -> bytes:
    """The pickle of a value."""
    return b"\x80\x05" + opcodes(value) + b"."


def opcodes(value: Any) -> bytes:
    """The opcodes that push a value."""
    match value:
        case Opcodes():
            return value.code
        case Name():
            module, _, path = value.name.partition(":")
            return opcodes(module) + opcodes(path) + b"\x93"
        case Call():
            return opcodes(value.function) + opcodes(value.arguments) + b"R"
        case WithState():
            return opcodes(value.value) + opcodes(value.state) + b"b"
        case np.ndarray():
            kind = Call("numpy:dtype", value.dtype.str)
            return opcodes(Call("numpy:ndarray", value.shape, kind, value.tobytes(), 0, None, "C"))
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(content)]) + content
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            parts = [opcodes(part) for item in value.items() for part in item]
            return b"}(" + b"".join(parts) + b"u"
    raise TypeError(type(value).__name__)
