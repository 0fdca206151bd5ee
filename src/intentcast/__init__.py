"""Which leads will buy: the calibrated probability of conversion within a horizon."""
