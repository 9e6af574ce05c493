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
# # What a context may change
#
# CMML {cite:p}`feng2021cmml` adapts by a network that makes numbers for another network. In its most general form a
# hyper-network {cite:p}`ha2017hypernetworks` makes *every* weight of a layer from a context vector. CMML's four modulations, {eq}`eq-cmml-9`
# to {eq}`eq-cmml-13`, make far fewer. This page starts from the general form and takes freedom away, in nine steps. Each step shows
# what is left, what it costs, and that the network which trains our models is the general one under a restriction.
#
# A step says first what is **to show**. Try it on paper. Its lines are hidden until you ask for them, and every line ends with its
# reason. A step ends with a **check**: code that computes both sides and stops the page if they disagree.
#
# You will see
#
# - that all modulations multiply the weights of a layer by a mask, and that the masks differ in shape;
# - that Linear is a FiLM {cite:p}`perez2018film` in the last place, and Sigmoid a FiLM which can switch no unit on or off;
# - that soft modules {cite:p}`yang2020softm` are convex combinations of fixed weights, if the routes are normalised on the right side;
# - in how many directions a context can move a layer, and how many parameters and multiply-adds that takes;
# - that pooling does not see the order of a support, and that a GRU {cite:p}`cho2014gru` does.
#
# ## What the paper claims
#
# | | Claim | Where |
# |:--|:--|:--|
# | a | A layer is scaled by a sigmoid, or scaled and shifted: two forms of one layer modulation. | {eq}`eq-cmml-10`, {eq}`eq-cmml-11` |
# | b | A module reads a weighted mean of its predecessors: the routes that enter it sum to one. | {eq}`eq-cmml-12`, {eq}`eq-cmml-13` |
# | c | Pooling does not see the order of the support; a sequential encoder does. | {eq}`eq-cmml-6`, {eq}`eq-cmml-7` |
# | d | A task costs one pass of the backbone for each of its pairs, $f_t$, where MAML's $k$ steps cost $k\,(f_t + b_t)$. | section 3.5, Table 1 |
#
# ## Parameters

# %% tags=["parameters"]
profile: str = "recorded"  # recorded | quick | full: how many pairs
d_x: int = 5  # numbers of a pair and of its context, in the small networks
width: int = 4  # units of a hidden layer, or of a module
modules: int = 3  # soft modules in a layer
n_support: int = 5  # entries of the support whose order is changed
d_pair: int = 128  # numbers of a pair where parameters and costs are counted

# %%
from math import factorial

import torch

from metarec.derivations import check, modulation, orders, restrictions, verdict
from metarec.derivations import modulation_costs as costs
from metarec.layers.hypernetworks import BackboneOptions
from metarec.show import style

style.use_style()
run = modulation.Settings(profile, d_x, width, modules, n_support)
x, context = run.pairs()

# %% [markdown]
# ## One layer, many contexts
#
# Let $x \in \mathbb R^n$ be the input of a layer with $m$ units, and $c$ the context: in CMML the hybrid context $C^h$ of one pair,
# {eq}`eq-cmml-8`. The trunk of the hyper-network turns $c$ into features $z \in \mathbb R^h$, and a linear head makes numbers from them.
# A fixed layer is $Wx + b$. A layer that depends on the context is
#
# $$
# o = W(z)\, x + b(z) .
# $$
#
# All modulations are such layers. What differs is which matrices $W(z)$ can be.
#
# We draw pairs at random, each with a context of its own, and small networks with random weights. Nothing is trained: what a network *can*
# do does not depend on what it has learned. All is computed in double precision.
#
# ## Step 1: make every weight
#
# **To show.** If a linear head makes all weights of a layer, the layer is bilinear in $z$ and $x$.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $$
# \begin{aligned}
# W(z) &= A_0 + \textstyle\sum_k z_k A_k && \text{the head is linear} \\
# b(z) &= b_0 + B z && \text{the same} \\
# o &= A_0 x + \textstyle\sum_k z_k A_k x && \text{insert} \\
# &\quad + b_0 + B z && \text{linear in } x \text{ and in } z
# \end{aligned}
# $$
#
# Each $A_k$ is as large as the layer. The head stores $h + 1$ layers and mixes them by $z$.
# :::
#
# The page calls this network *all weights*. It is the reference for all that follows.
#
# **Check.** The network's scores against those of the layers that `as_layers` writes down for each pair, and the first layer against
# PyTorch's bilinear form. In this and all such tables a row names its left and its right side, with a bar between them.

