"""Lists and tuples: pickled whole, or with a member for each item.

Promise: an item that occurs several times is stored once and is one object when it is got. An
object that exists already, and a value of a builder of the user, is linked. What is pickled comes
back as a plain list or tuple. It must never know how a single item is stored.

Which way: ten and more numbers, texts and the like cost too much as members. A member is worth its
cost if it is large, or if its bytes are in the store already and are linked, not copied.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any

from vineyard._C import _are_plain
from vineyard.data import default
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader
from vineyard.data._registry import Builder
from vineyard.data._stream import Cycle, Stream

# The released package stores all sequences as members; its tests ask for that up to nine items.
_PLAIN_ITEMS_MAX = 9
# So many plain items are looked at one by one before they are pickled.
_PICKLED_WHOLE_MAX = 1_000
# If one of so few is not plain, no pickler is tried: to look at all of them takes no longer.
_SHORT_ITEMS_MAX = 200
# Small items beside large ones.
_SMALL_ITEMS_MAX = 64
# A node takes trees of 100 levels and 2**18 members; far below that, a pickle is the better form.
_ITEMS_MAX = 10_000
_LEVELS_MAX = 60
# Making a member costs about as much as copying so many bytes.
_LARGE_BYTES_MIN = 64 * 1024

_PLAIN = frozenset({type(None), bool, int, float, str})
# What is described again at each place: a text may be long.
_SMALL = _PLAIN - {str}
# What the pickler knows without asking; subclasses and `complex` are not among them.
_PICKLED = (*_PLAIN, bytes, bytearray, list, tuple, dict, set, frozenset)


class StoredList(list[Any]):
    """The list that a get makes of members. It also equals the tuple that the released package
    gives instead, so that code which compares with that goes on working.
    """

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple):
            return tuple(self) == other
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, (self[:],)


_SEQUENCES = frozenset({list, tuple, StoredList})


def describe(draft: PutDraft, value: Any) -> Tree:
    """The tree of a tuple or list; a subclass, like a named tuple, is pickled.

    Raises:
        ValueError: it contains itself, and an object that must be linked.
    """
    if type(value) not in _SEQUENCES:
        return default.describe(draft, value)
    if draft.open and id(value) in draft.open:
        raise Cycle
    if len(value) > _PLAIN_ITEMS_MAX and not (
        draft.repeated and _is_elsewhere(draft, map(id, value))
    ):
        pickled = _pickled_if_plain(draft, value)
        if pickled is not None:
            return default.describe_pickled(draft, pickled)
    content = _Content(draft, value)
    if not content.has_members():
        return default.describe(draft, value)
    if not draft.open:
        draft.repeated = content.repeated()
    draft.open[id(value)] = value
    buffers, links = len(draft.buffers), draft.links
    try:
        tree = _members(draft, value)
        if len(draft.open) == 1:
            _number_repeated(draft)
        return tree
    except Cycle:
        if content.links:
            raise ValueError(
                f"a {type(value).__name__} that contains itself cannot link objects, or values of "
                "builders of your own"
            ) from None
        # The outermost sequence of a cycle is pickled, with all that is in it.
        if len(draft.open) > 1:
            raise
        del draft.buffers[buffers:]
        draft.links = links
        draft.parts.clear()
    finally:
        del draft.open[id(value)]
    return default.describe(draft, value)


class _NotPlain(Exception):
    """A value is of none of the types that the pickler knows by itself."""


class _PlainPickler(pickle.Pickler):
    """Pickles numbers, text, bytes, None and containers of these, and nothing else. To find out by
    pickling is faster than to look at the items before.
    """

    def reducer_override(self, obj: Any) -> Any:
        raise _NotPlain


def _pickled_if_plain(draft: PutDraft, value: Any) -> bytes | list[Any] | None:
    """The pickle of a sequence, whole or in pieces; None if something is in it that may have to be
    a member: what is not plain, or large.
    """
    items = value[:] if type(value) is StoredList else value
    if (
        len(items) <= _PICKLED_WHOLE_MAX
        and _are_plain(items)
        and draft.context.known(_PLAIN, _builds_plain)
    ):
        return pickle.dumps(items, 5)
    if (
        len(items) <= _SHORT_ITEMS_MAX
        or draft.open
        or not draft.context.known(_PICKLED, _builds_pickled)
    ):
        return None
    stream = Stream()
    try:
        _PlainPickler(stream, 5).dump(items)
    except _NotPlain:
        return None
    if any(found.nbytes >= _LARGE_BYTES_MIN for found in stream.long_bytes()):
        return None
    return stream.pieces().parts()


def _has_own_builders(context: Any, kinds: Iterable[type]) -> bool:
    """Whether no user has registered a builder for one of `kinds`."""
    return all(type(context.find(kind)) is Builder for kind in kinds)


def _builds_plain(context: Any) -> bool:
    return _has_own_builders(context, _PLAIN)


def _builds_pickled(context: Any) -> bool:
    return _has_own_builders(context, _PICKLED)


def _members(draft: PutDraft, value: Any) -> Tree:
    # Other threads may change the list meanwhile.
    items = tuple(value)
    tree: Tree = {
        "typename": "vineyard::Sequence",
        "nbytes": 0,
        "size_": len(items),
        "type_": "tuple" if type(value) is tuple else "list",
        "__elements_-size": len(items),
    }
    first: dict[int, int] = {}
    same: list[tuple[int, int]] = []
    for at, item in enumerate(items):
        if type(item) in _SMALL:
            tree[f"__elements_-{at}"] = draft.part(item)
            continue
        before = first.setdefault(id(item), at)
        if before == at:
            tree[f"__elements_-{at}"] = _part(draft, item, tree, at)
        else:
            tree[f"__elements_-{at}"] = tree[f"__elements_-{before}"]
            same.append((at, before))
    if same:
        tree["same_"] = json.dumps(same)
    return tree


def _is_elsewhere(draft: PutDraft, ids: Iterable[int]) -> bool:
    """Whether an item of these ids is in other places too, outside of the sequence they are of."""
    if not draft.repeated:
        return False
    return any(draft.repeated.get(at, 0) > count for at, count in Counter(ids).items())


@dataclasses.dataclass
class _Part:
    """An item that is described. `item` is kept, so that no other object gets its id meanwhile;
    `places`: the sequences that it is in, and where.
    """

    item: Any
    tree: Tree
    places: list[tuple[Tree, int]]


def _part(draft: PutDraft, item: Any, sequence: Tree, at: int) -> Tree:
    """The tree of an item, the same in all sequences that it is in."""
    part = draft.parts.get(id(item))
    if part is None:
        part = draft.parts[id(item)] = _Part(item, draft.part(item), [])
    part.places.append((sequence, at))
    tree: Tree = part.tree
    return tree


def _number_repeated(draft: PutDraft) -> None:
    """Gives a number to each item that is in several sequences. The numbers are those of one put,
    which `put` names: an object that is linked has numbers of its own.
    """
    put = secrets.token_hex(8)
    numbered: dict[int, tuple[Tree, list[tuple[int, int]]]] = {}
    repeated = (part.places for part in draft.parts.values() if len(part.places) > 1)
    for number, places in enumerate(repeated):
        for sequence, at in places:
            numbered.setdefault(id(sequence), (sequence, []))[1].append((at, number))
    for sequence, items in numbered.values():
        sequence["repeated_"] = json.dumps({"put": put, "items": items})


def restore(reader: Reader, tree: Tree) -> Any:
    """The list, or else tuple, of a tree."""
    before = dict(json.loads(tree.get("same_", "[]")))
    repeated = json.loads(tree.get("repeated_", "{}"))
    numbers = {at: f"{repeated['put']}-{number}" for at, number in repeated.get("items", ())}
    items: list[Any] = []
    for at in range(tree["__elements_-size"]):
        if at in before:
            items.append(items[before[at]])
            continue
        number = numbers.get(at)
        if number in reader.parts:
            items.append(reader.parts[number])
            continue
        items.append(reader.part(tree, f"__elements_-{at}"))
        if number is not None:
            reader.parts[number] = items[at]
    return StoredList(items) if tree.get("type_") == "list" else tuple(items)


class _Content:
    """What a sequence contains on all levels."""

    def __init__(self, draft: PutDraft, value: Any) -> None:
        self._draft = draft
        self._value = value
        # All sequences in it, each once, by id.
        self._sequences: dict[int, Any] = {id(value): value}
        self._levels = 0
        self._has_same_sequence = False
        kinds: set[type] = set()
        level = [value]
        while level:
            self._levels += 1
            found = set(map(type, itertools.chain.from_iterable(level)))
            kinds |= found
            inside = itertools.chain.from_iterable(level if found & _SEQUENCES else ())
            level = self._add([item for item in inside if type(item) in _SEQUENCES])
        self._count = sum(map(len, self._sequences.values()))
        self._kinds = kinds - _SEQUENCES - _PLAIN
        # Whether an item is an object already, or has a builder of the user.
        self.links = not all(map(draft.describes, self._kinds))

    def _add(self, found: list[Any]) -> list[Any]:
        fresh = {id(item): item for item in found if id(item) not in self._sequences}
        self._has_same_sequence |= len(fresh) < len(found)
        self._sequences |= fresh
        return list(fresh.values())

    def has_members(self) -> bool:
        """Whether the sequence is stored with members."""
        if self.links:
            return True
        if self._count > _ITEMS_MAX or self._levels > _LEVELS_MAX:
            return False
        if _is_elsewhere(self._draft, self._items()):
            # Other sequences around it have the same item.
            return True
        if not self._kinds:
            return self._count <= _PLAIN_ITEMS_MAX and not self._has_same_sequence
        others = [self._others(sequence) for sequence in self._sequences.values()]
        distinct = {at: item for found in others for at, item in found.items()}
        is_tree = not self._has_same_sequence and len(distinct) == sum(map(len, others))
        if is_tree and not any(map(self._is_pickled, self._kinds)):
            large = sum(not _is_small(item) for item in distinct.values())
            if self._count - large <= _SMALL_ITEMS_MAX:
                return True
        return self._lives_in_blobs(distinct.values())

    def repeated(self) -> dict[int, int]:
        """By id, in how many places the items are that are in several; none, if members for all
        items at all places were too many.
        """
        if self._count_as_tree() > _ITEMS_MAX:
            return {}
        return {at: count for at, count in Counter(self._items()).items() if count > 1}

    def _count_as_tree(self) -> int:
        """The number of items, if those of a sequence count wherever it is; more than the most that
        is asked for has no meaning.
        """
        count, level = 0, [self._value]
        while level and count <= _ITEMS_MAX:
            count += sum(map(len, level))
            inside = itertools.chain.from_iterable(level if count <= _ITEMS_MAX else ())
            level = [item for item in inside if type(item) in _SEQUENCES]
        return count

    def _items(self) -> Iterable[int]:
        """The ids of the items on all levels, but for those that are plain and short."""
        inside = itertools.chain.from_iterable(self._sequences.values())
        return (id(item) for item in inside if type(item) not in _PLAIN or _is_long_text(item))

    def _others(self, sequence: Any) -> dict[int, Any]:
        """The items of a sequence that are neither plain nor sequences, each once, by id."""
        return {id(item): item for item in sequence if type(item) in self._kinds}

    def _is_pickled(self, kind: type) -> bool:
        describe_kind: Any = getattr(self._draft.context.find(kind), "describe", None)
        return describe_kind is default.describe

    def _lives_in_blobs(self, items: Iterable[Any]) -> bool:
        """Whether one of `items` has its bytes in the store already."""
        if not self._draft.reuses:
            return False
        for item in items:
            if type(item).__module__ == "numpy":
                from vineyard.data import tensor

                if tensor.lives_in_blob(self._draft, item):
                    return True
            elif type(item) is not bytes and not self._is_pickled(type(item)):
                trial = PutDraft(self._draft.client, self._draft.context, self._draft.kwargs)
                trial.open = self._draft.open
                trial.part(item)
                if trial.links:
                    return True
        return False


def _is_long_text(item: Any) -> bool:
    return type(item) is str and len(item) >= _LARGE_BYTES_MIN


def _is_small(item: Any) -> bool:
    kind = type(item)
    if kind is bytes:
        return len(item) < _LARGE_BYTES_MIN
    if kind is memoryview or kind.__module__ == "numpy":
        return bool(item.nbytes < _LARGE_BYTES_MIN)
    return False
