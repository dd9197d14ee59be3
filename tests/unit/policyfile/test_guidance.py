"""Warnings about what is hardly ever meant: each where it is just, and not where it is not."""

from __future__ import annotations

import pytest

from worker.policyfile.loading import check_text

BASE = """version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"
[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
email = { type = "email" }
seen_on = { type = "date" }
given_on = { type = "date", empty = "not_applicable" }
changed = { column = "lastModified", type = "date" }
updated_at = { type = "date" }
backdated_on = { type = "date" }
score = { type = "number" }
status = {}
hired = { type = "boolean" }
[sources.people.children.notes]
table = "notes"
key = "id"
match = { person = "id" }
on_delete = "delete"
[sources.people.facts]
note_count = { count = "notes" }
last_note_on = { latest = "notes.updated_on", type = "date", none = "not_applicable" }
asked_on = { mark = "asked", none = "not_applicable" }
parted_on = { mark = "parted", none = "not_yet" }
[[policies]]
source = "people"
disposition = "delete"
"""


def purpose(name: str, **keys: str) -> str:
    """Return a purpose with usual values for what is not given; values are TOML."""
    given = {"basis": '"legitimate-interests"', "fields": '["email"]', "start": '"seen_on"', "keep": '"P2Y"', **keys}
    return "\n".join(("[[policies.purposes]]", f'id = "{name}"', *(f"{key} = {value}" for key, value in given.items() if value), ""))


EXAMPLE = """[[policies.examples]]
given = { seen_on = 2024-01-01 }
due = 2026-01-01
"""
EVERY = purpose("always", basis='"contract"', keep='"P1D"')
"""A purpose that always applies, so that no combination of facts is a gap."""


def warnings(*parts: str, head: str = BASE) -> list[str]:
    """Return the warnings of a file that has no problem, without those about examples."""
    report = check_text(head + "".join(parts), "x")
    assert () == report.problems
    return [str(each) for each in report.warnings if "example" not in each.what]


SHORT = purpose("short", keep='"P5Y"')
LAW = purpose("law", basis='"legal-obligation"', keep='"P7Y"', bound='"floor"')


class TestContradictions:
    """The most that is allowed may not end before the least that is required."""

    def test_the_winner_is_named(self) -> None:
        """From the same event and for the same field, a shorter ceiling contradicts a floor, and the floor wins."""
        (said,) = warnings(SHORT, LAW)
        assert "purposes[short].keep" in said
        assert "what lasts longest wins, so 'law' does" in said

    @pytest.mark.parametrize(
        "other",
        [
            purpose("short", keep='"P7Y"'),
            purpose("short", keep='"P5Y"', start='"given_on"'),
            purpose("short", keep='"P9Y"'),
            purpose("short", keep='"indefinite"', start=""),
        ],
    )
    def test_no_contradiction(self, other: str) -> None:
        """A ceiling that does not end first, one of another event, or none at all contradicts nothing."""
        assert [] == warnings(other, LAW)

    def test_conditions_that_exclude_each_other(self) -> None:
        """Two purposes that never apply to one record can't contradict each other."""
        assert [] == warnings(purpose("short", when="{ hired = false }"), LAW.replace("bound", "when = { hired = true }\nbound"))

    def test_exceptions_are_none(self) -> None:
        """The same period contradicts itself neither by a fiscal year that differed nor by what was promised before."""
        year = 'start = { end_of_fiscal_year = "seen_on" }'
        head = BASE.replace("[sources.people]", "fiscal_years = [{ first = 2023-01-01, last = 2023-06-30 }]\n[sources.people]", 1)
        floor, most = (each.replace('start = "seen_on"', year) for each in (LAW, purpose("short", keep='"P7Y"')))
        assert [] == warnings(most, floor, head=head)
        assert [] == warnings(purpose("short", keep='"P7Y"', was="[{ keep = 'P1Y', through = 2024-12-31 }]"), LAW)

    def test_an_anchor_counts(self) -> None:
        """Seven years from the day end before seven years from the end of the year."""
        floor = LAW.replace('start = "seen_on"', 'start = { end_of_calendar_year = "seen_on" }')
        assert ["contradicts at least P7Y" in each for each in warnings(purpose("short", keep='"P7Y"'), floor)] == [True]


