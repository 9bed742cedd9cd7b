"""Verbs on values and whole objects: put, get, migrate. Here remote objects get their bytes."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from vineyard._C import NotEnoughMemoryException, Object, ObjectID, ObjectMeta
from vineyard.core import builder as builders
from vineyard.core import failover, remote, resolver, upload
from vineyard.core.pickles import REFUSE
from vineyard.core.progress import is_shown
from vineyard.core.verbs.handles import Handles

if TYPE_CHECKING:
    from vineyard.core.builder import Builder
    from vineyard.core.resolver import Resolver


class ObjectVerbs(Handles):
    """Values in, values out."""

    # Whether pickles are read: as `vineyard.connect` was told.
    pickle: str

    def put(
        self,
        value: Any,
        builder: Builder | None = None,
        persist: bool = False,
        name: str | None = None,
        *,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> ObjectID:
        """Puts a Python value into vineyard.

        >>> client.put(numpy.arange(8))
        o00002ec13bc81226

        If the instance is full and another one has room, this client moves to that one, for good,
        with a warning.

        Parameters:
            value: object
                The value. Without a builder for its type it is pickled, with buffers out of band.
            builder: callable, BuilderContext or None
                Builds the value instead of the current context; what it returns is returned as it
                is.
            persist: bool
                Whether all instances of the cluster shall see the object. Default False.
            name: str or None
                The name to give it; needs ``persist``.
            progress: bool or None
                Whether a put over the network shows a bar (needs tqdm). None: in a notebook, if it
                is large.
            **kwargs:
                For the builder.

        Returns:
            ObjectID: the id of the new object.

        Raises:
            NotEnoughMemoryException: no instance has room for the value.
            RuntimeError: the context has no builder for the type.
        """
        client = _Watched(self, progress) if is_shown(None, progress) else self
        try:
            return builders.put(client, value, builder, persist, name, **kwargs)
        except NotEnoughMemoryException:
            if not self._move_to_roomiest():
                warnings.warn("No other vineyard instance available", stacklevel=2)
                raise
        return builders.put(client, value, builder, persist, name, **kwargs)

    def get(
        self,
        object_id: ObjectID | int | str | None = None,
        name: str | None = None,
        resolver: Resolver | None = None,
        fetch: bool = False,
        *,
        progress: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Gets an object as a Python value. Arrays and tables are read-only views of the shared
        memory.

        >>> client.get(vineyard.ObjectID("o00002ec13bc81226"))
        array([0, 1, 2, 3, 4, 5, 6, 7])

        Parameters:
            object_id: ObjectID, int, str or None
                The object.
            name: str or None
                The name of the object; used if ``object_id`` is None.
            resolver: callable, ResolverContext or None
                Makes the value, instead of the current context.
            fetch: bool
                Whether an object of another instance is first copied to this one, to stay. Default
                False: its bytes are read from their owner, and nothing is stored here.
            progress: bool or None
                Whether bytes from another machine show a bar (needs tqdm). None: in a notebook, if
                they are many.
            **kwargs:
                For the resolver.

        Returns:
            The value; the Object itself if there is no resolver for its typename.

        Raises:
            ObjectNotExistsException: there is no such object or name.
            PickleRefused: the value needs a pickle, and this client refuses them.
            ValueError: a text that is no id.
            TypeError: neither an id nor a name was given.
        """
        client = self if progress is None else _Watched(self, progress)
        return _get(client, object_id, name, resolver, fetch, **kwargs)

    def get_object(
        self, object_id: ObjectID, sync_remote: bool = True, fetch: bool = False
    ) -> Object:
        """An object with its members and their bytes.

        Parameters:
            object_id: ObjectID
                The object.
            sync_remote: bool
                Whether the node first makes sure it knows what the cluster knows. Default True.
            fetch: bool
                Whether an object of another instance is copied to this one, to stay; the id is then
                the copy's. Default False.

        Returns:
            Object

        Raises:
            ObjectNotExistsException: there is no such object.
        """
        return self._object(object_id, None, fetch, sync_remote)

    def get_objects(self, object_ids: list[ObjectID], sync_remote: bool = True) -> list[Object]:
        """Several objects with their members and their bytes.

        Parameters:
            object_ids: list of ObjectID
                The objects.
            sync_remote: bool
                As for :meth:`get_object`.

        Returns:
            list of Object, in the same order.

        Raises:
            ObjectNotExistsException: one does not exist.
        """
        return [self._object(object_id, None, False, sync_remote) for object_id in object_ids]

    def migrate(self, object_id: ObjectID) -> ObjectID:
        """Copies a persisted object of another instance to the connected one. Doing it again finds
        the same copy.

        Parameters:
            object_id: ObjectID
                The object.

        Returns:
            ObjectID: the copy; for an object that is here already, its own id.

        Raises:
            MetaTreeSubtreeNotExistsException: there is no such object.
            NotEnoughMemoryException: there is no room here.
        """
        return self.default_client().migrate(object_id)

    def _object(
        self,
        object_id: ObjectID | None,
        name: str | None,
        fetch: bool,
        sync_remote: bool = True,
        progress: bool | None = None,
    ) -> Object:
        """The object of an id or name, every byte below it within reach; one round trip if it is
        here, or if it is fetched.
        """
        meta = self._get_tree(object_id, name=name, sync_remote=sync_remote, fetch=fetch)
        if not meta.islocal:
            remote.attach(self, meta, progress)
        if self.pickle == REFUSE:
            # For who resolves the object later, without this client.
            meta._client = self
        return Object.from_(meta)

    def _move_to_roomiest(self) -> bool:
        """Reconnects to the instance with the most free memory; False if there is no other."""
        instance = failover.roomiest(self)
        if instance is None:
            return False
        warnings.warn(
            f"Put object to the vineyard instance {instance} with the most available memory.",
            stacklevel=3,
        )
        described = self.meta[instance]
        socket = described["ipc_socket"]
        self._reconnect(
            socket if socket and os.path.exists(socket) else None, remote.endpoint_of(described)
        )
        return True


# Within the class the parameter `resolver` hides the module of that name.
_get = resolver.get


class _Watched:
    """A client whose transfers show a bar. All else is the client's own."""

    def __init__(self, client: Any, progress: bool | None) -> None:
        self._client = client
        self._progress = progress

    @property
    def __class__(self) -> type:
        # A builder may ask what kind of client it was given.
        return type(self._client)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _put_tree(
        self,
        tree: dict[str, Any],
        buffers: list[Any],
        persist: bool = False,
        name: str | None = None,
    ) -> ObjectMeta:
        client = self._client
        if not client.has_ipc_client() and upload.worth_watching(buffers, self._progress):
            return upload.put_watched(client.rpc_client, tree, buffers, persist, name)
        return client._put_tree(tree, buffers, persist, name)

    def _object(self, object_id: ObjectID | None, name: str | None, fetch: bool) -> Object:
        return self._client._object(object_id, name, fetch, progress=self._progress)
