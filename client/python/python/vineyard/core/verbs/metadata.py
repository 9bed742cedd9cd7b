"""Verbs on metadata: create, read, list, persist, label, copy and delete objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from vineyard._C import Object, ObjectID, ObjectMeta
from vineyard.core.verbs.handles import Handles, Target, id_of, ids_of


class MetadataVerbs(Handles):
    """Objects as metadata."""

    @overload
    def create_metadata(
        self, metadata: ObjectMeta, instance_id: int | None = None
    ) -> ObjectMeta: ...
    @overload
    def create_metadata(
        self, metadata: list[ObjectMeta], instance_id: int | None = None
    ) -> list[ObjectMeta]: ...
    def create_metadata(
        self, metadata: ObjectMeta | list[ObjectMeta], instance_id: int | None = None
    ) -> ObjectMeta | list[ObjectMeta]:
        """Makes an object of metadata, or several.

        Parameters:
            metadata: ObjectMeta or list of ObjectMeta
                Each needs a ``typename``. Its id, signature and instance are filled in.
            instance_id: int or None
                The instance to say it is on; None: the connected one.

        Returns:
            ObjectMeta: the very same object; for a list, a list.

        Raises:
            MetaTreeInvalidException: a typename is missing.
            MetaTreeSubtreeNotExistsException: a member does not exist.
        """
        client = self.default_client()
        if instance_id is None:
            return client.create_metadata(metadata)
        return client.create_metadata(metadata, instance_id)

    def get_meta(self, object_id: ObjectID, sync_remote: bool = True) -> ObjectMeta:
        """The metadata of an object.

        Parameters:
            object_id: ObjectID
                The object.
            sync_remote: bool
                Whether the node first makes sure it knows what the cluster knows. Default True.

        Returns:
            ObjectMeta

        Raises:
            ObjectNotExistsException: neither this instance nor the cluster has such an object.
        """
        return self.default_client().get_meta(object_id, sync_remote)

    def get_metas(self, object_ids: list[ObjectID], sync_remote: bool = True) -> list[ObjectMeta]:
        """The metadata of several objects, in one exchange.

        Parameters:
            object_ids: list of ObjectID
                The objects.
            sync_remote: bool
                As for :meth:`get_meta`.

        Returns:
            list of ObjectMeta, in the same order.

        Raises:
            ObjectNotExistsException: one does not exist; the message names it.
        """
        return self.default_client().get_metas(object_ids, sync_remote)

    def list_metadatas(
        self, pattern: str, regex: bool = False, limit: int = 5, nobuffer: bool = False
    ) -> list[ObjectMeta]:
        """The metadata of the objects whose typename matches.

        Parameters:
            pattern: str
                A wildcard pattern (``*``, ``?``) for the whole typename.
            regex: bool
                Whether the pattern is a regular expression instead. Default False.
            limit: int
                At most this many. Default 5.
            nobuffer: bool
                Whether to leave the blobs unattached, which is faster. Default False.

        Returns:
            list of ObjectMeta

        Raises:
            ConnectionErrorException: the connection is closed or broken.
        """
        return self.default_client().list_metadatas(pattern, regex, limit, nobuffer)

    def list_objects(self, pattern: str, regex: bool = False, limit: int = 5) -> list[Object]:
        """The objects whose typename matches.

        Parameters:
            pattern: str
                A wildcard pattern (``*``, ``?``) for the whole typename.
            regex: bool
                Whether the pattern is a regular expression instead. Default False.
            limit: int
                At most this many. Default 5.

        Returns:
            list of Object

        Raises:
            ConnectionErrorException: the connection is closed or broken.
        """
        return self.default_client().list_objects(pattern, regex, limit)

    def exists(self, object_id: ObjectID) -> bool:
        """Whether an object exists, here or persisted.

        Parameters:
            object_id: ObjectID
                The object.

        Returns:
            bool

        Raises:
            TypeError: it is not an ObjectID.
        """
        return self.default_client().exists(object_id)

    def persist(self, object: Target) -> None:
        """Makes an object and all below it visible to every instance, durably. Doing it again does
        nothing.

        Parameters:
            object: ObjectID, ObjectMeta or Object
                The object.

        Raises:
            MetaTreeSubtreeNotExistsException: it, or a member, does not exist.
        """
        self.default_client().persist(id_of(object))

    def delete(
        self,
        object: Target | list[Target],
        force: bool = False,
        deep: bool = True,
        memory_trim: bool = False,
    ) -> None:
        """Deletes objects and their names. It is not an error if an id does not exist.

        Parameters:
            object: ObjectID, ObjectMeta, Object, or a list of them
                What to delete.
            force: bool
                Whether to delete it although another object contains it; that one is deleted too.
                Default False: an object that is contained is kept.
            deep: bool
                Whether to delete members that no other object uses. Blobs that are direct members
                always go. Default True.
            memory_trim: bool
                Whether to give the memory back to the operating system at once. Default False.

        Raises:
            TypeError: it is none of these.
        """
        self.default_client().delete(ids_of(object), force, deep, memory_trim)

    def shallow_copy(
        self, object_id: ObjectID, extra_metadata: Mapping[str, Any] | None = None
    ) -> ObjectID:
        """A new transient object with the same members.

        Parameters:
            object_id: ObjectID
                The object to copy; no blob.
            extra_metadata: dict of str to str, int, float, bool or None
                Keys to add or to change.

        Returns:
            ObjectID: the copy.

        Raises:
            MetaTreeSubtreeNotExistsException: it does not exist.
            AssertionFailedException: it is a blob, or a value of ``extra_metadata`` is nested.
        """
        if extra_metadata is None:
            return self.default_client().shallow_copy(object_id)
        return self.default_client().shallow_copy(object_id, dict(extra_metadata))

    def label(
        self,
        object_id: ObjectID,
        key_or_labels: str | Mapping[str, str],
        value: str | None = None,
    ) -> None:
        """Puts labels on an object; ``meta.labels`` reads them.

        Parameters:
            object_id: ObjectID
                The object.
            key_or_labels: str, or dict of str to str
                One label's key, or several labels.
            value: str or None
                The value of the one.

        Raises:
            ObjectNotExistsException: there is no such object.
            ValueError: a key without a value.
        """
        if isinstance(key_or_labels, str):
            if value is None:
                raise ValueError(
                    f"label(object_id, {key_or_labels!r}, value) needs the value of the label"
                )
            self.default_client().label(object_id, key_or_labels, value)
        else:
            self.default_client().label(object_id, dict(key_or_labels))
