"""Somebody with a browser that runs no script: follows links, fills in forms, sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from flask import Flask
from werkzeug.test import TestResponse


@dataclass
class Form:
    """A form as it stands on a page. `buttons` maps the name and value of each button."""

    address: str
    method: str
    kind: str
    values: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    """The forms and the readable text of a page."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.forms: list[Form] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._select = ""
        self._hidden = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.elements.append((tag, given))
        if tag in ("script", "style", "svg", "head"):
            self._hidden += 1
        if tag == "form":
            address = urljoin(self.address, given.get("action") or self.address)
            self._form = Form(address, given.get("method", "get"), given.get("enctype", ""))
            self.forms.append(self._form)
        elif self._form is not None and given.get("name"):
            name = given["name"]
            self._form.names.add(name)
            if tag == "button":
                self._form.buttons.append((name, given.get("value", "")))
            elif given.get("type") == "checkbox":
                if "checked" in given:
                    self._form.values[name] = given.get("value", "on")
            elif given.get("type") != "file":
                self._form.values[name] = given.get("value", "")
                self._select = name if tag == "select" else ""
        elif self._form is not None and tag == "option" and "selected" in given:
            self._form.values[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "svg", "head"):
            self._hidden -= 1
        if tag == "form":
            self._form = None

    def handle_data(self, text: str) -> None:
        if not self._hidden:
            self.words.append(text)


@dataclass
class Page:
    """What came back, after redirects were followed."""

    status: int
    address: str
    html: str
    text: str
    forms: list[Form]
    elements: list[tuple[str, dict[str, str]]]
    answer: TestResponse
    redirects: list[int]

    def form(self, name: str, value: str | None = None) -> Form:
        """The form that has a field or button of this name (and value)."""
        for form in self.forms:
            if name in form.names and (value is None or (name, value) in form.buttons):
                return form
        raise AssertionError(f"no form with {name} {value or ''} on {self.address}: {self.text}")

    def element(self, **attributes: str) -> dict[str, str]:
        """The first element with these attributes; `for_` stands for `for`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        for _, given in self.elements:
            if all(given.get(name) == value for name, value in wanted.items()):
                return given
        raise AssertionError(f"no element with {wanted} on {self.address}")


class Visitor:
    """A browser with its cookies. `headers` go with every request."""

    def __init__(self, app: Flask, *, base: str = "http://127.0.0.1:8000", **headers: str) -> None:
        self.client = app.test_client()
        self.base = base
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def get(self, address: str, *, follow: bool = True) -> Page:
        return self._arrive(self._open("GET", address), follow)

    def send(self, form: Form, *, follow: bool = True, files: Any = None, **values: str | None) -> Page:
        """Fill in the form and send it; None leaves a field out, as an unticked box does."""
        return self.fill_in(form, values, follow=follow, files=files)

    def fill_in(
        self, form: Form, values: Mapping[str, str | None], *, follow: bool = True, files: Any = None
    ) -> Page:
        """As `send`, for values that have names of their own."""
        unknown = values.keys() - form.names
        assert not unknown, f"the form has no {unknown}"
        filled = {name: value for name, value in {**form.values, **values}.items() if value is not None}
        return self.post(form.address, {**filled, **(files or {})}, follow=follow)

    def post(self, address: str, data: dict[str, Any], *, follow: bool = True) -> Page:
        return self._arrive(self._open("POST", address, data=data), follow)

    def fetch(self, address: str) -> TestResponse:
        """A file that a page refers to, complete."""
        answer = self._open("GET", address)
        answer.get_data()
        answer.close()
        return answer

    def cookie(self, name: str, path: str) -> str | None:
        """What the browser remembers under this name."""
        found = self.client.get_cookie(name, domain=self._domain, path=path)
        return found.value if found else None

    def remember(self, name: str, value: str, path: str) -> None:
        """Put a cookie into the browser."""
        self.client.set_cookie(name, value, domain=self._domain, path=path)

    @property
    def _domain(self) -> str:
        return urlsplit(self.base).hostname or ""

    def _open(self, method: str, address: str, **options: Any) -> TestResponse:
        parts = urlsplit(urljoin(self.base, address))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.client.open(path, method=method, base_url=self.base, headers=self.headers, **options)

    def _arrive(self, answer: TestResponse, follow: bool) -> Page:
        redirects = []
        while follow and answer.status_code in (301, 302, 303, 307, 308):
            redirects.append(answer.status_code)
            answer = self._open("GET", answer.headers["Location"])
        page = (answer.mimetype or "").startswith("text")
        html = answer.get_data(as_text=True) if page else ""
        reader = _Reader(answer.request.url)
        reader.feed(html)
        return Page(
            status=answer.status_code,
            address=answer.request.path,
            html=html,
            text=" ".join(" ".join(reader.words).split()),
            forms=reader.forms,
            elements=reader.elements,
            answer=answer,
            redirects=redirects,
        )