class TestConsent:
    """GDPR 7(1): the controller must be able to show that consent was given."""

    def consent(self, **keys: str) -> str:
        return purpose("news", basis='"consent"', consent='"news"', **keys)

    @pytest.mark.parametrize("keys", [{}, {"when": "{ score = { gt = 3 } }"}, {"when": "{ seen_on = { gt = 2020-01-01 } }"}])
    def test_nobody_gave_it(self, keys: dict[str, str]) -> None:
        """A consent that every record has, or that hangs on a number or a known day, is a consent nobody gave."""
        assert ["no fact says who gave it" in each for each in warnings(EVERY, self.consent(**keys))] == [True]

    @pytest.mark.parametrize(
        "keys",
        [
            {"when": "{ given_on = { exists = true } }"},
            {"when": '{ status = "subscribed" }'},
            {"when": "{ note_count = { gt = 0 } }"},
            {"when": "{ any = [{ not = { hired = true } }, { score = 1 }] }"},
            {"start": '"given_on"'},
            {"start": '"last_note_on"'},
            {"start": '"asked_on"'},
            {"start": '{ while = { status = "subscribed" } }'},
        ],
    )
    def test_somebody_gave_it(self, keys: dict[str, str]) -> None:
        """A status, a row somewhere, or a day that may be missing says who gave it."""
        assert [] == [each for each in warnings(EVERY, self.consent(**keys)) if "gave it" in each]

    def test_the_source_states_it(self) -> None:
        """A consent that the source declares is given by whoever the record says; one beside it that it does not declare is not."""
        head = BASE.replace(
            "[sources.people.children", '[sources.people.consents]\nnews = { given = "given_on" }\n[sources.people.children', 1
        )
        assert [] == warnings(EVERY, self.consent(), head=head)
        said = warnings(EVERY, purpose("mail", basis='"consent"', consent='"mail"'), head=head)
        assert [False, True] == sorted("no fact says who gave it" in each for each in said)

    @pytest.mark.parametrize(("none", "warned"), [("not_applicable", False), ("unknown", True)])
    def test_a_fact_over_several_sources(self, none: str, warned: bool) -> None:
        """A last contact that not everybody has tells who is meant, as any other day that may not apply."""
        head = BASE.replace("[sources.people]", f'[facts.met]\nlatest = ["people.seen_on"]\nnone = "{none}"\n[sources.people]')
        assert [warned] * warned == ["gave it" in each for each in warnings(EVERY, self.consent(start='"met"'), head=head)]


class TestConditions:
    """A condition that nothing makes true is a mistake; one that something makes true is none."""

    @pytest.mark.parametrize(
        "when",
        [
            "{ score = { gt = 5, lt = 3 } }",
            '{ status = { eq = "a", ne = "a" } }',
            "{ note_count = { lt = 0 } }",
            "{ seen_on = { exists = false } }",
            "{ hired = true, not = { hired = true } }",
            "{ note_count = { gt = 1, lt = 2 } }",
        ],
    )
    def test_never(self, when: str) -> None:
        """Found by trying the values that the constants tell apart, and what an empty value is declared to mean."""
        (said,) = warnings(EVERY, purpose("odd", when=when))
        assert "purposes[odd].when" in said
        assert "can never hold" in said

    @pytest.mark.parametrize(
        "when",
        [
            "{ score = { gt = 1, lt = 2 } }",
            "{ given_on = { exists = false } }",
            '{ status = { not_in = ["a", "b"] } }',
            "{ note_count = { gt = 1, lt = 3 } }",
        ],
    )
    def test_sometimes(self, when: str) -> None:
        """A number may lie between two constants; a text may be any other."""
        assert [] == warnings(EVERY, purpose("fine", when=when))

    def test_too_many_to_try(self) -> None:
        """What is not tried to the end is not called impossible."""
        many = ", ".join(f"f{number} = {{ type = 'boolean' }}" for number in range(14)).replace(" }, ", " }\n")
        when = ", ".join(f"f{number} = false" for number in range(14))
        head = BASE.replace("status = {}", f"status = {{}}\n{many}")
        assert [] == warnings(EVERY, purpose("many", when=f"{{ {when} }}"), head=head)

    def test_a_disposition(self) -> None:
        """A disposition that is never chosen is told with its place."""
        head = BASE.replace('"delete"\n[[policies]]', '"delete"\n[[policies]]').replace(
            'source = "people"\ndisposition = "delete"',
            'source = "people"\ndisposition = [{ do = "review", when = { score = { gt = 5, lt = 3 } }, owner = "Ada" }, { do = "delete" }]',
        )
        (said,) = warnings(EVERY, head=head)
        assert "disposition[0].when" in said


