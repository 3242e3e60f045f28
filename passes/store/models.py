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


def _table(name: str, *items: Any, has_long_rows: bool = False, **options: Any) -> Table:
    """A table clustered by its own key on SQLite, unless its rows are long.

    SQLite keeps about a thousand bytes of a clustered row in its place, and
    gives the rest of each a page of its own.
    """
    return Table(name, metadata, *items, sqlite_with_rowid=has_long_rows, **options)


def _id(name: str, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, autoincrement=False, **options)


def _at(name: str, *, nullable: bool = False) -> Column[int]:
    """An instant in microseconds since the epoch, UTC."""
    return Column(name, BigInteger, nullable=nullable)


def _wallet() -> Column[str]:
    """Which wallet an install belongs to."""
    return Column("wallet", String(8), nullable=False, server_default="apple")


def _key(*columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*columns)


def _of(table: str, *columns: str, target: tuple[str, ...] | None = None) -> ForeignKeyConstraint:
    keys = target or columns
    return ForeignKeyConstraint(columns, [f"{table}.{key}" for key in keys])


_ROOM_FOR_UPDATES: dict[str, Any] = {"postgresql_with": {"fillfactor": "80"}}

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
    # The member whose card this one's became; the codes of both keep scanning.
    Column("merged_into", BigInteger, nullable=True),
    # Accounts by their key, so that a checkout finds them at once. The
    # available points always have one, the others from their first use on.
    _id("points_account_id"),
    Column("pending_account_id", BigInteger, nullable=True),
    Column("held_account_id", BigInteger, nullable=True),
    Column("stamps_account_id", BigInteger, nullable=True),
    # What counts towards the next tier in the present period (a year, or 0
    # where there is but one); older periods are in `purchase`.
    Column("metric_period", Integer, nullable=False),
    Column("metric", BigInteger, nullable=False),
    Column("tier", String(40), nullable=True),
    # Until when the tier is kept without earning it again; NULL is for ever.
    _at("tier_until", nullable=True),
    # The next instant at which the tier must be looked at.
    _at("tier_due_at", nullable=True),
    # An upgrade that is still held back.
    Column("tier_waiting", String(40), nullable=True),
    # What rounding left over for the next purchase: points as an exact fraction, or minor units.
    Column("carried", String(64), nullable=True),
    Column("purchases", Integer, nullable=False),
    _at("last_purchase_at", nullable=True),
    _at("last_stamp_at", nullable=True),
    # Where inactivity lets points lapse: when all of this member's do.
    _at("points_lapse_at", nullable=True),
    _at("closed_at", nullable=True),
    _key("programme_id", "id"),
    _of("programme", "programme_id", target=("id",)),
    Index(
        "ix_member_tier_due",
        "programme_id",
        "tier_due_at",
        sqlite_where=text("tier_due_at IS NOT NULL"),
        postgresql_where=text("tier_due_at IS NOT NULL"),
    ),
    Index(
        "ix_member_points_lapse",
        "programme_id",
        "points_lapse_at",
        sqlite_where=text("points_lapse_at IS NOT NULL"),
        postgresql_where=text("points_lapse_at IS NOT NULL"),
    ),
    **_ROOM_FOR_UPDATES,
)

