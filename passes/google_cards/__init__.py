"""Cards in Google Wallet: the link that saves one, what Google tells us, and what the worker does there.

A card is an object at Google, put there before anybody sees a link to it.
Google says by a callback that somebody saved it; from then on the card has an
install, and the worker brings every change to the object. What Google holds is
remembered as digests, so that a change sends what changed and nothing else.
"""

from passes.google_cards.announcing import Announcer
from passes.google_cards.classes import ClassFinding, try_classes
from passes.google_cards.desk import GoogleDesk
from passes.google_cards.hearing import CHECK_AFTER, take_callback
from passes.google_cards.issuer import Issuer, drawing, initials
from passes.google_cards.pace import SharedPace
from passes.google_cards.saving import CHECK_UNHEARD_AFTER, save_link
from passes.google_cards.troubles import ALARM_ACCOUNT, ALARM_CARD, ALARM_CLASS
from passes.google_cards.upkeep import GoogleDone, Upkeep

__all__ = [
    "ALARM_ACCOUNT",
    "ALARM_CARD",
    "ALARM_CLASS",
    "CHECK_AFTER",
    "CHECK_UNHEARD_AFTER",
    "Announcer",
    "ClassFinding",
    "GoogleDesk",
    "GoogleDone",
    "Issuer",
    "SharedPace",
    "Upkeep",
    "drawing",
    "initials",
    "save_link",
    "take_callback",
    "try_classes",
]
