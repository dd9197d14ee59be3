"""Facts over several sources in the policy file: what they become, what is refused, and which policies they belong to."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.core.conditions import Compare, Op
from worker.core.facts import Empty
from worker.core.model import Schedule
from worker.core.sources import Comparison, Identifier
from worker.policyfile import loads
from worker.policyfile.changes import changes
from worker.policyfile.loading import check_text

TEXT = """\
version = 1
[organisation]
name = "Office"
timezone = "Europe/Amsterdam"

[facts.last_contact]
latest = ["people.met_on", "people.wrote_at", "mails.sent_on"]

[sources.people]
connector = "crm"
table = "people"
key = "id"
subject = ["email"]
[sources.people.fields]
name = { personal = true }
email = { type = "email" }
met_on = { type = "date", empty = "not_applicable" }
wrote_at = { type = "timestamp", timezone = "UTC", empty = "not_applicable" }
left_on = { type = "date", treatment = "clear", empty = "not_applicable" }

[sources.mails]
connector = "crm"
table = "mails"
key = "id"
subject = ["address"]
[sources.mails.fields]
address = { type = "email", personal = true }
sent_on = { type = "date" }

[sources.letters]
connector = "crm"
table = "letters"
key = "id"
uses = ["last_contact"]
subject = ["email"]
[sources.letters.fields]
email = { type = "email", personal = true }

[sources.logs]
connector = "crm"
table = "logs"
key = "id"
[sources.logs.fields]
ip = { treatment = "clear" }

[[policies]]
source = "people"
disposition = "delete"
[[policies.purposes]]
id = "contact"
basis = "legitimate-interests"
fields = ["name", "email", "left_on"]
start = { end_of_calendar_year = { latest_of = ["last_contact", "left_on"] } }
keep = "P2Y"
when = { last_contact = { ge = 2000-01-01 } }
[[policies.examples]]
given = { last_contact = 2023-05-01, left_on = { is = "not_applicable" } }
due = 2025-12-31

[[policies]]
source = "mails"
disposition = "delete"
[[policies.purposes]]
id = "mail"
basis = "legitimate-interests"
fields = ["address"]
start = "sent_on"
keep = "P1Y"

[[policies]]
source = "letters"
disposition = "delete"
[[policies.purposes]]
id = "letter"
basis = "legitimate-interests"
fields = ["email"]
start = "last_contact"
keep = "P2Y"
"""


OPENINGS = '[sources.mails.children.openings]\ntable = "openings"\nkey = "id"\nmatch = { mail = "id" }\non_delete = "delete"\n'


def loaded(*changes: tuple[str, str]) -> Schedule:
    """Return the schedule of the text with some changes."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return loads(text, "policies.toml")


def test_what_it_becomes() -> None:
    """Its members by source, each with its days and its identifiers, known to those that feed it or use it."""
    schedule = loaded()
    (shared,) = schedule.facts
    assert [("people", ["met_on", "wrote_at"], ["email"]), ("mails", ["sent_on"], ["address"])] == [
        (each.source, [day.name for day in each.days], [identifier.name for identifier in each.identifiers]) for each in shared.members
    ]
    assert Empty.UNKNOWN is shared.none
    assert {"people": 1, "mails": 1, "letters": 1, "logs": 0} == {name: len(each.shared) for name, each in schedule.sources.items()}
    assert {"people": ["met_on", "wrote_at"], "mails": ["sent_on"], "letters": [], "logs": []} == {
        name: [day.name for member in each.contributing for day in member.days] for name, each in schedule.sources.items()
    }
    assert {"people": (shared,), "mails": (), "letters": (shared,)} == {each.id: each.shared for each in schedule.policies}


def test_decided_by_like_any_day() -> None:
    """Conditions, combinations, anchors and examples take it; an example that does not come true is told."""
    report = check_text(TEXT.replace("due = 2025-12-31", "due = 2025-05-01"), "policies.toml")
    assert ["expected 'delete or pseudonymise or review' on 2025-05-02"] == [each.what[:57] for each in report.problems]
    assert 1 == check_text(TEXT, "policies.toml").examples_run
    assert dt.date(2000, 1, 1) in loaded().policies[0].purposes[0].when.values  # type: ignore[union-attr]


COUNTED = (
    ('"mails.sent_on"]', '{ field = "mails.sent_on", where = { kind = ["personal", "reply"] } }]'),
    ('sent_on = { type = "date" }', 'sent_on = { type = "date" }\nkind = { empty = "not_applicable" }'),
)