# %%
full = run.network("full")
layers = modulation.as_layers(full, context)
scores = modulation.scores_of(full, x, context)
by_layers = modulation.run_layers(layers, x, "leaky")
first = modulation.run_layers(layers[:1], x, "leaky")
check.equal(
    {
        "first score: network | made layers": (scores[0, 0], by_layers[0, 0]),
        "largest gap of the scores | 0": (
            modulation.largest_gap(scores, by_layers),
            0.0,
        ),
        "first layer: largest gap, made | bilinear": (
            modulation.largest_gap(
                first, restrictions.bilinear(full, x, context)
            ),
            0.0,
        ),
    },
    heading="",
)

# %% [markdown]
# How free is such a layer? We take the layers that many contexts make and write the numbers of each, $W$ and $b$, as one vector. The rank of
# these vectors about their mean is the number of directions in which contexts move the layer.
#
# **Check.** The first layer moves in all its $m\,(n+1)$ directions.

# %%
directions = restrictions.freedom(layers[0])
check.same(
    {"m (n + 1)": (str(directions), str(width * (d_x + 1)))},
    heading="directions of the first layer, all weights",
)

# %% [markdown]
# ## Step 2: only the last layer
#
# Weight modulation, CMML's *Linear* ({eq}`eq-cmml-9`), makes the last layer and leaves the others alone. The last layer has one output, so what
# is made is one vector $w_h$ and one number $b_h$.
#
# **To show.** Then the table of the scores of all pairs under all contexts has rank $n + 1$ at most, for $n$ units before the last layer.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $$
# \begin{aligned}
# o &= w_h^\top h(x) + b_h && h \text{ of } x \text{ alone} \\
# &= [w_h; b_h]^\top [h(x); 1] && \text{one product}
# \end{aligned}
# $$
#
# Here $h$ sees no context, $w_h$ and $b_h$ see no pair, and $[\,\cdot\,; \cdot\,]$ stacks. A table of inner products of vectors with
# $n + 1$ entries is a product of two matrices with $n + 1$ columns.
# :::
#
# That is matrix factorisation between contexts and pairs, with learned features on both sides. The features of a pair are
# the same for every task; a task only weighs them.
#
# **Check.** Linear is the network of Step 1 with made layers that do not move, but for the last; and the rank of the table is
# that of the formula. Where all weights are made, it is larger.

# %%
linear = run.network("linear")
layers = modulation.as_layers(linear, context)
by_layers = modulation.run_layers(layers, x, "leaky")
scores = modulation.scores_of(linear, x, context)
moved = [restrictions.freedom(layer) for layer in layers]
linear_rank = restrictions.table_rank(linear, x, context)
check.equal(
    {
        "largest gap: Linear as made layers | 0": (
            modulation.largest_gap(scores, by_layers),
            0.0,
        )
    },
    heading="score",
)

# %%
check.same(
    {
        "directions of the hidden layers: 0": (str(sum(moved[:-1])), "0"),
        "directions of the last layer: n + 1": (
            str(moved[-1]),
            str(width + 1),
        ),
        "rank of the table: n + 1": (str(linear_rank), str(width + 1)),
    },
    heading="Linear",
)

# %%
check.ordered(
    {
        "Linear | all weights": (
            linear_rank,
            restrictions.table_rank(full, x, context),
        )
    },
    heading="rank of the table of scores",
)

# %% [markdown]
# ## Step 3: one number for each row
#
# FiLM ({eq}`eq-cmml-11`) reaches every hidden layer, but makes only a scale $w$ and a shift $s$ for each unit. (The paper writes $b_h$ for the
# shift; here $b$ is the layer's own bias.)
#
# **To show.** FiLM multiplies the weights by a mask of rank one, whose rows are constant.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $$
# \begin{aligned}
# o &= w \odot (Wx + b) + s && \text{FiLM} \\
# &= \mathrm{diag}(w)\, W x && \text{expand} \\
# &\quad + (w \odot b + s) \\
# W(z) &= (w \mathbf 1^\top) \odot W && \text{row } i \text{: } w_i \\
# b(z) &= w \odot b + s && \text{free, by } s
# \end{aligned}
# $$
# :::
#
# A context can make a unit loud, quiet or of the other sign, and move its threshold. It cannot change what the unit looks at: the
# direction of each row of $W$ is the same for all tasks.
#
# **Check.** FiLM as made layers. The second layer under one context, entry by entry over that under another: the rank of this mask
# is one for FiLM and full for all weights.

