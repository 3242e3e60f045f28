"""A browser that runs the till's app, as far as the service can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from werkzeug.test import TestResponse

from tests.shop import Shop
from tests.web.visitor import Visitor

API = "/till/api"
_numbers = count(1)


@dataclass
class Device:
    """A browser that runs the app."""

    visitor: Visitor
    house: Shop
    sequence: int = 0

    def get(self, path: str) -> TestResponse:
        """A question."""
        return self.visitor.client.get(API + path, base_url=self.visitor.base)

    def now(self) -> Any:
        """What the app knows."""
        return self.get("/now").get_json()

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> TestResponse:
        """With the form token of the session, where there is one."""
        token = self.now()["form_token"]
        given = ({"X-Form-Token": token} if token else {}) | headers
        return self.visitor.client.post(API + path, json=body, headers=given, base_url=self.visitor.base)

    def item(self, operation: str, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """One write, as the app keeps it."""
        self.sequence += 1
        return {
            "key": f"item-{next(_numbers):06}",
            "sequence": self.sequence,
            "made_at": self.house.now.isoformat(),
            "operation": operation,
            "person": "cy",
            "path": {},
            "body": dict(body),
            **more,
        }

    def send(self, *items: Mapping[str, Any], device_time: datetime | None = None) -> list[dict[str, Any]]:
        """What became of each item."""
        at = (device_time or self.house.now).isoformat()
        answer = self.post("/queue", {"device_time": at, "items": list(items)})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.get_json()["results"]
        return found

    def buys(self, code: str, amount_minor: int, **more: Any) -> dict[str, Any]:
        """A purchase."""
        return self.item("bookPurchase", {"code": code, "amount_minor": amount_minor}, **more)

    def sign_in(self, login: str = "cy", pin: str = "4826") -> TestResponse:
        """Somebody takes over with their PIN."""
        return self.post("/sign-in", {"login": login, "pin": pin})
