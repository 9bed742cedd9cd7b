"""Verbs on values and whole objects: put, get, migrate. Here the bytes of remote objects are
fetched.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from vineyard._C import NotEnoughMemoryException, Object, ObjectID, ObjectMeta
from vineyard.core.connections import failover
from vineyard.core.connections.addresses import endpoint_of
from vineyard.core.contexts.builders import Builder
from vineyard.core.contexts.pickle_setting import REFUSE
from vineyard.core.contexts.resolvers import Resolver
from vineyard.core.transfers import progress as progress_bars
from vineyard.core.transfers.progress import Progress, is_shown
from vineyard.core.verbs import values
from vineyard.core.verbs.handles import Handles


class ObjectVerbs(Handles):
    """Values in, values out."""

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

        >>> object_id = client.put(numpy.arange(8))

        If the instance is full and another one has room, this client moves to that one, for good,
        with a warning.

        Parameters:
            value: object
                The value. Without a builder for its type it is pickled, with buffers out of band.
            builder: callable, BuilderContext or None
                Builds the value instead of the current context; what it returns is returned as it
                is.
            persist: bool
                Whether to make the object visible to all instances of the cluster. Default False.
            name: str or None
                The name to give it; needs ``persist``.
            progress: bool or None
                Whether a put over the network shows a bar (needs tqdm). None: in a notebook, if it
                is large.
            **kwargs:
                For the builder. ``layout="columns"`` puts a data frame of more than 1,000 columns
                in the layout that vineyard 0.24 reads, one member for each column; without it, a
                frame of one numpy dtype is one block.

        Returns:
            ObjectID: the id of the new object.

        Raises:
            NotEnoughMemoryException: no instance has room for the value.
            RuntimeError: the context has no builder for the type.
        """
        if progress is not None:
            with progress_bars.asked_for(progress):
                return self.put(value, builder, persist, name, **kwargs)
        try:
            built: ObjectID = values.put(self, value, builder, persist, name, **kwargs)
            return built
        except NotEnoughMemoryException:
            if not self._move_to_roomiest():
                warnings.warn("No other vineyard instance available", stacklevel=2)
                raise
        built = values.put(self, value, builder, persist, name, **kwargs)
        return built

    def get(
        self,
        object_id: ObjectID | int | str | None = None,
        name: str | None = None,
        resolver: Resolver | None = None,
        fetch: bool = False,
        *,
        progress: bool | None = None,
        copy: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Gets an object as a Python value. Arrays and tables are read-only views of the shared
        memory.

        >>> object_id = client.put(numpy.arange(8))
        >>> client.get(object_id)
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
            copy: bool
                Whether the value gets bytes of its own, which can be written, in place of views;
                nothing of it stays in the shared memory. Default False.
            **kwargs:
                For the resolver.

        Returns:
            The value; the Object itself if there is no resolver for its typename.

        Raises:
            ObjectNotExistsException: there is no such object or name.
            PickleRefused: the value needs a pickle, and this client refuses them.
            ValueError: the text is not an id.
            TypeError: neither an id nor a name was given.
        """
        if progress is not None:
            with progress_bars.asked_for(progress):
                return self.get(object_id, name, resolver, fetch, copy=copy, **kwargs)
        return values.get(self, object_id, name, resolver, fetch, copy=copy, **kwargs)

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
    ) -> Object:
        """The object of an id or name, with all bytes below it; one round trip if it is here, or if
        it is fetched.
        """
        meta = self._get_tree(object_id, name=name, sync_remote=sync_remote, fetch=fetch)
        if not meta.islocal:
            self._complete(meta)
        if self._pickle == REFUSE:
            # The object may be resolved later, without this client.
            meta._client = self
        return Object.from_(meta)

    def _complete(self, meta: ObjectMeta) -> None:
        """Reads what is on other instances of the bytes below `meta`, and stores it nowhere.

        Raises:
            IOErrorException: an instance is no longer in the cluster, or cannot be reached.
            ObjectNotExistsException: an instance does not have the bytes.
        """
        if meta._is_complete():
            return
        wanted = progress_bars.wanted()
        # A guess is enough for a bar, and costs a walk through the tree.
        size = _size_bytes(meta._tree()) if is_shown(None, wanted) else 0
        with Progress(size or None, "fetch", wanted) as bar:
            self.default_client()._complete(meta, self.compression, bar.advance)

    def _move_to_roomiest(self) -> bool:
        """Reconnects to the instance with the most free memory; False if there is no other."""
        instances = self.default_client().meta
        instance = failover.roomiest(
            instances,
            self._connected_instance(),
            self._status_at,
        )
        if instance is None:
            return False
        warnings.warn(
            f"Put object to the vineyard instance {instance} with the most available memory.",
            stacklevel=3,
        )
        described = instances[instance]
        socket = described["ipc_socket"]
        self._reconnect(
            socket if socket and os.path.exists(socket) else None, endpoint_of(described)
        )
        return True


def _size_bytes(tree: dict[str, Any]) -> int:
    """How large an object says it is, or its parts together; 0 if they do not say."""
    parts = sum(_size_bytes(value) for value in tree.values() if isinstance(value, dict))
    return max(int(tree.get("length") or tree.get("nbytes") or 0), parts)