# %%
film = run.network("film")
by_layers = modulation.run_layers(
    modulation.as_layers(film, context), x, "leaky"
)
film_gap = modulation.largest_gap(
    modulation.scores_of(film, x, context), by_layers
)
masks = {
    name: restrictions.mask(run.network(name), context, 1)
    for name in ("full", "film", "sigmoid", "softm")
}
ranks = {
    name: int(torch.linalg.matrix_rank(mask, rtol=1e-9))
    for name, mask in masks.items()
}
check.equal(
    {"largest gap: FiLM as made layers | 0": (film_gap, 0.0)}, heading="score"
)

# %%
check.same(
    {
        "all weights: m": (str(ranks["full"]), str(width)),
        "FiLM: 1": (str(ranks["film"]), "1"),
        "Sigmoid: 1": (str(ranks["sigmoid"]), "1"),
    },
    heading="rank of the mask",
)

# %% mystnb={"figure": {"caption": "The second layer under one context, entry by entry over that under another; white is a weight that stays as it is, and colours end at 0 and 2. All weights: any pattern. FiLM and Sigmoid: constant rows. Soft modules (Step 5): constant blocks."}, "image": {"alt": "Four square grids of coloured cells. All weights: every cell has a colour of its own. FiLM: each row has one colour. Sigmoid: each row has one colour, all of them pale. Soft modules: a grid of square blocks, each block of one colour."}} tags=["hide-input"]
fig, axes = style.panels(1, 4, height=2.3)
for ax, (name, mask) in zip(axes[0], masks.items(), strict=True):
    shown = ax.imshow(
        mask.clamp(0, 2).numpy(), cmap=style.DIVERGING, vmin=0, vmax=2
    )
    _ = ax.set(xticks=[], yticks=[])
    _ = ax.grid(False)
    style.label_axes(ax, x="input", y="", title=costs.KINDS[name])
_ = axes[0, 0].set(ylabel="unit")
_ = fig.colorbar(shown, ax=axes[0].tolist(), shrink=0.75)
style.done(fig)

# %% [markdown]
# Linear seems to be of another kind, since it makes weights. It is not.
#
# **To show.** Linear is FiLM on the *outputs* of the last hidden layer, in front of an output layer of ones.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $$
# \begin{aligned}
# & w_h^\top h + b_h && \text{Linear} \\
# &\quad = \textstyle\sum_i (w_{h,i} h_i + \tfrac1n b_h) && \text{a sum of } n \text{ units} \\
# &\quad = \mathbf 1^\top \big( w_h \odot h + \tfrac1n b_h \mathbf 1 \big) && \text{FiLM, then ones}
# \end{aligned}
# $$
# :::
#
# **Check.** The weights of a Linear copied into a FiLM with `place="after"`.

# %%
copied = restrictions.as_film(linear, run)
linear_gap = modulation.largest_gap(
    modulation.scores_of(copied, x, context), scores
)
check.equal({"largest gap: FiLM | Linear": (linear_gap, 0.0)}, heading="score")

# %% [markdown]
# ## Step 4: no shift, and between zero and one
#
# Sigmoid ({eq}`eq-cmml-10`) is FiLM with $s = 0$ and $0 < w < 1$.
#
# **To show.** Sigmoid turns no unit on or off, and it does not matter whether it stands before or after the activation.
#
# :::{admonition} The lines of this step
# :class: dropdown
# Let $\phi$ be ReLU or LeakyReLU, a line on each side of zero, and $a = Wx + b$.
#
# $$
# \begin{aligned}
# \mathrm{sign}(w_i a_i) &= \mathrm{sign}(a_i) && w_i > 0 \\
# \phi(w_i a_i) &= w_i\, \phi(a_i) && \text{a kink at } 0
# \end{aligned}
# $$
#
# Neither line holds for FiLM: its scale may be negative, and its shift moves the threshold.
# :::
#
# The question of [D47](#d47), before or after, is thus a question for FiLM alone.
#
# **Check.** Sigmoid's layer is FiLM's with those numbers, and Sigmoid as made layers gives the same scores. Before and after the
# activation agree.

