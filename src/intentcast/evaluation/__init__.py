"""How good a contender is, and whether the model beats the rules."""
