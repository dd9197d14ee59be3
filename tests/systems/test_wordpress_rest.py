"""Comments of a real WordPress over REST: the policy that the documentation shows, carried out by the command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.acceptance.conftest import Installation
from tests.events import wrong_events
from tests.systems.servers.comments import Comment, Seed
from tests.systems.servers.site import Rest, rest
from tests.systems.servers.wordpress import WordPress
from worker.audit.outcomes import outcomes

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- example: wordpress -->\n```toml\n(.*?)```", PAGE, re.DOTALL)[0]
ASKED = ("Anna", "Bram", "Carla", "Daan", "Eva", "Gerda", "Iris", "Karin", "Lena")
"""Who asked for removal."""
GONE = {
    "reply_by_other",
    "replied",
    "alone",
    "replied_by_self",
    "reply_by_self",
    "replied_spam",
    "replied_trash",
    "elsewhere_same_author",
    "chain_top",
}
STAY = ("replied_pending", "replied_by_owner", "chain_middle")


@dataclass(frozen=True)
class Office:
    """An office with a website, and the command."""

    way: Rest
    seed: Seed
    command: Installation

    def comments(self) -> dict[int, dict[str, Any]]:
        """Return the rows of the site's table by id."""
        engine = sa.create_engine(self.way.site.database_url)
        with engine.connect() as connection:
            found = {int(row["comment_ID"]): dict(row) for row in connection.execute(sa.text("SELECT * FROM wp_comments")).mappings()}
        engine.dispose()
        return found

    def labels(self) -> set[str]:
        """Return the labels of the comments that are left."""
        left = self.comments()
        return {each.label for each in self.seed if each.id in left}


def office(way: Rest, seed: Seed, folder: Path, policies: str = POLICIES, url: str = "") -> Office:
    """Return an office of its own on the site."""
    (folder / "policies.toml").write_text(policies, encoding="utf-8")
    environ = {
        "RETENTION_POLICIES": str(folder / "policies.toml"),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "dora",
        "RETENTION_MAX_SHARE": "1",
        "RETENTION_SOURCES__COMMENTS__URL": url or way.url(),
        "RETENTION_SOURCES__COMMENTS__OPTIONS__WAIT": "0.02",
        "RETENTION_SOURCES__COMMENTS__OPTIONS__ATTEMPTS": "4",
    }
    return Office(way, seed, Installation(folder, environ, now=seed.as_of + timedelta(hours=1)))


@pytest.fixture(scope="module")
def way(wordpress: WordPress) -> Iterator[Rest]:
    """Return the way into a site."""
    with rest(wordpress) as made:
        yield made


@pytest.fixture(scope="module")
def seed(way: Rest) -> Seed:
    """Return the comments that WordPress made."""
    return way.site.seed()


