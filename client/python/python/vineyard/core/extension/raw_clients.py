"""Methods of raw clients, which have one connection, so that values can be got with them."""

from __future__ import annotations

import functools
from typing import Any

from vineyard._C import Object
from vineyard.core.contexts import pickle_setting


def get_object(
    self: Any, object_id: Any, name: str | None, fetch: bool, sync_remote: bool = True
) -> Object:
    """The object that :func:`vineyard.core.verbs.values.get` resolves. A raw client reads no bytes
    of other instances.
    """
    meta = self._get_tree(object_id, name=name, sync_remote=sync_remote)
    if fetch and not meta.islocal:
        meta = self._get_tree(self.migrate(meta.id), sync_remote=sync_remote)
    if pickle_setting.setting_of(self) == pickle_setting.REFUSE:
        # The object may be resolved later, without this client.
        meta._client = self
    return Object.from_(meta)


def keeping_setting(fork: Any) -> Any:
    """The method `fork` of a raw client, so that the new client has the setting for pickles of the
    one it was made of.
    """

    @functools.wraps(fork)
    def forked(self: Any) -> Any:
        made = fork(self)
        pickle_setting.inherit(self, made)
        return made

    return forked
