"""The demonstration office: the same every time, complete, and made of nobody's data."""

import io
import ipaddress
import json
import sqlite3
import tomllib
import unicodedata
from contextlib import closing
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from docx import Document

from demo import crm, crm_cases, documents
from demo.cases import OUTCOMES
from demo.office import Office, build
from demo.people import internet_address, person, years_before

DATABASES = {
    "contacts": "crm.sqlite",
    "quotes": "crm.sqlite",
    "agreements": "crm.sqlite",
    "invoices": "crm.sqlite",
    "notes": "crm.sqlite",
    "members": "mailing_list.sqlite",
    "comments": "comments.sqlite",
}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return build(tmp_path_factory.mktemp("office"))


def ask(office: Office, source: str, question: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(office.folder / DATABASES[source])) as database:
        return database.execute(question, values).fetchall()


def count(office: Office, source: str, condition: str) -> int:
    ((number,),) = ask(office, source, f"SELECT count(*) FROM {source} WHERE {condition}")
    return int(number)


def value(office: Office, case: str, column: str, *, other: int | None = None) -> object:
    found = office.cases[case]
    source, key = (found.source, found.key) if other is None else found.others[other]
    return ask(office, source, f"SELECT {column} FROM {source} WHERE id = ?", key)[0][0]


def facts(folder: Path) -> dict[str, Any] | None:
    for name, read in (("application.json", json.loads), ("application.toml", tomllib.loads)):
        if (folder / name).exists():
            return dict(read((folder / name).read_text(encoding="utf-8")))
    return None


class TestSameEveryTime:
    def test_a_folder_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        """The build empties only what it made: nothing in another folder is touched."""
        precious = tmp_path / "crm.sqlite"
        precious.write_bytes(b"precious")
        with pytest.raises(FileExistsError, match="choose another folder"):
            build(tmp_path)
        assert precious.read_bytes() == b"precious"

    def test_a_scale_below_one_is_refused(self, tmp_path: Path) -> None:
        """An office without records would prove nothing."""
        with pytest.raises(ValueError, match="scale"):
            build(tmp_path, scale=0)

    def test_a_larger_office_keeps_the_keys_of_the_cases(self) -> None:
        """The awkward records come first, so a scale changes only how many ordinary ones follow."""
        cases, sizes = [], []
        for scale in (1, 2):
            rows = crm.Crm(Random(1))
            cases.append(crm_cases.add(rows, date(2026, 6, 30)))
            crm.fill(rows, date(2026, 6, 30), scale)
            sizes.append(len(rows.contacts))
        assert cases[0] == cases[1]
        assert sizes == [2000, 4000]