@pytest.fixture(scope="module")
def enforced(way: Rest, seed: Seed, tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Return an office that planned, approved and applied on a bad day: answers lost, the site busy, one comment refused."""
    made = office(way, seed, tmp_path_factory.mktemp("site"))
    command = made.command
    for name in ASKED:
        said = command(
            "request",
            "add",
            "--kind",
            "erase",
            "--subject",
            "-",
            "--verified-by",
            "ann",
            "--received-on",
            "2025-02-28",
            typed=seed.by(name)[0].email.upper() + "\n",
        )
        assert 0 == said.code, said.err
    plan = command.approved()
    way.proxy.reading(429, headers={"Retry-After": "0"}, after=3, times=2)
    way.proxy.writing(None, applied=True, after=2, times=1)
    way.proxy.writing(503, after=5, times=1)
    way.proxy.about(lambda request: f"/comments/{seed['alone'].id}" in request.path, 403, body=b'{"code": "rest_cannot_delete"}')
    applied = command("apply", plan)
    assert 5 == applied.code, applied.err
    return made


def test_the_bad_day_is_said(enforced: Office) -> None:
    """The comment that the site refused is left, named with what it said, and everything else is done; verify agrees."""
    assert "alone" in enforced.labels()
    (said,) = enforced.command.events("retention.record_skipped")
    assert ("failed", "HTTP 403 rest_cannot_delete") == (said["event.reason"], said["retention.answer"])
    (closed,) = enforced.command.events("retention.batch_closed")
    assert [said["retention.record"]] == closed["retention.excluded"]
    assert closed["retention.count"] == len(list(outcomes(enforced.command.audit)))
    verified = enforced.command("verify", "--json", enforced.command("runs", "--json").json[0]["run_id"])
    assert 0 == verified.code, verified.err
    assert [] == wrong_events(enforced.command.folder)


@pytest.fixture(scope="module")
def healed(enforced: Office) -> Office:
    """Return the office after the next night, on which the site no longer refuses."""
    enforced.way.proxy.heal()
    said = enforced.command("run")
    assert said.code in (0, 4), said.err
    return enforced


def test_the_next_night_does_the_rest(healed: Office) -> None:
    """The next run does what was left, and the one after that has nothing to do."""
    assert GONE == {each.label for each in healed.seed} - healed.labels()
    third = healed.command("plan", "--json", "-o", healed.command.folder / "third.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == third.json["sources"]["comments"]["actions"]


def test_what_stays_stays_under_a_pseudonym(healed: Office) -> None:
    """A comment that somebody else answered stands without its author, on the website's own page too."""
    left, seed = healed.comments(), healed.seed
    for label in STAY:
        row = left[seed[label].id]
        assert (True, "", "0.0.0.0", "-") == (
            row["comment_author"].startswith("p1-"),
            row["comment_author_url"],
            row["comment_author_IP"],
            row["comment_agent"],
        )
    page = healed.way.site.post_page(seed.posts["opening"])
    assert seed["replied_by_owner"].content in page
    assert seed["replied_by_owner"].author not in page
    assert seed["replied_by_owner"].avatar not in page


def test_addresses_go_after_their_period_whoever_wrote(healed: Office) -> None:
    """IP address and user agent of every older comment are gone, spam and trash included; the younger ones stand as they were."""
    left = healed.comments()
    others = [each for each in healed.seed if each.author.split()[0] not in ASKED]
    assert {True, False} == {each.is_older for each in others}
    for each in others:
        now = (left[each.id]["comment_author_IP"], left[each.id]["comment_agent"])
        assert (("0.0.0.0", "-") if each.is_older else (each.ip, each.agent)) == now, each.label
        assert (each.author, each.email) == (left[each.id]["comment_author"], left[each.id]["comment_author_email"])


def test_the_site_is_whole(healed: Office) -> None:
    """Counts are right, no reply hangs on a comment that is gone, and those of a deleted one moved up."""
    left, seed = healed.comments(), healed.seed
    for post in seed.posts.values():
        approved = [row for row in left.values() if row["comment_post_ID"] == post and row["comment_approved"] == "1"]
        assert len(approved) == healed.way.site.comment_count(post)
    assert [] == [key for key, row in left.items() if row["comment_parent"] and row["comment_parent"] not in left]
    assert 0 == left[seed["chain_middle"].id]["comment_parent"]


def test_nothing_of_a_comment_is_written_or_printed(healed: Office) -> None:
    """Neither ledger, plans, audit trail nor what was printed hold a value of a comment, or the password."""
    state = b"".join(path.read_bytes() for path in healed.command.state.rglob("*") if path.is_file())
    printed = "".join(healed.command.everything)
    secrets = [value for each in healed.seed for value in (each.author, *each.canaries)] + [healed.way.password]
    assert [] == [each for each in secrets if each.encode() in state or each in printed]


class TestCheck:
    """What `sources check` says about a site and an account."""

    def test_all_is_well(self, way: Rest, seed: Seed, tmp_path: Path) -> None:
        """With the rights of an editor nothing is wrong; what can't be seen over REST is said."""
        said = office(way, seed, tmp_path).command("sources", "check")
        assert 0 == said.code, said.out + said.err
        assert "comment meta can't be seen over REST" in said.out + said.err

    @pytest.mark.parametrize(("user", "password"), [("owner", "wrong"), ("nobody", None)])
    def test_a_wrong_password(self, way: Rest, seed: Seed, tmp_path: Path, user: str, password: str | None) -> None:
        """A sign-in that WordPress ignores is noticed, by the check and by a plan, and no password is shown."""
        command = office(way, seed, tmp_path, url=way.url(password, user)).command
        for args in (("sources", "check"), ("plan",)):
            said = command(*args)
            assert said.code not in (0, 4)
            assert "refused the sign-in" in said.out + said.err
            assert (password or way.password) not in (said.out + said.err).replace("wrong with", "")

    def test_an_account_that_may_not_moderate(self, way: Rest, seed: Seed, tmp_path: Path) -> None:
        """An author sees the comments on his own posts at most: that is an error, never a short list."""
        password = way.site.php(
            "$id = wp_insert_user(['user_login' => 'writer', 'user_pass' => wp_generate_password(), 'role' => 'author']);"
            "echo WP_Application_Passwords::create_new_application_password($id, ['name' => 'retention'])[0];"
        )
        said = office(way, seed, tmp_path, url=way.url(password, "writer")).command("sources", "check")
        assert said.code not in (0, 4)
        assert "editor" in said.out + said.err

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ('{ constant = "0.0.0.0" }', '"clear"', "no empty author_ip"),
            ('{ constant = "-" }', '{ constant = "" }', "no empty author_user_agent"),
            ("author_name", "author_nam", "Did you mean 'author_name'?"),
            ('on_delete = "detach"', 'on_delete = "detach"\n[sources.comments.options]\ndelete = "trash"', "keeps its replies"),
            ('match = { parent = "id" }', 'match = { post = "id" }', "no other relation"),
            ('key = "id"\nsubject', 'key = "post"\nsubject', "the key of a comment is its id"),
            ("status = { }", 'status = { }\nrating = { column = "meta.rating" }', "not registered for REST"),
        ],
    )
    def test_a_declaration_that_cannot_work(self, way: Rest, seed: Seed, tmp_path: Path, old: str, new: str, words: str) -> None:
        """What WordPress would refuse at night is said by day."""
        assert old in POLICIES
        said = office(way, seed, tmp_path, POLICIES.replace(old, new, 1)).command("sources", "check")
        assert said.code not in (0, 4)
        assert words in said.out + said.err


