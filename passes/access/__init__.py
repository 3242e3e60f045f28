"""Who may do what: staff, passwords, sessions, form tokens and limits on trying.

A session's secret is random and lives in a cookie; only its SHA-256 is stored,
so that a stolen database opens nothing. Sessions are rows and can be revoked
at once. Each area (till, console) has sessions and a cookie of its own.
"""

from passes.access.forms import FORM_TIME, Form, Prover, check_form_token, new_form, read_form
from passes.access.limits import Limit, forget_due, limit
from passes.access.people import (
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    Area,
    Grant,
    LoginInvalid,
    LoginTaken,
    PasswordCost,
    PasswordWeak,
    Person,
    Role,
    add_staff,
    disable_staff,
    hash_password,
    may,
    programmes_for,
)
from passes.access.sessions import (
    SESSION_TIME,
    AtTill,
    revoke_all,
    session,
    sign_in,
    sign_in_for_demonstration,
    sign_out,
    work_at,
)

__all__ = [
    "FORM_TIME",
    "PASSWORD_LENGTH_MAX",
    "PASSWORD_LENGTH_MIN",
    "SESSION_TIME",
    "Area",
    "AtTill",
    "Form",
    "Grant",
    "Limit",
    "LoginInvalid",
    "LoginTaken",
    "PasswordCost",
    "PasswordWeak",
    "Person",
    "Prover",
    "Role",
    "add_staff",
    "check_form_token",
    "disable_staff",
    "forget_due",
    "hash_password",
    "limit",
    "may",
    "new_form",
    "programmes_for",
    "read_form",
    "revoke_all",
    "session",
    "sign_in",
    "sign_in_for_demonstration",
    "sign_out",
    "work_at",
]
