"""Names of places in the forms people write them: folding, abbreviations, and names a gazetteer does not carry.

Tables only; which place a name means is decided in ``hyperfabric_q.fabric.gazetteer``.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})
_MARKS: Final = str.maketrans({**dict.fromkeys(".'’‘ʼ`´′", ""), **dict.fromkeys("-–/", " ")})
_WORDS: Final = {"st": "saint", "ste": "sainte", "ft": "fort", "mt": "mount"}


def folded(name: str) -> str:
    """Return ``name`` without case, accents, apostrophes, dots and hyphens: "St. Gallen" → "saint gallen"."""
    text = name.casefold().translate(_MARKS)
    if not text.isascii():
        split = unicodedata.normalize("NFKD", text.translate(_LETTERS))
        text = "".join(each for each in split if not unicodedata.combining(each))
    words = text.split()
    if words and words[0] in _WORDS:
        words[0] = _WORDS[words[0]]
    return " ".join(words)


US_STATES: Final = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky",
    "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota",
    "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
"""Postal abbreviations of the United States."""

OTHER_STATES: Final = {
    "AB": ("CA", "Alberta"), "BC": ("CA", "British Columbia"), "MB": ("CA", "Manitoba"),
    "NB": ("CA", "New Brunswick"), "NL": ("CA", "Newfoundland and Labrador"), "NS": ("CA", "Nova Scotia"),
    "NT": ("CA", "Northwest Territories"), "NU": ("CA", "Nunavut"), "ON": ("CA", "Ontario"),
    "PE": ("CA", "Prince Edward Island"), "QC": ("CA", "Quebec"), "SK": ("CA", "Saskatchewan"), "YT": ("CA", "Yukon"),
    "ACT": ("AU", "Australian Capital Territory"), "NSW": ("AU", "New South Wales"), "QLD": ("AU", "Queensland"),
    "SA": ("AU", "South Australia"), "TAS": ("AU", "Tasmania"), "VIC": ("AU", "Victoria"),
    "WA": ("AU", "Western Australia"),
}  # fmt: skip
"""Postal abbreviations of Canada and Australia: abbreviation → country and state."""

COUNTRIES: Final = {
    "america": "US", "britain": "GB", "brunei": "BN", "burma": "MM", "czechia": "CZ",
    "democratic republic of the congo": "CD", "dr congo": "CD", "eire": "IE", "eswatini": "SZ", "gbr": "GB",
    "great britain": "GB", "holland": "NL",
    "iran": "IR", "ivory coast": "CI", "korea": "KR", "laos": "LA", "libya": "LY", "macau": "MO", "moldova": "MD",
    "north korea": "KP", "north macedonia": "MK", "palestine": "PS", "peoples republic of china": "CN", "prc": "CN",
    "republic of ireland": "IE", "republic of korea": "KR", "russia": "RU", "south korea": "KR", "syria": "SY",
    "tanzania": "TZ", "the netherlands": "NL", "turkiye": "TR", "uae": "AE", "uk": "GB",
    "united states of america": "US", "us": "US", "usa": "US", "vatican": "VA", "viet nam": "VN",
}  # fmt: skip
"""Folded names of countries, beside those the gazetteer lists → ISO 3166-1 code."""

CITIES: Final = {
    "aarhus": ("Århus", "DK"), "antwerp": ("Antwerpen", "BE"), "bangalore": ("Bengaluru", "IN"),
    "basle": ("Basel", "CH"), "beograd": ("Belgrade", "RS"), "berne": ("Bern", "CH"), "bombay": ("Mumbai", "IN"),
    "bruges": ("Brugge", "BE"), "brunswick": ("Braunschweig", "DE"), "bruxelles": ("Brussels", "BE"),
    "bucuresti": ("Bucharest", "RO"), "calcutta": ("Kolkata", "IN"), "canton": ("Guangzhou", "CN"),
    "ciudad de mexico": ("Mexico City", "MX"), "cologne": ("Köln", "DE"), "corunna": ("A Coruña", "ES"),
    "cracow": ("Kraków", "PL"), "den haag": ("The Hague", "NL"), "duesseldorf": ("Düsseldorf", "DE"),
    "firenze": ("Florence", "IT"), "frankfurt": ("Frankfurt am Main", "DE"), "garching bei munchen": ("Garching", "DE"),
    "geneva": ("Genève", "CH"), "genf": ("Genève", "CH"), "genova": ("Genoa", "IT"), "ghent": ("Gent", "BE"),
    "gothenburg": ("Göteborg", "SE"), "hanover": ("Hannover", "DE"), "kiev": ("Kyiv", "UA"),
    "kobenhavn": ("Copenhagen", "DK"), "koeln": ("Köln", "DE"), "lisboa": ("Lisbon", "PT"), "louvain": ("Leuven", "BE"),
    "lucerne": ("Luzern", "CH"), "lyons": ("Lyon", "FR"), "madras": ("Chennai", "IN"),
    "marseilles": ("Marseille", "FR"), "milano": ("Milan", "IT"), "moskva": ("Moscow", "RU"),
    "muenchen": ("Munich", "DE"), "munchen": ("Munich", "DE"), "napoli": ("Naples", "IT"),
    "new york": ("New York City", "US"), "nuremberg": ("Nürnberg", "DE"), "nyc": ("New York City", "US"),
    "odessa": ("Odesa", "UA"), "oporto": ("Porto", "PT"), "padua": ("Padova", "IT"), "peking": ("Beijing", "CN"),
    "praha": ("Prague", "CZ"), "pusan": ("Busan", "KR"), "rangoon": ("Yangon", "MM"), "roma": ("Rome", "IT"),
    "saigon": ("Ho Chi Minh City", "VN"), "saragossa": ("Zaragoza", "ES"), "seville": ("Sevilla", "ES"),
    "taejon": ("Daejeon", "KR"), "torino": ("Turin", "IT"), "venezia": ("Venice", "IT"), "warszawa": ("Warsaw", "PL"),
    "washington dc": ("Washington", "US"), "wien": ("Vienna", "AT"), "zuerich": ("Zürich", "CH"),
}  # fmt: skip
"""Folded names of cities that GeoNames lists under another name → that name and its country."""