def test_only_some_records() -> None:
    """A day with a condition is a member of its own, with the fields it asks for; days without one stay together."""
    (shared,) = loaded(*COUNTED).facts
    people, mails = shared.members
    assert (None, (), ("met_on", "wrote_at")) == (people.when, people.facts, people.columns)
    assert (Compare("kind", Op.IN, ("personal", "reply")), ("sent_on", "kind")) == (mails.when, mails.columns)
    both = loaded(*COUNTED, ('"people.wrote_at"', '{ field = "people.wrote_at", where = { met_on = { ge = 2020-01-01 } } }')).facts[0]
    assert [("people", ("met_on",)), ("people", ("wrote_at", "met_on")), ("mails", ("sent_on", "kind"))] == [
        (each.source, each.columns) for each in both.members
    ]
    assert ("people", "mails") == both.sources


def test_a_change_of_what_counts_is_told_and_approved_again() -> None:
    """Which records count belongs to every policy that decides by the fact, and to no other."""
    plain, counted = loaded(COUNTED[1]), loaded(*COUNTED)
    assert {"people", "letters"} == {old.id for old, new in zip(plain.policies, counted.policies, strict=True) if old.digest != new.digest}
    (line,) = changes(plain.policies[0], counted.policies[0])
    assert line.endswith("-> the latest of people.met_on, people.wrote_at, mails.sent_on (where kind is one of personal, reply)")


TWO = '[facts.last_mail]\nlatest = ["mails.sent_on"]\n\n[sources.people]'
WRONG_COUNTS = [
    ('kind = ["personal", "reply"]', "knid = 'reply'", "last_contact.latest[1].where.knid", "no fact \"knid\". Did you mean 'kind'?"),
    (
        'kind = ["personal", "reply"]',
        "kind = 3",
        "last_contact.latest[1].where.kind",
        "'kind' is a text and can only be compared with a text",
    ),
    ('kind = ["personal", "reply"]', "kind = { gt = 'a' }", "where.kind.gt", "'gt' compares numbers and days"),
    ('kind = ["personal", "reply"]', "", "where", "there is no condition in it"),
    ('kind = ["personal", "reply"]', "opened = true", "where", "'opened' is no field of 'mails'; whether a record counts"),
    ('kind = ["personal", "reply"]', "last_contact = 2020-01-01", "where.last_contact", 'there is no fact "last_contact"'),
    ('kind = { empty = "not_applicable" }', 'kind = { treatment = "clear" }', "where", "'kind' has a treatment, after which nobody could"),
    ("field = ", "feild = ", "feild", "Did you mean 'field'?"),
    (
        '"mails.sent_on", where',
        '"mails.sent", where',
        "last_contact.latest[1].field",
        "there is no field \"sent\". Did you mean 'sent_on'?",
    ),
    ('{ field = "mails.sent_on"', '"mails.sent_on", { field = "mails.sent_on"', "latest[2].field", "'mails.sent_on' is listed twice"),
    ("[sources.people]", TWO, "last_mail.latest[0]", "'mails.sent_on' counts other records here than in 'last_contact'"),
]


@pytest.mark.parametrize(("old", "new", "path", "said"), WRONG_COUNTS, ids=lambda value: str(value)[:30])
def test_what_counts_is_checked(old: str, new: str, path: str, said: str) -> None:
    """A condition asks for fields of its own source, of the right type, that stay; and one field counts the same records everywhere."""
    text = TEXT.replace('"people.wrote_at", ', "")
    for before, after in COUNTED:
        text = text.replace(before, after, 1)
    text = text.replace("[sources.logs]", '[sources.mails.facts]\nopened = { exists = "openings" }\n' + OPENINGS + "\n[sources.logs]", 1)
    assert () == check_text(text, "policies.toml").problems
    assert old in text
    problems = check_text(text.replace(old, new, 1), "policies.toml").problems
    assert any(path in str(each) and said in str(each) for each in problems), [str(each) for each in problems]