person = _table(
    "person",
    _id("programme_id"),
    _id("member_id"),
    Column("name", String(200), nullable=False),
    # The name as one looks for it, without case and dots of i: as it is, and its last word first.
    Column("name_key", String(400), nullable=True),
    Column("name_turned", String(400), nullable=True),
    Column("email", String(320), nullable=True),
    Column("email_key", String(320), nullable=True),
    Column("phone", String(32), nullable=True),
    Column("birthday_month", SmallInteger, nullable=True),
    Column("birthday_day", SmallInteger, nullable=True),
    _at("birthday_changed_at", nullable=True),
    _key("programme_id", "member_id"),
    _of("member", "programme_id", "member_id", target=("programme_id", "id")),
    Index(None, "programme_id", "email_key"),
    *(
        Index(
            f"ix_person_{name}",
            "programme_id",
            name,
            sqlite_where=text(f"{name} IS NOT NULL"),
            postgresql_where=text(f"{name} IS NOT NULL"),
            # Looked up by how it begins.
            postgresql_ops={name: "text_pattern_ops"},
        )
        for name in ("name_key", "name_turned")
    ),
    Index(
        "ix_person_phone",
        "programme_id",
        "phone",
        sqlite_where=text("phone IS NOT NULL"),
        postgresql_where=text("phone IS NOT NULL"),
    ),
    Index(
        "ix_person_birthday",
        "programme_id",
        "birthday_month",
        "birthday_day",
        sqlite_where=text("birthday_month IS NOT NULL"),
        postgresql_where=text("birthday_month IS NOT NULL"),
    ),
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
    # When the first phone took it, and when the last one let go of it (NULL
    # while one has it): installs leave no other trace.
    _at("installed_at", nullable=True),
    _at("removed_at", nullable=True),
    # When the member's own page last showed the card, to the day: a web card.
    _at("web_at", nullable=True),
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
    # Which wallet announces to it: apple or google. A card that is held at
    # Google has one row here, whose address is the id of its object.
    _wallet(),
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
    _wallet(),
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
    _wallet(),
    _key("pass_type_id", "device_id", "card_id"),
    # Each wallet has its own pace: what waits for one is not in the way of the other.
    Index(None, "wallet", "due_at"),
    **_ROOM_FOR_UPDATES,
)

# What happened to a card on phones, for its timeline: added, removed, refused.
wallet_event = _table(
    "wallet_event",
    _id("programme_id"),
    _id("id"),
    _id("card_id"),
    Column("wallet", String(8), nullable=False),
    Column("event", String(16), nullable=False),
    _at("at"),
    _key("programme_id", "id"),
    Index(None, "programme_id", "card_id", "id"),
)

# Google ---------------------------------------------------------------------

# One class for each programme: what Google was last told of it, and what became of that.
google_class = _table(
    "google_class",
    _id("programme_id"),
    Column("class_id", String(128), nullable=False),
    # Of the document that Google has taken; NULL before the first.
    Column("digest", String(64), nullable=True),
    # waiting, published, refused
    Column("state", String(16), nullable=False),
    # Why it was refused, in Google's words.
    Column("words", Text, nullable=False),
    _at("tried_at", nullable=True),
    _key("programme_id"),
    _of("programme", "programme_id", target=("id",)),
)

# One object for each card that somebody wanted at Google, whether or not it is held.
google_object = _table(
    "google_object",
    _id("programme_id"),
    _id("card_id"),
    Column("object_id", String(128), nullable=False, unique=True),
    # The effective revision of the card that Google was last given by an insert.
    Column("revision", BigInteger, nullable=False),
    # Digests of the document's members as Google was last told, as JSON; a
    # member that is being changed is not in it.
    Column("told", Text, nullable=False),
    _at("inserted_at"),
    # When Google is to be asked whether anybody holds the card.
    _at("check_due_at", nullable=True),
    # When the person's data was taken away there.
    _at("erased_at", nullable=True),
    _key("programme_id", "card_id"),
    _of("card", "programme_id", "card_id", target=("programme_id", "id")),
    Index(
        "ix_google_object_check_due",
        "check_due_at",
        sqlite_where=text("check_due_at IS NOT NULL"),
        postgresql_where=text("check_due_at IS NOT NULL"),
    ),
)

# A callback has one effect: its nonce is kept until the message itself has expired.
google_nonce = _table(
    "google_nonce",
    Column("nonce_hash", LargeBinary(32), nullable=False),
    _at("expires_at"),
    _key("nonce_hash"),
    Index(None, "expires_at"),
)

# Notifications booked before they were sent: Google allows three for a card in 24 hours.
google_alert = _table(
    "google_alert",
    _id("programme_id"),
    _id("card_id"),
    _id("id"),
    # balance, or offer: and the offer's key
    Column("about", String(64), nullable=False),
    _at("at"),
    _key("programme_id", "card_id", "id"),
)

