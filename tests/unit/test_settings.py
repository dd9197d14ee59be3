"""The settings: where they come from, what is refused, and that nothing shows a secret."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ConfigurationError
from worker.settings import PREFIX, Settings, SourceSettings, describe, hide_password, load


def load_in(folder: Path, **variables: str) -> Settings:
    return load({PREFIX + name: value for name, value in variables.items()}, folder=folder)


def shown(settings: Settings) -> dict[str, tuple[str, str]]:
    return {one.name: (one.value, one.origin) for one in describe(settings)}


class TestDefaults:
    def test_nothing_given(self, tmp_path: Path) -> None:
        """Every setting has a default, and the brakes are on."""
        settings = load_in(tmp_path)

        assert (10_000, 0.25, 5.0, 100) == (
            settings.max_records,
            settings.max_share,
            settings.max_jump,
            settings.jump_floor,
        )
        assert ("first_run", False, "P7D", 5000, None) == (
            settings.approval,
            settings.four_eyes,
            settings.plan_expires,
            settings.batch_size,
            settings.tranche,
        )

    def test_what_the_worker_keeps_is_in_the_state_folder(self, tmp_path: Path) -> None:
        """Ledger, audit trail and plans follow `state`, unless they are given."""
        settings = load_in(tmp_path, STATE="/srv/retention", PLANS="/srv/plans")

        assert "sqlite:////srv/retention/ledger.sqlite" == settings.ledger_url
        assert Path("/srv/retention/audit") == settings.audit_folder
        assert Path("/srv/plans") == settings.plans_folder

    def test_the_keys_are_never_in_the_state_folder(self, tmp_path: Path) -> None:
        """A copy of the state doesn't carry the keys along; the place of configuration is respected when absolute."""
        home = Path("~/.config/retention/keys.json").expanduser()

        assert Path("/etc/xdg/retention/keys.json") == load({"XDG_CONFIG_HOME": "/etc/xdg"}, folder=tmp_path).keys_file
        assert home == load({"XDG_CONFIG_HOME": "relative"}, folder=tmp_path).keys_file
        assert home == Settings().keys_file
        assert Path("/k.json") == load_in(tmp_path, KEYS="/k.json").keys_file

    def test_the_root_is_beside_the_keys(self, tmp_path: Path) -> None:
        """Named after the key file that a link leads to, so that two key files share no root, and one that has two names has one."""
        keys = tmp_path / "keys" / "firm.json"
        (tmp_path / "link.json").symlink_to(keys)

        assert keys.with_suffix(".root") == load_in(tmp_path, KEYS=str(keys)).root_file
        assert keys.with_suffix(".root") == load_in(tmp_path, KEYS=str(tmp_path / "link.json")).root_file
        assert Path("/run/root.key") == load_in(tmp_path, KEYS=str(keys), ROOT_KEY="/run/root.key").root_file

    @pytest.mark.parametrize("name", ["root_key", "RETENTION_ROOT_KEY", "retention_root_key"])
    def test_the_root_in_the_folder_of_secrets(self, tmp_path: Path, name: str) -> None:
        """There it is the root itself, so its file is the setting; what is in it appears nowhere."""
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / name).write_text("ab" * 32)
        settings = load({"RETENTION_SECRETS_DIR": str(tmp_path / "secrets")}, folder=tmp_path)

        assert tmp_path / "secrets" / name == settings.root_file
        assert "abab" not in repr(settings) + str(describe(settings))

    def test_the_root_itself_is_no_setting(self, tmp_path: Path) -> None:
        """Whoever writes it into the environment or a file is told so, without showing it to anybody else."""
        with pytest.raises(ConfigurationError, match="not the root itself") as caught:
            load_in(tmp_path, ROOT_KEY="ab" * 32)
        assert "abab" not in str(caught.value)

    def test_the_operator_is_the_user_of_the_system(self, tmp_path: Path) -> None:
        """Who runs this is not taken from a variable that anybody can set in passing."""
        user = pwd.getpwuid(os.geteuid()).pw_name

        assert user == load({"USER": "mallory", "LOGNAME": "mallory"}, folder=tmp_path).operator_name
        assert "night" == load_in(tmp_path, OPERATOR="night").operator_name

    def test_a_user_without_a_home_says_where_the_keys_are(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A number that a container was given has no entry and no HOME: that is named when keys are needed, and no fault of the program."""

        def unknown(_uid: int) -> pwd.struct_passwd:
            raise KeyError

        monkeypatch.delenv("HOME")
        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert Path("/k/keys.json") == load_in(tmp_path, KEYS="/k/keys.json").keys_file
        assert Path("/x/retention/keys.json") == load({"XDG_CONFIG_HOME": "/x"}, folder=tmp_path).keys_file
        for keys in ({}, {"KEYS": "~/keys.json"}):
            with pytest.raises(ConfigurationError, match="RETENTION_KEYS"):
                _ = load_in(tmp_path, **keys).keys_file

    def test_a_settings_object_reads_no_environment_by_itself(self, tmp_path: Path) -> None:
        """What `load` was given is all there is; and it can't be changed afterwards."""
        settings = load_in(tmp_path, BATCH_SIZE="7")

        assert 7 == settings.batch_size
        assert 5000 == Settings().batch_size
        with pytest.raises(ValueError, match="frozen"):
            settings.batch_size = 8


class TestOrigins:
    def test_the_environment_wins_over_dotenv_and_dotenv_over_secrets(self, tmp_path: Path) -> None:
        """One order, and every value can say where it came from."""
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        (secrets / "RETENTION_BATCH_SIZE").write_text("1\n")
        (secrets / "jump_floor").write_text("1\n")
        (secrets / "tranche").write_text("1")
        (secrets / "..data").mkdir()
        (tmp_path / ".env").write_text(
            f"RETENTION_SECRETS_DIR={secrets}\n# text\nRETENTION_BATCH_SIZE=2\nRETENTION_JUMP_FLOOR=2\nOTHER=2\n"
        )
        settings = load_in(tmp_path, BATCH_SIZE="3")

        assert (3, 2, 1) == (settings.batch_size, settings.jump_floor, settings.tranche)
        origins = shown(settings)
        assert ("3", "environment") == origins["RETENTION_BATCH_SIZE"]
        assert ("2", f"{tmp_path}/.env, line 4") == origins["RETENTION_JUMP_FLOOR"]
        assert ("1", f"{secrets}/tranche") == origins["RETENTION_TRANCHE"]
        assert ("10000", "default") == origins["RETENTION_MAX_RECORDS"]

    def test_a_dollar_in_dotenv_is_a_dollar(self, tmp_path: Path) -> None:
        """A password in `.env` is taken as it is written."""
        (tmp_path / ".env").write_text("RETENTION_OPERATOR=a${HOME}$b\n")

        assert "a${HOME}$b" == load_in(tmp_path).operator_name

    def test_an_empty_value_is_not_given(self, tmp_path: Path) -> None:
        """An empty variable, as container tools leave them, is the default and hides nothing weaker."""
        (tmp_path / ".env").write_text("RETENTION_MAX_RECORDS=5\n")

        assert 5 == load_in(tmp_path, MAX_RECORDS="", TRANCHE="").max_records

    @pytest.mark.parametrize("text", ["RETENTION_OPERATOR\n", "x=1\n'RETENTION\n"])
    def test_a_broken_dotenv_is_refused_with_its_line(self, tmp_path: Path, text: str) -> None:
        """A line that can't be read is not skipped."""
        (tmp_path / ".env").write_text(text)

        with pytest.raises(ConfigurationError, match=r"\.env, line [12]"):
            load_in(tmp_path)

    def test_a_secrets_folder_that_was_named_must_exist(self, tmp_path: Path) -> None:
        """A missing folder of secrets is not an empty one."""
        with pytest.raises(ConfigurationError, match="RETENTION_SECRETS_DIR"):
            load_in(tmp_path, SECRETS_DIR=str(tmp_path / "none"))

    def test_one_setting_in_two_secret_files_is_refused(self, tmp_path: Path) -> None:
        """With and without the prefix is the same setting: neither is silently preferred."""
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        (secrets / "operator").write_text("a")
        (secrets / "RETENTION_OPERATOR").write_text("b")

        with pytest.raises(ConfigurationError, match="same setting"):
            load_in(tmp_path, SECRETS_DIR=str(secrets))


class TestSources:
    def test_a_source_is_set_by_its_name(self, tmp_path: Path) -> None:
        """Names may contain single underscores and are the same in upper and lower case."""
        settings = load_in(
            tmp_path,
            SOURCES__MAILING_LIST__URL="https://lists.example.org",
            sources__mailing_list__witness_table="yes",
            SOURCES__MAILING_LIST__OPTIONS__LIST_ID="007",
            SOURCES__APPLICATIONS__PATH="/srv/applications",
        )
        source = settings.source("mailing-list")

        assert source.url is not None
        assert "https://lists.example.org" == source.url.get_secret_value()
        assert source.witness_table
        assert {"list_id": "007"} == source.options
        assert Path("/srv/applications") == settings.source("Applications").path

    def test_an_option_stays_text(self, tmp_path: Path) -> None:
        """What looks like JSON is not read as JSON."""
        settings = load_in(tmp_path, SOURCES__CRM__OPTIONS__A="[1]", SOURCES__CRM__OPTIONS__B="null")

        assert {"a": "[1]", "b": "null"} == settings.source("crm").options

    def test_a_source_without_settings_is_empty(self, tmp_path: Path) -> None:
        """Whether an address is needed is the connector's to say; no marker table unless it was allowed."""
        assert SourceSettings(url=None, path=None) == load_in(tmp_path).source("crm")
        assert not load_in(tmp_path).source("crm").witness_table


class TestMistakes:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("MAX_RECORD", "RETENTION_MAX_RECORDS"),
            ("BATCHSIZE", "RETENTION_BATCH_SIZE"),
            ("SOURCES__CRM__UR", "RETENTION_SOURCES__CRM__URL"),
            ("SOURCE__CRM__URL", "RETENTION_SOURCES__CRM__URL"),
            ("SOURCES__CRM", "RETENTION_SOURCES__CRM__URL"),
            ("SOURCES", "RETENTION_SOURCES__<NAME>__URL"),
        ],
    )
    def test_an_unknown_name_is_refused_with_the_nearest(self, tmp_path: Path, name: str, nearest: str) -> None:
        """A misspelt brake must not be no brake."""
        with pytest.raises(ConfigurationError) as caught:
            load_in(tmp_path, **{name: "hunter2"})
        assert f"RETENTION_{name} (environment): there is no such setting. Did you mean {nearest}?" in str(caught.value)
        assert "hunter2" not in str(caught.value)

    def test_a_name_like_none_gets_the_list(self, tmp_path: Path) -> None:
        """Without a near name all are listed."""
        with pytest.raises(ConfigurationError, match=r"Valid here: .*RETENTION_MAX_SHARE"):
            load_in(tmp_path, QQQQQQ="1")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("BATCH_SIZE", "0"),
            ("BATCH_SIZE", "20001"),
            ("BATCH_SIZE", "many-hunter2"),
            ("MAX_RECORDS", "-1"),
            ("MAX_SHARE", "1.1"),
            ("MAX_SHARE", "nan"),
            ("MAX_JUMP", "inf"),
            ("TRANCHE", "0"),
            ("APPROVAL", "never-hunter2"),
            ("FOUR_EYES", "perhaps-hunter2"),
            ("PLAN_EXPIRES", "P0.5Y"),
            ("PLAN_EXPIRES", "P0D"),
            ("PLAN_EXPIRES", "P1Y1Y"),
            ("PLAN_EXPIRES", "P٣D"),
            ("MAX_CLOCK_LEAP", "P"),
            ("MAX_CLOCK_LEAP", "7"),
            ("SOURCES__CRM__WITNESS_TABLE", "hunter2"),
        ],
    )
    def test_a_wrong_value_is_refused_and_not_echoed(self, tmp_path: Path, name: str, value: str) -> None:
        """The error names the variable, its origin and what would be right, and never repeats the value."""
        with pytest.raises(ConfigurationError) as caught:
            load_in(tmp_path, **{name: value})
        assert f"RETENTION_{name} (environment): " in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_all_mistakes_are_told_at_once(self, tmp_path: Path) -> None:
        """Nobody has to run a command once for each of their mistakes."""
        with pytest.raises(ConfigurationError) as caught:
            load_in(tmp_path, BATCH_SIZE="x", MAX_SHARE="x")
        assert 3 == len(str(caught.value).splitlines())


