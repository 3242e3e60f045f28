"""What a refusal or a mistake looks like over HTTP. Status codes stand here and nowhere else."""

from __future__ import annotations

import logging

from flask import Flask, render_template
from flask.globals import request_ctx
from markupsafe import escape
from werkzeug.exceptions import HTTPException

from passes.language import SOURCE, say
from passes.loyalty.refusals import Refused

log = logging.getLogger(__name__)

STATUS = {
    "refused": 422,
    "code_mistyped": 422,
    "code_unknown": 404,
    "card_foreign": 409,
    "card_voided": 410,
    "former_code_invalid": 422,
    "code_taken": 409,
    "amount_invalid": 422,
    "amount_too_large": 422,
    "line_invalid": 422,
    "tenders_wrong": 422,
    "time_invalid": 422,
    "cap_reached": 409,
    "not_enough_points": 409,
    "not_enough_stamps": 409,
    "reward_unknown": 404,
    "reward_not_now": 409,
    "reward_not_here": 409,
    "reward_not_for_tier": 409,
    "reward_sold_out": 409,
    "reward_limit_reached": 409,
    "points_chosen_wrong": 422,
    "redemption_unknown": 404,
    "redemption_over": 409,
    "hold_unknown": 404,
    "hold_over": 409,
    "key_reused": 409,
    "key_invalid": 422,
    "receipt_unknown": 404,
    "already_undone": 409,
    "undo_too_late": 409,
    "sale_unknown": 404,
    "already_claimed": 409,
    "claim_too_late": 409,
    "not_a_purchase": 422,
    "purchase_unknown": 404,
    "nothing_left_to_return": 409,
    "return_too_large": 409,
    "return_line_unknown": 404,
    "return_too_late": 409,
    "return_before_sale": 422,
    "undo_after_return": 409,
    "own_card": 403,
    "approval_needed": 409,
    "looks_repeated": 409,
    "card_needed": 409,
    "one_time_code_needed": 409,
    "one_time_code_wrong": 422,
    "one_time_code_not_sent": 409,
    "lookup_off": 403,
    "search_too_short": 422,
    "handle_expired": 410,
    "enrolments_enough": 409,
    "name_invalid": 422,
    "email_invalid": 422,
    "email_missing": 422,
    "phone_invalid": 422,
    "phone_missing": 422,
    "birthday_invalid": 422,
    "birthday_missing": 422,
    "birthday_locked": 409,
    "joining_closed": 410,
    "programme_unknown": 404,
    "link_unknown": 404,
    "programme_invalid": 422,
    "programme_not_comparable": 409,
    "programme_name_taken": 409,
    "programme_changed": 409,
    "logo_unreadable": 422,
    "logo_too_large": 413,
    "offer_unknown": 404,
    "offer_key_taken": 409,
    "offer_state_wrong": 409,
    "offer_invalid": 422,
    "offer_code_unknown": 404,
    "offer_code_taken": 409,
    "offer_code_used": 409,
    "product_invalid": 422,
    "offer_not_started": 409,
    "offer_ended": 409,
    "offer_paused": 409,
    "offer_not_now": 409,
    "offer_quota_used_up": 409,
    "offer_budget_used_up": 409,
    "offer_member_limit": 409,
    "offer_not_for_you": 409,
    "offer_not_here": 409,
    "offer_minimum": 409,
    "offer_items": 409,
    "offer_no_effect": 409,
    "offer_not_combinable": 409,
    "action_unknown": 404,
    "act_unknown": 404,
    "action_limit": 409,
    "action_day_limit": 409,
    "words_invalid": 422,
    "somebody_else": 403,
    "already_decided": 409,
    "adjustment_unknown": 404,
    "adjustment_invalid": 422,
    "reason_unknown": 422,
    "adjustment_day_limit": 409,
    "merge_same": 409,
    "merge_held": 409,
    "merge_unknown": 404,
    "merge_too_old": 409,
    "merge_covered": 409,
    "merge_spent": 409,
    "sign_in_failed": 422,
    "too_many_tries": 429,
    "not_allowed": 403,
    "sign_in_needed": 401,
    "place_missing": 409,
    "person_unknown": 404,
    "pin_weak": 422,
    "pin_wrong": 422,
    "pin_locked": 429,
    "till_unknown": 404,
    "till_name_taken": 409,
    "till_revoked": 403,
    "pairing_code_wrong": 422,
    "other_person": 409,
    "place_changed": 409,
    "review_unknown": 404,
    "review_dismissed": 409,
    "form_stale": 422,
    "api_key_invalid": 401,
    "api_key_unknown": 404,
    "register_unknown": 404,
    "register_secret_invalid": 422,
    "register_list_invalid": 422,
    "message_unknown": 404,
    "scope_missing": 403,
    "idempotency_key_missing": 400,
    "request_invalid": 422,
    "scopes_missing": 422,
    "api_key_ends": 422,
    "cursor_invalid": 422,
    "member_unknown": 404,
    "too_many_requests": 429,
    "location_unknown": 422,
    "webhook_address_invalid": 422,
    "webhook_event_unknown": 422,
    "webhooks_too_many": 409,
    "webhook_unknown": 404,
    "webhook_paused": 409,
    "webhook_time_missing": 422,
    "delivery_unknown": 404,
    "busy": 503,
    "storage_full": 507,
    "google_unavailable": 503,
    "google_not_set_up": 503,
    "picture_unreadable": 422,
    "login_invalid": 422,
    "login_taken": 409,
    "password_weak": 422,
}

TITLES = {
    404: "There is nothing here",
    405: "That cannot be done here",
    413: "That file is too large",
    429: "A little slower, please",
}
WORDS = {
    404: "The address may be mistyped, or what was here has moved.",
    413: "Send a smaller picture.",
}
OTHERWISE = "This is not possible"
BROKEN_TITLE = "Something went wrong"
BROKEN_WORDS = "It is our mistake, not yours. Please try again."


def status_of(refused: Refused) -> int:
    """The HTTP status of a refusal."""
    return STATUS[refused.code]


def register(app: Flask) -> None:
    """Show refusals and mistakes as pages; never a traceback."""

    @app.errorhandler(Refused)
    def refuse(refused: Refused) -> tuple[str, int]:
        status = status_of(refused)
        return _page(TITLES.get(status, OTHERWISE), refused=refused), status

    @app.errorhandler(HTTPException)
    def fail(error: HTTPException) -> tuple[str, int] | HTTPException:
        status = error.code or 500
        if status < 400:  # a redirect
            return error
        if status >= 500:
            return _broken(), status
        return _page(TITLES.get(status, OTHERWISE), words=WORDS.get(status)), status

    @app.errorhandler(Exception)
    def crash(error: Exception) -> tuple[str, int]:
        log.error("a page failed", exc_info=error)
        return _broken(), 500


def _broken() -> str:
    return _page(BROKEN_TITLE, words=BROKEN_WORDS)


def _page(title: str, *, words: str | None = None, refused: Refused | None = None) -> str:
    # Under a Host that makes no sense no address of ours can be written, and so no page.
    if request_ctx.url_adapter is None:
        return str(escape(say(SOURCE, title)))
    return render_template("error.html", title=title, words=words, refused=refused)
