"""The family of polite no's.

Everything the shop refuses is a `Refused` with a stable `code` for programs
and `words` for a person. The words are an English template; the edge
translates it (passes/language.py) and fills in `values`. HTTP status codes
live in `web/errors.py` alone. A programming mistake is never a `Refused`.
"""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """The shop says no, and nothing has changed."""

    code: ClassVar[str] = "refused"
    words: ClassVar[str] = "This is not possible."

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(str(self))

    def __str__(self) -> str:
        """The refusal in English, for logs and the command line."""
        return self.words % self.values if self.values else self.words


# Codes and cards -----------------------------------------------------------


class CodeMistyped(Refused):
    """The text is no card code: wrong length, letters or check character."""

    code = "code_mistyped"
    words = "That is not a card number. Check it and try again."


class CodeUnknown(Refused):
    """A well-formed code that no card carries."""

    code = "code_unknown"
    words = "No card has this number."


class CardForeign(Refused):
    """The card belongs to another programme of this installation."""

    code = "card_foreign"
    words = "This card belongs to another shop."


class CardVoided(Refused):
    """The card was withdrawn."""

    code = "card_voided"
    words = "This card is no longer valid."


class FormerCodeInvalid(Refused):
    """No code of a former system can be kept like this."""

    code = "former_code_invalid"
    words = "A former card's number has at most %(most)s letters, digits and the signs . _ : + * #"


class CodeTaken(Refused):
    """The code leads to another card already."""

    code = "code_taken"
    words = "This number already leads to another card."


# Amounts and points --------------------------------------------------------


class AmountInvalid(Refused):
    """The amount is not a positive whole number of minor units."""

    code = "amount_invalid"
    words = "Enter an amount above zero, in digits."


class AmountTooLarge(Refused):
    """The amount is above what one purchase of this programme may be."""

    code = "amount_too_large"
    words = "This amount is above the limit of %(limit)s for one purchase."


class TendersWrong(Refused):
    """What was paid with is not together what is to be paid."""

    code = "tenders_wrong"
    words = "%(paid)s was paid, but %(to_pay)s is to be paid. Check what was paid with."


class TendersContradict(TendersWrong):
    """The tenders and `unearning_minor` say different things."""

    words = "What was paid with earns something else than was said. Name the tenders alone."


class LineInvalid(Refused):
    """A text of a line is longer than there is room for, or has signs that no database keeps."""

    code = "line_invalid"
    words = "An article's name, number, brand or category is too long or cannot be read."


class TimeInvalid(Refused):
    """Something is said to have happened when nothing can have."""

    code = "time_invalid"
    words = "This cannot have happened then. Check the clock of the till."


class CapReached(Refused):
    """The purchase would earn `points`, more than the `limit` that a rejecting cap leaves."""

    code = "cap_reached"
    words = "This purchase would earn %(points)s points; at most %(limit)s are allowed now."


class NotEnoughPoints(Refused):
    """The card does not hold enough points for that reward.

    `ready` names rewards that the balance does pay for, so that the refusal
    can offer one.
    """

    code = "not_enough_points"
    words = "Not enough %(unit)s: this needs %(needed)s, there are %(available)s."


class NotEnoughStamps(Refused):
    """The punch card is not full yet."""

    code = "not_enough_stamps"
    words = "Not enough stamps: this needs %(needed)s, there are %(available)s."


class RewardUnknown(Refused):
    """The programme has no such reward."""

    code = "reward_unknown"
    words = "This programme has no such reward."


class RewardNotNow(Refused):
    """The reward is not given at this time."""

    code = "reward_not_now"
    words = "This reward is not given at this time."


class RewardNotHere(Refused):
    """The reward is not given at this location."""

    code = "reward_not_here"
    words = "This reward is not given in this shop."


class RewardNotForTier(Refused):
    """The reward belongs to other tiers."""

    code = "reward_not_for_tier"
    words = "This reward is not for this tier."


