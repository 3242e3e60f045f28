"""The terms of a programme in plain words, made from its rules.

Whatever a rule does to a member is said here, in short sentences, and no
number stands here that is not a rule's: what members read cannot differ from
what is booked.
"""

from __future__ import annotations

from collections.abc import Iterator

from passes.loyalty.actions import Action
from passes.loyalty.earning import Bonus, CapMode, Combine, Multiplier, Rate, Rounding
from passes.loyalty.lasting import ClockStart, ExpiryKind, MonthsTo, ReturnPolicy, Shortfall
from passes.loyalty.occasions import BirthdaySpan
from passes.loyalty.placeholders import Say
from passes.loyalty.programme import Programme, by_price
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.speech import Speech, decimal
from passes.loyalty.stamps import StampFor, StampRule
from passes.loyalty.tiers import OnReturn, Review, Tier, TierMetric, TierWindow


def terms(programme: Programme, language: str, say: Say) -> str:
    """The terms that follow from the rules: paragraphs with an empty line between them."""
    speech = _Terms(programme, language, say)
    paragraphs = (
        speech.earning(),
        speech.special_earning(),
        speech.spending(),
        speech.lapsing(),
        speech.tiers(),
        speech.stamps(),
        speech.occasions(),
        speech.actions(),
        speech.returns(),
        speech.adjusting_and_leaving(),
    )
    return "\n\n".join(filter(None, ("\n".join(paragraph) for paragraph in paragraphs)))


