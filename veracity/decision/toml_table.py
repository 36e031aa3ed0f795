"""A table of ``calibration.toml`` that checks what is in it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar, get_args

from veracity_client.errors import VeracityError
from veracity_client.verdict import LayerName, Rates, Thresholds

K = TypeVar("K", bound=str)
LAYER_NAMES = get_args(LayerName)


class CalibrationError(VeracityError):
    """calibration.toml cannot be used; the message says which key of it, and why."""


@dataclass(frozen=True)
class Table:
    """A table of the file that names itself in whatever it raises."""

    data: Mapping[str, Any]
    name: str = ""

    def fault(self, key: str, words: str) -> CalibrationError:
        """Return an error about a key of this table."""
        return CalibrationError(f"calibration.toml: {key} of [{self.name}] {words}" if self.name else
                                f"calibration.toml: [{key}] {words}")  # fmt: skip

    def table(self, key: str) -> Table:
        """Return the table of a key; raises :class:`CalibrationError` where there is none."""
        found = self.data.get(key)
        if not isinstance(found, dict):
            raise self.fault(key, "is missing")
        return Table(found, f"{self.name}.{key}" if self.name else key)

    def tables(self, key: str) -> dict[str, Table]:
        """Return all tables of a key."""
        outer = self.table(key)
        return {name: outer.table(name) for name in outer.data}

    def tables_of(self, keys: Iterable[K]) -> dict[K, Table]:
        """Return the tables of those keys that are there."""
        return {key: self.table(key) for key in keys if key in self.data}

    def listed(self, key: str) -> list[Table]:
        """Return the tables of a list, none where the key is missing; raises :class:`CalibrationError`."""
        found = self.data.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.fault(key, f"must be a list of tables, not {found!r}")
        return [Table(one, f"{self.name}.{key}") for one in found]

    def number(self, key: str, low: float, high: float = math.inf) -> float:
        """Return a number within bounds; raises :class:`CalibrationError`."""
        found = self.data.get(key)
        if type(found) not in (int, float) or not low <= float(found or 0) <= high:
            raise self.fault(key, f"must be a number from {low:g} to {high:g}, not {found!r}")
        return float(found or 0)

    def text(self, key: str) -> str:
        """Return words; raises :class:`CalibrationError`."""
        found = self.data.get(key)
        if not isinstance(found, str):
            raise self.fault(key, f"must be words, not {found!r}")
        return found

    def date(self, key: str) -> date:
        """Return a date; raises :class:`CalibrationError`."""
        found = self.data.get(key)
        if type(found) is not date:
            raise self.fault(key, f"must be a date, not {found!r}")
        return found

    def words(self, key: str) -> list[str]:
        """Return a list of words; raises :class:`CalibrationError`."""
        found = self.data.get(key)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.fault(key, f"must be a list of words, not {found!r}")
        return found

    def range(self, key: str) -> tuple[float, float]:
        """Return the lowest and the highest of a number; raises :class:`CalibrationError`."""
        found = self.data.get(key)
        pair = found if isinstance(found, list) and len(found) == 2 else []
        if not pair or not all(type(one) in (int, float) for one in pair) or not pair[0] <= pair[1]:
            raise self.fault(key, f"must be the lowest and the highest number, not {found!r}")
        return float(pair[0]), float(pair[1])

    def layers(self) -> dict[str, float]:
        """Return a number from 0 to 1 for each layer; raises :class:`CalibrationError`."""
        if set(self.data) != set(LAYER_NAMES):
            raise self.fault("the layers", f"must be {', '.join(LAYER_NAMES)}, not {', '.join(self.data) or 'none'}")
        return {layer: self.number(layer, 0, 1) for layer in self.data}

    def thresholds(self) -> Thresholds:
        """Return the keys ``fake`` and ``real``, None where they are missing; raises :class:`CalibrationError`."""
        fake, real = (self.number(key, 0, 1) if key in self.data else None for key in ("fake", "real"))
        if fake is not None and real is not None and real > fake:
            raise self.fault("real", f"is over fake: {real:g} > {fake:g}")
        return Thresholds(fake, real)

    def rates(self, reals: int, fakes: int) -> Rates:
        """Return the rates that were measured on so many clips; raises :class:`CalibrationError`."""
        of_reals, of_fakes = self.number("real_called_fake", 0, 1), self.number("fake_called_real", 0, 1)
        return Rates(of_reals, of_fakes, self.number("inconclusive", 0, 1), reals, fakes)