class TestCases:
    def test_each_case_is_in_the_data(self, office: Office) -> None:
        """A case names a record that is there, and so do the further records it is about."""
        for name, case in office.cases.items():
            for source, key in ((case.source, case.key), *case.others):
                if source == "applications":
                    assert (office.applications / key).is_dir(), name
                else:
                    assert ask(office, source, f"SELECT count(*) FROM {source} WHERE id = ?", key) == [(1,)], name

    def test_each_case_says_what_to_expect(self, office: Office) -> None:
        """Every expectation begins with a known outcome and goes on with a reason."""
        assert {case.outcome for case in office.cases.values()} == set(OUTCOMES)
        assert all(case.expected.partition(": ")[2] and case.why for case in office.cases.values())

    @pytest.mark.parametrize(
        ("case", "column", "stored"),
        [
            ("empty_last_contact", "last_contact_at", None),
            ("future_last_contact", "last_contact_at", "2026-08-14 12:00:00"),
            ("zero_date", "last_contact_at", "0000-00-00 00:00:00"),
            ("date_1900", "last_contact_at", "1900-01-01 00:00:00"),
            ("date_1970", "last_contact_at", "1970-01-01 00:00:00"),
            ("date_9999", "last_contact_at", "9999-12-31 23:59:59"),
            ("leap_day", "last_contact_at", "2024-02-29 12:00:00"),
            ("month_end_31_august", "last_contact_at", "2023-08-31 12:00:00"),
            ("month_end_22_30_utc", "last_contact_at", "2024-06-30 22:30:00"),
            ("due_yesterday", "last_contact_at", "2024-06-29 12:00:00"),
            ("due_today", "last_contact_at", "2024-06-30 12:00:00"),
            ("due_tomorrow", "last_contact_at", "2024-07-01 12:00:00"),
            ("everything_empty", "coalesce(name, email, phone, address, city)", None),
            ("invoice_2018_06_30", "issued_on", "2018-06-30"),
            ("invoice_of_gone_contact", "contact_id", None),
            ("invoice_without_date", "issued_on", None),
            ("member_left_today", "unsubscribed_at", "2026-06-30 08:00:00"),
            ("member_unsubscribed_without_date", "unsubscribed_at", None),
            ("comment_due_today", "commented_at", "2026-01-01 12:00:00"),
            ("comment_of_gone_post", "post_id", None),
            ("comment_without_address", "author_ip", None),
        ],
    )
    def test_a_case_holds_its_awkward_value(self, office: Office, case: str, column: str, stored: str | None) -> None:
        """The value that makes a case awkward is stored as it stands in the case's name."""
        assert stored == value(office, case, column)

    def test_one_person_is_in_all_four_sources(self, office: Office) -> None:
        """A contact, a member, a commenter and an applicant share one address, once written in capitals."""
        dossier = facts(office.applications / office.cases["everywhere_application"].key)
        found = {
            value(office, "everywhere_contact", "email"),
            value(office, "everywhere_member", "email"),
            value(office, "everywhere_comment", "author_email"),
            dossier["email"] if dossier else None,
        }
        assert {crm_cases.EVERYWHERE.email, crm_cases.EVERYWHERE.email.upper()} == found

    def test_duplicates_differ_only_in_how_they_are_written(self, office: Office) -> None:
        """Case, normal form, encoding and spaces set two addresses of one person apart, nothing else does."""
        for name in ("duplicate_other_case", "duplicate_other_normal_form", "duplicate_idn", "duplicate_with_spaces"):
            first, second = str(value(office, name, "email")), str(value(office, name, "email", other=0))
            assert first != second, name
            spelled = [unicodedata.normalize("NFC", text).strip().lower() for text in (first, second)]
            assert len({text.replace("xn--bcher-kva", "bücher") for text in spelled}) == 1, name

    def test_replies_are_by_whom_the_case_says(self, office: Office) -> None:
        """One comment is answered by somebody else, one by its own author, and in one thread each answers the other."""
        for name, same in (("comment_replied_by_other", False), ("comment_replied_by_author", True)):
            author, replier = value(office, name, "author_email"), value(office, name, "author_email", other=0)
            assert same == (author == replier), name
            assert int(office.cases[name].key) == value(office, name, "parent_id", other=0)
        thread = [value(office, "thread_author_and_replier", "author_email", other=reply) for reply in range(3)]
        assert [person(3200).email, person(3201).email, person(3200).email] == thread
        assert value(office, "comment_replied_by_spam", "status", other=0) == "spam"

    def test_an_agreement_is_open_although_the_contact_is_old(self, office: Office) -> None:
        """A running agreement keeps a contact that was last spoken to six years ago."""
        assert value(office, "agreement_still_open", "ended_on", other=0) is None
        assert value(office, "agreement_still_open", "last_contact_at") == "2020-06-30 12:00:00"

    def test_dossiers_hold_the_facts_of_their_case(self, office: Office) -> None:
        """Open, unknown and unreadable dossiers are what they are called."""

        def said(name: str) -> dict[str, Any]:
            return facts(office.applications / office.cases[name].key) or {}

        assert "hired" not in said("application_hired_unknown")
        assert "procedure_ended_on" not in said("application_open")
        assert said("application_open_empty")["procedure_ended_on"] == ""
        assert str(said("application_due_today")["procedure_ended_on"]) == "2026-05-05"
        assert said("sidecar_missing") == {}
        assert list((office.applications / office.cases["dossier_empty"].key).iterdir()) == []
        with pytest.raises(ValueError, match=r"."):
            said("sidecar_broken")
        with pytest.raises(UnicodeDecodeError):
            said("sidecar_not_text")
        for name in ("shared_file_all_due", "shared_file_still_needed"):
            (shared,) = said(name)["attachments"]
            case = office.cases[name]
            other = facts(office.applications / case.others[0][1])
            assert other is not None
            assert [shared] == other["attachments"]
            assert (office.applications / case.key / shared).is_file()


class TestProportions:
    def test_each_source_has_the_promised_size(self, office: Office) -> None:
        """A few thousand records, spread as in a small firm."""
        expected = {"contacts": 2000, "quotes": 1500, "agreements": 400, "invoices": 1800, "notes": 2500}
        expected |= {"members": 1200, "comments": 1500}
        for source, size in expected.items():
            assert size == pytest.approx(count(office, source, "true"), rel=0.12), source
        dossiers = [path for path in office.applications.iterdir() if path.name != "shared"]
        assert len(dossiers) == 120

    def test_a_realistic_part_is_due(self, office: Office) -> None:
        """Enough is due to show the work, and most is kept."""
        contacts = count(office, "contacts", "last_contact_at < '2024-06-30'")
        assert 0.15 <= contacts / 2000 <= 0.25
        assert 200 <= count(office, "invoices", "issued_on <= '2018-12-31'") <= 600
        assert 80 <= count(office, "members", "status = 'unsubscribed' AND unsubscribed_at < '2026-05-31'") <= 120
        assert 500 <= count(office, "comments", "author_ip IS NOT NULL AND commented_at < '2026-01-01'") <= 1300

    def test_about_thirty_applications_are_due(self, office: Office) -> None:
        """Rejected, eight weeks past, and nobody asked to keep them."""
        due = 0
        for folder in office.applications.iterdir():
            try:
                said = facts(folder) or {}
            except ValueError:
                continue
            past = "" < str(said.get("procedure_ended_on") or "") < "2026-05-05"
            due += past and said.get("hired") is False and "consent_given_on" not in said
        assert 25 <= due <= 36

    def test_only_named_cases_lie_in_the_future(self, office: Office) -> None:
        """On the as-of date nothing ordinary has a date that is still to come."""
        for source, column in (("contacts", "last_contact_at"), ("invoices", "issued_on"), ("comments", "commented_at")):
            allowed = {int(case.key) for case in office.cases.values() if case.source == source}
            later = ask(office, source, f"SELECT id FROM {source} WHERE {column} >= '2026-07-01'")
            assert {key for (key,) in later} <= allowed, source