class _Terms(Speech):
    """Every paragraph is lines of one or more sentences."""

    __slots__ = ()

    # Earning ----------------------------------------------------------------------

    def earning(self) -> list[str]:
        """How points are earned, ordinarily."""
        rule = self.programme.earning
        lines = [
            self.say(
                self.language,
                "You get %(points)s %(unit)s for every %(amount)s you spend.",
                points=rule.points,
                unit=self.unit(rule.points),
                amount=self.money(rule.per_minor),
            ),
            " ".join(self._what_counts()),
        ]
        if rule.minimum_minor:
            lines.append(
                self.say(
                    self.language,
                    "Purchases below %(amount)s earn nothing.",
                    amount=self.money(rule.minimum_minor),
                )
            )
        if rule.minimum_points:
            lines.append(
                self.say(
                    self.language,
                    "A purchase that would earn less than %(points)s earns nothing.",
                    points=self.points(rule.minimum_points),
                )
            )
        lines += self._caps()
        if rule.welcome_points:
            welcome = self.points(rule.welcome_points)
            lines.append(
                self.say(
                    self.language, "With the first purchase that earns you get %(points)s.", points=welcome
                )
                if rule.welcome_waits
                else self.say(self.language, "You get %(points)s for joining.", points=welcome)
            )
        return lines

    def _what_counts(self) -> Iterator[str]:
        rule = self.programme.earning
        yield self.say(self.language, "What counts is what you pay after discounts.")
        if not rule.tax_earns:
            yield self.say(self.language, "Tax that a purchase states earns nothing.")
        yield self.say(self.language, "What is paid with points or a gift card earns nothing.")
        match rule.rounding:
            case Rounding.FLOOR:
                yield self.say(self.language, "Part points are dropped.")
            case Rounding.HALF_UP:
                yield self.say(self.language, "Part points are rounded to the nearest whole.")
            case Rounding.CEIL:
                yield self.say(self.language, "Part points are rounded up.")
            case Rounding.PER_LINE_FLOOR:
                yield self.say(self.language, "Part points are dropped, line by line.")
            case Rounding.BLOCK:
                yield self.say(self.language, "Only full amounts count.")
            case Rounding.CARRY:
                yield self.say(self.language, "Part points wait for your next purchase.")
        if rule.carries:
            yield self.say(self.language, "What is left of a full amount counts with your next purchase.")

    def _caps(self) -> Iterator[str]:
        caps = self.programme.earning.caps
        if caps.purchase_points is not None:
            yield self.say(
                self.language,
                "One purchase earns at most %(points)s.",
                points=self.points(caps.purchase_points),
            )
        if caps.day_points is not None:
            yield self.say(
                self.language,
                "You earn at most %(points)s a day.",
                points=self.points(caps.day_points),
            )
        is_capped = caps.purchase_points is not None or caps.day_points is not None
        if is_capped and caps.mode is CapMode.REJECT:
            yield self.say(self.language, "A purchase that would earn more is not booked.")

    def special_earning(self) -> list[str]:
        """What earns nothing, and what earns more or differently."""
        rule = self.programme.earning
        lines = [
            self.say(self.language, "Earns nothing: %(when)s.", when=self.when(condition))
            for condition in rule.excluded
        ]
        lines += [self._rate(rate) for rate in rule.rates]
        lines += [self._multiplier(multiplier) for multiplier in rule.multipliers]
        lines += [self._bonus(bonus) for bonus in rule.bonuses]
        multiplying = len(rule.multipliers) + any(tier.multiplier != 1 for tier in self.programme.tiers)
        if multiplying > 1:
            match rule.combine:
                case Combine.BEST:
                    lines.append(
                        self.say(self.language, "Where several multipliers apply, the highest counts.")
                    )
                case Combine.SUM_BONUS:
                    lines.append(
                        self.say(
                            self.language, "Where several multipliers apply, what each adds is added up."
                        )
                    )
                case Combine.PRODUCT:
                    lines.append(
                        self.say(self.language, "Where several multipliers apply, they multiply each other.")
                    )
        groups = [bonus.group for bonus in rule.bonuses if bonus.group]
        if len(groups) > len(set(groups)):
            lines.append(self.say(self.language, "Of bonuses that exclude each other only one is given."))
        return lines

    def _rate(self, rate: Rate) -> str:
        return self.say(
            self.language,
            "Instead, %(points)s for every %(amount)s: %(when)s.",
            points=self.points(rate.points),
            amount=self.money(rate.per_minor),
            when=self.when(rate.when),
        )

    def _multiplier(self, rule: Multiplier) -> str:
        name, factor, when = self.text_of(rule.name), decimal(rule.factor), self.when(rule.when)
        sentences = [
            self.say(
                self.language,
                "%(name)s: %(factor)s times as many. It applies to: %(when)s.",
                name=name,
                factor=factor,
                when=when,
            )
            if when
            else self.say(self.language, "%(name)s: %(factor)s times as many.", name=name, factor=factor)
        ]
        if rule.member_points is not None:
            sentences.append(
                self.say(
                    self.language,
                    "This brings one member at most %(points)s.",
                    points=self.points(rule.member_points),
                )
            )
        if rule.budget_points is not None:
            sentences.append(
                self.say(
                    self.language,
                    "This ends when it has brought all members together %(points)s.",
                    points=self.points(rule.budget_points),
                )
            )
        return " ".join(sentences)

    def _bonus(self, rule: Bonus) -> str:
        name, points, when = self.text_of(rule.name), self.points(rule.points), self.when(rule.when)
        if not when:
            return self.say(
                self.language, "%(name)s: %(points)s more for a purchase.", name=name, points=points
            )
        return self.say(
            self.language,
            "%(name)s: %(points)s more for a purchase. It applies to: %(when)s.",
            name=name,
            points=points,
            when=when,
        )

    # Spending ---------------------------------------------------------------------

    def spending(self) -> list[str]:
        """When points can be spent, and on what."""
        rule = self.programme.points
        lines = [
            self.say(
                self.language,
                "You can spend %(unit)s %(days)s after the purchase.",
                unit=self.unit(),
                days=self.days(rule.pending_days),
            )
            if rule.pending_days
            else self.say(self.language, "You can spend %(unit)s as soon as you have them.", unit=self.unit())
        ]
        for category, days in rule.pending_by_category:
            name = self.category(category)
            lines.append(
                self.say(
                    self.language,
                    "With %(category)s in a purchase: %(days)s after it.",
                    category=name,
                    days=self.days(days),
                )
                if days
                else self.say(self.language, "For %(category)s there is no wait.", category=name)
            )
        lines += [self._reward(reward) for reward in by_price(self.programme)]
        lines += [
            self._paying(reward)
            for reward in self.programme.rewards
            if reward.kind is RewardKind.POINTS_AS_MONEY
        ]
        return lines

    def _reward(self, reward: Reward) -> str:
        words = self.say(
            self.language,
            "%(reward)s: %(points)s %(unit)s",
            reward=self.text_of(reward.name),
            points=reward.points,
            unit=self.unit(reward.points),
        )
        return self.detailed(words, [*self._worth(reward), *self._reward_limits(reward)])

    def _paying(self, reward: Reward) -> str:
        words = self.say(
            self.language,
            "%(reward)s: every %(points)s pay %(amount)s",
            reward=self.text_of(reward.name),
            points=self.points(reward.points),
            amount=self.money(reward.amount_minor or 0),
        )
        details = list(self._reward_limits(reward))
        if reward.least_points:
            details.append(
                self.say(self.language, "at least %(points)s", points=self.points(reward.least_points))
            )
        if reward.share_percent < 100:
            details.append(
                self.say(
                    self.language, "at most %(percent)s percent of a purchase", percent=reward.share_percent
                )
            )
        return self.detailed(words, details)

    def _worth(self, reward: Reward) -> Iterator[str]:
        if reward.percent is not None:
            yield self.say(self.language, "%(percent)s percent off", percent=reward.percent)
        if reward.amount_minor is None:
            return
        amount = self.money(reward.amount_minor)
        match reward.kind:
            case RewardKind.AMOUNT_OFF:
                yield self.say(self.language, "%(amount)s off", amount=amount)
            case RewardKind.FREE_ITEM | RewardKind.PERCENT_OFF:
                yield self.say(self.language, "at most %(amount)s", amount=amount)
            case _:
                yield self.say(self.language, "worth %(amount)s", amount=amount)

    def _reward_limits(self, reward: Reward) -> Iterator[str]:
        if reward.categories or reward.skus:
            yield from self.things(reward.categories, reward.skus)
        if reward.tiers:
            yield self.say(self.language, "only for %(tiers)s", tiers=self.tier_names(reward.tiers))
        for key, points in reward.tier_points:
            yield self.say(
                self.language,
                "for %(tier)s %(points)s",
                tier=self.tier_names([key]),
                points=self.points(points),
            )
        if reward.window:
            yield from self.window(reward.window)
        if reward.locations:
            yield self.say(self.language, "at %(shops)s", shops=self.shop_names(reward.locations))
        if reward.stock is not None:
            yield self.say(self.language, "as long as there are any: %(count)s in all", count=reward.stock)
        if reward.member_limit is not None:
            yield self._per_member(reward.member_limit, reward.member_days)
        if reward.valid_days is not None:
            yield self.say(self.language, "to be used within %(days)s", days=self.days(reward.valid_days))
        if not reward.combinable:
            yield self.say(self.language, "not together with another advantage")

    def _per_member(self, limit: int, days: int | None) -> str:
        if days is None:
            if limit == 1:
                return self.say(self.language, "once for one member")
            return self.say(self.language, "at most %(count)s times for one member", count=limit)
        span = self.days(days)
        if limit == 1:
            return self.say(self.language, "once for one member within %(days)s", days=span)
        return self.say(
            self.language,
            "at most %(count)s times for one member within %(days)s",
            count=limit,
            days=span,
        )

    # Lapsing ------------------------------------------------------------------------

    def lapsing(self) -> list[str]:
        """When points lapse."""
        expiry = self.programme.points.expiry
        months = self.months(expiry.months)
        match expiry.kind:
            case ExpiryKind.NONE:
                return [self.say(self.language, "Your %(unit)s do not lapse.", unit=self.unit())]
            case ExpiryKind.ROLLING:
                lines = [" ".join(self._rolling(months))]
            case ExpiryKind.FIXED_DAY:
                lines = [
                    self.say(
                        self.language,
                        "Your %(unit)s lapse every year when this day begins: %(day)s.",
                        unit=self.unit(),
                        day=self.day_of_year(expiry.month, expiry.day),
                    )
                ]
            case ExpiryKind.INACTIVITY:
                lines = [
                    self.say(
                        self.language,
                        "All your %(unit)s lapse when you earn and spend none for %(months)s.",
                        unit=self.unit(),
                        months=months,
                    )
                ]
        lasting = [tier.key for tier in self.programme.tiers if tier.points_last]
        if lasting:
            lines.append(
                self.say(self.language, "They do not lapse for %(tiers)s.", tiers=self.tier_names(lasting))
            )
        if notices := self.programme.points.notice_days:
            lines.append(
                self.say(
                    self.language,
                    "You are told before: %(days)s.",
                    days=self.joined(self.days(days) for days in notices),
                )
            )
        return lines

    def _rolling(self, months: str) -> Iterator[str]:
        expiry = self.programme.points.expiry
        if expiry.starts is ClockStart.EARNING:
            yield self.say(
                self.language,
                "Your %(unit)s lapse %(months)s after they were earned.",
                unit=self.unit(),
                months=months,
            )
        else:
            yield self.say(
                self.language,
                "Your %(unit)s lapse %(months)s after they could first be spent.",
                unit=self.unit(),
                months=months,
            )
        match expiry.to:
            case MonthsTo.MONTH:
                yield self.say(self.language, "The month in which that is still counts to its end.")
            case MonthsTo.QUARTER:
                yield self.say(self.language, "The quarter in which that is still counts to its end.")
            case MonthsTo.YEAR:
                yield self.say(self.language, "The year in which that is still counts to its end.")
            case MonthsTo.EXACT:
                pass

    # Tiers ----------------------------------------------------------------------------

    def tiers(self) -> list[str]:
        """How tiers are reached, kept and lost, and what they bring."""
        if not self.programme.tiers:
            return []
        return [
            " ".join(self._metric()),
            *(self._tier(tier) for tier in self.programme.tiers),
            " ".join(self._review()),
        ]

    def _metric(self) -> Iterator[str]:
        rule = self.programme.tiering
        match rule.metric:
            case TierMetric.SPEND:
                yield self.say(self.language, "Your tier follows what you spend.")
            case TierMetric.POINTS:
                yield self.say(self.language, "Your tier follows the %(unit)s you earn.", unit=self.unit())
            case TierMetric.VISITS:
                yield self.say(self.language, "Your tier follows how often you buy.")
        match rule.window:
            case TierWindow.CALENDAR_YEAR:
                yield self.say(self.language, "Each calendar year counts by itself.")
            case TierWindow.MEMBERSHIP_YEAR:
                yield self.say(self.language, "Each year of your membership counts by itself.")
            case TierWindow.ROLLING:
                yield self.say(self.language, "What counts is the last %(days)s.", days=self.days(rule.days))
            case TierWindow.LIFETIME:
                yield self.say(self.language, "Everything since you joined counts.")

    def _tier(self, tier: Tier) -> str:
        name = self.text_of(tier.name)
        words = (
            self.say(
                self.language,
                "%(tier)s: from %(threshold)s",
                tier=name,
                threshold=self._threshold(tier.threshold),
            )
            if tier.threshold
            else self.say(self.language, "%(tier)s: from the start", tier=name)
        )
        details = []
        if tier.multiplier != 1:
            details.append(
                self.say(
                    self.language,
                    "%(factor)s times as many %(unit)s",
                    factor=decimal(tier.multiplier),
                    unit=self.unit(),
                )
            )
        if tier.grants:
            granted = self.joined(self.text_of(self.programme.reward(key).name) for key in tier.grants)
            details.append(self.say(self.language, "given once a period: %(rewards)s", rewards=granted))
        if tier.free_shipping:
            details.append(self.say(self.language, "free shipping"))
        if tier.early_access_hours:
            details.append(
                self.say(
                    self.language,
                    "offers open earlier by %(hours)s",
                    hours=self.hours_long(tier.early_access_hours),
                )
            )
        line = self.detailed(words, details)
        return f"{line} {self.text_of(tier.perk)}" if tier.perk else line

    def _threshold(self, threshold: int) -> str:
        match self.programme.tiering.metric:
            case TierMetric.SPEND:
                return self.say(self.language, "%(amount)s spent", amount=self.money(threshold))
            case TierMetric.POINTS:
                return self.points(threshold)
            case TierMetric.VISITS:
                return self.say(self.language, "%(count)s purchases", count=threshold)

    def _review(self) -> Iterator[str]:
        rule = self.programme.tiering
        if rule.delay_days:
            yield self.say(
                self.language,
                "A tier begins %(days)s after you reached it, if you still reach it then.",
                days=self.days(rule.delay_days),
            )
        else:
            yield self.say(self.language, "A tier begins at once.")
        if rule.review is Review.NEVER or rule.window is TierWindow.LIFETIME:
            yield self.say(self.language, "You keep it for good.")
        else:
            yield from self._validity()
        if rule.review is not Review.NEVER:
            if rule.on_return is OnReturn.IMMEDIATE:
                yield self.say(self.language, "A return can cost a tier at once.")
            else:
                yield self.say(self.language, "A return never costs a tier before it ends.")

    def _validity(self) -> Iterator[str]:
        rule = self.programme.tiering
        match rule.window:
            case TierWindow.CALENDAR_YEAR:
                yield self.say(self.language, "You keep it until the end of the next calendar year.")
            case TierWindow.MEMBERSHIP_YEAR:
                yield self.say(self.language, "You keep it until the end of your next year as a member.")
            case _:
                yield self.say(self.language, "You keep it for %(days)s.", days=self.days(rule.days))
        if rule.grace_days:
            yield self.say(
                self.language, "After that it stays another %(days)s.", days=self.days(rule.grace_days)
            )
        if rule.review is Review.ONE_DOWN:
            yield self.say(
                self.language, "If you have not reached it again by then, you go down by one tier."
            )
        else:
            yield self.say(
                self.language, "If you have not reached it again by then, you get the tier you did reach."
            )

    # Stamps -----------------------------------------------------------------------------

    def stamps(self) -> list[str]:
        """What earns a stamp and what a full card brings."""
        rule = self.programme.stamps
        if rule is None:
            return []
        lines = [" ".join((self._stamp_for(rule), *self._stamp_limits(rule)))]
        words = self.say(
            self.language,
            "A full card has %(count)s stamps and brings: %(reward)s",
            count=rule.target,
            reward=self.text_of(rule.name),
        )
        details = []
        if rule.reward_minor is not None:
            details.append(
                self.say(self.language, "at most %(amount)s", amount=self.money(rule.reward_minor))
            )
        if rule.reward_valid_days is not None:
            details.append(
                self.say(self.language, "to be used within %(days)s", days=self.days(rule.reward_valid_days))
            )
        if rule.on_request:
            details.append(self.say(self.language, "when you ask for it"))
        lines.append(self.detailed(words, details))
        lines.append(
            self.say(self.language, "Further stamps count for the next card.")
            if rule.carries
            else self.say(self.language, "The next card begins without stamps.")
        )
        if rule.months:
            lines.append(
                self.say(self.language, "Stamps lapse after %(months)s.", months=self.months(rule.months))
            )
        return lines

    def _stamp_for(self, rule: StampRule) -> str:
        match rule.earned_for:
            case StampFor.VISIT:
                return self.say(self.language, "Every purchase brings a stamp.")
            case StampFor.AMOUNT:
                return self.say(
                    self.language,
                    "Every full %(amount)s you spend bring a stamp.",
                    amount=self.money(rule.per_minor),
                )
            case StampFor.ITEM:
                if not (rule.categories or rule.skus):
                    return self.say(self.language, "Every article you buy brings a stamp.")
                return self.say(
                    self.language,
                    "Every article of these brings a stamp: %(things)s.",
                    things=self.joined(self.things(rule.categories, rule.skus)),
                )

    def _stamp_limits(self, rule: StampRule) -> Iterator[str]:
        if rule.purchase_limit is not None:
            yield self.say(
                self.language, "Stamps of one purchase: at most %(count)s.", count=rule.purchase_limit
            )
        if rule.day_limit is not None:
            yield self.say(self.language, "Stamps of one day: at most %(count)s.", count=rule.day_limit)
        if rule.minutes_between:
            yield self.say(
                self.language,
                "Between two stamps there are at least %(minutes)s minutes.",
                minutes=rule.minutes_between,
            )

    # Occasions and actions ------------------------------------------------------------

    def occasions(self) -> list[str]:
        """Birthdays, and coming back."""
        lines = []
        if self.programme.birthday:
            lines.append(" ".join(self._birthday()))
        if rule := self.programme.win_back:
            lines.append(
                self.say(
                    self.language,
                    "If you have bought nothing for %(idle)s and we invite you back, your next purchase "
                    "within %(valid)s brings %(points)s, once in %(every)s.",
                    idle=self.days(rule.idle_days),
                    valid=self.days(rule.valid_days),
                    points=self.points(rule.points),
                    every=self.days(rule.every_days),
                )
            )
        return lines

    def _birthday(self) -> Iterator[str]:
        rule = self.programme.birthday
        assert rule is not None
        gifts = [self.points(rule.points)] if rule.points else []
        if rule.reward_key is not None:
            gifts.append(self.text_of(self.programme.reward(rule.reward_key).name))
        gift = self.joined(gifts)
        match rule.span:
            case BirthdaySpan.DAY:
                yield self.say(self.language, "On your birthday you get: %(gift)s.", gift=gift)
            case BirthdaySpan.MONTH:
                yield self.say(self.language, "In the month of your birthday you get: %(gift)s.", gift=gift)
            case BirthdaySpan.DAYS:
                yield self.say(
                    self.language,
                    "Around your birthday, from %(days)s before to as long after it, you get: %(gift)s.",
                    days=self.days(rule.days),
                    gift=gift,
                )
        for tier, days in rule.tier_days:
            yield self.say(
                self.language,
                "For %(tier)s it is %(days)s.",
                tier=self.tier_names([tier]),
                days=self.days(days),
            )
        if rule.tiers:
            yield self.say(self.language, "This is only for %(tiers)s.", tiers=self.tier_names(rule.tiers))
        yield self.say(self.language, "This happens once a year, and only if we know your birthday.")

    def actions(self) -> list[str]:
        """What the club thanks for."""
        return [self._action(action) for action in self.programme.actions]

    def _action(self, action: Action) -> str:
        words = self.say(
            self.language,
            "%(reward)s: %(points)s %(unit)s",
            reward=self.text_of(action.name),
            points=action.points,
            unit=self.unit(action.points),
        )
        details = []
        if action.member_limit is not None:
            details.append(self._per_member(action.member_limit, action.member_days))
        if action.day_limit is not None:
            details.append(
                self.say(
                    self.language, "at most %(count)s times a day for all together", count=action.day_limit
                )
            )
        if action.moderated:
            details.append(self.say(self.language, "after a person has looked at it"))
        return self.detailed(words, details)

    # Returns, corrections, leaving ------------------------------------------------------

    def returns(self) -> list[str]:
        """What a return takes back."""
        rule = self.programme.points
        sentences = []
        if rule.return_days is not None:
            sentences.append(
                self.say(
                    self.language,
                    "You can return a purchase within %(days)s.",
                    days=self.days(rule.return_days),
                )
            )
        match rule.returns:
            case ReturnPolicy.RECOMPUTE:
                sentences.append(
                    self.say(
                        self.language,
                        "A return takes back what the purchase would not have earned without it.",
                    )
                )
            case ReturnPolicy.PROPORTIONAL:
                sentences.append(
                    self.say(
                        self.language,
                        "A return takes back the same share of what the purchase earned.",
                    )
                )
        match rule.shortfall:
            case Shortfall.NEGATIVE:
                sentences.append(
                    self.say(
                        self.language,
                        "If you have already spent it, your balance falls below zero.",
                    )
                )
            case Shortfall.FORGIVE:
                sentences.append(
                    self.say(self.language, "If you have already spent it, you owe us nothing for it.")
                )
            case Shortfall.DEDUCT:
                sentences.append(
                    self.say(
                        self.language,
                        "If you have already spent it, we keep its worth back from the refund: "
                        "%(amount)s for every hundred.",
                        amount=self.money(rule.hundred_points_minor or 0),
                    )
                )
        sentences.append(self.say(self.language, "What you spent on a returned purchase comes back."))
        if rule.restore_grace_days and rule.expiry.kind is not ExpiryKind.NONE:
            sentences.append(
                self.say(
                    self.language,
                    "What has lapsed meanwhile then lasts another %(days)s.",
                    days=self.days(rule.restore_grace_days),
                )
            )
        return [" ".join(sentences)]

    def adjusting_and_leaving(self) -> list[str]:
        """What staff may do by hand, and how a member leaves."""
        return [
            self.say(
                self.language,
                "Staff can correct a balance, with a reason. Above %(points)s a second person decides.",
                points=self.points(self.programme.adjustments.approval_points),
            ),
            self.say(self.language, "You can leave whenever you like; we then erase your data."),
        ]
