"""Builders and resolvers as the contexts see them: names of functions, found at the first call.

Promise: one put sends one tree, also of a nested value; one get reads one tree. A builder calls
its module's `describe(draft, value)`, a resolver its `restore(reader, tree)`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pickle import PicklingError
from typing import Any

from vineyard._C import VineyardException
from vineyard.data._draft import PutDraft, Tree
from vineyard.data._reader import Reader


def _load(place: str, default: str) -> Callable[..., Any]:
    module, _, function = place.partition(":")
    loaded = import_module(f"vineyard.data.{module}")
    found: Callable[..., Any] = getattr(loaded, function or default)
    return found


class Builder:
    """Builds values of one type; `place` is ``module`` or ``module:function`` in this package."""

    # The context may pass `persist` and `name`: they are part of the put request.
    publishes = True

    def __init__(self, place: str) -> None:
        self._place = place
        self._describe: Callable[[PutDraft, Any], Tree] | None = None

    def __repr__(self) -> str:
        return f"<builder vineyard.data.{self._place}>"

    @property
    def describe(self) -> Callable[[PutDraft, Any], Tree]:
        """The function that makes the tree of a value."""
        if self._describe is None:
            self._describe = _load(self._place, "describe")
        return self._describe

    def __call__(
        self,
        client: Any,
        value: Any,
        builder: Any = None,
        persist: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Puts `value` and returns its ObjectMeta."""
        if builder is None:
            from vineyard.core.builder import get_current_builders

            builder = get_current_builders()
        draft = PutDraft(client, builder, kwargs)
        tree = self._tree(draft, value)
        if not draft.links:
            return client._put_tree(tree, draft.buffers, persist, name)
        try:
            return client._put_tree(tree, draft.buffers, persist, name)
        except VineyardException:
            # A blob the value lives in may have been deleted since: its bytes are still mapped, so
            # copy them.
            draft = PutDraft(client, builder, kwargs, reuse=False)
            return client._put_tree(self._tree(draft, value), draft.buffers, persist, name)

    def _tree(self, draft: PutDraft, value: Any) -> Tree:
        """The tree of the whole value; `global_=True` lets its parts lie on several instances.

        Raises:
            TypeError, AttributeError, ValueError, PicklingError: a part cannot be pickled; the text
                says where it is.
        """
        try:
            tree = self.describe(draft, value)
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            from vineyard.data._where import located

            found = located(error, value, draft.describes)
            if found is error:
                raise
            raise found from error
        if draft.kwargs.get("global_") and "_buffer" not in tree:
            tree["global"] = True
        return tree


class Resolver:
    """Makes values of one family of typenames; `place` as in :class:`Builder`."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._restore: Callable[[Reader, Tree], Any] | None = None

    def __repr__(self) -> str:
        return f"<resolver vineyard.data.{self._place}>"

    @property
    def restore(self) -> Callable[[Reader, Tree], Any]:
        """The function that makes the value of a tree."""
        if self._restore is None:
            self._restore = _load(self._place, "restore")
        return self._restore

    def __call__(self, obj: Any, resolver: Any = None, **kwargs: Any) -> Any:
        """The value of `obj`."""
        meta = obj.meta
        return self.restore(Reader(meta, resolver, kwargs), meta._content())