class TestPosts:
    """A comment's post may be gone, in the trash, or not to be asked."""

    POLICY = (
        POLICIES.partition("[[policies.examples]]")[0]
        .replace("status = { }", "status = { }\npost_state = { }")
        .replace('keep = "P90D"\n', 'keep = "P90D"\nwhen = { post_state = "STATE" }\n')
    )

    @pytest.fixture
    def comments(self, way: Rest) -> Iterator[dict[str, int]]:
        """Return an old comment on a post that is present, one on a trashed post and one whose post is gone."""
        code = """
        $make = fn($title) => wp_insert_post(['post_title' => $title, 'post_status' => 'publish', 'post_author' => 1]);
        $said = [];
        foreach (['present', 'trash', 'gone'] as $name) {
            $post = $make($name);
            $said[$name] = wp_insert_comment(['comment_post_ID' => $post, 'comment_author' => "A $name", 'comment_content' => 'Hi',
                'comment_author_IP' => '192.0.2.9', 'comment_agent' => 'Old', 'comment_date' => '2020-01-01 12:00:00',
                'comment_date_gmt' => '2020-01-01 12:00:00', 'comment_approved' => 1]);
            if ($name === 'trash') { wp_trash_post($post); }
            if ($name === 'gone') { $wpdb = $GLOBALS['wpdb']; $wpdb->delete($wpdb->posts, ['ID' => $post]); }
        }
        echo json_encode($said);
        """
        way.proxy.heal()
        made = json.loads(way.site.php(code))
        yield made
        way.site.php("".join(f"wp_delete_comment({key}, true);" for key in made.values()))

    @pytest.mark.parametrize("state", ["present", "trash", "gone"])
    def test_the_state_of_a_post_is_a_fact(self, way: Rest, seed: Seed, tmp_path: Path, comments: dict[str, int], state: str) -> None:
        """A policy can tell comments by what became of their post; one of a trashed post is found although no status lists it."""
        made = office(way, seed, tmp_path, self.POLICY.replace("STATE", state))
        applied = made.command("apply", made.command.approved())
        assert (state == "gone") == (applied.code == 5), applied.err
        left = made.comments()
        treated = {name for name, key in comments.items() if left[key]["comment_author_IP"] == "0.0.0.0"}
        assert ({state} - {"gone"}) == treated
        assert (1 if state == "gone" else 0) == len(made.command.events("retention.record_skipped"))

    def test_what_rest_cannot_change_is_refused_and_said(self, way: Rest, seed: Seed, tmp_path: Path, comments: dict[str, int]) -> None:
        """A comment whose post is gone can't be changed over REST: it is reported with WordPress' own word, and is not taken for gone."""
        made = office(way, seed, tmp_path)
        result = made.command("apply", made.command.approved())
        assert 5 == result.code, result.err
        answers = {each.get("retention.answer") for each in made.command.events("retention.record_skipped")}
        assert {"HTTP 404 rest_post_invalid_id"} == answers
        left = made.comments()
        assert ("192.0.2.9", "0.0.0.0", "0.0.0.0") == tuple(
            left[comments[name]]["comment_author_IP"] for name in ("gone", "present", "trash")
        )


