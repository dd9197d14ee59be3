"""Every connector reads 100,000 records in constant memory: `make contract-large`, or some by name: `python -m tests.large webdav sftp`.

Each is tried by a run of its own, one after the other, so that none profits from memory that another one left behind. Only the contract's
test of memory is run, on the real servers and fakes of the contract's other tests; the process that reads does nothing else.
CONTRACT_RECORDS says another number of records.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECORDS = "100000"
IN_MEMORY = {"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {}
"""Servers that keep a file for each record wait for the disk most of the time otherwise."""
SYSTEMS = {
    "SQLite": "tests/contract/test_sql_sqlite.py::TestSqlite",
    "PostgreSQL": "tests/systems/test_sql_postgres.py::TestPostgres",
    "MariaDB": "tests/systems/test_sql_mariadb.py::TestMariaDB",
    "application_files": "tests/contract/test_application_files.py::TestJsonSidecars",
    "its index": "tests/contract/test_application_files.py::TestIndex",
    "log_files": "tests/contract/test_log_files.py",
    "webdav_files": "tests/systems/test_webdav_contract.py::TestShare",
    "sftp_files": "tests/systems/test_sftp_contract.py::TestHost",
    "s3_files": "tests/systems/test_s3_contract.py::TestPlainBucket",
    "mailman": "tests/systems/test_mailman_contract.py::TestLongList",
    "tryton": "tests/systems/test_tryton_contract.py::TestPeople",
    "imap_mailbox": "tests/systems/test_imap_contract.py::TestMessages",
    "wordpress": "tests/systems/test_wordpress_contract.py::TestComments",
    "zoho_crm": "tests/systems/test_zoho_contract.py::TestRecords",
    "mailchimp": "tests/systems/test_mailchimp_contract.py::TestMembers",
    "laposta": "tests/systems/test_laposta_contract.py::TestMembers",
    "brevo": "tests/systems/test_brevo_contract.py::TestContacts",
}
"""What is tried, by the name of the connector (or of the database, where `crm`, `mailing_list` and `comments` read one)."""


def main(wanted: list[str]) -> int:
    """Try these, or all, and print a line for each; return 1 when any failed."""
    names = [name for name in SYSTEMS if not wanted or any(each.lower() in name.lower() for each in wanted)]
    if not names:
        print(f"there are {', '.join(SYSTEMS)}", file=sys.stderr)
        return 2
    print(f"{'':20}{'records':>10}{'seconds':>10}{'MiB':>8}{'with filling, s':>18}", flush=True)
    failed = [name for name in names if not _is_well(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _is_well(name: str) -> bool:
    """Try one, print what it took, and return whether it kept the contract."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures")
        surroundings = {"CONTRACT_RECORDS": RECORDS, **IN_MEMORY, **os.environ, "CONTRACT_FIGURES": str(figures)}
        test = f"{SYSTEMS[name]}::test_memory_is_constant"
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.monotonic() - began
        if figures.exists():
            said = json.loads(figures.read_text())
            print(f"{name:20}{said['records']:>10,}{said['seconds']:>10.0f}{said['grown'] / 2**20:>8.1f}{took:>18.0f}", flush=True)
    if ran.returncode or not _was_run(ran.stdout):
        print(ran.stdout, ran.stderr, file=sys.stderr)
        return False
    return True


def _was_run(said: str) -> bool:
    """Whether a test was really run: one that was skipped proves nothing."""
    return " passed" in said and " skipped" not in said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