# %%
sigmoid = run.network("sigmoid")
made = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
as_film = film.modulate(x, torch.cat([made.sigmoid(), 0 * made], -1))
layer_gap = modulation.largest_gap(sigmoid.modulate(x, made), as_film)
scores = modulation.scores_of(sigmoid, x, context)
by_layers = modulation.run_layers(
    modulation.as_layers(sigmoid, context), x, "leaky"
)
after = {
    name: modulation.scores_of(run.network(name, place="after"), x, context)
    for name in ("film", "sigmoid")
}
sigmoid_rows = {
    "one layer: Sigmoid | FiLM": (layer_gap, 0.0),
    "largest gap: Sigmoid as made layers | 0": (
        modulation.largest_gap(scores, by_layers),
        0.0,
    ),
    "largest gap: before | after": (
        modulation.largest_gap(scores, after["sigmoid"]),
        0.0,
    ),
}
check.equal(sigmoid_rows, heading="Sigmoid")

# %% [markdown]
# **Check.** For FiLM, before and after are two networks. The share of units of the first layer that modulation turns on or off: none for Sigmoid.

# %%
film_after = modulation.largest_gap(
    modulation.scores_of(film, x, context), after["film"]
)
check.apart({"FiLM: before | after": (film_after, 0.0)}, by=1e-3, heading="")

# %%
turned = {
    costs.KINDS[name]: restrictions.switched(run.network(name), x, context)
    for name in ("film", "sigmoid")
}
ends = {"FiLM": (0.05, 1.0), "Sigmoid": (0.0, 0.0)}
check.within(
    {name: (t.double().mean(), *ends[name]) for name, t in turned.items()},
    heading="share of units turned on or off",
)

# %% [markdown]
# A start tells them apart as well. With all made numbers at zero, Sigmoid halves every layer, and FiLM switches every layer off.
#
# ## Step 5: fixed weights, mixed
#
# Soft modules ({eq}`eq-cmml-12`, {eq}`eq-cmml-13`) make no weights at all. Each layer has $r$ small modules side by side, and the context makes
# routes $p_{ij} \ge 0$ from module $i$ to module $j$ of the next layer.
#
# **To show.** The modules of two layers are one wide dense layer whose block from $i$ to $j$ is $p_{ij} W_j$. If the routes that enter
# a module sum to one, each module's weights are a convex combination of $r$ fixed matrices.
#
# :::{admonition} The lines of this step
# :class: dropdown
# Write $u_i$ for the output of module $i$, and $E_i$ for the matrix that picks $u_i$ out of all outputs side by side, $u_i = E_i u$.
#
# $$
# \begin{aligned}
# o_j &= W_j \textstyle\sum_i p_{ij}\, u_i + b_j && \text{Eq 13} \\
# &= \textstyle\sum_i p_{ij}\, W_j E_i\, u + b_j && u_i = E_i u \\
# W_j(z) &= \textstyle\sum_i p_{ij}\, W_j E_i && \text{a mixture} \\
# \textstyle\sum_i p_{ij} &= 1 && \text{softmax}
# \end{aligned}
# $$
# :::
#
# The mask of Step 3 is constant on blocks. FiLM says how loud a unit is; soft modules say to whom a module listens.
#
# **Check.** Soft modules as made layers; the blocks that enter a module sum to its own weights $W_j$.

# %%
soft = run.network("softm")
layers = modulation.as_layers(soft, context)
scores = modulation.scores_of(soft, x, context)
by_layers = modulation.run_layers(layers, x, "relu")
blocks = layers[1].weight.unflatten(-1, (modules, width)).sum(-2)
own = soft.weights[1].flatten(0, 1).expand_as(blocks)
check.equal(
    {
        "largest gap: soft modules as made layers | 0": (
            modulation.largest_gap(scores, by_layers),
            0.0,
        ),
        "largest gap: sum of the blocks | Wⱼ": (
            modulation.largest_gap(blocks, own),
            0.0,
        ),
    },
    heading="",
)

# %%
check.same(
    {"soft modules: r": (str(ranks["softm"]), str(modules))},
    heading="rank of the mask",
)