class TestStates:
    """A state has to begin and to end, and its end is not acted on at first sight."""

    @pytest.mark.parametrize(
        ("start", "keep", "said"),
        [
            ("{ while = { score = { gt = 5, lt = 3 } } }", "P1Y", "no record can be in this state"),
            ("{ while = { seen_on = { exists = true } } }", "P1Y", "can never end"),
            ("{ while = { any = [{ hired = true }, { hired = false }] }, ended = 'given_on' }", "P1Y", "can never end"),
            ("{ end_of_month = { while = { note_count = { ge = 0 } } } }", "P1Y", "can never end"),
            ("{ while = { hired = true } }", "P0D", "is due within a week"),
            ("{ while = { hired = true }, settling = 'P3D' }", "P6D", "is due within a week"),
            ("{ end_of_month = { while = { hired = true } } }", "P6D", "is due within a week"),
        ],
    )
    def test_doubtful(self, start: str, keep: str, said: str) -> None:
        """A condition that facts can't make true or can't make false, and what one wrong night would delete."""
        (warned,) = warnings(EVERY, purpose("odd", start=start, keep=f'"{keep}"'))
        assert "purposes[odd].start" in warned
        assert said in warned

    @pytest.mark.parametrize(
        ("start", "keep"),
        [
            ("{ while = { hired = true } }", "P1W"),
            ("{ while = { hired = true }, settling = 'P7D' }", "P0D"),
            ("{ while = { hired = true }, ended = 'given_on' }", "P0D"),
            ("{ while = { given_on = { exists = true } } }", "P1Y"),
            ("{ while = { parted_on = { exists = false } } }", "P1Y"),
        ],
    )
    def test_sound(self, start: str, keep: str) -> None:
        """A period or a settling time of a week, or a day that a system knows; what may be empty may end."""
        assert [] == warnings(EVERY, purpose("fine", start=start, keep=f'"{keep}"'))

    def test_two_purposes_of_one_state(self) -> None:
        """They run from the same event, so the longest that is allowed may contradict the shortest that is required; no time does not."""
        start = '{ while = { hired = true }, ended = "given_on", settling = "P30D" }'
        floor = LAW.replace('"seen_on"', start.replace("P30D", "P60D"))
        assert ["contradicts at least P7Y" in each for each in warnings(purpose("short", start=start), floor)] == [True]
        assert [] == warnings(purpose("short", start=start, keep='"P0D"'), floor)
        assert [] == warnings(purpose("short", start=start.replace("hired = true", "hired = false")), floor)

    def test_a_member_is_there_itself(self) -> None:
        """A fact over several sources applies to every record that has a day of its own for it, and may not apply to the others."""
        facts = '[facts.met]\nlatest = ["people.seen_on", "calls.on"]\nnone = "unknown"\n[sources.people]'
        calls = '[sources.calls]\nconnector = "crm"\ntable = "calls"\nkey = "id"\nsubject = ["who"]\n[sources.calls.fields]\n'
        calls += 'who = { type = "email" }\non = { type = "date", empty = "not_applicable" }\n'
        head = BASE.replace("[sources.people]", facts, 1).replace("[[policies]]", f"{calls}[[policies]]", 1)
        other = '[[policies]]\nsource = "calls"\ndisposition = "delete"\n'
        met = purpose("met", start='"met"')
        (warned,) = warnings(met, other, met.replace('"email"', '"who"'), head=head)
        assert "sources.calls.fields.who" in warned
        assert "no purpose covers this field when met is not applicable" in warned

    def test_what_nobody_wrote_is_not_told(self) -> None:
        """A gap is told in facts of the file: not in what only runs see and only answers say."""
        head = BASE.replace('disposition = "delete"', 'disposition = [{ do = "review", owner = "Ada" }]')
        gap = purpose("odd", start='{ while = { hired = true }, settling = "P30D" }', when='{ status = "a" }')
        (warned,) = warnings(gap, head=head)
        assert "when hired is true, status is 'any other text': then" in warned