REFUSED = [
    ('"mails.sent_on"]', '"mails.sent_an"]', 7, "facts.last_contact.latest", "there is no field \"sent_an\". Did you mean 'sent_on'?"),
    ('"mails.sent_on"]', '"mail.sent_on"]', 7, "facts.last_contact.latest", "there is no source \"mail\". Did you mean 'mails'?"),
    ('"mails.sent_on"]', '"sent_on"]', 7, "facts.last_contact.latest", "must name a source and its field"),
    (
        '"mails.sent_on"]',
        '"mails.address"]',
        7,
        "facts.last_contact.latest",
        "'mails.address' is a text; the latest",
    ),
    ('"mails.sent_on"]', '"mails.sent_on", "mails.sent_on"]', 7, "facts.last_contact.latest", "'mails.sent_on' is listed twice"),
    ('"mails.sent_on"]', '"people.left_on"]', 7, "facts.last_contact.latest", "'people.left_on' has a treatment"),
    ('latest = ["people', 'lates = ["people', 7, "facts.last_contact.lates", "unknown key \"lates\". Did you mean 'latest'?"),
    ('subject = ["address"]\n', "", 7, "facts.last_contact.latest", "'mails' has no subject fields"),
    ('uses = ["last_contact"]\nsubject = ["email"]', 'uses = ["last_contact"]', 34, "sources.letters.uses", "has no subject fields"),
    ('uses = ["last_contact"]', 'uses = ["last_contract"]', 34, "sources.letters.uses", "Did you mean 'last_contact'?"),
    ("[facts.last_contact]", "[facts.met_on]", 6, "facts.met_on", "'met_on' is the name of a field or fact of 'people' too"),
    ("[facts.last_contact]", "[facts.any]", 6, "facts.any", "a meaning of its own in conditions"),
    ('uses = ["last_contact"]\n', "", 76, "purposes[letter].start", "'letters' is not one of them. Add uses = [\"last_contact\"]"),
    ('latest = ["people.met_on", "people.wrote_at", "mails.sent_on"]', "latest = 3", 7, "facts.last_contact.latest", "must be a list"),
]