class RewardSoldOut(Refused):
    """Nothing of the reward's stock is left."""

    code = "reward_sold_out"
    words = "None of this reward are left."


class RewardLimitReached(Refused):
    """The member already had as many of this reward as one may have."""

    code = "reward_limit_reached"
    words = "This card already had as many of this reward as one may have: %(limit)s."


class PointsChosenWrong(Refused):
    """Points paid as money are chosen in steps, from the least to the most that the purchase takes."""

    code = "points_chosen_wrong"
    words = "Choose from %(least)s to %(most)s in steps of %(step)s."


class RedemptionUnknown(Refused):
    """The member has no such reward."""

    code = "redemption_unknown"
    words = "This card has no such reward."


class RedemptionOver(Refused):
    """The reward was used, given back or has lapsed."""

    code = "redemption_over"
    words = "This reward was already used or has lapsed."


class HoldUnknown(Refused):
    """No such hold in this programme."""

    code = "hold_unknown"
    words = "Nothing is held under this number."


class HoldOver(Refused):
    """The hold was resolved otherwise, or its time ran out."""

    code = "hold_over"
    words = "What was held has already been used or given back."


# Requests, receipts, undo --------------------------------------------------


class KeyReused(Refused):
    """The caller's key already names a request with other content."""

    code = "key_reused"
    words = "This request key was already used for something else."


class KeyInvalid(Refused):
    """The caller's key is missing, too long or has characters outside A-Z a-z 0-9 . _ : -"""

    code = "key_invalid"
    words = "The request key is missing or malformed."


class ReceiptUnknown(Refused):
    """No such receipt in this programme."""

    code = "receipt_unknown"
    words = "There is no such receipt."


class AlreadyUndone(Refused):
    """The receipt was reversed before."""

    code = "already_undone"
    words = "This was already undone."


class SaleUnknown(Refused):
    """No sale without a member has this number and this total."""

    code = "sale_unknown"
    words = "No receipt has this number and this total."


class AlreadyClaimed(Refused):
    """The sale has a member already."""

    code = "already_claimed"
    words = "The points of this receipt were already collected."


class ClaimTooLate(Refused):
    """The days in which a sale can be claimed have passed."""

    code = "claim_too_late"
    words = "It is too late to collect the points of this receipt."


class UndoTooLate(Refused):
    """The time in which a cashier may undo has passed."""

    code = "undo_too_late"
    words = "It is too late to undo this."


class NotAPurchase(Refused):
    """Goods come back from purchases; this receipt is of another kind."""

    code = "not_a_purchase"
    words = "This receipt is not that of a purchase."


class PurchaseUnknown(Refused):
    """No such sale in this programme."""

    code = "purchase_unknown"
    words = "There is no such purchase."


class NothingLeftToReturn(Refused):
    """Everything that was sold has come back."""

    code = "nothing_left_to_return"
    words = "Everything of this purchase has already come back."


class ReturnTooLarge(Refused):
    """More would come back than was sold; `left` is what still can, money or pieces."""

    code = "return_too_large"
    words = "At most %(left)s of this can still come back."


class ReturnLineUnknown(Refused):
    """The purchase has no line with this number."""

    code = "return_line_unknown"
    words = "This purchase has no line %(line)s."


class ReturnTooLate(Refused):
    """The programme takes goods back for so many days only."""

    code = "return_too_late"
    words = "Goods can come back within %(days)s days of their purchase; that time is over."


class ReturnBeforeSale(Refused):
    """The return is said to have happened before its purchase."""

    code = "return_before_sale"
    words = "A return cannot be dated before its purchase."


class UndoAfterReturn(Refused):
    """Goods of the purchase came back, so that it can no longer be undone as a whole."""

    code = "undo_after_return"
    words = "Goods of this purchase came back; it can no longer be undone."


# At the till ------------------------------------------------------------------


class OwnCard(Refused):
    """The card belongs to whoever serves, or to whoever agreed to it."""

    code = "own_card"
    words = "This card belongs to whoever serves here. Somebody else has to do it."


