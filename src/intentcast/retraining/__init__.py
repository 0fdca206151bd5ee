"""Retraining as one command: check, train, backtest, compare with the champion, recommend.

order           what is asked, and the key under which its steps are kept
state           steps that are kept as soon as they are done
run             the steps: `retrain(order, now)` returns `retrain.json`
recommendation  what to do with the new bundle, and why
page            the same as one HTML page
"""
