"""The rules that a grid's best is measured against, each of which doubles multiply-adds for a step of phi."""

from scaling_search.rule import PAPER_RULE, CompoundRule, rule_of_shares


def fast_rule(share: float) -> CompoundRule:
    """Fast compound scaling: `share` of the growth in cost goes to the width, the rest in halves to the other two.

    Table 4 of "Fast and Accurate Model Scaling" (Dollar, Singh and Girshick, CVPR 2021): multiply-adds s times as many
    take d = s^e_d, w = sqrt(s)^e_w, r = sqrt(s)^e_r with e_w = share and e_d = e_r = (1 - share) / 2. Shares of 0.8
    are their dWr, 1 is width alone and 1/3 is uniform compound scaling.
    """
    return rule_of_shares((1 - share) / 2, share)


RIVALS: dict[str, CompoundRule] = {
    "depth alone": rule_of_shares(1.0, 0.0),
    "width alone": fast_rule(1.0),
    "resolution alone": rule_of_shares(0.0, 0.0),
    "equal shares": fast_rule(1 / 3),
    "paper's rule": PAPER_RULE,
    "dWr": fast_rule(0.8),
}
"""By name. Where costs are matched, the paper's rule too is brought to exactly twice the cost."""
