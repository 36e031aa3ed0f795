"""Frozen dataclasses to JSON and back, by their type hints alone. Nothing but the standard library."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return ``value`` as JSON types. A field that is None by default and still None is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {f.name: to_plain(item) for f, item in pairs if not (item is None and f.default is None)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def from_plain(cls: type[T], data: Any, *, strict: bool = False) -> T:
    """Build ``cls`` from JSON types.

    Unknown keys are ignored, so that an older client reads a newer server, unless ``strict``.
    Raises ValueError that names the field, what it wants and what it got.
    """
    result: T = _dataclass(cls, data, cls.__name__, strict)
    return result


def _dataclass(cls: Any, data: Any, where: str, strict: bool) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError(f"{where} wants an object, got {type(data).__name__}")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(data) - set(fields))
    if strict and unknown:
        raise ValueError(f"{where} has no field {', '.join(map(repr, unknown))}; it has {', '.join(fields)}")
    absent = [n for n, f in fields.items() if n not in data and _required(f)]
    if absent:
        raise ValueError(f"{where} lacks {', '.join(absent)}")
    known = {n: _value(hints[n], data[n], f"{where}.{n}", strict) for n in fields if n in data}
    return cls(**known)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(hint: Any, data: Any, where: str, strict: bool) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in args if arg is not type(None)]
        return None if data is None and len(inner) < len(args) else _value(inner[0], data, where, strict)
    if origin is Literal:
        if data in args and type(data) is type(args[0]):
            return data
        raise ValueError(f"{where} must be one of {', '.join(map(str, args))}, got {data!r}")
    if origin is tuple:
        return _tuple(args, data, where, strict)
    if origin in (dict, Mapping):
        if not isinstance(data, Mapping):
            raise ValueError(f"{where} wants an object, got {type(data).__name__}")
        return {str(key): _value(args[1], item, f"{where}.{key}", strict) for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, data, where, strict)
    return _scalar(hint, data, where)


def _tuple(args: tuple[Any, ...], data: Any, where: str, strict: bool) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise ValueError(f"{where} wants a list, got {type(data).__name__}")
    hints = [args[0]] * len(data) if args[-1] is Ellipsis else list(args)
    if len(hints) != len(data):
        raise ValueError(f"{where} wants {len(hints)} items, got {len(data)}")
    return tuple(_value(hint, item, f"{where}[{i}]", strict) for i, (hint, item) in enumerate(zip(hints, data)))


def _scalar(hint: Any, data: Any, where: str) -> Any:
    if hint is float and type(data) in (int, float):
        try:
            return float(data)
        except OverflowError:
            raise ValueError(f"{where} wants a number that a float can hold") from None
    if hint is Any or type(data) is hint:
        return data
    raise ValueError(f"{where} wants {hint.__name__}, got {type(data).__name__}")