@pytest.mark.parametrize(("old", "new", "line", "path", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_refused(old: str, new: str, line: int, path: str, said: str) -> None:
    """What is wrong is told with its line, its key path and what to do; and once, not again wherever the fact is used."""
    assert old in TEXT
    problems = check_text(TEXT.replace(old, new, 1), "policies.toml").problems
    about = [str(each) for each in problems if path in each.where]
    assert [True] == [said in each for each in about], [str(each) for each in problems]
    if old.startswith(('"', "uses", "subject", "latest")):
        assert [line] == [each.line for each in problems], [str(each) for each in problems]


def test_rows_that_would_go_unseen() -> None:
    """Children that are the records of a member have to say so, or their days would be lost with them."""
    children = '[sources.logs.children.mails]\ntable = "mails"\nkey = "id"\nmatch = { log = "id" }\non_delete = "delete"\n'
    report = check_text(TEXT.replace("[sources.logs.fields]", children + "[sources.logs.fields]"), "policies.toml")
    assert ["its rows are the records of 'mails', from which 'last_contact' takes days. Add source = 'mails'."] == [
        f"{each.what} {each.hint}" for each in report.problems
    ]
    mended = children + 'source = "mails"\n'
    assert () == check_text(TEXT.replace("[sources.logs.fields]", mended + "[sources.logs.fields]"), "policies.toml").problems


def digests(*changes: tuple[str, str]) -> dict[str, str]:
    """Return the digest of every policy."""
    return {each.id: each.digest for each in loaded(*changes).policies}


CHANGED = [
    (('"people.wrote_at", ', ""), {"people", "letters"}),
    (('"mails.sent_on"]', '"mails.sent_on"]\nnone = "not_applicable"'), {"people", "letters"}),
    (('sent_on = { type = "date" }', 'sent_on = { type = "date", planned = true }'), {"people", "mails", "letters"}),
    (('table = "mails"', 'table = "post"'), {"people", "mails", "letters"}),
    (('"people.met_on", "people.wrote_at", "mails.sent_on"', '"mails.sent_on", "people.wrote_at", "people.met_on"'), set()),
    (('uses = ["last_contact"]', 'uses = ["last_contact"] # again'), set()),
    (('address = { type = "email", personal = true }', 'address = { type = "email", personal = true, treatment = "clear" }'), {"mails"}),
]


@pytest.mark.parametrize(("change", "expected"), CHANGED, ids=range(len(CHANGED)))
def test_an_approval_covers_it(change: tuple[str, str], expected: set[str]) -> None:
    """A changed fact is another version of every policy that uses it, and of no other; order changes nothing."""
    before, after = digests(), digests(change)
    assert expected == {name for name in before if before[name] != after[name]}


# --- When the last record went --------------------------------------------------------------------------------------------------------

GONE_TEXT = TEXT.replace("[sources.people]", '[facts.went]\ngone = ["mails.box", "people.email"]\n\n[sources.people]', 1)
GONE_TEXT = GONE_TEXT.replace('sent_on = { type = "date" }', 'sent_on = { type = "date" }\nbox = { type = "email" }', 1)
GONE_TEXT = GONE_TEXT.replace('uses = ["last_contact"]', 'uses = ["last_contact", "went"]', 1)


def test_the_day_on_which_records_went() -> None:
    """Each field is a member that knows its records by it, subject or not; nothing but that field is read, and no day."""
    schedule = loads(GONE_TEXT, "policies.toml")
    _, went = schedule.facts
    assert (True, Empty.UNKNOWN, {Empty.UNKNOWN, Empty.NOT_YET}) == (went.going, went.none, went.absences)
    assert [("mails", ("box",), Identifier.EMAIL), ("people", ("email",), Identifier.EMAIL)] == [
        (each.source, each.columns, each.identifiers[0].identifier) for each in went.members
    ]
    assert {"people": 2, "mails": 2, "letters": 2, "logs": 0} == {name: len(each.shared) for name, each in schedule.sources.items()}


def test_things_that_are_known_by_telephone() -> None:
    """Numbers are dialled in the organisation's country here too, in fields that recognise no subject."""
    text = GONE_TEXT.replace('box = { type = "email" }', 'box = { type = "phone" }')
    for said, expected in (("", ""), ('country = "NL"\n', "NL")):
        schedule = loads(text.replace("[organisation]\n", f"[organisation]\n{said}"), "policies.toml")
        known_by = [each.identifiers[0].comparison for each in schedule.facts[1].members]
        assert [Comparison(Identifier.PHONE, expected), Comparison(Identifier.EMAIL)] == known_by


def test_a_change_of_it_is_told() -> None:
    """What is compared is named in the words of the policy file."""
    text = GONE_TEXT.replace('start = "last_contact"\nkeep = "P2Y"\n', 'start = "went"\nkeep = "P2Y"\n')
    before = loads(text, "policies.toml").policies[2]
    (line,) = changes(before, loads(text.replace('"mails.box", ', ""), "policies.toml").policies[2])
    assert line.endswith("the end of mails.box, people.email -> the end of people.email")


WRONG_GOING = [
    ('"mails.box"', '"mails.bax"', "went.gone", "there is no field \"bax\". Did you mean 'box'?"),
    ('"mails.box"', '"mails"', "went.gone", "must name a source and its field"),
    ('"mails.box"', '"mails.sent_on"', "went.gone", "'mails.sent_on' is a date; things are known by text, email or phone"),
    ('box = { type = "email" }', 'box = { type = "email", treatment = "clear" }', "went.gone", "'mails.box' has a treatment, after which"),
    ('gone = ["mails.box", "people.email"]', "", "facts.went", "needs one of `latest`"),
    ('gone = ["', 'latest = ["mails.sent_on"]\ngone = ["', "facts.went", "needs one of `latest`"),
    ('[sources.letters.fields]\nemail = { type = "email"', '[sources.letters.fields]\nemail = { type = "text"', "uses", "of another type"),
    ('table = "people"\n', 'table = "people"\nuses = ["went"]\n', "people.uses", "records of 'people' went: none that is there has one"),
]


@pytest.mark.parametrize(("old", "new", "path", "said"), WRONG_GOING, ids=lambda value: str(value)[:30])
def test_what_can_not_be_gone(old: str, new: str, path: str, said: str) -> None:
    """A thing is known by a text that stays as it is, and asks for the end of other records than its own."""
    assert () == check_text(GONE_TEXT, "policies.toml").problems
    assert old in GONE_TEXT
    problems = check_text(GONE_TEXT.replace(old, new, 1), "policies.toml").problems
    assert True in [path in each.where and said in str(each) for each in problems], [str(each) for each in problems]


def test_what_nobody_was_seen_to_name() -> None:
    """Whoever lets go what has no record is told what a mistake would cost; otherwise it is kept, and nothing need be said."""
    said = [str(each) for each in check_text(GONE_TEXT, "policies.toml").warnings]
    text = GONE_TEXT.replace('"people.email"]', '"people.email"]\nnone = "not_applicable"', 1)
    more = [str(each) for each in check_text(text, "policies.toml").warnings]
    assert [] == [each for each in said if "one wrong letter" in each]
    assert [True] == ["facts.went.none" in each for each in more if "one wrong letter" in each]