class ApprovalNeeded(Refused):
    """A manager has to agree first."""

    code = "approval_needed"
    words = "A manager has to agree to this."


class AmountNeedsApproval(ApprovalNeeded):
    """The purchase is above what a cashier books alone."""

    words = "A purchase of more than %(limit)s needs a manager."


class ReturnNeedsApproval(ApprovalNeeded):
    """The goods are worth more than a cashier takes back alone."""

    words = "Taking back more than %(limit)s needs a manager."


class VisitsNeedApproval(ApprovalNeeded):
    """The member had `count` purchases here today."""

    words = "This card was used %(count)s times here today. Another purchase needs a manager."


class LooksRepeated(Refused):
    """The same member paid the same amount a moment ago."""

    code = "looks_repeated"
    words = "%(amount)s was booked on this card a moment ago. Is this another purchase?"


class CardNeeded(Refused):
    """Somebody who was only looked up wants to redeem."""

    code = "card_needed"
    words = "Scan the card, or ask the customer for a one-time code, before you redeem anything."


class OneTimeCodeNeeded(Refused):
    """So many points are redeemed only with the card and a code that was made a moment ago."""

    code = "one_time_code_needed"
    words = "More than %(limit)s %(unit)s are redeemed only with a one-time code, besides the card."


class UsedFarAway(OneTimeCodeNeeded):
    """The card was used a moment ago in a shop from where nobody gets here so fast."""

    words = "This card was used far away a moment ago. Redeeming needs a one-time code now."


class OneTimeCodeWrong(Refused):
    """No code of this member that still holds is this one."""

    code = "one_time_code_wrong"
    words = "This one-time code is wrong or no longer valid."


class OneTimeCodeNotSent(Refused):
    """There is no way to send this member a code."""

    code = "one_time_code_not_sent"
    words = "No code can be sent to this customer. It also stands on the card's own page."


class LookupOff(Refused):
    """The programme does not let members be looked up."""

    code = "lookup_off"
    words = "Customers cannot be looked up here. Scan the card, or type its number."


class SearchTooShort(Refused):
    """Too little was typed to look anybody up."""

    code = "search_too_short"
    words = "Type at least two letters of the name, the phone number or the e-mail address."


class HandleExpired(Refused):
    """What a look-up gave is too old, was made elsewhere, or was changed."""

    code = "handle_expired"
    words = "This search is too old. Look the customer up again."


class EnrolmentsEnough(Refused):
    """As many people joined at this till today as may."""

    code = "enrolments_enough"
    words = "No more people can join at this till today. They can join on their own phone."


# Joining -------------------------------------------------------------------


class NameInvalid(Refused):
    """The name is empty, too long or has control characters."""

    code = "name_invalid"
    words = "Enter a name of at most %(limit)s letters."


class EmailInvalid(Refused):
    """The text is no e-mail address."""

    code = "email_invalid"
    words = "That does not look like an e-mail address."


class EmailMissing(Refused):
    """The programme needs an e-mail address."""

    code = "email_missing"
    words = "Enter your e-mail address."


class PhoneInvalid(Refused):
    """The text is no phone number."""

    code = "phone_invalid"
    words = (
        "Type the phone number in digits, %(least)s to %(most)s of them. "
        "Begin with + if it has its country code."
    )


class PhoneMissing(Refused):
    """The programme needs a phone number."""

    code = "phone_missing"
    words = "Enter your phone number."


class BirthdayInvalid(Refused):
    """A day without a month, a month without a day, or a day that no year has."""

    code = "birthday_invalid"
    words = "Choose a day and a month that go together, or neither."


class BirthdayMissing(Refused):
    """The programme needs the day and month of birth."""

    code = "birthday_missing"
    words = "Choose the day and the month of your birthday."


class BirthdayLocked(Refused):
    """The birthday was changed less than a year ago."""

    code = "birthday_locked"
    words = "A birthday can be changed once a year. You can change yours again on %(day)s."


