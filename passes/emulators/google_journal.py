"""What the emulated Google remembers across restarts: one JSON object a line, the newest of a key counts."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any, TextIO, cast


class Journal:
    """A file of facts under `folder`. Each fact has a kind and a key; writing it again replaces it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "google.jsonl"
        self._lock = threading.Lock()
        self._facts: dict[tuple[str, str], Any] = {}
        for line in self._read():
            # A killed process may have left half a line.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                fact = json.loads(line)
                self._keep(fact["kind"], fact["key"], fact["value"])
        self._rewrite()

    def all(self, kind: str) -> dict[str, Any]:
        """Every fact of a kind by its key, in the order in which they first came."""
        with self._lock:
            return {key: value for (one, key), value in self._facts.items() if one == kind}

    def write(self, kind: str, key: str, value: Any) -> None:
        """Remember; None forgets. The file has it when this returns."""
        with self._lock:
            if self._out.closed:
                return
            self._out.write(_line(kind, key, value))
            self._out.flush()
            self._lines += 1
            # A copy, because the caller goes on changing what it holds.
            self._keep(kind, key, json.loads(json.dumps(value)))
            if self._lines > 2 * len(self._facts) + 1000:
                self._out.close()
                self._rewrite()

    def close(self) -> None:
        """No more is written."""
        with self._lock:
            self._out.close()

    def _keep(self, kind: str, key: str, value: Any) -> None:
        if value is None:
            self._facts.pop((kind, key), None)
        else:
            self._facts[(kind, key)] = value

    def _read(self) -> list[str]:
        try:
            return self._file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _rewrite(self) -> None:
        fresh = self._file.with_suffix(".new")
        with _open(fresh, "w") as file:
            file.writelines(_line(kind, key, value) for (kind, key), value in self._facts.items())
        os.replace(fresh, self._file)
        self._lines = len(self._facts)
        self._out = _open(self._file, "a")


def _line(kind: str, key: str, value: Any) -> str:
    return json.dumps({"kind": kind, "key": key, "value": value}) + "\n"


def _open(path: Path, mode: str) -> TextIO:
    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return cast(TextIO, open(path, mode, encoding="utf-8", opener=private))