class TestReviews:
    """A review is somebody's."""

    def test_nobody(self) -> None:
        """A review without an owner is told, once a disposition; in a chain, too."""
        alone = BASE.replace('disposition = "delete"', 'disposition = "review"')
        later = '{ do = "pseudonymise", then = [{ do = "review", after = "P1Y" }] }'
        later = f'[{{ do = "review", when = {{ hired = true }}, owner = "Ada" }}, {later}]'
        (said,) = warnings(EVERY, head=alone)
        assert "policies[people].disposition (" in said
        treated = BASE.replace('email = { type = "email" }', 'email = { type = "email", treatment = "clear" }')
        (said,) = warnings(EVERY, head=treated.replace('disposition = "delete"', f"disposition = {later}"))
        assert "disposition[1]" in said
        assert "is reviewed by nobody" in said

    @pytest.mark.parametrize("place", ["[sources.people]\n", 'source = "people"\n'])
    def test_the_policy_says_who(self, place: str) -> None:
        """The owner of the policy, or of the organisation, reviews where the step names nobody."""
        head = BASE.replace('disposition = "delete"', 'disposition = "review"')
        owner = 'owner = "Ada"\n'
        with_owner = head.replace(place, f"{owner}{place}" if place.startswith("[") else f"{place}{owner}", 1)
        assert [] == warnings(EVERY, head=with_owner)
        schedule = check_text(with_owner + EVERY, "x").schedule
        assert schedule is not None
        assert "Ada" == schedule.policies[0].dispositions[0].steps[0].owner


class TestStarts:
    """A start event that our own writes move never comes."""

    @pytest.mark.parametrize("start", ["changed", "updated_at", "last_note_on"])
    def test_moves(self, start: str) -> None:
        """The name of a field, of its column or of a child's column says that every change moves it."""
        assert ["every change moves" in each for each in warnings(purpose("p", start=f'"{start}"'), EVERY)] == [True]

    def test_in_another_source(self) -> None:
        """A fact over several sources moves with each of its members, and is told once for all policies that start from it."""
        head = BASE.replace("[sources.people]", '[facts.met]\nlatest = ["people.seen_on", "people.updated_at"]\n[sources.people]', 1)
        other = (
            head[head.index("[sources.people]") :]
            .replace("people", "members")
            .replace("[sources.members]", "[sources.members]\nuses = ['met']", 1)
        )
        rules = (purpose("p", start='"met"'), EVERY)
        (said,) = warnings(*rules, other, *rules, head=head)
        assert "sources.people.fields.updated_at" in said
        assert "every change moves" in said

    def test_stays(self) -> None:
        """A name that only holds such a word is none."""
        assert [] == warnings(purpose("p", start='"backdated_on"'))


