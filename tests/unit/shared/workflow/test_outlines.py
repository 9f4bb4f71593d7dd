"""What of a type counts when a definition is compared with another."""

import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl
import pytest
from pydantic import BaseModel, create_model

from shared.workflow import Decision, Order
from shared.workflow.outlines import essence
from shared.workflow.shapes import shape_of


def outline(annotation: Any) -> list[Any]:
    """Return the outline of a type, without its words."""
    return essence(shape_of(annotation).outline())


def leg(module: str, **fields: Any) -> type[BaseModel]:
    """Return a model of the name Leg that comes from `module`."""
    made: type[BaseModel] = create_model("Leg", __module__=module, **fields)
    return made


def pair(first: str, second: str) -> type[BaseModel]:
    """Return a model of two models that are called alike and come from two modules."""
    near, far = leg(first, near=(int, 1)), leg(second, far=(int, 1))
    made: type[BaseModel] = create_model("Pair", near=(near, ...), far=(far, ...), more=(list[near], []))  # type: ignore[valid-type]
    return made


def test_the_modules_of_models_do_not_count() -> None:
    """A retired definition stands in another file, and a folder of strategies in another place on another machine."""
    assert outline(pair("desk.now", "desk.legs")) == outline(pair("desk.old", "elsewhere.legs"))


def test_what_stands_in_nested_models_counts() -> None:
    """Models are compared by their fields at any depth, and by which of them is where."""
    model = create_model("Pair", near=(leg("a", near=(int, 1)), ...))
    other = create_model("Pair", near=(leg("a", near=(int, 2)), ...))
    assert outline(model) != outline(other)
    first, second = leg("a", near=(int, 1)), leg("b", far=(int, 1))
    assert outline(tuple[first, second, first]) != outline(tuple[first, second, second])  # type: ignore[valid-type]


class Tree(BaseModel):
    """A model within itself."""

    children: "list[Tree]" = []


def test_a_model_within_itself_has_an_outline() -> None:
    """Its parts are named once."""
    assert outline(Tree) == outline(Tree)
    assert len(outline(Tree)) == 2


class Level(msgspec.Struct):
    """A struct."""

    price: float


class Depth(msgspec.Struct):
    """Another one."""

    price: float
    size: int


def test_types_that_are_no_json_have_outlines_too() -> None:
    """DataFrames by their class, structs by their fields."""
    kinds: list[Any] = [pl.DataFrame, pl.Series, pl.DataFrame | None, bytes, Level, Depth, list[Level], Any, None]
    outlines = [repr(outline(kind)) for kind in kinds]
    assert len(set(outlines)) == len(kinds)


class Odd:
    """A class that neither pydantic nor msgspec knows."""


class Holder(msgspec.Struct):
    """A struct with such a class in it, which cannot be described."""

    value: Odd


class Filter(BaseModel):
    """A model whose default JSON cannot say."""

    check: Callable[[int], int] = abs


@pytest.mark.parametrize(
    "kind", [Odd, Callable[[int], int], Holder, Filter], ids=["class", "callable", "struct", "default"]
)
def test_what_has_no_schema_breaks_no_strategy(kind: Any) -> None:
    """Whatever a step says that it returns, its definition can be compared, and nobody is warned of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert outline(kind)


def test_the_fields_of_our_own_records_do_not_count() -> None:
    """An upgrade of Blotter must not make every unfinished run foreign."""
    for kind in (Decision, Order):
        assert not [field for field in kind.model_fields if f"'{field}'" in repr(outline(list[kind]))]  # type: ignore[valid-type]
