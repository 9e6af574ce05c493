# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The claims at a glance
#
# Each claim of the three papers in our words, and what our runs say of it. The coloured words are defined on [How to read a
# table](../book/reading.md). A data set leads to the claim on the page that decides it: the rule, the numbers behind the verdict, and what
# is missing.
#
# ## Parameters

# %% tags=["parameters"]
profile: str = (
    "recorded"  # recorded | quick | full; all three read recorded results
)
papers: list[str] = ["tanp", "pnmta", "cmml"]  # which papers to list

# %% [markdown]
# ## The list

# %%
from metarec.runs.execute import results_root
from metarec.runs.store import Store
from metarec.show import claims

shown = claims.glance(Store(results_root()), papers=papers)
shown

# %% [markdown]
# ## How many of each
#
# Claims as a whole, over all data sets that count. A verdict on a stand-in for data that cannot be had is shown above and counted as *not
# testable here*.

# %%
claims.tally(shown.frame)
