"""Random series and random expressions over the whole of PromQL on floats."""

from __future__ import annotations

import random

import numpy as np

from slo.promql.samples import STALE, Samples

BASE = 1_700_000_000_000  # ms
LENGTH = 7_200_000

Rows = list[tuple[dict[str, str], list[int], list[float]]]


def series(seed: int) -> Rows:
    """Counters with resets, gauges with NaN and infinities, buckets; gaps, irregular scrapes, late births."""
    rng = random.Random(seed)
    rows: Rows = []

    def times() -> list[int]:
        step = rng.choice([15_000, 30_000, 60_000, 47_123])
        at = BASE + rng.randrange(0, 60_000) + (rng.randrange(LENGTH) if rng.random() < 0.2 else 0)
        end = BASE + (LENGTH if rng.random() < 0.8 else rng.randrange(LENGTH))
        out = []
        while at < end:
            out.append(at)
            at += step + (rng.randrange(-7000, 7000) if rng.random() < 0.3 else 0)
            if rng.random() < 0.01:
                at += rng.randrange(900_000)
        return out

    for job in "ab":
        for code in ("200", "500", "404"):
            held, at, values = 0.0, times(), []
            for _ in at:
                held = 0.0 if rng.random() < 0.02 else held + rng.choice([0, 1, 5, 0.5, 1e6])
                values.append(held)
            rows.append(({"__name__": "c_total", "job": job, "code": code}, at, values))
        for instance in "xy":
            at = times()
            odd = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0]
            walk = [rng.gauss(0, 10) for _ in at]
            rows.append(({"__name__": "g", "job": job, "instance": instance}, at, walk))
            mixed = [rng.choice(odd) if rng.random() < 0.1 else round(rng.gauss(0, 2)) for _ in at]
            rows.append(({"__name__": "w", "job": job, "instance": instance}, at, [float(v) for v in mixed]))
        at = times()
        rows.append(({"__name__": "one", "job": job}, at, [float(rng.randrange(5)) for _ in at]))
        at = times()
        if at:  # ends and comes back
            ends = [rng.random() < 0.05 for _ in at]
            held_ = [float(STALE) if end else float(rng.randrange(9)) for end in ends]
            rows.append(({"__name__": "ends", "job": job, "instance": "x"}, at, held_))
        for le in ("0.5", "1", "1.0", "2.5e0", "many", "+Inf")[rng.randrange(2) :]:  # falls, repeats, misses
            at = times()
            counts_ = [rng.choice([float("nan"), 0.0, 1.0, 3.0, 3.0000000000001, 5.0]) for _ in at]
            rows.append(({"__name__": "odd_bucket", "job": job, "le": le}, at, counts_))
        at = times()
        rows.append(
            ({"__name__": "target_info", "job": job, "version": rng.choice("12"), "code": "200"}, at, [1.0] * len(at))
        )
        at, counts = times(), np.zeros(5)
        table = []
        for _ in at:
            counts = counts + np.cumsum([rng.randrange(4) for _ in range(5)])
            table.append(counts)
        for index, le in enumerate(("0.1", "0.5", "1.0", "5.0", "+Inf")):
            rows.append(({"__name__": "h_bucket", "job": job, "le": le}, at, [float(row[index]) for row in table]))
    return [row for row in rows if row[1]]


def samples(rows: Rows) -> Samples:
    return Samples.from_series(rows)


SELECTORS = [
    "ends", "odd_bucket", "c_total", 'c_total{code="200"}', 'c_total{code=~"5.."}', 'c_total{code!~"2.."}', "g", 'g{instance="x"}', "w", "one",
    'h_bucket{job="a"}', "h_bucket", 'one{job="b"}', "nothing", '{__name__=~"g|one"}', 'w{job!="a"}',
]  # fmt: skip
RANGE_FUNCTIONS = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "resets",
    "changes",
    "sum_over_time",
    "avg_over_time",
    "count_over_time",
    "last_over_time",
    "min_over_time",
    "max_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "deriv",
    "absent_over_time",
    "mad_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "ts_of_last_over_time",
]
FUNCTIONS = [
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "sgn",
    "deg",
    "rad",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "minute",
    "hour",
    "day_of_week",
    "day_of_month",
    "day_of_year",
    "days_in_month",
    "month",
    "year",
    "timestamp",
    "absent",
    "sort",
    "sort_desc",
    "round",
    "histogram_avg",
    "histogram_count",
]


