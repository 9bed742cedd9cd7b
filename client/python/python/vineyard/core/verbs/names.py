"""Verbs on names: the names of objects are the same in the whole cluster."""

from __future__ import annotations

from vineyard._C import ObjectID, ObjectName
from vineyard.core.verbs.handles import Handles, Target, id_of


class NameVerbs(Handles):
    """Names of persisted objects."""

    def put_name(self, object: Target, name: str | ObjectName) -> None:
        """Gives a persisted object a name; a name that exists is moved to it. An object may have
        several.

        Parameters:
            object: ObjectID, ObjectMeta or Object
                The object.
            name: str or ObjectName
                The name.

        Raises:
            InvalidException: the object is transient: persist it first.
            ObjectNotExistsException: there is no such object.
        """
        self.default_client().put_name(id_of(object), name)

    def get_name(
        self, name: str | ObjectName, wait: bool = False, timeout: float | None = None
    ) -> ObjectID:
        """The object of a name.

        Parameters:
            name: str or ObjectName
                The name.
            wait: bool
                Whether to wait until the name appears. Default False. Ctrl-C ends the wait.
            timeout: float or None
                Seconds to wait at most; None: as long as it takes.

        Returns:
            ObjectID

        Raises:
            ObjectNotExistsException: there is no such name, and ``wait`` is False.
            DeadlineException: it did not appear in time. A TimeoutError too.
        """
        if not wait:
            return self.default_client().get_name(name)
        return self.default_client().get_name(name, wait=True, timeout=timeout)

    def list_names(self, pattern: str, regex: bool = False, limit: int = 5) -> dict[str, ObjectID]:
        """The names that match, with their objects.

        Parameters:
            pattern: str
                A wildcard pattern (``*``, ``?``) for the whole name.
            regex: bool
                Whether the pattern is a regular expression instead. Default False.
            limit: int
                At most this many. Default 5.

        Returns:
            dict of str to ObjectID, sorted by name.

        Raises:
            ConnectionErrorException: the connection is closed or broken.
        """
        return self.default_client().list_names(pattern, regex, limit)

    def drop_name(self, name: str | ObjectName) -> None:
        """Removes a name; the object stays. It is not an error if the name does not exist.

        Parameters:
            name: str or ObjectName
                The name.

        Raises:
            ConnectionErrorException: the connection is closed or broken.
        """
        self.default_client().drop_name(name)
