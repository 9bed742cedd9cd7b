"""`vineyard.connect`, and a put and get that connect by themselves."""

from __future__ import annotations

from typing import Any

from vineyard._C import ObjectID
from vineyard.core.client import Client
from vineyard.core.connections.addresses import from_surroundings


def connect(*args: Any, **kwargs: Any) -> Client:
    """Connects to a node: over its Unix socket (IPC), over TCP (RPC), or both.

    - ``connect("/path/of/its.sock")``: IPC
    - ``connect("host", port)``, also ``host=``, ``port=``: RPC; the port is an int or a str
    - ``connect("host:port")``: RPC
    - ``connect(endpoint=("host", port))``: RPC; also ``"host:port"``, or several of these with
      commas: the first that answers
    - ``connect(socket, endpoint=...)``: both; IPC for what is here, RPC for what is elsewhere
    - ``connect(config="/etc/vineyard")``: what the file ``vineyard-config.yaml`` there says
    - ``connect(None)``: what the environment or the configuration file says
    - ``connect()``: the same; with nothing configured, a private node

    The environment is VINEYARD_IPC_SOCKET and VINEYARD_RPC_ENDPOINT (both are used), then
    VINEYARD_CONFIG, a file or folder (``/var/run``). A private node serves this process and those
    it starts, and ends with it; see :func:`vineyard.try_init`.

    >>> with vineyard.connect() as client:
    ...     object_id = client.put([1, 2, 3])

    Parameters:
        socket: str, bytes, os.PathLike or None
            The path of a Unix socket, of at most 107 bytes.
        port: int, str or None
            A TCP port.
        host: str or None
            The host of the port.
        endpoint: tuple of str and int, or str, or None
            ``(host, port)`` or ``"host:port"``.
        rdma_endpoint: str, tuple or None
            Accepted and not used.
        session: int or None
            Accepted over IPC and not used.
        username: str or None
            The user name, for nodes that ask for one.
        password: str or None
            The password of that user.
        config: str or None
            A configuration file or the folder of one.
        pickle: str or None
            ``"allow"`` or ``"refuse"``: whether a get may read pickles, which runs code that their
            writer chose. None: what the environment says in VINEYARD_PICKLE, or else ``"allow"``.
        ca: str, os.PathLike or None
            Over TCP, take only nodes of this cluster: the path of a file in PEM, PEM itself, or the
            fingerprint that ``vineyardctl token ca`` prints. None: what VINEYARD_CA says; without
            that, TCP that leaves the machine is encrypted and nobody is verified.

    Returns:
        Client: an ``IPCClient``, an ``RPCClient`` or both, in the sense of isinstance.

    Raises:
        ConnectionFailedException: nothing to connect to, nothing answers, or the node refuses. It
            is a ConnectionError, too.
        ValueError: an endpoint is not ``host:port``, a path is not UTF-8, or `pickle` is neither of
            the two.
        TypeError: an unknown argument.
    """
    says_where = args or kwargs.keys() - {"username", "password", "pickle", "ca"}
    if not says_where and not from_surroundings():
        from vineyard.deploy.local import private_socket

        return Client(private_socket(), **kwargs)
    return Client(*args, **kwargs)


def put(
    value: Any,
    builder: Any = None,
    persist: bool = False,
    name: str | None = None,
    **kwargs: Any,
) -> ObjectID:
    """Connects as :func:`connect` does without arguments, and puts a value.

    Parameters:
        value: object
            The value.
        builder: callable, BuilderContext or None
            Builds it instead of the current context.
        persist: bool
            Whether to make the object visible to all instances of the cluster. Default False.
        name: str or None
            The name to give it; needs ``persist``.
        **kwargs:
            For the builder.

    Returns:
        ObjectID

    Raises:
        ConnectionFailedException: there is no node.
        NotEnoughMemoryException: no instance has room for the value.
    """
    return connect().put(value, builder, persist, name, **kwargs)


def get(
    object_id: ObjectID | int | str | None = None,
    name: str | None = None,
    resolver: Any = None,
    fetch: bool = False,
    *,
    copy: bool = False,
    **kwargs: Any,
) -> Any:
    """Connects as :func:`connect` does without arguments, and gets a value.

    Parameters:
        object_id: ObjectID, int, str or None
            The object.
        name: str or None
            The name of the object; used if ``object_id`` is None.
        resolver: callable, ResolverContext or None
            Makes the value, instead of the current context.
        fetch: bool
            Whether an object of another instance is first copied to this one. Default False.
        copy: bool
            Whether the value gets bytes of its own, which can be written, in place of views.
            Default False.
        **kwargs:
            For the resolver.

    Returns:
        The value.

    Raises:
        ConnectionFailedException: there is no node.
        ObjectNotExistsException: there is no such object or name.
        PickleRefused: the value needs a pickle, and VINEYARD_PICKLE is ``refuse``.
    """
    return connect().get(object_id, name, resolver, fetch, copy=copy, **kwargs)
