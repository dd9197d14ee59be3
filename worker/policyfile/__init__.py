"""The policy file: from TOML to `worker.core.model.Schedule`, and everything that can be said about the file on the way."""

from worker.policyfile.declarations import in_words
from worker.policyfile.document import nearest
from worker.policyfile.loading import Report, check, load, loads
from worker.policyfile.normalform import digest, state_name
from worker.policyfile.retention import Line
from worker.policyfile.schema import json_schema

__all__ = ["Line", "Report", "check", "digest", "in_words", "json_schema", "load", "loads", "nearest", "state_name"]
