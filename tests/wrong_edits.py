"""Wrong edits that the checks of a derivation page must catch: a sign, a factor, a direction, a scale.

Each names a file, the text that stands in it once, and the wrong text. tests/test_derivations.py makes each
edit in memory, runs the page and asserts that a check fails. An edit that is not caught asks for a sharper
check on the page.
"""

from __future__ import annotations

from derivation_page import Edit

ELBO = "metarec/derivations/elbo.py"
SOLVED = "metarec/derivations/linear_gaussian.py"
LOSSES = "metarec/derivations/losses.py"
TIGHTENING = "metarec/derivations/tightening.py"
TERMS = "metarec/methods/tanp.py"
CHECK = "metarec/derivations/check.py"
BILEVEL = "metarec/derivations/bilevel.py"
UNROLLED = "metarec/derivations/unrolled.py"
COSTS = "metarec/derivations/costs.py"
ADAPTATION = "metarec/layers/adaptation.py"
ELBO_PAGE = "notebooks/tanp/elbo.ipynb"
BILEVEL_PAGE = "notebooks/pnmta/bilevel.ipynb"
MODULATION = "metarec/derivations/modulation.py"
RESTRICTIONS = "metarec/derivations/restrictions.py"
MODULATION_COSTS = "metarec/derivations/modulation_costs.py"
ORDERS = "metarec/derivations/orders.py"
HYPER = "metarec/layers/hypernetworks.py"
POOLING = "metarec/layers/pooling.py"
CONTEXT = "metarec/layers/context.py"
MODULATION_PAGE = "notebooks/cmml/modulation.ipynb"

