"""Vineyard: immutable objects in shared memory, put by one process and got by others without a
copy.

>>> import vineyard
>>> with vineyard.connect() as client:
...     object_id = client.put([1, 2, 3])
...     client.get(object_id)
[1, 2, 3]

Promise: importing this package imports no library of values; they come with the first value of
theirs.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from vineyard._C import (
    AlreadyStoppedException,
    ArrowErrorException,
    AssertionFailedException,
    Blob,
    BlobBuilder,
    ConnectionErrorException,
    ConnectionFailedException,
    DeadlineException,
    EndOfFileException,
    EtcdErrorException,
    GlobalObjectInvalidException,
    InstanceStatus,
    InvalidException,
    InvalidStreamStateException,
    IOErrorException,
    KeyErrorException,
    MetaTreeInvalidException,
    MetaTreeLinkInvalidException,
    MetaTreeNameInvalidException,
    MetaTreeNameNotExistsException,
    MetaTreeSubtreeNotExistsException,
    MetaTreeTypeInvalidException,
    MetaTreeTypeNotExistsException,
    NotEnoughMemoryException,
    NotImplementedException,
    Object,
    ObjectBuilder,
    ObjectExistsException,
    ObjectID,
    ObjectIsBlobException,
    ObjectMeta,
    ObjectName,
    ObjectNotExistsException,
    ObjectNotSealedException,
    ObjectSealedException,
    ObjectTypeErrorException,
    RedisErrorException,
    RemoteBlob,
    RemoteBlobBuilder,
    StreamDrainedException,
    StreamFailedException,
    StreamOpenedException,
    TypeErrorException,
    UnknownErrorException,
    UserInputErrorException,
    VineyardException,
    VineyardServerNotReadyException,
    _connect,  # noqa: F401 - scripts of the released package import it
    memory_copy,
)
from vineyard.core import (
    Client,
    builder_context,
    default_builder_context,
    default_driver_context,
    default_resolver_context,
    driver_context,
    resolver_context,
)
from vineyard.core.builder import BuilderContext
from vineyard.core.connect import connect, get, put
from vineyard.core.contexts.pickle_setting import PickleRefused
from vineyard.core.extension.instance_checks import IPCClient, RPCClient
from vineyard.core.resolver import ResolverContext
from vineyard.core.utils import envvars
from vineyard.core.version import __version__
from vineyard.data import register_builtin_types

if TYPE_CHECKING:
    from vineyard import core, csi, data, deploy, io, shared_memory
    from vineyard.data.graph import Graph
    from vineyard.deploy.local import get_current_socket, shutdown, try_init

logger = logging.getLogger("vineyard")

ConnectionFailed = ConnectionFailedException

# What few need, by the module it is in: imported when it is asked for.
_LATER = {
    "Graph": "vineyard.data.graph",
    "get_current_socket": "vineyard.deploy.local",
    "shutdown": "vineyard.deploy.local",
    "try_init": "vineyard.deploy.local",
}
_LATER_MODULES = ("cli", "csi", "ctl", "deploy", "io", "shared_memory")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
    elif name in _LATER_MODULES:
        return importlib.import_module(f"vineyard.{name}")
    else:
        raise AttributeError(f"module 'vineyard' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_LATER_MODULES})


def _start() -> None:
    """What importing does besides defining names."""
    from vineyard.core.extension import install
    from vineyard.core.startup import import_conflicts, plugins

    install.install()
    register_builtin_types(default_builder_context, default_resolver_context)
    import_conflicts.warn_of_released_package()
    plugins.load_plugins(list(__path__))


_start()

__all__ = [
    "AlreadyStoppedException",
    "ArrowErrorException",
    "AssertionFailedException",
    "Blob",
    "BlobBuilder",
    "BuilderContext",
    "Client",
    "ConnectionErrorException",
    "ConnectionFailed",
    "ConnectionFailedException",
    "DeadlineException",
    "EndOfFileException",
    "EtcdErrorException",
    "GlobalObjectInvalidException",
    "Graph",
    "IOErrorException",
    "IPCClient",
    "InstanceStatus",
    "InvalidException",
    "InvalidStreamStateException",
    "KeyErrorException",
    "MetaTreeInvalidException",
    "MetaTreeLinkInvalidException",
    "MetaTreeNameInvalidException",
    "MetaTreeNameNotExistsException",
    "MetaTreeSubtreeNotExistsException",
    "MetaTreeTypeInvalidException",
    "MetaTreeTypeNotExistsException",
    "NotEnoughMemoryException",
    "NotImplementedException",
    "Object",
    "ObjectBuilder",
    "ObjectExistsException",
    "ObjectID",
    "ObjectIsBlobException",
    "ObjectMeta",
    "ObjectName",
    "ObjectNotExistsException",
    "ObjectNotSealedException",
    "ObjectSealedException",
    "ObjectTypeErrorException",
    "PickleRefused",
    "RPCClient",
    "RedisErrorException",
    "RemoteBlob",
    "RemoteBlobBuilder",
    "ResolverContext",
    "StreamDrainedException",
    "StreamFailedException",
    "StreamOpenedException",
    "TypeErrorException",
    "UnknownErrorException",
    "UserInputErrorException",
    "VineyardException",
    "VineyardServerNotReadyException",
    "__version__",
    "builder_context",
    "connect",
    "core",
    "csi",
    "data",
    "default_builder_context",
    "default_driver_context",
    "default_resolver_context",
    "deploy",
    "driver_context",
    "envvars",
    "get",
    "get_current_socket",
    "io",
    "logger",
    "memory_copy",
    "put",
    "register_builtin_types",
    "resolver_context",
    "shared_memory",
    "shutdown",
    "try_init",
]
