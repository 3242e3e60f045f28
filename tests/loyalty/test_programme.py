from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.programme import affordable, next_reward
from passes.loyalty.refusals import RewardUnknown
from passes.loyalty.text import Text
from passes.loyalty.tiers import next_tier, tier_for
from tests.loyalty.shops import shop

finch, sayfa = shop("copperfinch"), shop("marginalya")


@given(st.integers(-10_000, 10_000))
def test_every_reward_is_either_affordable_or_still_ahead(balance: int) -> None:
    ready, upcoming = affordable(finch, balance), next_reward(finch, balance)
    assert all(reward.points <= balance for reward in ready)
    if upcoming is None:
        assert len(ready) == len(finch.rewards)
    else:
        assert upcoming.points > balance
        assert all(reward.points >= upcoming.points for reward in finch.rewards if reward not in ready)


def test_a_regular_with_640_beans_can_have_a_brewed_coffee_and_is_on_the_way_to_any_drink() -> None:
    assert [reward.key for reward in affordable(finch, 640)] == ["extra-shot", "brewed-coffee"]
    upcoming = next_reward(finch, 640)
    assert upcoming is not None
    assert upcoming.key == "any-drink"


def test_a_reward_is_found_by_its_key_or_refused() -> None:
    assert finch.reward("extra-shot").points == 150
    with pytest.raises(RewardUnknown):
        finch.reward("yacht")


@pytest.mark.parametrize(
    ("spend_minor", "tier", "above"),
    [
        (-500, "perch", "flight"),
        (0, "perch", "flight"),
        (24_999, "perch", "flight"),
        (25_000, "flight", "copper"),
        (74_999, "flight", "copper"),
        (75_000, "copper", None),
        (10**15, "copper", None),
    ],
)
def test_a_tier_begins_at_its_exact_threshold(spend_minor: int, tier: str, above: str | None) -> None:
    reached, following = tier_for(finch.tiers, spend_minor), next_tier(finch.tiers, spend_minor)
    assert reached is not None
    assert reached.key == tier
    assert (following.key if following else None) == above


def test_a_programme_without_tiers_has_none() -> None:
    assert tier_for(sayfa.tiers, 10**9) is None


def test_a_missing_language_falls_back_to_its_base_and_then_to_the_default() -> None:
    text = Text.of({"en": "bean", "tr": "çekirdek"})
    assert text.in_("tr-TR") == "çekirdek"
    assert text.in_("de") == "bean"


def test_one_bean_is_not_one_beans() -> None:
    assert [finch.unit.name(count, "en") for count in (0, 1, 2)] == ["beans", "bean", "beans"]