# The next free moment of something that all processes share a rate of.
pacer = _table(
    "pacer",
    Column("name", String(64), nullable=False),
    _at("next_at"),
    _key("name"),
)

# Mail ------------------------------------------------------------------------

# A letter to a member, from the moment it is wanted; deleted never, sent once.
# Address and words are made when it is sent: an erased person gets none.
mail = _table(
    "mail",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    # card_link, expiry …
    Column("kind", String(24), nullable=False),
    # What makes it the same letter: it is written once for each.
    Column("about", String(64), nullable=False),
    # What the words are made from, as JSON.
    Column("detail", Text, nullable=False),
    _at("wanted_at"),
    # When to try next; NULL once it is sent or given up.
    _at("due_at", nullable=True),
    _at("lease_until"),
    Column("attempts", Integer, nullable=False),
    _at("sent_at", nullable=True),
    # Why it was given up, or what the last attempt met.
    Column("trouble", String(300), nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "member_id", "kind", "about"),
    Index(
        "ix_mail_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
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
    has_long_rows=True,
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
    # What the lines and the whole were reduced by together, and the part of
    # it that was taken off the whole.
    Column("discount_minor", BigInteger, nullable=False),
    Column("order_discount_minor", BigInteger, nullable=False),
    Column("unearning_minor", BigInteger, nullable=False),
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
    Column("brand", String(64), nullable=True),
    Column("quantity", Integer, nullable=False),
    Column("unit_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    _key("programme_id", "purchase_id", "line_number"),
)

# Goods that came back. A purchase may have several; together never more than it sold.
goods_return = _table(
    "goods_return",
    _id("programme_id"),
    _id("id"),
    _id("purchase_id"),
    Column("member_id", BigInteger, nullable=True),
    Column("receipt_id", BigInteger, nullable=True),
    Column("channel", String(16), nullable=False),
    Column("location", String(64), nullable=True),
    Column("till", String(64), nullable=True),
    Column("person", String(64), nullable=True),
    Column("gross_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    # Kept back from the refund where points that are gone could not be taken.
    Column("withheld_minor", BigInteger, nullable=False),
    _at("occurred_at"),
    _at("recorded_at"),
    Column("local_day", Integer, nullable=False),
    _key("programme_id", "id"),
    Index(None, "programme_id", "purchase_id"),
    Index(None, "programme_id", "local_day"),
)

return_line = _table(
    "return_line",
    _id("programme_id"),
    _id("return_id"),
    Column("line_number", Integer, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("gross_minor", BigInteger, nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    _key("programme_id", "return_id", "line_number"),
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
    # What the member gained or lost, waiting points included, and what of it
    # moved the balance that can be spent.
    Column("points", BigInteger, nullable=False),
    Column("balance_change", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("stamps", Integer, nullable=False),
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
    has_long_rows=True,
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
        "ix_posting_reverses",
        "programme_id",
        "reverses",
        sqlite_where=text("reverses IS NOT NULL"),
        postgresql_where=text("reverses IS NOT NULL"),
    ),
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
    # Still in the account of waiting points; activation moves it.
    Column("pending", Boolean, nullable=False),
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
    Index(
        "ix_lot_expiry",
        "programme_id",
        "expires_at",
        sqlite_where=text("remaining > 0 AND expires_at IS NOT NULL"),
        postgresql_where=text("remaining > 0 AND expires_at IS NOT NULL"),
    ),
    Index(
        "ix_lot_pending",
        "programme_id",
        "available_at",
        sqlite_where=text("pending"),
        postgresql_where=text("pending"),
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

# Points set aside until a payment is done: authorised, then captured, voided or lapsed.
hold = _table(
    "hold",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    _id("card_id"),
    Column("amount", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    _id("posting_id"),
    Column("redemption_id", BigInteger, nullable=True),
    Column("extended", Boolean, nullable=False),
    _at("authorised_at"),
    _at("lapses_at"),
    _at("resolved_at", nullable=True),
    # The receipt that captured or voided it.
    Column("resolved_by", BigInteger, nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id"),
    Index(
        "ix_hold_open",
        "programme_id",
        "lapses_at",
        sqlite_where=text("state = 'authorised'"),
        postgresql_where=text("state = 'authorised'"),
    ),
)

# Rewards and entitlements ---------------------------------------------------

# One reward in a member's hands, however it got there: bought, stamped, given.
redemption = _table(
    "redemption",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    _id("card_id"),
    Column("reward_key", String(64), nullable=False),
    # points, stamps, offer, birthday, tier
    Column("source", String(16), nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=True),
    # issued, used, cancelled, expired, restored
    Column("state", String(16), nullable=False),
    Column("receipt_id", BigInteger, nullable=True),
    Column("used_receipt_id", BigInteger, nullable=True),
    Column("purchase_id", BigInteger, nullable=True),
    _at("issued_at"),
    _at("expires_at", nullable=True),
    _at("used_at", nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id", "reward_key"),
    Index(None, "programme_id", "receipt_id"),
    Index(
        "ix_redemption_purchase",
        "programme_id",
        "purchase_id",
        sqlite_where=text("purchase_id IS NOT NULL"),
        postgresql_where=text("purchase_id IS NOT NULL"),
    ),
    Index(
        "ix_redemption_expiry",
        "programme_id",
        "expires_at",
        sqlite_where=text("state = 'issued' AND expires_at IS NOT NULL"),
        postgresql_where=text("state = 'issued' AND expires_at IS NOT NULL"),
    ),
)

# How much of something limited was used: stock, a quota, a budget, a daily cap.
# Rows are locked only where something is limited.
allowance = _table(
    "allowance",
    _id("programme_id"),
    Column("name", String(200), nullable=False),
    Column("used", BigInteger, nullable=False),
    _key("programme_id", "name"),
    CheckConstraint("used >= 0", name="used_not_negative"),
    **_ROOM_FOR_UPDATES,
)

# What a member got of something that is limited for each member.
member_allowance = _table(
    "member_allowance",
    _id("programme_id"),
    _id("member_id"),
    Column("name", String(200), nullable=False),
    Column("used", BigInteger, nullable=False),
    _at("last_at"),
    _key("programme_id", "member_id", "name"),
)

tier_change = _table(
    "tier_change",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    Column("from_key", String(40), nullable=True),
    Column("to_key", String(40), nullable=True),
    # upgrade, kept, review, return, by_hand, merge
    Column("cause", String(16), nullable=False),
    Column("metric_period", Integer, nullable=False),
    Column("metric", BigInteger, nullable=False),
    Column("receipt_id", BigInteger, nullable=True),
    Column("reason", String(200), nullable=True),
    _at("at"),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id", "id"),
    Index(None, "programme_id", "at"),
)

# What a member was told, so that it is told once: points about to lapse, a birthday.
notice = _table(
    "notice",
    _id("programme_id"),
    _id("member_id"),
    Column("kind", String(24), nullable=False),
    Column("about", String(64), nullable=False),
    Column("words", Text, nullable=False),
    _at("at"),
    _key("programme_id", "member_id", "kind", "about"),
)

# Offers ----------------------------------------------------------------------

offer = _table(
    "offer",
    _id("programme_id"),
    _id("id"),
    Column("key", String(40), nullable=False),
    # The offer as it was written; parsed once per process and revision.
    Column("source", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What it was checked against: it is read with that version for ever.
    Column("programme_version", Integer, nullable=False),
    # draft, scheduled, live, paused, ended
    Column("state", String(16), nullable=False),
    _at("starts_at", nullable=True),
    _at("ends_at", nullable=True),
    Column("quota", BigInteger, nullable=True),
    Column("used", BigInteger, nullable=False),
    Column("budget_minor", BigInteger, nullable=True),
    Column("spent_minor", BigInteger, nullable=False),
    Column("spent_points", BigInteger, nullable=False),
    _at("created_at"),
    _at("published_at", nullable=True),
    _at("ended_at", nullable=True),
    Column("created_by", String(64), nullable=True),
    # While a change of state is being spread to the cards it concerns: the last member done.
    Column("spread_after", BigInteger, nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "key"),
    CheckConstraint("quota IS NULL OR used <= quota", name="within_quota"),
    CheckConstraint("budget_minor IS NULL OR spent_minor <= budget_minor", name="within_budget"),
    Index(None, "programme_id", "state"),
    **_ROOM_FOR_UPDATES,
)

# Who was meant by an offer when it started, and in which arm: results are
# counted by this, whether or not anything reached a phone.
offer_assignment = _table(
    "offer_assignment",
    _id("programme_id"),
    _id("offer_id"),
    _id("member_id"),
    # treated, holdout
    Column("arm", String(8), nullable=False),
    _at("at"),
    _key("programme_id", "offer_id", "member_id"),
    Index(None, "programme_id", "member_id"),
)

offer_use = _table(
    "offer_use",
    _id("programme_id"),
    _id("id"),
    _id("offer_id"),
    _id("member_id"),
    _id("receipt_id"),
    Column("discount_minor", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    # consumed, restored
    Column("state", String(16), nullable=False),
    # Which single-use code it took, so that giving the use back frees the code.
    Column("code_hash", LargeBinary(32), nullable=True),
    _at("at"),
    _key("programme_id", "id"),
    Index(None, "programme_id", "offer_id", "member_id"),
    Index(None, "programme_id", "receipt_id"),
)

# Single-use codes of an offer: only what they hash to is kept.
offer_code = _table(
    "offer_code",
    _id("programme_id"),
    Column("code_hash", LargeBinary(32), nullable=False),
    _id("offer_id"),
    # Whose it is; anybody's when NULL.
    Column("member_id", BigInteger, nullable=True),
    Column("receipt_id", BigInteger, nullable=True),
    _at("made_at"),
    _key("programme_id", "code_hash"),
    Index(None, "programme_id", "offer_id"),
)

# "Tell me when it's back": who asked for which product.
wish = _table(
    "wish",
    _id("programme_id"),
    Column("product", String(64), nullable=False),
    _id("member_id"),
    _at("asked_at"),
    _key("programme_id", "product", "member_id"),
)

# Merging, acts, corrections by hand -------------------------------------------

merge = _table(
    "merge",
    _id("programme_id"),
    _id("id"),
    _id("survivor_id"),
    _id("loser_id"),
    Column("proof", String(200), nullable=False),
    Column("person", String(64), nullable=True),
    # Everything that was moved, as JSON, so that it can be taken apart again.
    Column("detail", Text, nullable=False),
    _at("at"),
    _at("undone_at", nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "loser_id"),
    Index(None, "programme_id", "survivor_id"),
)

act = _table(
    "act",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    _id("card_id"),
    Column("action_key", String(40), nullable=False),
    Column("words", String(1000), nullable=False),
    # waiting, granted, refused
    Column("state", String(16), nullable=False),
    Column("submitted_by", String(64), nullable=True),
    Column("decided_by", String(64), nullable=True),
    Column("receipt_id", BigInteger, nullable=True),
    _at("submitted_at"),
    _at("decided_at", nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id", "action_key"),
    Index(
        "ix_act_waiting",
        "programme_id",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)

adjustment = _table(
    "adjustment",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    _id("card_id"),
    Column("points", BigInteger, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("note", String(1000), nullable=False),
    Column("words", String(200), nullable=False),
    # waiting, booked, refused
    Column("state", String(16), nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("decided_by", String(64), nullable=True),
    Column("receipt_id", BigInteger, nullable=True),
    Column("local_day", Integer, nullable=False),
    _at("asked_at"),
    _at("decided_at", nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "asked_by", "local_day"),
)

# A register's way in: only the digest of its secret is kept.
api_key = _table(
    "api_key",
    _id("programme_id"),
    _id("id"),
    Column("name", String(100), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    # What it may do, apart by spaces.
    Column("scopes", String(200), nullable=False),
    # Where it stands; NULL where it may name a location itself.
    Column("location", String(64), nullable=True),
    _at("created_at"),
    _at("expires_at", nullable=True),
    _at("revoked_at", nullable=True),
    # When it was used last, to the hour.
    _at("used_at", nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("secret_hash"),
    _of("programme", "programme_id", target=("id",)),
)

# Tills ---------------------------------------------------------------------

till = _table(
    "till",
    _id("programme_id"),
    _id("id"),
    Column("name", String(64), nullable=False),
    # Where it stands; NULL in a programme without shops.
    Column("location", String(64), nullable=True),
    # Of the code that pairs a device with it, for a few minutes.
    Column("pairing_hash", LargeBinary(32), nullable=True),
    _at("pairing_until", nullable=True),
    # Of the secret in the paired device; another device paired later takes its place.
    Column("secret_hash", LargeBinary(32), nullable=True),
    _at("created_at"),
    _at("paired_at", nullable=True),
    _at("revoked_at", nullable=True),
    # When it was heard of last, to the minute, and when it last had nothing left to send.
    _at("seen_at", nullable=True),
    _at("synced_at", nullable=True),
    # The last number of its queue: a copied device counts on from the same one.
    Column("sequence", BigInteger, nullable=False),
    _key("programme_id", "id"),
    _of("programme", "programme_id", target=("id",)),
    UniqueConstraint("secret_hash"),
    UniqueConstraint("pairing_hash"),
)

# What a till did without network that could not be booked as it came.
till_review = _table(
    "till_review",
    _id("programme_id"),
    _id("id"),
    _id("till_id"),
    Column("key", String(128), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("content", Text, nullable=False),
    Column("person", String(64), nullable=True),
    # A stable code: why a person has to look at it.
    Column("why", String(64), nullable=False),
    _at("occurred_at"),
    _at("received_at"),
    # open, booked or dismissed
    Column("state", String(16), nullable=False),
    Column("receipt_id", BigInteger, nullable=True),
    Column("decided_by", String(64), nullable=True),
    _at("decided_at", nullable=True),
    Column("note", String(200), nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "till_id", "key"),
    Index(
        "ix_till_review_open",
        "programme_id",
        "received_at",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    has_long_rows=True,
)

# A code that was sent to a member, or shown on their own page, to prove that they are here.
one_time_code = _table(
    "one_time_code",
    _id("programme_id"),
    _id("id"),
    _id("member_id"),
    Column("code_hash", LargeBinary(32), nullable=False),
    _at("created_at"),
    _at("expires_at"),
    Column("tries", Integer, nullable=False),
    _at("used_at", nullable=True),
    _key("programme_id", "id"),
    Index(None, "programme_id", "member_id"),
)

# Other people's programs ---------------------------------------------------

# Where the shop's own programs want to be told. The secret that signs is derived from its number.
webhook = _table(
    "webhook",
    _id("programme_id"),
    _id("id"),
    Column("address", String(500), nullable=False),
    # Kinds of events, apart by spaces.
    Column("events", String(500), nullable=False),
    # Which server key, and how often it was rotated. The secret before signs for a day beside it.
    Column("key_id", String(16), nullable=False),
    Column("previous_key_id", String(16), nullable=True),
    Column("rotation", Integer, nullable=False),
    _at("rotated_at", nullable=True),
    _at("created_at"),
    _at("disabled_at", nullable=True),
    Column("disabled_why", String(64), nullable=True),
    # Everything recorded up to then was looked at.
    _at("looked_at"),
    # One worker at a time has its turn, which keeps the order.
    _at("lease_until"),
    # Nothing is sent before; failures in a row since one was taken, and since when.
    _at("quiet_until"),
    Column("failures", Integer, nullable=False),
    _at("failing_since", nullable=True),
    _key("programme_id", "id"),
    _of("programme", "programme_id", target=("id",)),
)

# What happened, once for all who want to know; `about` is a receipt or a member.
webhook_event = _table(
    "webhook_event",
    _id("programme_id"),
    _id("id"),
    Column("kind", String(32), nullable=False),
    _id("about"),
    _at("happened_at"),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "kind", "about"),
)

webhook_delivery = _table(
    "webhook_delivery",
    _id("programme_id"),
    _id("id"),
    _id("webhook_id"),
    _id("event_id"),
    # waiting, taken or given_up
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    _at("due_at", nullable=True),
    _at("tried_at", nullable=True),
    Column("status", Integer, nullable=True),
    Column("milliseconds", Integer, nullable=True),
    # The beginning of what came back, or why nothing did.
    Column("answer", String(500), nullable=True),
    _key("programme_id", "id"),
    UniqueConstraint("programme_id", "webhook_id", "event_id"),
    # Taken webhook by webhook, in order.
    Index(
        "ix_webhook_delivery_waiting",
        "programme_id",
        "webhook_id",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)

# A register of another maker that tells us of its orders: Shopify, Square, Odoo.
register = _table(
    "register",
    _id("programme_id"),
    _id("id"),
    Column("kind", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    # What it signs with, encrypted under a key derived from the server's.
    Column("key_id", String(16), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    # Its locations and ours, as JSON.
    Column("places", Text, nullable=False),
    _at("created_at"),
    _at("revoked_at", nullable=True),
    _at("heard_at", nullable=True),
    _key("programme_id", "id"),
    _of("programme", "programme_id", target=("id",)),
    has_long_rows=True,
)

# Each message of a register once, whatever became of it.
register_message = _table(
    "register_message",
    _id("programme_id"),
    _id("register_id"),
    Column("message_key", String(128), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("order_key", String(128), nullable=True),
    # As it came, without what names a person, while it still waits; empty afterwards.
    Column("content", Text, nullable=False),
    # waiting, booked, ignored or refused
    Column("state", String(16), nullable=False),
    Column("why", String(64), nullable=True),
    Column("receipt_id", BigInteger, nullable=True),
    Column("attempts", Integer, nullable=False),
    _at("received_at"),
    _at("due_at", nullable=True),
    _key("programme_id", "register_id", "message_key"),
    Index(None, "programme_id", "register_id", "order_key"),
    Index(
        "ix_register_message_received",
        "programme_id",
        "register_id",
        "received_at",
    ),
    Index(
        "ix_register_message_due",
        "due_at",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    has_long_rows=True,
)

# Which purchase an order of a register became.
register_order = _table(
    "register_order",
    _id("programme_id"),
    _id("register_id"),
    Column("order_key", String(128), nullable=False),
    _id("purchase_id"),
    Column("receipt_id", BigInteger, nullable=True),
    # Which of its lines are ours, as JSON: their keys to line numbers.
    Column("lines", Text, nullable=False),
    _at("at"),
    _key("programme_id", "register_id", "order_key"),
    has_long_rows=True,
)

# Staff ---------------------------------------------------------------------

staff = _table(
    "staff",
    _id("id"),
    Column("login", String(64), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", String(300), nullable=False),
    # What opens a paired till, and nothing else; NULL where somebody has none.
    Column("pin_hash", String(300), nullable=True),
    _at("created_at"),
    _at("disabled_at", nullable=True),
    _key("id"),
)

# Cards of the people who work here: nobody books on their own.
staff_card = _table(
    "staff_card",
    _id("programme_id"),
    _id("staff_id"),
    _id("member_id"),
    _at("added_at"),
    _key("programme_id", "staff_id", "member_id"),
    _of("staff", "staff_id", target=("id",)),
    Index(None, "programme_id", "member_id"),
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
    # The paired till at which somebody signed in with a PIN.
    Column("till_id", BigInteger, nullable=True),
    _at("created_at"),
    _at("expires_at"),
    _at("revoked_at", nullable=True),
    _key("token_hash"),
    Index(None, "staff_id"),
    Index(
        "ix_session_till",
        "till_id",
        sqlite_where=text("till_id IS NOT NULL"),
        postgresql_where=text("till_id IS NOT NULL"),
    ),
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
