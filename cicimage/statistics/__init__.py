"""Events and person-time turned into rates, incidence, comparisons; the donor is n."""

from cicimage.statistics.comparisons import compare
from cicimage.statistics.rates import compute_rates

__all__ = ["compare", "compute_rates"]
