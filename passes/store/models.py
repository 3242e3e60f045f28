"""The tables.

Three habits hold everywhere. Instants are integer microseconds since the
epoch, UTC (docs/decisions): one SQL for both engines, exact comparisons.
Ids are made by the application (store/ids.py). Every table that grows has the
programme first in its key, so that an existing engine can partition it; what
belongs to phones starts with the pass type, which programmes may share.

Personal data stands in `person` and nowhere else: the books know only ids.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _table(name: str, *items: Any, **options: Any) -> Table:
    """A table clustered by its own key on SQLite, with room for updates in place on PostgreSQL."""
    return Table(name, metadata, *items, sqlite_with_rowid=False, **options)


def _id(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, autoincrement=False, **options)


def _at(name: str, *, nullable: bool = False) -> Column[int]:
    """An instant in microseconds since the epoch, UTC."""
    return Column(name, BigInteger, nullable=nullable)


def _key(*columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*columns)


def _of(table: str, *columns: str, target: tuple[str, ...] | None = None) -> ForeignKeyConstraint:
    keys = target or columns
    return ForeignKeyConstraint(columns, [f"{table}.{key}" for key in keys])


_ROOM_FOR_UPDATES = {"postgresql_with": {"fillfactor": "80"}}

# Programmes ----------------------------------------------------------------

pass_type = _table(
    "pass_type",
    _id("id"),
    Column("identifier", String(200), nullable=False, unique=True),
    # The last change number that any phone may have seen for this pass type.
    Column("counter", BigInteger, nullable=False),
    _key("id"),
)

programme = _table(
    "programme",
    _id("id"),
    Column("slug", String(64), nullable=False, unique=True),
    _id("pass_type_id"),
    Column("version", Integer, nullable=False),
    # A change to everybody is one row: these three are the programme's own
    # card-like counters, and a card's effective tag is the larger one.
    Column("revision", BigInteger, nullable=False),
    Column("stamped_revision", BigInteger, nullable=False),
    Column("tag", BigInteger, nullable=False),
    # While a stamped change is being spread to `owed`: the last card done.
    Column("spread_after", BigInteger, nullable=True),
    _at("created_at"),
    _key("id"),
    _of("pass_type", "pass_type_id", target=("id",)),
)

programme_version = _table(
    "programme_version",
    _id("programme_id"),
    Column("version", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    _at("loaded_at"),
    _key("programme_id", "version"),
    _of("programme", "programme_id", target=("id",)),
)

# People --------------------------------------------------------------------

member = _table(
    "member",
    _id("programme_id"),
    _id("id"),
    _at("joined_at"),
    Column("language", String(12), nullable=False),
    # Decided once, by a stable hash, before anything is sent to anybody.
    Column("holdout", Boolean, nullable=False),
    Column("welcome_given", Boolean, nullable=False),
    Column("merge_candidate_of", BigInteger, nullable=True),
    # The account of available points, so that a checkout finds it by its key.
    _id("points_account_id"),
    # Spend of one calendar year of the programme's zone; older years are in `purchase`.
    Column("spend_year", Integer, nullable=False),
    Column("spend_minor", BigInteger, nullable=False),
    _at("last_purchase_at", nullable=True),
    _at("closed_at", nullable=True),
    _key("programme_id", "id"),
    _of("programme", "programme_id", target=("id",)),
    **_ROOM_FOR_UPDATES,
)

person = _table(
    "person",
    _id("programme_id"),
    _id("member_id"),
    Column("name", String(200), nullable=False),
    Column("email", String(320), nullable=True),
    Column("email_key", String(320), nullable=True),
    Column("phone", String(32), nullable=True),
    Column("birthday_month", SmallInteger, nullable=True),
    Column("birthday_day", SmallInteger, nullable=True),
    _key("programme_id", "member_id"),
    _of("member", "programme_id", "member_id", target=("programme_id", "id")),
    Index(None, "programme_id", "email_key"),
)

consent = _table(
    "consent",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    Column("purpose", String(32), nullable=False),
    Column("given", Boolean, nullable=False),
    Column("text_version", String(32), nullable=False),
    Column("text_digest", String(64), nullable=False),
    Column("language", String(12), nullable=False),
    Column("source", String(32), nullable=False),
    _at("at"),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id"),
)

joining = _table(
    "joining",
    _id("programme_id"),
    _id("member_id"),
    Column("source", String(32), nullable=False),
    Column("location", String(64), nullable=True),
    Column("referrer", String(500), nullable=True),
    Column("utm_source", String(100), nullable=True),
    Column("utm_medium", String(100), nullable=True),
    Column("utm_campaign", String(100), nullable=True),
    Column("terms_version", String(32), nullable=False),
    _key("programme_id", "member_id"),
)

# How often the join page was shown and sent, per local day: never per person.
join_count = _table(
    "join_count",
    _id("programme_id"),
    Column("local_day", Integer, nullable=False),
    Column("source", String(32), nullable=False),
    Column("location", String(64), nullable=False),
    Column("step", String(8), nullable=False),
    Column("count", BigInteger, nullable=False),
    _key("programme_id", "local_day", "source", "location", "step"),
)

# Cards ---------------------------------------------------------------------

card = _table(
    "card",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    _id("pass_type_id"),
    Column("serial", String(64), nullable=False),
    # Which server key made the authentication token of this card.
    Column("key_id", String(16), nullable=False),
    _at("issued_at"),
    _at("voided_at", nullable=True),
    Column("revision", BigInteger, nullable=False),
    # Highest revision handed out by a first download: a phone that registers
    # after a later change must be told.
    Column("downloaded_revision", BigInteger, nullable=False),
    Column("stamped_revision", BigInteger, nullable=False),
    Column("tag", BigInteger, nullable=False),
    Column("changed", Boolean, nullable=False),
    # Push pace: the instant at which the bucket of this card is full again.
    _at("pace_full_at"),
    _key("programme_id", "id"),
    UniqueConstraint("pass_type_id", "serial"),
    _of("member", "programme_id", "member_id", target=("programme_id", "id")),
    Index(None, "programme_id", "member_id"),
    # No index on the tag: the device list starts at the device, and PostgreSQL
    # can then update cards in place.
    Index(
        "ix_card_changed",
        "pass_type_id",
        "id",
        sqlite_where=text("changed"),
        postgresql_where=text("changed"),
    ),
    **_ROOM_FOR_UPDATES,
)

card_code = _table(
    "card_code",
    _id("programme_id"),
    Column("code", String(64), nullable=False),
    _id("card_id"),
    _at("added_at"),
    _key("programme_id", "code"),
    _of("card", "programme_id", "card_id", target=("programme_id", "id")),
    Index(None, "code"),
    Index(None, "programme_id", "card_id"),
)

card_link = _table(
    "card_link",
    Column("secret_hash", LargeBinary(32), nullable=False),
    _id("programme_id"),
    _id("card_id"),
    Column("number", Integer, nullable=False),
    _at("created_at"),
    _at("revoked_at", nullable=True),
    _key("secret_hash"),
    Index(None, "programme_id", "card_id"),
)

# Installs ------------------------------------------------------------------

device = _table(
    "device",
    _id("pass_type_id"),
    _id("id"),
    Column("library_id", String(255), nullable=False),
    Column("push_token", String(512), nullable=False),
    # When this token was last confirmed: an older "gone" must not remove it.
    _at("push_token_at"),
    _key("pass_type_id", "id"),
    UniqueConstraint("pass_type_id", "library_id"),
    Index(None, "pass_type_id", "push_token"),
)

registration = _table(
    "registration",
    _id("pass_type_id"),
    _id("device_id"),
    _id("card_id"),
    _id("programme_id"),
    Column("announced_revision", BigInteger, nullable=False),
    _at("registered_at"),
    _key("pass_type_id", "device_id", "card_id"),
    _of("device", "pass_type_id", "device_id", target=("pass_type_id", "id")),
    Index(None, "pass_type_id", "card_id"),
)

# At most one row per install; deleted when told. Rebuilt from revisions at any time.
owed = _table(
    "owed",
    _id("pass_type_id"),
    _id("device_id"),
    _id("card_id"),
    # The effective revision that the install is to be told.
    Column("revision", BigInteger, nullable=False),
    _at("due_at"),
    _at("lease_until"),
    Column("attempts", Integer, nullable=False),
    _key("pass_type_id", "device_id", "card_id"),
    Index(None, "due_at"),
    **_ROOM_FOR_UPDATES,
)

# What an installation must look at: a parked account, our own rejected requests.
alarm = _table(
    "alarm",
    Column("name", String(64), nullable=False),
    Column("words", Text, nullable=False),
    _at("since"),
    _at("last_at"),
    Column("count", BigInteger, nullable=False),
    _at("cleared_at", nullable=True),
    _key("name"),
)

wallet_log = _table(
    "wallet_log",
    _id("id"),
    _at("at"),
    Column("text", Text, nullable=False),
    _key("id"),
)

# The books -----------------------------------------------------------------

account = _table(
    "account",
    _id("programme_id"),
    _id("id"),
    Column("owner_kind", String(8), nullable=False),
    Column("owner_id", String(64), nullable=False),
    Column("asset", String(32), nullable=False),
    Column("bucket", String(16), nullable=False),
    # Cached for members, pools and partners; NULL for system accounts, which
    # every checkout touches and which therefore must not be one hot row.
    Column("balance", BigInteger, nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "owner_kind", "owner_id", "asset", "bucket"),
    **_ROOM_FOR_UPDATES,
)

request = _table(
    "request",
    _id("programme_id"),
    Column("key", String(128), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    _at("at"),
    _key("programme_id", "key"),
)

purchase = _table(
    "purchase",
    _id("programme_id"),
    _id("id"),
    Column("member_id", BigInteger, nullable=True),
    Column("card_id", BigInteger, nullable=True),
    Column("channel", String(16), nullable=False),
    Column("location", String(64), nullable=True),
    Column("till", String(64), nullable=True),
    Column("person", String(64), nullable=True),
    Column("currency", String(3), nullable=False),
    Column("gross_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    _at("occurred_at"),
    _at("recorded_at"),
    # yyyymmdd in the programme's zone, so that reports need no zone arithmetic in SQL.
    Column("local_day", Integer, nullable=False),
    Column("programme_version", Integer, nullable=False),
    Column("voided_by", BigInteger, nullable=True),
    _key("programme_id", "id"),
    CheckConstraint("net_minor >= 0", name="net_not_negative"),
    Index(None, "programme_id", "member_id", "occurred_at"),
    Index(None, "programme_id", "local_day"),
)

purchase_line = _table(
    "purchase_line",
    _id("programme_id"),
    _id("purchase_id"),
    Column("line_number", Integer, nullable=False),
    Column("sku", String(64), nullable=True),
    Column("name", String(200), nullable=True),
    Column("category", String(64), nullable=True),
    Column("quantity", Integer, nullable=False),
    Column("unit_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    _key("programme_id", "purchase_id", "line_number"),
)

receipt = _table(
    "receipt",
    _id("programme_id"),
    _id("id"),
    Column("kind", String(16), nullable=False),
    _id("member_id"),
    _id("card_id"),
    Column("purchase_id", BigInteger, nullable=True),
    Column("reward_key", String(64), nullable=True),
    Column("points", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=True),
    Column("location", String(64), nullable=True),
    Column("till", String(64), nullable=True),
    Column("person", String(64), nullable=True),
    _at("occurred_at"),
    _at("recorded_at"),
    Column("programme_version", Integer, nullable=False),
    # Why: rule, amount, multiplier, rounding, as JSON.
    Column("reasons", Text, nullable=False),
    Column("undoes", BigInteger, nullable=True),
    Column("undone_by", BigInteger, nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id", "id"),
    Index(
        "ix_receipt_person",
        "programme_id",
        "person",
        "id",
        sqlite_where=text("person IS NOT NULL"),
        postgresql_where=text("person IS NOT NULL"),
    ),
)

posting = _table(
    "posting",
    _id("programme_id"),
    _id("id"),
    _id("receipt_id"),
    Column("kind", String(16), nullable=False),
    Column("asset", String(32), nullable=False),
    _id("source"),
    _id("target"),
    Column("amount", BigInteger, nullable=False),
    _at("occurred_at"),
    _at("recorded_at"),
    Column("programme_version", Integer, nullable=False),
    Column("reverses", BigInteger, nullable=True),
    # Set once, by the worker that seals blocks; the only column that may change.
    Column("block", BigInteger, nullable=True),
    _key("programme_id", "id"),
    CheckConstraint("amount > 0", name="amount_positive"),
    CheckConstraint("source <> target", name="two_accounts"),
    Index(None, "programme_id", "receipt_id"),
    Index(
        "ix_posting_unsealed",
        "programme_id",
        "id",
        sqlite_where=text("block IS NULL"),
        postgresql_where=text("block IS NULL"),
    ),
    Index(
        "ix_posting_block",
        "programme_id",
        "block",
        sqlite_where=text("block IS NOT NULL"),
        postgresql_where=text("block IS NOT NULL"),
    ),
)

lot = _table(
    "lot",
    _id("programme_id"),
    _id("id"),
    _id("account_id"),
    Column("asset", String(32), nullable=False),
    _id("posting_id"),
    Column("original", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    _at("earned_at"),
    _at("available_at"),
    _at("expires_at", nullable=True),
    Column("programme_version", Integer, nullable=False),
    _key("programme_id", "id"),
    CheckConstraint("remaining >= 0 AND remaining <= original", name="remaining_in_bounds"),
    Index(
        "ix_lot_open",
        "programme_id",
        "account_id",
        sqlite_where=text("remaining > 0"),
        postgresql_where=text("remaining > 0"),
    ),
    Index(None, "programme_id", "posting_id"),
    **_ROOM_FOR_UPDATES,
)

# A positive amount was taken from the lot, a negative one put back.
consumption = _table(
    "consumption",
    _id("programme_id"),
    _id("lot_id"),
    _id("posting_id"),
    Column("amount", BigInteger, nullable=False),
    _key("programme_id", "lot_id", "posting_id"),
    Index(None, "programme_id", "posting_id"),
)

block = _table(
    "block",
    _id("programme_id"),
    Column("number", BigInteger, nullable=False, autoincrement=False),
    Column("postings", Integer, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    _at("sealed_at"),
    _key("programme_id", "number"),
)

# Staff ---------------------------------------------------------------------

staff = _table(
    "staff",
    _id("id"),
    Column("login", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", String(300), nullable=False),
    _at("created_at"),
    _at("disabled_at", nullable=True),
    _key("id"),
)

staff_grant = _table(
    "staff_grant",
    _id("staff_id"),
    _id("programme_id"),
    Column("role", String(16), nullable=False),
    _key("staff_id", "programme_id", "role"),
    _of("staff", "staff_id", target=("id",)),
)

session = _table(
    "session",
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("area", String(16), nullable=False),
    _id("staff_id"),
    Column("form_token", String(64), nullable=False),
    Column("programme_id", BigInteger, nullable=True),
    Column("location", String(64), nullable=True),
    _at("created_at"),
    _at("expires_at"),
    _at("revoked_at", nullable=True),
    _key("token_hash"),
    Index(None, "staff_id"),
)

rate = _table(
    "rate",
    Column("name", String(200), nullable=False),
    _at("window_at"),
    Column("count", Integer, nullable=False),
    _key("name", "window_at"),
)

audit = _table(
    "audit",
    _id("id"),
    _at("at"),
    Column("staff_id", BigInteger, nullable=True),
    Column("programme_id", BigInteger, nullable=True),
    Column("action", String(64), nullable=False),
    Column("object", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    _key("id"),
    Index(None, "programme_id", "id"),
)
