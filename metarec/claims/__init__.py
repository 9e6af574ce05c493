"""What the papers say, and whether it holds.

In: a paper's list of claims (`papers/<paper>/claims.py`: words, rule and function together) and Records.
`cells` builds one tidy frame of comparisons, `rules` turns a frame into a word, `ledger` decides every claim,
`evidence` says the numbers in a sentence. Out: findings, and the frame. Nothing here trains.
"""
