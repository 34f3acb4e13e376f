"""What is refused as images, labels and scores, and how it is named."""

import pytest
import torch

from image_utils.errors import InputError
from networks.scores import check_images, class_scores


@pytest.mark.parametrize(("wrong", "said"), [([1], "image 1 holds NaN"), ([0, 2], "images 0, 2 hold NaN")])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_named(wrong, said, value):
    X = torch.zeros(3, 3, 4, 5)
    check_images(X)
    X[wrong, 2, 3, 4] = value
    with pytest.raises(InputError, match=f"^{said} or infinite values"):
        check_images(X)


def test_each_image_has_the_score_of_its_own_class():
    scores = torch.arange(12.0).view(3, 4)
    assert class_scores(scores, [3, 0, 1]).tolist() == [3, 4, 9]
    assert class_scores(scores[:0], torch.zeros(0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([0, 1, 4], r"must lie in \[0, 4\), not 0 to 4"),
        ([-1, 1, 3], r"must lie in \[0, 4\), not -1 to 3"),
        ([0, 1], "must be 3 integers"),
        ([[0, 1, 2]], "must be 3 integers"),
        ([0.0, 1.0, 2.0], "must be 3 integers"),
        ([True, False, True], "must be 3 integers"),
        (["a", "b", "c"], "must be 3 integers"),
    ],
)
def test_labels_that_do_not_fit(y, said):
    with pytest.raises(InputError, match=said):
        class_scores(torch.zeros(3, 4), y)