class Grammar:
    """Expressions for instant queries, or for range queries, in which a server keeps series in no set order once they
    went through an operator or a function of instant vectors: nothing is asked then that hangs on the order.
    """

    def __init__(self, rng: random.Random, instant: bool) -> None:
        self.rng = rng
        self.instant = instant

    def pick(self, options: list[str]) -> str:
        return self.rng.choice(options)

    def modifiers(self) -> str:
        roll = self.rng.random()
        if roll < 0.8:
            return ""
        return self.pick([" offset 1m", " offset -3m30s", " @ start()", " @ end()", f" @ {BASE / 1000 + 3000:.3f}",
                          f" @ {BASE / 1000 + 900:.3f}"])  # fmt: skip

    def selector(self) -> str:
        return self.pick(SELECTORS) + self.modifiers()

    def matrix(self, depth: int) -> str:
        if depth > 0 and self.rng.random() < 0.2:
            step = self.pick(["", "30s", "2m", "1m7s"])
            return f"({self.vector(depth - 1)})[{self.pick(['5m', '13m', '30m'])}:{step}]{self.modifiers()}"
        length = self.pick(["1m", "5m", "5m", "10m", "1h", "17m", "30s"])
        return f"{self.pick(SELECTORS)}[{length}]{self.modifiers()}"

    def scalar(self, depth: int) -> str:
        roll = self.rng.random()
        if depth <= 0 or roll < 0.7:
            return self.pick(["0", "1", "2", "0.5", "-1", "3.7", "1e3", "NaN", "Inf", "-Inf", "time()", "pi()", "5m"])
        if roll < 0.85:
            return f"scalar({self.vector(depth - 1)})"
        return (
            f"({self.scalar(depth - 1)} {self.pick(['+', '-', '*', '/', '%', '^', '> bool'])} {self.scalar(depth - 1)})"
        )

    def labels(self) -> str:
        all_names = ["job", "code", "instance", "le", *(["__name__"] if self.instant else [])]
        names = self.rng.sample(all_names, self.rng.choice([0, 1, 1, 2]))
        return "(" + ", ".join(names) + ")"

    def grouping(self) -> str:
        return self.pick(["", f" by {self.labels()} ", f" without {self.labels()} "])

    def vector(self, depth: int) -> str:
        if depth <= 0:
            return self.selector()
        match self.rng.randrange(12):
            case 0:
                return self.selector()
            case 1 | 2:
                return f"{self.pick(RANGE_FUNCTIONS)}({self.matrix(depth - 1)})"
            case 3:
                return f"{self.pick(FUNCTIONS)}({self.vector(depth - 1)})"
            case 4 | 5:
                op = self.pick(["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"])
                return f"{op}{self.grouping()}({self.vector(depth - 1)})"
            case 6:
                op = self.pick(["topk", "bottomk", "quantile", "limitk", "quantile", "limit_ratio"])
                param = self.pick(
                    ["1", "2", "3", "0.5", "0.25", "-1", 'scalar(one{job="a"})', "time() / 1e9", "Inf", "NaN"]
                )
                return f"{op}{self.grouping()}({param}, {self.ranked(op, depth)})"
            case 7:
                return self.special(depth)
            case 8:
                op = self.pick(["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="])
                sides = [self.vector(depth - 1), self.scalar(depth - 1)]
                self.rng.shuffle(sides)
                maybe = " bool" if op in ("==", "!=", ">", "<", ">=", "<=") and self.rng.random() < 0.4 else ""
                return f"({sides[0]} {op}{maybe} {sides[1]})"
            case 9 | 10:
                op = self.pick(
                    ["+", "-", "*", "/", "%", "^", "==", ">", "<=", "and", "or", "unless", "and", "or", "unless"]
                )
                match_ = self.pick(["", "", " on " + self.labels(), " ignoring " + self.labels()])
                if match_ and op not in ("and", "or", "unless") and self.rng.random() < 0.6:
                    match_ += self.pick([" group_left ()", " group_right ()"])
                maybe = " bool" if op in ("==", ">", "<=") and self.rng.random() < 0.4 else ""
                return f"({self.vector(depth - 1)} {op}{maybe}{match_} {self.vector(depth - 1)})"
            case _:
                return f"-{self.vector(depth - 1)}" if self.rng.random() < 0.5 else f"vector({self.scalar(depth - 1)})"

    def ranked(self, op: str, depth: int) -> str:
        """What elements are chosen from: in the order of their labels, and exact where the value decides."""
        if op in ("topk", "bottomk"):
            exact = ["last_over_time", "max_over_time", "min_over_time", "count_over_time", "changes", "resets"]
            windows = f"{self.pick(exact)}({self.pick(SELECTORS)}[{self.pick(['2m', '5m', '1h'])}])"
            return self.pick([self.selector(), self.selector(), windows])
        if op == "limitk" and not self.instant:
            return self.pick([self.selector(), f"{self.pick(RANGE_FUNCTIONS)}({self.pick(SELECTORS)}[5m])"])
        return self.vector(depth - 1)

    def special(self, depth: int) -> str:
        inner, number = self.vector(depth - 1), self.scalar(depth - 1)
        return self.pick([
            f"clamp({inner}, {self.scalar(0)}, {number})", f"clamp_min({inner}, {number})",
            f"clamp_max({inner}, {number})", f"round({inner}, {number})", f"histogram_quantile({number}, h_bucket)",
            f"histogram_quantile(0.9, sum by (le) (rate(h_bucket[{self.pick(['5m', '10m'])}])))",
            f"histogram_quantile(0.5, {inner})", f"histogram_fraction({self.scalar(0)}, {number}, h_bucket)",
            f"predict_linear({self.matrix(depth - 1)}, {number})",
            f"quantile_over_time({number}, {self.matrix(depth - 1)})",
            f'label_replace({inner}, "z", "$1-x", "{self.pick(["job", "code", "none"])}", "(.*)")',
            f'label_replace({inner}, "job", "$1", "instance", "(x)")',
            f'label_join({inner}, "z", "-", "job", "code", "instance")', f'count_values("v", {inner})',
            f"double_exponential_smoothing({self.matrix(depth - 1)}, 0.5, 0.3)", f"absent({inner})",
            f"histogram_quantile({number}, odd_bucket)", f"histogram_fraction({self.scalar(0)}, {number}, odd_bucket)",
f"scalar({inner}) + {inner}",
            f'info({self.selector()}, {{version=~"{self.pick([".+", ".*", "1"])}"}})' if self.instant else inner,
            f'sort_by_label({inner}, "job", "code")', f'sort_by_label_desc({inner}, "instance")',
            f'count_values by (job) ("job", {inner})', f'count_values without (code) ("v", {inner})',
            f'label_replace({inner}, "__name__", "$1", "job", "(.*)")', f"timestamp({self.selector()})",
        ])  # fmt: skip