# %% [markdown]
# The sum to one is what the released program does. The paper's {eq}`eq-cmml-12`, read as it is printed, normalises over the modules a
# route goes *to* ([D48](#d48)). Then the routes that enter a module sum to anything between zero and $r$, and the module's input
# grows and shrinks with its popularity.
#
# **Check.** The sum of the routes that enter a module of the second layer: its smallest and its largest value under both readings.

# %%
entering = {
    side: run.network("softm", route_over=side).routes(context)[0].detach()
    for side in ("source", "target")
}
sums = {
    side: (float(p.sum(-2).min()), float(p.sum(-2).max()))
    for side, p in entering.items()
}
check.equal(
    {
        "over the sources: smallest | 1": (sums["source"][0], 1.0),
        "over the sources: largest | 1": (sums["source"][1], 1.0),
    },
    heading="sum of entering routes",
)

# %%
check.ordered(
    {
        "over the targets: smallest | 1": (sums["target"][0], 1.0),
        "1 | over the targets: largest": (1.0, sums["target"][1]),
    },
    heading="sum of entering routes",
)

# %% [markdown]
# ## Step 6: how many directions are left
#
# **To show.** A hidden layer with $n$ inputs and $m$ units moves in $m\,(n+1)$ directions if all is made, in $2m$ under FiLM, in $m$ under Sigmoid
# and in none under Linear. Routes between $r$ and $r$ modules leave $r\,(r-1)$.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $$
# \begin{aligned}
# \text{all weights} &: m\,(n + 1) && W \text{ and } b \\
# \text{FiLM} &: 2m && w \text{ and } s \\
# \text{Sigmoid} &: m && w \\
# \text{Linear} &: 0 && \text{the last layer: } n + 1 \\
# \text{soft modules} &: r\,(r - 1) && r \text{ sums of one}
# \end{aligned}
# $$
#
# Each is a bound, and it is reached if the trunk is wide enough: a head on $h$ features moves a layer in $h$ directions at most.
# :::
#
# **Check.** The rank of the second hidden layer, over all contexts.

# %%
found = {
    name: restrictions.freedom(modulation.as_layers(net, context)[1])
    for name, net in {
        "all weights": full,
        "FiLM": film,
        "Sigmoid": sigmoid,
        "Linear": linear,
        "soft modules": soft,
    }.items()
}
said = {
    "all weights: m (n + 1)": width * (width + 1),
    "FiLM: 2 m": 2 * width,
    "Sigmoid: m": width,
    "Linear: 0": 0,
    "soft modules: r (r − 1)": modules * (modules - 1),
}
numbers = zip(said, found.values(), said.values(), strict=True)
check.same(
    {row: (str(left), str(right)) for row, left, right in numbers},
    heading="directions of the second layer",
)

# %% [markdown]
# FiLM's freedom grows with the number of units, and that of all weights with its square. The freedom of soft modules does not grow with the
# units at all.
#
# ## Step 7: what is stored
#
# From here on the networks have CMML's own sizes, the defaults of `BackboneOptions`, and a pair of `d_pair` numbers.
#
# **To show.** Backbone widths $n_0, \dots, n_L$ and trunk widths $h_0, \dots, h_L$ give the number of parameters.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $a_l = (n_{l-1} + 1)\, n_l$ counts the weights and biases of layer $l$, and $a_{L+1} = n_L + 1$ those of the output layer. Their sum
# is $N$, the backbone. $H = \sum_l (h_{l-1} + 1)\, h_l$ is the trunk.
#
# $$
# \begin{aligned}
# \text{FiLM} &: N + H && \text{both} \\
# &\quad + \textstyle\sum_l (h_l + 1)\, 2 n_l && \text{heads} \\
# \text{Sigmoid} &: N + H && \text{the same} \\
# &\quad + \textstyle\sum_l (h_l + 1)\, n_l && \text{heads} \\
# \text{all} &: H && \text{the trunk} \\
# &\quad + \textstyle\sum_l (h_l + 1)\, a_l && \text{heads} \\
# &\quad + (h_L + 1)\, a_{L+1} && \text{last layer}
# \end{aligned}
# $$
#
# Linear makes $n_L + 1$ numbers from the trunk's last layer but one and stores no output layer. Soft modules store every layer
# $r$ times, and heads for $r^2$ routes, or for $r$ after the last layer.
# :::
#
# **Check.** Found by counting on the modules, and said by the formula.

