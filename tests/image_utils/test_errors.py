"""What is said of a number, a choice or a keyword that does not fit."""

import pytest

from image_utils.errors import InputError, at_least, check_keywords, one_of


@pytest.mark.parametrize("number", [-1, 0.999, float("nan"), float("inf")])
def test_numbers_below_the_lowest_are_named(number):
    at_least(1, first=1, second=1e300)
    with pytest.raises(InputError, match=f"^second must be at least 1, not {number}$"):
        at_least(1, first=1, second=number, third=number)


def test_what_is_no_choice_is_named_with_what_there_is():
    one_of(("batch", None), normalize="batch", upsampling=None)
    with pytest.raises(InputError, match=r"^upsampling must be one of 'batch', None, not 'cubic'$"):
        one_of(("batch", None), normalize=None, upsampling="cubic")


@pytest.mark.parametrize(
    ("given", "hint"), [("setps", r"did you mean steps\?"), ("qqqq", "there are steps, margin")]
)
def test_a_keyword_that_is_not_taken_is_named_with_the_nearest(given, hint):
    check_keywords("the recipe", {"margin": 1}, ("steps", "margin"))
    with pytest.raises(TypeError, match=f"^the recipe takes no keyword '{given}'; {hint}$"):
        check_keywords("the recipe", {"margin": 1, given: 2}, ("steps", "margin"))
