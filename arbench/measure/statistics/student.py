"""Student's t quantiles and p-values."""

from __future__ import annotations

import math

from scipy import special

# How likely a normal number beyond four standard deviations is, to either side.
FOUR_SIGMA = math.erfc(4 / math.sqrt(2))


def t_quantile(probability: float, degrees: float) -> float:
    """The quantile of Student's t.

    So many standard errors to both sides of a mean over groups make an interval: 2.09 for 95 % of
    20 groups, where the normal quantile of 1.96 would cover less.

    Args:
        probability: from 0 to 1; 0.975 for a two-sided interval of 95 %.
        degrees: of freedom, one less than there are groups; need not be whole.
    """
    return float(special.stdtrit(degrees, probability))


def two_sided_p_value(z: float, degrees: float) -> float:
    """How likely so many standard errors or more are, to either side, if nothing is there.

    Args:
        z: a mean in standard errors; may be infinite.
        degrees: of freedom of the standard error.
    """
    if math.isinf(z):
        return 0.0
    return min(1.0, 2 * float(special.stdtr(degrees, -abs(z))))
