"""Means over photographs, and how sure a comparison of them is: bootstrap intervals.

All methods see the same photographs, and photographs differ more than methods do: an area of 0.9 in one and of
0.1 in another says nothing of the method. So each photograph's own level, its mean over the methods, is taken out
first (Cousineau 2005; with the factor of Morey 2008, since that narrows the rest):

    z_mn = mean_m + sqrt(M / (M - 1)) * ( (v_mn - level_n) - its mean over n ),

for method m of M and photograph n. The interval holds 95 % of the means of as many z_m drawn with replacement
(Efron 1987, bias-corrected and accelerated, by SciPy). It is made for comparing the methods on photographs like
these: where two intervals overlap, neither method is said to be better. Of many photographs the mean is normally
distributed, and the interval is mean +- 1.96 standard errors, which the bootstrap would find too.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, norm

FEWEST = 5  # photographs for an interval; of fewer there are hardly any different draws
MANY = 1000  # photographs from which on the interval is the normal distribution's
RESAMPLES = 2000
SAME = 1e-12  # relative; numbers no farther apart are equal, and so are all means of them


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: of the numbers that are defined; NaN if there are none.
        low: lower end; NaN where there are too few numbers for an interval.
        high: upper end; likewise.
        count: how many numbers were defined.
    """

    mean: float
    low: float
    high: float
    count: int

    def above(self, other) -> bool:
        """Say whether this interval lies wholly above another's; without an interval nothing does."""
        return self.low > other.high

    def below(self, other) -> bool:
        """Say whether this interval lies wholly below another's; without an interval nothing does."""
        return self.high < other.low


def mean_intervals(values, *, confidence=0.95, seed=0) -> list[Interval]:
    """Average each method's numbers and say how sure a comparison of the averages is.

    Args:
        values: array (M, N), for M methods one number a photograph; NaN where the measure is not defined, and left
            out.
        confidence: share of the resampled means inside the interval.
        seed: of the resampling.

    Returns:
        List of M Intervals. With one method they are those of its mean.
    """
    values = np.asarray(values, dtype=np.float64)
    deviations = values
    if len(values) > 1:
        level = np.ma.masked_invalid(values).mean(0).filled(np.nan)
        deviations = (values - level) * np.sqrt(len(values) / (len(values) - 1))
    return [_interval(*pair, confidence, seed) for pair in zip(values, deviations, strict=True)]


def _interval(values, deviations, confidence, seed):
    defined = np.isfinite(values)
    values, deviations, count = values[defined], deviations[defined], int(defined.sum())
    if count == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(values.mean())
    if count < FEWEST:
        return Interval(mean, np.nan, np.nan, count)
    shifted = mean + deviations - deviations.mean()
    if np.ptp(shifted) <= SAME * max(1.0, abs(mean)):
        return Interval(mean, mean, mean, count)
    if count >= MANY:
        reach = norm.ppf((1 + confidence) / 2) * shifted.std(ddof=1) / np.sqrt(count)
        return Interval(mean, mean - reach, mean + reach, count)
    rng, options = np.random.default_rng(seed), {"n_resamples": RESAMPLES, "method": "BCa"}
    found = bootstrap((shifted,), np.mean, confidence_level=confidence, rng=rng, **options).confidence_interval
    return Interval(mean, float(found.low), float(found.high), count)
