"""Events and person-time turned into rates, incidence, comparisons; the donor is n."""
