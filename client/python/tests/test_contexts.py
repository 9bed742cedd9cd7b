"""Builders, resolvers and drivers: which one is chosen, and how long it is registered."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import pandas as pd
import pytest
import vineyard
from vineyard.core import context
from vineyard.core.builder import BuilderContext, get_current_builders
from vineyard.core.driver import DriverContext, get_current_drivers
from vineyard.core.resolver import ResolverContext, get_current_resolvers

RELEASED_MODULES = {
    "builder": "BuilderContext builder_context default_builder_context get_current_builders put",
    "client": "Client",
    "driver": "DriverContext default_driver_context driver_context get_current_drivers",
    "resolver": "ResolverContext default_resolver_context get resolver_context",
    "utils": "envvars",
}


@pytest.mark.parametrize("module", RELEASED_MODULES)
def test_names_are_imported_from_the_modules_that_the_released_package_has(module):
    imported = importlib.import_module(f"vineyard.core.{module}")
    assert [name for name in RELEASED_MODULES[module].split() if not hasattr(imported, name)] == []


class Base:
    pass


class Derived(Base):
    pass


class FakeObject:
    def __init__(self, typename: str) -> None:
        self.typename = typename


def test_the_longest_prefix_resolves():
    resolvers = ResolverContext()
    resolvers.register("a::", lambda obj: "short")
    resolvers.register("a::b", lambda obj: "long")
    assert resolvers.run(FakeObject("a::bc")) == "long"
    assert resolvers(FakeObject("a::c")) == "short"


def test_an_inner_resolver_wins_over_a_longer_outer_prefix():
    outer = ResolverContext()
    outer.register("a::b", lambda obj: "outer")
    inner = outer.extend({"a": lambda obj: "inner"})
    assert inner(FakeObject("a::b")) == "inner"
    assert outer(FakeObject("a::b")) == "outer"
    assert inner.parent_context is outer
    assert outer.parent_context is outer


def test_what_has_no_resolver_stays_an_object():
    obj = FakeObject("unheard::Of")
    assert ResolverContext().run(obj) is obj


def test_a_resolver_gets_what_it_asks_for():
    resolvers = ResolverContext()
    resolvers.register("all", lambda obj, **kw: sorted(kw))
    resolvers.register("one", lambda obj, resolver: resolver)
    resolvers.register("none", lambda obj: "none")
    assert resolvers.run(FakeObject("all"), extra=1) == ["extra", "resolver"]
    assert resolvers.run(FakeObject("one"), extra=1) is resolvers
    assert resolvers.run(FakeObject("none"), extra=1) == "none"


def test_a_failing_resolver_says_of_what():
    def fail(obj):
        raise KeyError("cause")

    def fail_openly(obj, **kw):
        raise KeyError("cause")

    resolvers = ResolverContext()
    resolvers.register("closed", fail)
    resolvers.register("open", fail_openly)
    with pytest.raises(RuntimeError, match="typename is closed") as caught:
        resolvers.run(FakeObject("closed"))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(KeyError):
        resolvers.run(FakeObject("open"))


def test_a_builder_is_found_by_the_order_of_classes():
    builders = BuilderContext()
    builders.register(Base, lambda client, value: "base")
    assert builders.run(None, Derived()) == "base"
    builders.register(Derived, lambda client, value: "derived")
    assert builders(None, Derived()) == "derived"
    assert builders.find(Base) is not None
    assert builders.find(int) is None


def test_a_builder_is_found_by_the_name_of_a_type():
    builders = BuilderContext()
    builders.register(f"{__name__}.Base", lambda client, value, builder: builder)
    assert builders.run(None, Derived()) is builders


def test_a_type_without_a_builder_is_named():
    with pytest.raises(RuntimeError, match=r"Unknown type to build as vineyard object.*Derived"):
        BuilderContext().run(None, Derived())


def test_a_builder_gets_the_context_and_the_arguments():
    builders = BuilderContext()
    builders.register(Base, lambda client, value, **kw: kw)
    assert builders.run("client", Base(), extra=1) == {"extra": 1, "builder": builders}


def test_contexts_end_with_their_block():
    before = get_current_builders(), get_current_resolvers(), get_current_drivers()
    with pytest.raises(KeyError), context({Base: lambda c, v: 1}, {"x": lambda o: 2}) as (b, r):
        assert get_current_builders() is b
        assert get_current_resolvers() is r
        with vineyard.driver_context({"x": {}}) as d:
            assert get_current_drivers() is d
        raise KeyError
    assert (get_current_builders(), get_current_resolvers(), get_current_drivers()) == before
    assert before[0] is vineyard.default_builder_context
    assert before[1] is vineyard.default_resolver_context


def test_contexts_are_of_their_thread():
    seen = []
    with vineyard.builder_context({Base: lambda c, v: 1}):
        thread = threading.Thread(target=lambda: seen.append(get_current_builders()))
        thread.start()
        thread.join()
    assert seen[0].find(Base) is vineyard.default_builder_context.find(Base)
    assert seen[0].find(int) is not None


def test_parts_use_the_context_of_the_whole(client):
    def build(client, value, **kwargs):
        return client.put("built")

    with vineyard.builder_context({Derived: build}):
        object_id = client.put((Derived(), 1))
    assert client.get(object_id) == ("built", 1)


def test_a_resolver_may_be_given_to_one_get(client):
    object_id = client.put((1, 2))
    assert client.get(object_id, resolver=lambda obj, **kw: obj.typename) == "vineyard::Sequence"
    with vineyard.resolver_context({"vineyard::Sequence": lambda obj: "mine"}) as resolvers:
        assert client.get(object_id) == "mine"
    assert client.get(object_id) == (1, 2)
    assert client.get(object_id, resolver=resolvers) == "mine"


def test_values_say_where_they_came_from(client):
    class Shelf:
        pass

    object_id = client.put((1, 2))
    value = client.get(object_id, resolver=lambda obj, **kw: Shelf())
    assert getattr(value, "__vineyard_ref").id == object_id
    assert getattr(value, "__vineyard_client") is client


def test_a_driver_copies_when_it_extends():
    drivers = DriverContext()
    drivers.register("x", "one", lambda value: 1)
    drivers.extend({"x": {"two": lambda value: 2}})

    class Value:
        pass

    value = drivers(Value(), "xyz")
    assert value.one() == 1
    assert not hasattr(value, "two")


def test_a_driver_adds_to_a_frame_and_leaves_an_array_as_it_is(client):
    frame, array = client.put(pd.DataFrame({"a": [1, 2]})), client.put(np.arange(3))
    drivers = {
        "vineyard::DataFrame": {"total": lambda value: int(value.to_numpy().sum())},
        "vineyard::Tensor": {"total": lambda value: int(value.sum())},
    }
    with vineyard.driver_context(drivers):
        assert client.get(frame).total() == 3
        assert client.get(array).tolist() == [0, 1, 2]


def test_a_builder_that_returns_nothing_is_named(client):
    def forgetful(client, value, **kwargs):
        client.put(1)

    with vineyard.builder_context({Derived: forgetful}):
        for value in (Derived(), [Derived()]):
            with pytest.raises(TypeError, match=r"forgetful.* returned None"):
                client.put(value)
    with pytest.raises(TypeError, match=r"forgetful.* returned None"):
        client.put(1, builder=forgetful, persist=True)