# %%
sizes = BackboneOptions()
stored = {
    kind: costs.parameters(kind, d_pair, d_pair, sizes) for kind in costs.KINDS
}
check.same(
    {
        name: (
            f"{costs.counted_parameters(kind, d_pair, d_pair, sizes):,}",
            f"{stored[kind]:,}",
        )
        for kind, name in costs.KINDS.items()
    },
    heading="parameters",
)

# %% [markdown]
# ## Step 8: what is computed
#
# A linear layer from $a$ to $b$ numbers takes $a\,b$ multiply-adds for each pair. With the hybrid context ({eq}`eq-cmml-8`) each pair has a context of
# its own, so trunk and heads run for every pair and not once for a task.
#
# **To show.** FiLM adds trunk and heads to the backbone. All weights adds heads that take about $h$ times as much as the backbone itself.
#
# :::{admonition} The lines of this step
# :class: dropdown
# $P = \sum_l n_{l-1} n_l + n_L$ is a pass of the backbone, and $a_l$ is that of Step 7.
#
# $$
# \begin{aligned}
# \text{trunk} &: \textstyle\sum_l h_{l-1} h_l && \text{in all five} \\
# \text{FiLM} &: \textstyle\sum_l h_l \cdot 2 n_l && \text{heads} \\
# \text{all} &: \textstyle\sum_l h_l\, a_l && \text{heads} \\
# &\quad + h_L\, a_{L+1} && \text{last layer}
# \end{aligned}
# $$
#
# To each comes $P$. The sum of the $a_l$ is about $P$, so the heads of *all* take about $h\,P$. Linear needs no product for its last
# layer, whose $n_L$ multiplications are element-wise. Soft modules run $r$ backbones and mix their outputs.
# :::
#
# We count the matrix products as they are executed, with PyTorch's counter; element-wise work is left out, by formula too. No clock is involved.
#
# **Check.** Seven pairs: found by the counter, and said by the formula, seven times that of one pair.

# %%
a_pass = {
    kind: costs.multiply_adds(kind, d_pair, d_pair, sizes)
    for kind in costs.KINDS
}
seven = {
    kind: costs.counted_multiply_adds(kind, d_pair, d_pair, sizes, pairs=7)
    for kind in costs.KINDS
}
check.same(
    {
        name: (f"{seven[kind]:,}", f"{7 * a_pass[kind]:,}")
        for kind, name in costs.KINDS.items()
    },
    heading="multiply-adds of seven pairs",
)

# %% [markdown]
# **Check.** Against the plain backbone: every modulation costs more than one pass of it, and all weights by far the most.

# %%
plain = costs.plain(d_pair, sizes)
ratios = {costs.KINDS[kind]: own / plain for kind, own in a_pass.items()}
check.ordered(
    {
        "plain backbone | Linear": (1.0, ratios["Linear"]),
        "plain backbone | soft modules": (1.0, ratios["soft modules"]),
        "Linear | Sigmoid": (ratios["Linear"], ratios["Sigmoid"]),
        "Sigmoid | FiLM": (ratios["Sigmoid"], ratios["FiLM"]),
        "10 times FiLM | all weights": (
            10 * ratios["FiLM"],
            ratios["all weights"],
        ),
    },
    heading="passes of the plain backbone",
)

# %% mystnb={"figure": {"caption": "Parameters, and multiply-adds for one pair with a context of its own. Dashed: one pass of the plain backbone."}, "image": {"alt": "Two panels of dots on a logarithmic axis, one row for each of all weights, FiLM, Sigmoid, Linear and soft modules. Left, parameters: all weights lies more than an order of magnitude to the right of the other four, which lie close together. Right, multiply-adds: the same order, and all five lie to the right of a dashed line for the plain backbone."}} tags=["hide-input"]
fig, axes = style.panels(1, 2, height=2.7, sharey=True)
for ax, values, title in zip(
    axes[0],
    [stored, a_pass],
    ["Parameters", "Multiply-adds a pair"],
    strict=True,
):
    names = [costs.KINDS[kind] for kind in values]
    _ = ax.plot(
        list(values.values()), names, "o", color=style.ROLES["ours"], ms=8
    )
    _ = ax.set(xscale="log", xlim=(1e4, 3e6))
    style.label_axes(ax, x="number", y="", title=title)
_ = axes[0, 1].axvline(plain, color=style.MUTED, linestyle="--")
_ = axes[0, 0].invert_yaxis()
style.done(fig)