class JoiningClosed(Refused):
    """The programme takes no new members any more."""

    code = "joining_closed"
    words = "This programme takes no new members now."


class ProgrammeUnknown(Refused):
    """No programme with that name."""

    code = "programme_unknown"
    words = "There is no such programme."


class LinkUnknown(Refused):
    """The link is unknown, expired or was withdrawn."""

    code = "link_unknown"
    words = "This link has expired or was withdrawn. Ask for a new one."


# Programme files -----------------------------------------------------------


class ProgrammeInvalid(Refused):
    """A programme file breaks a rule.

    `problems` is a list of sentences, each naming the key path and, where it
    could be found, the line.
    """

    code = "programme_invalid"
    words = "The programme file has mistakes: %(summary)s"


class ProgrammeNameTaken(Refused):
    """Too many programmes are called so already."""

    code = "programme_name_taken"
    words = "Too many cards have this name already. Choose another one."


class ProgrammeChanged(Refused):
    """Somebody loaded another version while this one was being written."""

    code = "programme_changed"
    words = "Somebody else changed this card meanwhile. Look at what it is now, then change it again."


class LogoUnreadable(Refused):
    """What was sent is no picture that can become a logo."""

    code = "logo_unreadable"
    words = "This picture cannot be read. Take a PNG, JPEG or WebP file."


class LogoTooLarge(Refused):
    """The picture would need more memory than a logo is worth."""

    code = "logo_too_large"
    words = (
        "This picture is too large. Take one of at most %(megabytes)s MB and %(megapixels)s million pixels."
    )


class ProgrammeNotComparable(Refused):
    """Rules of another currency or time zone say nothing about these purchases."""

    code = "programme_not_comparable"
    words = "These rules cannot be tried here: they are for %(found)s, the purchases are in %(expected)s."


# Offers ----------------------------------------------------------------------


class OfferUnknown(Refused):
    """The programme has no such offer."""

    code = "offer_unknown"
    words = "There is no such offer."


class OfferKeyTaken(Refused):
    """Another offer of the programme has this key."""

    code = "offer_key_taken"
    words = "There is already an offer with the key %(key)s."


class OfferStateWrong(Refused):
    """The offer is in a state in which this cannot be done."""

    code = "offer_state_wrong"
    words = "This cannot be done: the offer %(key)s is %(state)s."


class OfferInvalid(Refused):
    """An offer file breaks a rule; `problems` as for programme files."""

    code = "offer_invalid"
    words = "The offer file has mistakes: %(summary)s"


class OfferCodeUnknown(Refused):
    """No offer has the code that was given."""

    code = "offer_code_unknown"
    words = "No offer has this code."


class OfferCodeTaken(Refused):
    """Another offer that is not over has the same code."""

    code = "offer_code_taken"
    words = "The code is already that of the offer %(key)s."


class OfferCodeUsed(Refused):
    """A code that works once was used before."""

    code = "offer_code_used"
    words = "This code was already used."


class ProductInvalid(Refused):
    """The name of a product has other characters than small letters, digits and dashes."""

    code = "product_invalid"
    words = "Name the product in small letters, digits and dashes."


class OfferNotStarted(Refused):
    """The offer has not begun."""

    code = "offer_not_started"
    words = "This offer has not begun yet."


class OfferEnded(Refused):
    """The offer is over."""

    code = "offer_ended"
    words = "This offer is over."


class OfferPaused(Refused):
    """The shop has paused the offer."""

    code = "offer_paused"
    words = "This offer is paused."


class OfferNotNow(Refused):
    """The offer holds on other weekdays or at other hours."""

    code = "offer_not_now"
    words = "This offer does not hold at this hour."


class OfferQuotaUsedUp(Refused):
    """The offer was used as often as it may be."""

    code = "offer_quota_used_up"
    words = "This offer is used up."


class OfferBudgetUsedUp(Refused):
    """What the shop set aside for the offer does not cover this purchase."""

    code = "offer_budget_used_up"
    words = "What the shop set aside for this offer is used up."


