"""The database: two doors, the tables, and the questions that use cases ask."""

from passes.store.doors import Condition, Store, open
from passes.store.migrations import DatabaseUnreachable, SchemaOutdated, migrate, require_current
from passes.store.work import Read, Row, Unexpected, Work

__all__ = [
    "Condition",
    "DatabaseUnreachable",
    "Read",
    "Row",
    "SchemaOutdated",
    "Store",
    "Unexpected",
    "Work",
    "migrate",
    "open",
    "require_current",
]