WRONG: dict[str, list[Edit]] = {
    ELBO_PAGE: [
        # signs
        Edit(ELBO, "(q, data) - kl_divergence(q, belief", "(q, data) + kl_divergence(q, belief"),
        Edit(
            ELBO,
            "expected_log_density(q_task, q_support) - exp",
            "expected_log_density(q_task, q_support) + exp",
        ),
        Edit(ELBO, "return objective - truth, ", "return truth - objective, "),
        # direction of the divergence
        Edit(ELBO, "kl_divergence(q, belief or prior(data))", "kl_divergence(belief or prior(data), q)"),
        Edit(TERMS, "/ p.logvar.exp()", "/ q.logvar.exp()"),
        Edit(
            LOSSES,
            "predicted) + kl_divergence(q_task, q_support)",
            "predicted) + kl_divergence(q_support, q_task)",
        ),
        Edit(ELBO_PAGE, "(gap, kl_divergence(q, exact))", "(gap, kl_divergence(exact, q))"),
        # factors
        Edit(ELBO, "return -0.5 * data.n", "return -1.0 * data.n"),
        Edit(TERMS, "return 0.5 * (ratio", "return 1.0 * (ratio"),
        Edit(LOSSES, "return n_query / (2 * variance)", "return n_query / variance"),
        Edit(LOSSES, "return (n_query / 2) ** 0.5", "return n_query**0.5"),
        Edit(LOSSES, "(reconstruction + kl).mean(-1)", "(reconstruction + kl).sum(-1)"),
        Edit(SOLVED, "w.mT @ w / variance", "w.mT @ w / data.noise"),
        # squared errors
        Edit(ELBO, "(residual.square() + (w", "(residual.abs() + (w"),
        Edit(ELBO, " + (w @ q.scale_tril).square().sum(-1)).mean(-1)", ").mean(-1)"),
        Edit(TERMS, "(output - labels).square()", "(output - labels).abs()"),
        # scale of a draw, and what a log-variance is
        Edit(SOLVED, "(q.scale_tril @ eps", "(q.covariance_matrix @ eps"),
        Edit(LOSSES, "z = mu + eps * torch.exp(0.5 * s)", "z = mu + eps * torch.exp(s)"),
        Edit(
            LOSSES,
            "return diagonal(q.mu, torch.exp(0.5 * q.logvar))",
            "return diagonal(q.mu, torch.exp(q.logvar))",
        ),
        Edit(ELBO_PAGE, '"printed: s = log σ": 2 * s', '"printed: s = log σ": s'),
        # the wrong belief, the wrong mean, the wrong count
        Edit(ELBO, "log_prob(data.labels).sum(-1)", "log_prob(data.labels).mean(-1)"),
        Edit(
            ELBO, "return diagonal(p.mean, p.stddev * factor)", "return diagonal(p.mean, p.stddev / factor)"
        ),
        Edit(ELBO, "/ (2 * q.mean.shape[-1])", "/ q.mean.shape[-1]"),
        Edit(LOSSES, ".mean(-1) + weight * cluster", ".mean(-1) - weight * cluster"),
        Edit(LOSSES, "(d * (d / c).log()).sum(-1).mean(-1)", "(c * (c / d).log()).sum(-1).mean(-1)"),
        Edit(LOSSES, "off = draws.mean(0) - exact", "off = 0.01 * (draws.mean(0) - exact)"),
        Edit(TERMS, "weight = c.square() / c.sum", "weight = c / c.sum"),
        Edit(ELBO, "return elbo(q_task, query, q_support)", "return elbo(q_task, query)"),
        Edit(ELBO, "np.mean(1 / left)", "np.mean(1 / (left + 1))"),
        Edit(CHECK, "return Estimate(log(mean) + float(top)", "return Estimate(log(mean)"),
        Edit(TIGHTENING, "dim2=-1).rsqrt()", "dim2=-1).reciprocal()"),
        Edit(TIGHTENING, ".unflatten(1, rows.shape[1:3]).mean(-2)", ".unflatten(1, rows.shape[1:3]).sum(-2)"),
    ],
    BILEVEL_PAGE: [
        # signs
        Edit(BILEVEL, "matrix_power(eye - alpha", "matrix_power(eye + alpha"),
        Edit(ADAPTATION, "state[name] = state[name] - size * g", "state[name] = state[name] + size * g"),
        Edit(UNROLLED, "torch.autograd.grad(-alpha * along", "torch.autograd.grad(alpha * along"),
        # factors
        Edit(
            BILEVEL, "2 / self.x.shape[-2] * self.x.mT @ self.x", "1 / self.x.shape[-2] * self.x.mT @ self.x"
        ),
        Edit(BILEVEL, "return 2 / torch.linalg.eigvalsh", "return 1 / torch.linalg.eigvalsh"),
        Edit(COSTS, "counter.get_total_flops()) // 2", "counter.get_total_flops())"),
        # the squared error
        Edit(
            ADAPTATION,
            "masked_average((scores - labels).square(), mask)",
            "masked_average((scores - labels).abs(), mask)",
        ),
        Edit(BILEVEL, "return float((a - b).norm() / b.norm())", "return float((a - b).norm())"),
        # order of the derivative, number and order of the factors
        Edit(BILEVEL, 'if order == "second":\n        slope = ', 'if order == "first":\n        slope = '),
        Edit(BILEVEL, 'left = a.mT if order == "second"', 'left = a.mT if order == "first"'),
        Edit(
            BILEVEL,
            "factor(tasks.support.hessian, alpha, steps) @ slope",
            "factor(tasks.support.hessian, alpha, 1) @ slope",
        ),
        Edit(UNROLLED, "list(reversed(matrices))", "list(matrices)"),
        Edit(UNROLLED, "for p in path[:-1]]", "for p in path[1:]]"),
        # the span, the exponents, who moves
        Edit(
            UNROLLED,
            "(second[group] - first[group]).norm()) / norm",
            "(second[group] + first[group]).norm()) / norm",
        ),
        Edit(UNROLLED, ".norm() / update.norm())", ".norm() * update.norm())"),
        Edit(
            ADAPTATION,
            "total = torch.ones((), dtype=left[0].dtype",
            "total = torch.zeros((), dtype=left[0].dtype",
        ),
        Edit(
            COSTS,
            "np.polyfit(np.log(widths), np.log(counts), 1)",
            "np.polyfit(np.log(counts), np.log(widths), 1)",
        ),
        Edit(
            BILEVEL_PAGE,
            'inner_loop = ["stays", "moves", "stays", "stays"]',
            'inner_loop = ["stays", "moves", "moves", "stays"]',
        ),
        Edit(BILEVEL_PAGE, '(direct.norm(), own["first"].norm())', '(direct.norm(), own["second"].norm())'),
    ],
    MODULATION_PAGE: [
        # signs
        Edit(
            HYPER,
            "(x * made[..., :-1]).sum(-1) + made[..., -1]",
            "(x * made[..., :-1]).sum(-1) - made[..., -1]",
        ),
        Edit(MODULATION, "1 / (1 + torch.exp(-numbers))", "1 / (1 + torch.exp(numbers))"),
        # what is made, and where it goes
        Edit(HYPER, "torch.addcmul(shift, weight, x)", "torch.addcmul(weight, shift, x)"),
        Edit(HYPER, "return torch.sigmoid(made) * x", "return torch.tanh(made) * x"),
        Edit(MODULATION, "scale * own.bias + shift))", "own.bias + shift))"),
        Edit(RESTRICTIONS, "numbers[d] / d", "numbers[d]"),
        Edit(RESTRICTIONS, "F.linear(z, head.weight[a * b :]", "0 * F.linear(z, head.weight[a * b :]"),
        # the side that sums to one, and the way of a route
        Edit(HYPER, 'self.axis = -2 if o.route_over == "source" else -1', "self.axis = -1"),
        Edit(HYPER, "h = route.mT @ F.relu", "h = (route if route.shape[-1] > 1 else route.mT) @ F.relu"),
        Edit(MODULATION, '"pij,jba->pjbia"', '"pji,jba->pjbia"'),
        # directions
        Edit(RESTRICTIONS, "rank(numbers - numbers.mean(0)", "rank(numbers"),
        Edit(MODULATION_PAGE, '"FiLM: 2 m": 2 * width', '"FiLM: 2 m": width'),
        Edit(MODULATION_PAGE, "modules * (modules - 1),", "modules * modules,"),
        # counts
        Edit(MODULATION_COSTS, '"film": [2 * b for b', '"film": [b for b'),
        Edit(MODULATION_COSTS, "sum((a + 1) * b * copies", "sum(a * b * copies"),
        Edit(MODULATION_COSTS, "m * m * sum(sizes[:-1])", "m * sum(sizes[:-1])"),
        Edit(MODULATION_COSTS, "*trunk[:-1], (trunk[-1][0]", "*trunk, (trunk[-1][0]"),
        Edit(COSTS, "counter.get_total_flops()) // 2", "counter.get_total_flops())"),
        Edit(MODULATION_PAGE, "hyper + 100 * plain", "100 * hyper + 100 * plain"),
        # order
        Edit(POOLING, "return total / weight.sum(-1, keepdim=True).clamp(min=1.0)", "return total"),
        Edit(POOLING, "-torch.inf).amax(-2)", "-torch.inf)[..., -1, :]"),
        Edit(
            CONTEXT,
            "order = torch.where(mask, place, math.inf)",
            "order = torch.where(mask, 0 * place, math.inf)",
        ),
        Edit(ORDERS, "rows.mul(1e9).round()", "rows.round()"),
    ],
}