class OfferMemberLimit(Refused):
    """The member has used the offer as often as one member may."""

    code = "offer_member_limit"
    words = "This card has already used this offer."


class OfferNotForYou(Refused):
    """The member is not among those whom the offer is for."""

    code = "offer_not_for_you"
    words = "This offer is not for this card."


class OfferNotHere(Refused):
    """The offer holds in other shops or channels."""

    code = "offer_not_here"
    words = "This offer does not hold in this shop."


class OfferMinimum(Refused):
    """The purchase is smaller than the offer asks."""

    code = "offer_minimum"
    words = "This offer needs a purchase of at least %(minimum)s."


class OfferItems(Refused):
    """Nothing is bought that the offer is about."""

    code = "offer_items"
    words = "Nothing in this purchase belongs to this offer."


class OfferNoEffect(Refused):
    """The offer would change nothing, and is therefore not used."""

    code = "offer_no_effect"
    words = "This offer changes nothing in this purchase; it was not used."


class OfferNotCombinable(Refused):
    """Another offer, which is better or goes first, does not go together with it."""

    code = "offer_not_combinable"
    words = "This offer does not go together with another one in this purchase."


# Acts, corrections by hand, merging ------------------------------------------


class ActionUnknown(Refused):
    """The programme thanks for no such act."""

    code = "action_unknown"
    words = "This programme has no such act."


class ActUnknown(Refused):
    """No such act was submitted."""

    code = "act_unknown"
    words = "Nobody submitted such an act."


class ActionLimit(Refused):
    """The member got these points as often as one member may."""

    code = "action_limit"
    words = "This card has had the points for this as often as it may."


class ActionDayLimit(Refused):
    """All members together got these points as often as one day allows."""

    code = "action_day_limit"
    words = "The points for this are used up for that day."


class WordsInvalid(Refused):
    """A text that must say something is empty or too long."""

    code = "words_invalid"
    words = "Write something here, at most %(limit)s characters."


class SomebodyElse(Refused):
    """Whoever asked, profits or served the member may not decide."""

    code = "somebody_else"
    words = "Somebody else must decide this."


class AlreadyDecided(Refused):
    """What was submitted or asked for was granted or refused before."""

    code = "already_decided"
    words = "This was already decided."


class AdjustmentUnknown(Refused):
    """No such correction was asked for."""

    code = "adjustment_unknown"
    words = "Nobody asked for such a correction."


class AdjustmentInvalid(Refused):
    """The points of a correction are none, or absurdly many."""

    code = "adjustment_invalid"
    words = "Enter how many points to give, or below zero to take."


class ReasonUnknown(Refused):
    """The programme's list has no such reason for a correction."""

    code = "reason_unknown"
    words = "Choose one of these reasons: %(reasons)s."


class AdjustmentDayLimit(Refused):
    """One person would move more points by hand on a day than the programme allows."""

    code = "adjustment_day_limit"
    words = "One person may give or take %(limit)s points by hand on a day; %(left)s are left."


class MergeSame(Refused):
    """Both cards are the same member's."""

    code = "merge_same"
    words = "Both cards belong to the same member already."


class MergeHeld(Refused):
    """Points of the member who would go are set aside for a payment."""

    code = "merge_held"
    words = "Points of this card are set aside for a payment. Finish or cancel it first."


class MergeUnknown(Refused):
    """There was no such merge."""

    code = "merge_unknown"
    words = "There is no such merge."


class MergeTooOld(Refused):
    """A merge is taken apart within some days only."""

    code = "merge_too_old"
    words = "A merge can be undone for %(days)s days; they are over."


class MergeCovered(Refused):
    """The survivor of a merge was merged into somebody else since."""

    code = "merge_covered"
    words = "This member was merged with another one since. Undo that first."


class MergeSpent(Refused):
    """What the survivor still has does not cover what came with the merge."""

    code = "merge_spent"
    words = "The points that came with this card are spent: %(needed)s must go back, there are %(available)s."