class TestFiles:
    def test_relations_hold_and_have_indexes(self, office: Office) -> None:
        """Every foreign key points at a row and is the first column of an index."""
        for source in DATABASES:
            assert ask(office, source, "PRAGMA foreign_key_check") == []
            indexed = {
                ask(office, source, f"PRAGMA index_info({index[1]})")[0][2] for index in ask(office, source, f"PRAGMA index_list({source})")
            }
            assert {key[3] for key in ask(office, source, f"PRAGMA foreign_key_list({source})")} <= indexed

    def test_a_reply_is_never_older_than_what_it_answers(self, office: Office) -> None:
        """Threads read in order."""
        wrong = ask(
            office,
            "comments",
            "SELECT r.id FROM comments r JOIN comments c ON c.id = r.parent_id WHERE r.commented_at < c.commented_at",
        )
        assert wrong == []

    def test_documents_open(self, office: Office) -> None:
        """The files in a dossier are real ones: PDFs with a header and an end, DOCX that a reader takes."""
        pdfs, letters = list(office.applications.rglob("*.pdf")), list(office.applications.rglob("*.docx"))
        assert len(pdfs) > 100
        for path in pdfs:
            content = path.read_bytes()
            assert content.startswith(b"%PDF-")
            assert content.rstrip().endswith(b"%%EOF")
        assert len(letters) > 30
        assert Document(str(letters[0])).paragraphs[0].text == "Sollicitatie"

    def test_a_document_takes_any_text(self) -> None:
        """Signs that XML or the PDF's font would stumble over don't break a file."""
        text = "<Zoë & 'co'> 🌻 ליאור"
        assert text == Document(io.BytesIO(documents.docx("x", text))).paragraphs[1].text
        assert documents.pdf(text, (text,)) == documents.pdf(text, (text,))


class TestNobody:
    def test_every_address_is_reserved_for_examples(self, office: Office) -> None:
        """No mail can reach anybody, whoever sends to these addresses."""
        mails = [text.strip().lower() for text in office.canaries if text.count("@") == 1]
        assert len(mails) > 3000
        assert [mail for mail in mails if not mail.endswith((".example.com", ".example.org", ".example.net", ".example"))] == []

    def test_every_internet_address_is_for_documentation(self) -> None:
        """No machine can have one of these addresses."""
        draw = Random(7)
        blocks = [ipaddress.ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
        for _ in range(200):
            address = ipaddress.ip_address(internet_address(draw))
            assert any(address in block for block in blocks)

    def test_canaries_cover_what_the_sources_hold(self, office: Office) -> None:
        """A leak search that looks for the canaries finds every personal value, and none hits by chance for being short."""
        personal = {"contacts": "name email phone address", "invoices": "billing_name", "quotes": "contact_name"}
        personal |= {"members": "name email", "comments": "author_name author_email author_ip"}
        for source, columns in personal.items():
            for column in columns.split():
                stored = ask(office, source, f"SELECT DISTINCT {column} FROM {source} WHERE trim({column}) <> ''")
                assert {text for (text,) in stored} <= office.canaries, (source, column)
        assert min(len(text) for text in office.canaries) >= 8


def test_years_before_clamps_a_leap_day() -> None:
    """29 February becomes 28 February in a year that has none."""
    assert date(2023, 2, 28) == years_before(date(2024, 2, 29), 1)
    assert date(2020, 2, 29) == years_before(date(2024, 2, 29), 4)


def test_addresses_are_absolute(office: Office) -> None:
    """An address works from any folder."""
    assert [
        f"sqlite:///{office.folder}/crm.sqlite",
        f"sqlite:///{office.folder}/mailing_list.sqlite",
        f"sqlite:///{office.folder}/comments.sqlite",
    ] == [office.crm_url, office.mailing_list_url, office.comments_url]
    assert office.folder.is_absolute()