class TestSecrecy:
    def test_no_description_shows_a_secret(self, tmp_path: Path) -> None:
        """Passwords and options are hidden; host, user and path are not."""
        settings = load_in(
            tmp_path,
            LEDGER="postgresql+psycopg://keeper:hunter2@db.example.org:5432/ledger",
            SOURCES__CRM__URL="mariadb+pymysql://reader:hunter2@crm.example.org/crm?ssl_key=hunter2&charset=utf8mb4",
            SOURCES__CRM__OPTIONS__TOKEN="hunter2",
        )
        values = shown(settings)

        assert "hunter2" not in repr(values) + repr(settings) + str(settings)
        assert "postgresql+psycopg://keeper:***@db.example.org:5432/ledger" == values["RETENTION_LEDGER"][0]
        assert "mariadb+pymysql://reader:***@crm.example.org/crm?ssl_key=***&charset=utf8mb4" == values["RETENTION_SOURCES__CRM__URL"][0]
        assert ("***", "environment") == values["RETENTION_SOURCES__CRM__OPTIONS__TOKEN"]

    @given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20))
    def test_no_password_shows_however_it_is_written(self, password: str) -> None:
        """Characters that should have been escaped (@ : / ? #) don't let a part of the password through."""
        assert "postgresql://user:***@host/db" == hide_password(f"postgresql://user:{password}@host/db")

    def test_what_is_no_url_is_hidden(self) -> None:
        """Something else than a URL may be all password; a name without a colon may be a token."""
        assert "***" == hide_password("hunter2")
        assert "https://***@host/x" == hide_password("https://hunter2@host/x")
        assert "sqlite:////srv/l.sqlite" == hide_password("sqlite:////srv/l.sqlite")


def test_every_setting_is_documented() -> None:
    """The page about settings names each variable, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    documented = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `RETENTION_")}
    expected = {PREFIX + name.upper() for name in Settings.model_fields if name != "sources"}
    expected |= {f"RETENTION_SOURCES__<NAME>__{name.upper()}" for name in SourceSettings.model_fields}
    expected ^= {"RETENTION_SOURCES__<NAME>__OPTIONS", "RETENTION_SOURCES__<NAME>__OPTIONS__<OPTION>"}

    assert expected | {"RETENTION_SECRETS_DIR"} == documented