# People --------------------------------------------------------------------


class SignInFailed(Refused):
    """Unknown person or wrong password; the two are not told apart."""

    code = "sign_in_failed"
    words = "Name or password is wrong."


class TooManyTries(Refused):
    """The rate limit for this action was reached."""

    code = "too_many_tries"
    words = "Too many tries. Wait a few minutes and try again."


class NotAllowed(Refused):
    """The person lacks the right for this."""

    code = "not_allowed"
    words = "You may not do this."


class SignInNeeded(Refused):
    """Nobody is signed in at this till, or their session has ended."""

    code = "sign_in_needed"
    words = "Sign in first."


class PlaceMissing(Refused):
    """Somebody is signed in and has not said in which shop they work."""

    code = "place_missing"
    words = "Choose your shop first."


class PersonUnknown(Refused):
    """Nobody of this login has a role in the programme."""

    code = "person_unknown"
    words = "There is nobody of this login here."


class PinWeak(Refused):
    """Not a PIN, or one of those that everybody tries first."""

    code = "pin_weak"
    words = "A PIN has 4 to 8 digits: not all the same, and not in a row like 1234."


class PinWrong(Refused):
    """The PIN is not this person's, or they may not do this; the two are not told apart."""

    code = "pin_wrong"
    words = "The PIN is wrong."


class PinLocked(Refused):
    """Too many wrong PINs of this person at this till today: only the password helps."""

    code = "pin_locked"
    words = "Too many wrong PINs. Sign in with your password."


class TillUnknown(Refused):
    """The programme has no till of this number in force."""

    code = "till_unknown"
    words = "There is no such till."


class TillNameTaken(Refused):
    """Receipts and limits know a till by its name, so no two in force share one."""

    code = "till_name_taken"
    words = "There is a till “%(name)s” already."


class TillRevoked(Refused):
    """The owner took this device out of force."""

    code = "till_revoked"
    words = "This till was blocked. Ask the owner of the shop."


class PairingCodeWrong(Refused):
    """The code pairs nothing: mistyped, used before, or older than ten minutes."""

    code = "pairing_code_wrong"
    words = "This code is wrong or too old. Ask the owner for a new one."


class OtherPerson(Refused):
    """What somebody else did at this browser waits until they sign in."""

    code = "other_person"
    words = "%(person)s did this. It is sent when they sign in here."


class PlaceChanged(Refused):
    """What was done for another shop waits until somebody works for that shop here."""

    code = "place_changed"
    words = "This was done for another shop. It is sent when you work there again."


class ReviewUnknown(Refused):
    """Nothing of this number waits to be looked at."""

    code = "review_unknown"
    words = "This does not wait to be looked at."


class ReviewDismissed(Refused):
    """Somebody looked at it and decided not to book it."""

    code = "review_dismissed"
    words = "This was looked at and not booked."


class FormStale(Refused):
    """The page's form token is missing or belongs to another session."""

    code = "form_stale"
    words = "This page was open for too long. Send it again."


# Registers that ask by themselves --------------------------------------------


class ApiKeyInvalid(Refused):
    """There is no key, or it is unknown, revoked or past its end: these are not told apart."""

    code = "api_key_invalid"
    words = "This request needs a valid API key."


class RegisterUnknown(Refused):
    """No register in use has this number."""

    code = "register_unknown"
    words = "No register in use has this number."


class RegisterSecretInvalid(Refused):
    """What a register's maker signs with is missing or no such secret."""

    code = "register_secret_invalid"
    words = "Paste the secret as it stands in the settings of the register: 8 to 256 characters, no spaces."


class RegisterListInvalid(Refused):
    """A line of a register's list names nothing of ours."""

    code = "register_list_invalid"
    words = "This line is not “theirs = ours”, or names nothing of this programme: %(line)s"


