"""What one batch of removals and rewritings does, as its manifest says it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.application_files import documents


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch does.

    dossiers -- keys of those that go; shared -- paths of shared files that go; kept -- paths of those that would, were every dossier
    readable; rewritten -- (key, sidecar, settings);
    lines -- digests of the index lines that go, by key; cells -- new cells of lines that stay, by key and column.
    """

    dossiers: Sequence[str] = ()
    shared: Sequence[str] = ()
    kept: Sequence[str] = ()
    rewritten: Sequence[tuple[str, str, Sequence[documents.Setting]]] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def dump(self) -> bytes:
        """Return the work as the manifest's text."""
        return json.dumps(
            {
                "version": 1,
                "dossiers": list(self.dossiers),
                "shared": list(self.shared),
                "kept": list(self.kept),
                "rewritten": [[key, name, [[list(path), value] for path, value in settings]] for key, name, settings in self.rewritten],
                "lines": dict(self.lines),
                "cells": {key: dict(cells) for key, cells in self.cells.items()},
            }
        ).encode()

    @classmethod
    def load(cls, text: bytes) -> Work:
        """Return the work that a manifest holds."""
        said = json.loads(text)
        rewritten = [(key, name, [(tuple(path), value) for path, value in settings]) for key, name, settings in said["rewritten"]]
        return cls(said["dossiers"], said["shared"], said["kept"], rewritten, said["lines"], said["cells"])
