"""The till: pages that work without script, and what the installable app asks.

`place` is who may come in, `pages` work without script, `desk` answers the app,
`queue` takes what it did; `pairing` makes a browser a till, `scanner` tries what
reads cards.
"""

from passes.web.till import desk, pages, pairing, queue, scanner
from passes.web.till.place import Place, blueprint

__all__ = ["Place", "blueprint", "desk", "pages", "pairing", "queue", "scanner"]