class MessageUnknown(Refused):
    """There is no such message of a register, or nothing of it to try again."""

    code = "message_unknown"
    words = "There is no such message, or nothing of it to try again."


class ApiKeyUnknown(Refused):
    """No key in force has this number."""

    code = "api_key_unknown"
    words = "No key in force has this number."


class ScopeMissing(Refused):
    """The key is good, but may not do this."""

    code = "scope_missing"
    words = "This API key may not do this: it lacks “%(scope)s”."


class IdempotencyKeyMissing(Refused):
    """A write must name itself, so that it can be sent again without harm."""

    code = "idempotency_key_missing"
    words = "This request needs an Idempotency-Key header of up to 64 letters, digits, and . _ : -"


class RequestInvalid(Refused):
    """The body is not what this address takes; the problem lists where."""

    code = "request_invalid"
    words = "This request is not well formed."


class ScopesMissing(Refused):
    """A key that may do nothing."""

    code = "scopes_missing"
    words = "Say what this key may do."


class ApiKeyEnds(Refused):
    """A key that ends before it begins."""

    code = "api_key_ends"
    words = "Choose a day that is still to come."


class CursorInvalid(Refused):
    """A list is gone on with by what it said itself, asked with the same filters."""

    code = "cursor_invalid"
    words = "This list cannot be gone on with from here. Begin it again without a cursor."


class MemberUnknown(Refused):
    """The programme has no member with this number."""

    code = "member_unknown"
    words = "There is no member with this number."


class TooManyRequests(Refused):
    """A key asked more often than any register needs to."""

    code = "too_many_requests"
    words = "Too many requests with this key. Wait a moment and go on slower."


class LocationUnknown(Refused):
    """The programme has no shop of this key."""

    code = "location_unknown"
    words = "There is no shop “%(location)s”."


# Webhooks ------------------------------------------------------------------


class WebhookAddressInvalid(Refused):
    """No address that messages may go to: not https, within this network, or no address at all."""

    code = "webhook_address_invalid"
    words = "Messages need an address that begins with https:// and that anybody on the internet can reach."


class WebhookEventUnknown(Refused):
    """No event of that name, or none at all."""

    code = "webhook_event_unknown"
    words = "Choose at least one event."


class WebhooksTooMany(Refused):
    """A programme has as many webhooks as it may."""

    code = "webhooks_too_many"
    words = "There are %(limit)s webhooks already. Remove one first."


class WebhookUnknown(Refused):
    """The programme has no webhook with this number."""

    code = "webhook_unknown"
    words = "There is no such webhook."


class WebhookPaused(Refused):
    """Nothing is sent while a webhook is paused."""

    code = "webhook_paused"
    words = "This webhook is paused. Let it go on first."


class WebhookTimeMissing(Refused):
    """Nobody said since when deliveries are to go out again."""

    code = "webhook_time_missing"
    words = "Say since when."


class DeliveryUnknown(Refused):
    """The webhook has no delivery with this number, or it was forgotten after its time."""

    code = "delivery_unknown"
    words = "There is no such delivery."


# Machinery, in words a cashier can read out ---------------------------------


class Busy(Refused):
    """The database could not take the write in time; nothing changed, the same key may be retried."""

    code = "busy"
    words = "The system is busy. Nothing was booked; try again."


class StorageFull(Refused):
    """The disk or database is full; nothing changed."""

    code = "storage_full"
    words = "Nothing was booked: the storage is full. Tell the operator."


class GoogleUnavailable(Refused):
    """Google did not answer in time, or too many wait for it; nothing changed."""

    code = "google_unavailable"
    words = "Google Wallet does not answer just now. Try again in a minute."


class GoogleNotSetUp(Refused):
    """Google takes no cards of this shop until its operator has changed something."""

    code = "google_not_set_up"
    words = "This shop is not ready for Google Wallet yet. Your card works here on the page meanwhile."


class PictureUnreadable(Refused):
    """No barcode could be read from the picture."""

    code = "picture_unreadable"
    words = "No card code could be read from this picture."