def test_a_site_that_goes_down_in_the_middle(way: Rest, seed: Seed, tmp_path: Path) -> None:
    """When nobody can tell what became of a change, the batch stays open and nothing of it counts; the next run finds out what was done."""
    way.proxy.heal()
    made = office(way, seed, tmp_path)
    command = made.command
    keys = json.loads(
        way.site.php(
            "$post = wp_insert_post(['post_title' => 'Down', 'post_status' => 'publish', 'post_author' => 1]);"
            "echo json_encode(array_map(fn($n) => wp_insert_comment(['comment_post_ID' => $post, 'comment_author' => \"V$n\","
            " 'comment_author_IP' => '192.0.2.9', 'comment_agent' => 'Old', 'comment_content' => 'Hi', 'comment_approved' => 1,"
            " 'comment_date' => '2020-01-01 12:00:00', 'comment_date_gmt' => '2020-01-01 12:00:00']), range(1, 4)));"
        )
    )
    plan = command.approved()
    way.proxy.dies(after=2)
    down = command("apply", plan)
    assert 5 == down.code, down.err
    assert [] == command.events("retention.batch_closed")
    assert [] == list(outcomes(command.audit))
    way.proxy.heal()
    treated = sum(made.comments()[key]["comment_author_IP"] == "0.0.0.0" for key in keys)
    assert 2 == treated
    again = command("run", "--json")
    assert again.code in (0, 4), again.err
    closed = command.events("retention.batch_closed")
    due = sum(each["retention.batch"] == closed[0]["retention.batch"] for each in command.events("retention.fields_treated"))
    assert [("resolved_after_crash", 2, True), ("committed", due - 2, None)] == [
        (each["retention.batch_outcome"], each["retention.count"], each.get("retention.presumed")) for each in closed
    ]
    assert due - 2 == len(closed[0]["retention.excluded"])
    assert due == len(list(outcomes(command.audit)))
    assert {"0.0.0.0"} == {made.comments()[key]["comment_author_IP"] for key in keys}
    way.site.php("".join(f"wp_delete_comment({key}, true);" for key in keys))


def test_the_trash_is_soft(way: Rest, seed: Seed, tmp_path: Path) -> None:
    """With `delete = "trash"` the audit trail says soft, the comment lies in WordPress' trash, and is no record of the source any more."""
    way.proxy.heal()
    own: Comment = seed["young"]
    policy = re.sub(r"\[sources.comments.children.*?\[\[policies", "[[policies", POLICIES, flags=re.DOTALL)
    policy = re.sub(r"disposition = .*", 'disposition = "delete"', policy).replace(
        "[sources.comments.fields]", '[sources.comments.options]\ndelete = "trash"\n[sources.comments.fields]'
    )
    policy = policy.replace(", replies = 0 }", " }")
    made = office(way, seed, tmp_path, policy)
    said = made.command(
        "request", "add", "--kind", "erase", "--subject", "-", "--verified-by", "ann", "--received-on", "2025-02-28", typed=own.email + "\n"
    )
    assert 0 == said.code, said.err
    assert made.command("apply", made.command.approved()).code in (0, 4)
    assert "trash" == made.comments()[own.id]["comment_approved"]
    assert {"soft"} == {each["retention.level"] for each in made.command.events("retention.record_deleted")}
    assert 0 == made.command("plan", "--json", "-o", tmp_path / "second.jsonl").json["sources"]["comments"]["actions"]["delete"]