# %% [markdown]
# **Check.** If all pairs of a task share one context (`hybrid="none"`), trunk and heads run once for a task. What a hundred pairs cost, by
# formula and counted; for FiLM a pass is then nearly that of the backbone.

# %%
shared = costs.counted_multiply_adds(
    "film", d_pair, d_pair, sizes, pairs=100, shared=True
)
hyper = a_pass["film"] - plain
expected = hyper + 100 * plain
check.same(
    {"FiLM: trunk and heads, 100 passes": (f"{shared:,}", f"{expected:,}")},
    heading="multiply-adds of 100 pairs, one context",
)

# %%
check.ordered(
    {"100 pairs | 1.25 times 100 passes": (shared, 125 * plain)},
    heading="multiply-adds, one context",
)

# %% [markdown]
# ## Step 9: where the context comes from
#
# A support is a set. The context should not depend on the order in which it is stored.
#
# **To show.** Mean and maximum do not see the order. A GRU does.
#
# :::{admonition} The lines of this step
# :class: dropdown
# For any reordering $\pi$ of the support, and $f$ the encoder of one entry,
#
# $$
# \begin{aligned}
# & \textstyle\sum_k f(x_{\pi k}) = \textstyle\sum_k f(x_k) && \text{any order} \\
# & \max_k f(x_{\pi k}) = \max_k f(x_k) && \text{the same} \\
# & g(x_2, g(x_1, h)) \\
# &\quad \ne g(x_1, g(x_2, h)) && \text{in general}
# \end{aligned}
# $$
#
# with $g$ one step of the GRU from state $h$. The mean is the sum over $n$.
# :::
#
# A mean does not see how often the whole support is repeated either, and a sum would.
#
# **Check.** One support in all its $n!$ orders: how many different contexts there are. The released program sorts positives before negatives
# ([D45](#d45)), which leaves $n_+!\; n_-!$ of them for $n_+$ positives and $n_-$ negatives.

# %%
support = run.support()
every_order = orders.in_all_orders(support)
encoders = {kind: run.encoder(kind) for kind in ("mean", "max", "gru")}
n_contexts = {
    kind: orders.distinct(orders.contexts(encoder, every_order))
    for kind, encoder in encoders.items()
}
negative = torch.tensor([k % 2 for k in range(n_support)]).double()
place = orders.in_all_orders(negative)
n_sorted = orders.distinct(orders.contexts(encoders["gru"], every_order, place))
n_negative = n_support // 2
n_left = factorial(n_support - n_negative) * factorial(n_negative)
check.same(
    {
        "mean: 1": (str(n_contexts["mean"]), "1"),
        "max: 1": (str(n_contexts["max"]), "1"),
        "GRU: n!": (str(n_contexts["gru"]), str(factorial(n_support))),
        "GRU, positives first: n₊! n₋!": (str(n_sorted), str(n_left)),
    },
    heading="different contexts of one support",
)

# %%
twice = support.repeat(2, 1).unsqueeze(0)
rows = {}
for kind in ("mean", "max"):
    once = orders.contexts(encoders[kind], support.unsqueeze(0))
    again = orders.contexts(encoders[kind], twice)
    gap = modulation.largest_gap(once, again)
    rows[f"{kind}: largest gap, support twice | once"] = (gap, 0.0)
check.equal(rows, heading="context")

# %%
in_order = orders.contexts(encoders["gru"], every_order)
spread = (in_order - in_order.mean(0)).norm(dim=-1).mean() / in_order.norm(
    dim=-1
).mean()
check.apart(
    {"GRU: spread over orders | none": (spread, 0.0)},
    by=0.005,
    heading="share of the context's norm",
)

# %% [markdown]
# The paper shuffles the support at every training step, so that the GRU learns not to care. Shuffling makes the *expected* context the same
# for all orders; a single reading still depends on its order, as far as training has not removed that.
#
# ## Exercises
#
# The words of an answer are behind its title, and its code is behind "Show the code of the answer". Both wait until you ask.
#
# :::{admonition} Exercise 1: one context for all
# :class: tip
# Give every pair the same context. How many directions does each network have left, and what does that say about a recommender with a
# single task?
# :::
#
# :::{admonition} Answer 1
# :class: dropdown
# None. The made layers are constants and can be stored in place of the backbone: a modulated network with one task is a plain one.
# :::

