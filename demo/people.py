"""The invented people of the office, the same every time, and the seeds and dates every part draws from.

Nobody is real: surnames are put together from two halves, e-mail addresses lie in domains that are reserved for
examples (RFC 2606), telephone numbers in ranges that regulators set aside for fiction (Ofcom and Arcep), and
internet addresses in the blocks for documentation (RFC 5737, RFC 3849).
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache

_FIRST = """
    Aisha Anouk Arno Bart Bram Carlijn Cem Daan Dewi Dirk Eline Els Emre Fatima Femke Floris Gijs Griet Hanna Hilde
    Ibrahim Ilse Jasper Jelle Joke Karim Katrien Koen Lars Liesbeth Lotte Lucas Maaike Malik Marieke Maxime Mehmet
    Mieke Nadia Niels Noor Olivier Pieter Priya Roos Ruben Sanne Sofie Stijn Tamara Thijs Tineke Veerle Wouter
    Yasmin Zoë José Renée Jérôme Chloë
"""
_BEFORE = ("", "", "", "", "van ", "de ", "van de ", "van der ", "ter ", "Van ")
_HALVES = "Linde Wilge Duine Vene Heide Zande Molene Brugge Elze Essene Kastanje Regen Zomer Winter Ruiter Polder"
_ENDS = "sloot huizen wijk mans stra veld hoven dijkstra kamp horst boom laken bergen oord akker"
_STREETS = "Fictie Voorbeeld Proef Denkbeeld Verzinsel Sprookjes Schets Ontwerp Maquette Kladblok"
_WAYS = "straat laan kade plein weg dreef singel"
_CITIES = "Utrecht Gent Breda Antwerpen Zwolle Leuven Arnhem Hasselt Leiden Mechelen Groningen Brugge"
_DOMAINS = ("mail.example.com", "post.example.org", "thuis.example.net", "kantoor.example.com", "bureau.example.org")
_AREAS = (113, 114, 115, 116, 117, 118, 121, 131, 141, 151, 161)
_LOCAL_BLOCKS = ("192.0.2", "198.51.100", "203.0.113")


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person; every value but the city is personal. The city alone points at nobody."""

    name: str
    email: str
    phone: str
    address: str
    city: str

    @property
    def values(self) -> frozenset[str]:
        """Return the values that may turn up nowhere outside the sources."""
        return frozenset((self.name, self.email, self.phone, self.address))


def seeded(name: str) -> random.Random:
    """Return the random numbers that belong to this name: the same sequence in every build."""
    return random.Random(f"demonstration office: {name}")  # noqa: S311 - repeatable content, no secret comes from it


@cache
def person(number: int) -> Person:
    """Return the person with this number; two numbers never share an e-mail address."""
    draw = seeded(f"person {number}")
    first = draw.choice(_FIRST.split())
    last = draw.choice(_BEFORE) + draw.choice(_HALVES.split()) + draw.choice(_ENDS.split())
    return Person(
        name=f"{first} {last}",
        email=f"{_letters(first)}.{_letters(last)}{number}@{draw.choice(_DOMAINS)}",
        phone=_phone(number),
        address=f"{draw.choice(_STREETS.split())}{draw.choice(_WAYS.split())} {draw.randint(1, 240)}",
        city=draw.choice(_CITIES.split()),
    )


def internet_address(draw: random.Random) -> str:
    """Return an IPv4 address, now and then an IPv6 one, out of the blocks for documentation."""
    if draw.random() < 0.2:
        return f"2001:db8:{draw.randrange(1, 0xFFFF):x}::{draw.randrange(1, 0xFFFF):x}"
    return f"{draw.choice(_LOCAL_BLOCKS)}.{draw.randint(1, 254)}"


def years_before(day: date, years: int) -> date:
    """Return the same day that many calendar years earlier; 29 February becomes 28 February where there is none."""
    last = 28 if (day.month, day.day) == (2, 29) and not _leap(day.year - years) else day.day
    return date(day.year - years, day.month, last)


def utc(day: date, hour: int = 12, minute: int = 0, second: int = 0) -> str:
    """Return a UTC timestamp as the systems store it; between 0 and 21 h it is the same day in Amsterdam."""
    return datetime.combine(day, time(hour, minute, second)).strftime("%Y-%m-%d %H:%M:%S")


def office_hours(day: date, draw: random.Random) -> str:
    """Return a UTC timestamp somewhere in the working day."""
    return utc(day, draw.randint(6, 16), draw.randint(0, 59), draw.randint(0, 59))


def day_between(first: date, last: date, draw: random.Random) -> date:
    """Return a day from `first` through `last`; `first` when the two are the wrong way round."""
    return first + timedelta(days=draw.randint(0, max(0, (last - first).days)))


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in folded if letter.isascii() and letter.isalpha())


def _phone(number: int) -> str:
    # Below 10,000 no two people share a number, so a telephone number may serve as an identifier too.
    if number % 2:
        return f"+44 {_AREAS[number // 1000 % len(_AREAS)]} 496 0{number % 1000:03d}"
    return f"+33 6 39 98 {number // 100 % 100:02d} {number % 100:02d}"
