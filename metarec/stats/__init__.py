"""What numbers can say: methods side by side, intervals, paired tests.

In: Records and their per-user metrics. Out: samples `[seeds, tasks, metrics]`, intervals, and frames of
comparisons with one row a metric. Nothing here trains.
"""
