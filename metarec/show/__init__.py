"""How results look: words, tables of claims. In: frames and findings. Out: HTML for a page.

Nothing here knows a paper, and nothing here trains.
"""