class TestPeriods:
    """Periods that guidance or the law measures differently."""

    HEAD = BASE.replace('disposition = "delete"', 'disposition = "delete"\ncategories = ["applicants"]')

    @pytest.mark.parametrize(
        ("keys", "warned"),
        [
            ({"keep": '"P4W"'}, False),
            ({"keep": '"P29D"'}, True),
            ({"keep": '"P1M"'}, True),
            ({"keep": '"P4W"', "start": '{ end_of_month = "seen_on" }'}, True),
            ({"keep": '"indefinite"', "start": ""}, True),
            ({"keep": '"P12M"', "basis": '"consent"', "consent": '"a"', "start": '"given_on"'}, False),
            ({"keep": '"P13M"', "basis": '"consent"', "consent": '"a"', "start": '"given_on"'}, True),
            ({"keep": '"P2Y"', "basis": '"contract"'}, False),
            ({"keep": '"P8W"', "was": "[{ keep = 'P4W', through = 2025-12-31 }]"}, True),
        ],
    )
    def test_applicants(self, keys: dict[str, str], warned: bool) -> None:
        """Four weeks, a year with consent, whatever anchor and unit; who was hired has a contract."""
        said = warnings(EVERY, purpose("p", **keys), head=self.HEAD)
        assert [warned] * warned == ["Autoriteit Persoonsgegevens" in each for each in said]

    def test_others(self) -> None:
        """The guidance is about applicants only."""
        assert [] == warnings(purpose("p", keep='"P8W"'))

    @pytest.mark.parametrize(("bound", "warned"), [("", True), ('"ceiling"', False), ('"floor"', False)])
    def test_a_legal_obligation(self, bound: str, warned: bool) -> None:
        """A law asks for a least period, so the bound has to be said; who says that it is a ceiling is believed."""
        said = warnings(purpose("law", basis='"legal-obligation"', bound=bound))
        assert [warned] * warned == ["how long something is kept at least" in each for each in said]


class TestExamples:
    """Every purpose is proven by an example."""

    def test_a_purpose_that_decides_nowhere(self) -> None:
        """An example of one purpose is none of the other."""
        report = check_text(BASE + purpose("long") + EVERY + EXAMPLE, "x")
        assert () == report.problems
        assert ["purposes[always]" in str(each) for each in report.warnings if "in which this purpose decides" in each.what] == [True]

    @pytest.mark.parametrize(
        "example",
        [
            "given = { seen_on = 2024-01-01 }\ntoday = 2024-01-02\noutcome = 'kept'",
            "given = { seen_on = 2024-01-01 }\ntoday = 2026-01-02\noutcome = 'delete'",
            "given = {}\ntoday = 2024-01-02\noutcome = 'undetermined'",
        ],
    )
    def test_a_day_proves_what_keeps_or_is_over(self, example: str) -> None:
        """On a day, purposes that keep the record decide, and those that are over when something happens to it."""
        report = check_text(f"{BASE}{purpose('long')}{EVERY}[[policies.examples]]\n{example}\n", "x")
        assert () == report.problems
        assert not [each for each in report.warnings if "in which this purpose decides" in each.what]

    def test_waiting_too_long_proves_whom_it_is_about(self) -> None:
        """A due day on which the wait is over is an example of the purpose that waits, and of no other."""
        head = BASE.replace("seen_on = {", "met_on = { type = 'date', empty = 'not_yet' }\nseen_on = {", 1)
        waits = purpose("waits", start='"met_on"', since='"seen_on"')
        example = (
            "[[policies.examples]]\ngiven = { met_on = { is = 'not_yet' }, seen_on = 2024-01-01 }\ndue = 2026-01-01\noutcome = 'review'\n"
        )
        report = check_text(head + waits + EVERY + example, "x")
        assert () == report.problems
        assert ["purposes[always]" in str(each) for each in report.warnings if "in which this purpose decides" in each.what] == [True]

    def test_consents_prove_what_they_prolong(self) -> None:
        """Given in time the consent decides, not given the purpose that it would prolong: two examples prove both."""
        head = BASE.replace(
            "[sources.people.children", '[sources.people.consents]\nlater = { given = "given_on" }\n[sources.people.children', 1
        )
        more = purpose("more", basis='"consent"', consent='"later"', extends='"base"', keep='"P3Y"')
        given = "[[policies.examples]]\ngiven = { seen_on = 2024-01-01, given_on = 2024-02-01 }\ndue = 2027-01-01\n"
        never = "[[policies.examples]]\ngiven = { seen_on = 2024-01-01, given_on = { is = 'not_applicable' } }\ndue = 2026-01-01\n"
        for examples, missing in (((given, never), []), ((given,), ["base"]), ((never,), ["more"])):
            report = check_text(head + purpose("base") + more + "".join(examples), "x")
            assert () == report.problems
            said = [each.where for each in report.warnings if "in which this purpose decides" in each.what]
            assert [f"x: policies[people].purposes[{name}]" for name in missing] == said