# %% mystnb={"code_prompt_show": "Show the code of the answer"} tags=["answer", "hide-cell"]
alike = context[:1].expand_as(context)
check.same(
    {
        name: (
            str(
                sum(
                    restrictions.freedom(layer)
                    for layer in modulation.as_layers(run.network(kind), alike)
                )
            ),
            "0",
        )
        for kind, name in costs.KINDS.items()
    },
    heading="directions of all layers",
)

# %% [markdown]
# :::{admonition} Exercise 2: a narrow trunk
# :class: tip
# Let the trunk have $h = m$ units in each layer, and make all weights from it. How does its freedom compare with FiLM's $2m$ on a wide trunk?
# :::
#
# :::{admonition} Answer 2
# :class: dropdown
# It has $h$ directions at most, fewer than FiLM, at many more parameters. A large head on a narrow trunk makes many numbers, not many kinds of layers.
# :::

# %% mystnb={"code_prompt_show": "Show the code of the answer"} tags=["answer", "hide-cell"]
narrow = run.network("full", hyper=(width, width))
directions = restrictions.freedom(modulation.as_layers(narrow, context)[1])
check.within(
    {"all weights, h = m": (directions, 1, width)},
    heading="directions of the second layer",
)
check.ordered(
    {"narrow trunk, all weights | FiLM": (directions, found["FiLM"])},
    heading="directions of the second layer",
)

# %% [markdown]
# :::{admonition} Exercise 3: read it in every order
# :class: tip
# Make a context from a GRU that does not depend on the order of the support, without training it. What does it cost?
# :::
#
# :::{admonition} Answer 3
# :class: dropdown
# Take the mean over all orders. A reordered support has the same orders, listed differently. The cost is $n!$ readings; a few random
# orders give an estimate of it, which is what shuffling does over the steps of training.
# :::

# %% mystnb={"code_prompt_show": "Show the code of the answer"} tags=["answer", "hide-cell"]
backwards = orders.in_all_orders(support.flip(0))
check.equal(
    {
        "largest gap: mean over all orders, reversed | as it stands": (
            modulation.largest_gap(
                orders.contexts(encoders["gru"], backwards).mean(0),
                in_order.mean(0),
            ),
            0.0,
        )
    },
    heading="context",
)

# %% [markdown]
# ## Verdict on each claim

# %% mystnb={"markdown_format": "myst"} tags=["hide-input"]
order_rows = {
    kind: ("one" if n == 1 else "many", "many" if kind == "gru" else "one")
    for kind, n in n_contexts.items()
}
verdict.Verdicts(
    [
        (
            "a. a sigmoid's scale is a FiLM without shift",
            verdict.identity([(layer_gap, 0.0)], 1e-10),
        ),
        (
            "b. entering routes sum to one, as printed",
            verdict.constant(sums["target"], 1.0, "sums of entering routes"),
        ),
        (
            "b. entering routes sum to one, as released",
            verdict.constant(
                [round(s, 9) for s in sums["source"]],
                1.0,
                "sums of entering routes",
            ),
        ),
        (
            "c. pooling does not see the order, a GRU does",
            verdict.facts(order_rows, f"one support in {len(in_order)} orders"),
        ),
        (
            "d. a pair costs one pass of the backbone",
            verdict.between(
                ratios["FiLM"],
                0.75,
                1.25,
                f"FiLM: {ratios['FiLM']:.1f} passes; the rule asks for 0.75 to 1.25",
            ),
        ),
    ]
)

# %% [markdown]
# ## What could differ
#
# - **Freedom is not accuracy.** A layer that can move in more directions fits more tasks, and over-fits more easily. Which modulation ranks
#   best is a question for the paper's tables.
# - **The weights.** Ranks are those of random weights. Training may use fewer directions, and cannot use more.
# - **What is counted.** Step 8 counts matrix products. Claim d is a claim about time; multiply-adds stand for it here, and lookups, the context
#   encoder and element-wise work are left out.
# - **The sizes.** The ratios of Step 8 depend on the widths of trunk and backbone. Trunk and backbone are about equally large in the released
#   program.
#
# ## Provenance
#
# No stored run stands behind this page. Every number on it is computed when the notebook runs, from the parameters above and generators
# with fixed seeds, by `metarec.derivations` and by the functions of `metarec.layers.hypernetworks` and `metarec.layers.context` that train our models.
