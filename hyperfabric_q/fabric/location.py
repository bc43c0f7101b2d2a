"""Where a node stands, from the text of its ``physical_location``, and how fast light gets from one place to another.

``"40.71, -74.01"`` is always understood: degrees north, degrees east. ``"Boulder, CO"``, ``"Tokyo, Japan"`` and
``"Melbourne, Victoria, Australia"`` need the gazetteer of the extra ``[places]``. A city without state or country is
not looked up, for many names come twice: what cannot be resolved is reported with what to write instead, and nothing is
guessed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hyperfabric_q.errors import InvalidValue, MissingDependency
from hyperfabric_q.fabric import gazetteer
from hyperfabric_q.units import fibre_latency_ns, shortest_latency_ns

EARTH_RADIUS_M: Final = 6_371_008.7714
"""Mean radius (2a + b)/3 of the WGS-84 ellipsoid; on it great circles are right to 0.56 %."""

CITY_RADIUS_M: Final = 15_000.0
"""How far from the point that a gazetteer gives for a city a node in that city may stand."""

SPHERE_ERROR: Final = 0.0056
"""Largest relative error of great circles on the mean sphere against geodesics of the ellipsoid."""

MOST_ALTERNATIVES: Final = 8

_DEGREES: Final = r"([+-]?\d{1,3}(?:\.\d{1,15})?)\s*°?\s*"
_COORDINATES: Final = re.compile(rf"\s*{_DEGREES}([NS]?)\s*[,;]\s*{_DEGREES}([EW]?)\s*", re.IGNORECASE)
_NUMERIC: Final = frozenset("0123456789 .,;+-°")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Return a point on the Earth.

    Args:
        latitude: degrees north, in [-90, 90].
        longitude: degrees east, in [-180, 180].
        name: what the point is called.
        alternatives: the other places that the same text could mean, most likely first, at most eight.
        radius_m: how far from the point the node may really stand: 0 for coordinates, 15 km for a city.

    Raises:
        InvalidValue: a coordinate is out of range.
    """

    latitude: float
    longitude: float
    name: str
    alternatives: tuple[str, ...] = ()
    radius_m: float = 0.0

    def __post_init__(self) -> None:
        for field, most in (("latitude", 90), ("longitude", 180)):
            value = getattr(self, field)
            if not -most <= value <= most:
                raise InvalidValue(field=field, value=value, rule=f"{field} runs from -{most} to {most} degrees")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """Return a text that names no place we can find: the text, why, and what to write instead."""

    text: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"physical_location {self.text!r}: {self.reason}. {self.remedy}"


def resolve(text: str) -> Place | Unresolved:
    """Return the place that ``text`` names, or why it names none; the same text always gives the same answer.

    Without the extra ``[places]`` a city is unresolved, and the remedy is the line that installs it.
    """
    try:
        return _resolved(text)
    except MissingDependency as fault:
        return Unresolved(text=text, reason="it is a name, and no gazetteer is installed", remedy=f"{fault} {_NUMBERS}")


def find_place(text: str) -> Place:
    """Return the place that ``text`` names.

    Raises:
        InvalidValue: no place can be found; the error says what to write instead.
        MissingDependency: it is a city, and the extra ``[places]`` is not installed.
    """
    found = _resolved(text)
    if isinstance(found, Unresolved):
        raise InvalidValue(field="physical_location", value=text, rule=found.reason, remedy=found.remedy)
    return found


def distance_m(a: Place, b: Place) -> float:
    """Return the great-circle distance between two places in metres, by the haversine formula on the mean sphere."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    half_phi = (phi_b - phi_a) / 2
    half_lambda = math.radians(b.longitude - a.longitude) / 2
    square = math.sin(half_phi) ** 2 + math.cos(phi_a) * math.cos(phi_b) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(square)))


def bound_ns(a: Place, b: Place) -> float:
    """Return a latency that no signal between two places can undercut: light in vacuum along the surface, in ns.

    The distance is first reduced by what is uncertain about it, so that nothing possible is called impossible: the
    radius of both places, and the error of the spherical Earth.
    """
    sure_m = distance_m(a, b) * (1 - SPHERE_ERROR) - a.radius_m - b.radius_m
    return shortest_latency_ns(max(0.0, sure_m))


def fibre_ns(a: Place, b: Place) -> float:
    """Return the propagation time along the great circle in standard fibre, in ns; real routes are longer."""
    return fibre_latency_ns(distance_m(a, b))


_COORDINATE_FORM: Final = "'latitude, longitude' in degrees, such as '40.71, -74.01'."
_NUMBERS: Final = f"What always works is {_COORDINATE_FORM}"


@lru_cache(maxsize=4096)
def _resolved(text: str) -> Place | Unresolved:
    match = _COORDINATES.fullmatch(text)
    if match is not None:
        return _point(text, match)
    if text.strip() and _NUMERIC.issuperset(text):
        return Unresolved(text=text, reason="these are no two coordinates", remedy=f"Write {_COORDINATE_FORM}")
    parts = tuple(part.strip() for part in text.split(","))
    if len(parts) == 1 and gazetteer.installed() and gazetteer.is_country(text):
        parts = (text, text)
    if not 2 <= len(parts) <= 3 or not all(parts):
        reason = "a place is a city with its state or country"
        return Unresolved(text=text, reason=reason, remedy=f"Write 'City, ST' or 'City, country'. {_NUMBERS}")
    cities = gazetteer.find(parts)
    if not cities:
        return _no_city(text, parts[0])
    best = cities[0]
    return Place(
        latitude=best.latitude,
        longitude=best.longitude,
        name=best.label,
        alternatives=tuple(city.label for city in cities[1 : MOST_ALTERNATIVES + 1]),
        radius_m=CITY_RADIUS_M,
    )


def _point(text: str, match: re.Match[str]) -> Place | Unresolved:
    north, hemisphere, east, side = match.groups()
    latitude = -float(north) if hemisphere.upper() == "S" else float(north)
    longitude = -float(east) if side.upper() == "W" else float(east)
    try:
        return Place(latitude=latitude, longitude=longitude, name=f"{latitude:g}, {longitude:g}")
    except InvalidValue as fault:
        swapped = abs(longitude) <= 90 and abs(latitude) <= 180
        remedy = "Latitude comes first." if swapped else f"Write {_COORDINATE_FORM}"
        return Unresolved(text=text, reason=fault.rule, remedy=remedy)


def _no_city(text: str, city: str) -> Unresolved:
    elsewhere = "; ".join(f"{each.label!r}" for each in gazetteer.named(city)[:3])
    reason = "the gazetteer, which lists places of at least 1000 inhabitants, has no such place"
    remedy = f"Did you mean {elsewhere}? {_NUMBERS}" if elsewhere else f"Check the spelling. {_NUMBERS}"
    return Unresolved(text=text, reason=reason, remedy=remedy)
