"""Random definitions: all kinds of SLI and all settings, sound for the most part, with what people and machines write into
them: odd label values, quotes, back-slashes, braces, templates, regular expressions, other scripts, types mixed up."""

from __future__ import annotations

import random
from typing import Any

from tests.spec.test_gotemplate import mutated, template

VALUES = [
    "api", "5..", "200", "", " ", "a b", 'say "x"', "it's", "back\\slash", "\\", "{{ x }}", "{{", "}}", "{", "$1", "%d", "`tick`",
    "größe", "日本", "😀", "tab\there", "line\nbreak", "nul\x00", "del\x7f", "a|b", "#no", ": x", "no", "~", "1e3", "-", "*", "&a",
    "\u2028", "\ufeff", "[::1]:9090", "/users/[id]", "C++", "a,b", "=~", "0x1f", "\x85", "\\x41", "\\d+", "null", "!t", "%",
]  # fmt: skip
REGEXES = [
    "5..",
    "a|b",
    ".+",
    "",
    "\\d{3}",
    "[^x]*",
    "(?i)get",
    "a\\.b",
    "^x$",
    'q"uote',
    "日.",
    "(a",
    "[",
    "a{2,1}",
    "\\",
    "(?=x)",
]
LABELS = ["team", "tier", "route", "region", "code_1", "_x", "A", "job", "instance"]
TAKEN = [
    "severity",
    "service",
    "slo",
    "window",
    "le",
    "alertname",
    "__name__",
    "period",
    "owner",
    "sloth_slo",
    "objective",
]
METRICS = [
    "http_requests_total",
    "x",
    "a:b:c",
    "up",
    "d_seconds_bucket",
    "d_seconds_count",
    "_",
    "größe_total",
    "http.server.x",
]
DURATIONS = ["1s", "30s", "1m", "5m", "1h30m", "90d", "1w", "1y", "500ms", "0s", "5", "soon", "1.5h", "-5m"]
WINDOWS = [
    "30d",
    "28d",
    "7d",
    "24h",
    "1h",
    "90d",
    "week",
    "month",
    "quarter",
    "year",
    "91d",
    "30m",
    "decade",
    "12h",
    "3d4h",
]


class Draw(random.Random):
    """Choices that are mostly sound."""

    def rarely(self, odds: float = 0.03) -> bool:
        return self.random() < odds

    def text(self) -> str:
        return self.choice(VALUES) + (self.choice(VALUES) if self.rarely(0.3) else "")

    def label(self) -> str:
        return self.choice(TAKEN if self.rarely(0.01) else ["1x", "a-b", "a.b", "é"] if self.rarely(0.01) else LABELS)

    def labels(self, most: int = 2) -> dict[str, str]:
        return {self.label(): self.text() for _ in range(self.randint(0, most))}

    def annotations(self) -> dict[str, str]:
        def text() -> str:
            if self.rarely(0.5):
                return "".join(self.choice(VALUES[:9] + VALUES[12:]) for _ in range(2))
            sound = template(self, 1)
            return mutated(self, sound) if self.rarely(0.05) else sound

        names = ["runbook", "summary", "dashboard", "description", "x1"]
        return {self.choice(names): text() for _ in range(self.randint(0, 2))}

    def matchers(self) -> str:
        def one() -> str:
            op = self.choice(["=", "=", "!=", "=~", "!~"])
            value = self.choice(REGEXES[:-5] if not self.rarely(0.02) else REGEXES) if "~" in op else self.text()
            label = self.choice([*LABELS, "code", '"a.b"' if self.rarely(0.1) else "method"])
            if self.rarely(0.2) and "`" not in value:
                return f"{label}{op}`{value}`"
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'{label}{op}"{escaped}"'

        items = ", ".join(one() for _ in range(self.randint(0, 2)))
        return "{" + items + self.choice(["}", "}", " }", ",}" if items else "}"]) if items or self.rarely(0.2) else ""

    def selector(self, metrics: list[str] | None = None) -> str:
        name = self.choice(metrics or (METRICS if self.rarely(0.1) else METRICS[:2]))
        if not name.isascii() or "." in name:
            inner = self.matchers().strip("{} ,")
            return '{"' + name + '"' + (", " + inner if inner else "") + "}"
        text = name + self.matchers()
        return text + self.choice([" offset 5m", "[5m]", " @ 5", "{", " == 1"]) if self.rarely(0.01) else text

    def vector(self, depth: int = 2) -> str:
        """An expression, an instant vector for the most part."""
        if depth <= 0:
            return self.choice([f"rate({self.selector()}[5m])", self.selector(["up", "temperature", "m1"])])
        inner = self.vector(depth - 1)
        return self.choice([
            inner, f"sum({inner})", f"sum by (route) ({inner})", f"max without (instance, job) ({inner})",
            f"({inner}) / on (job) group_left ({self.choice(LABELS[:3])}) {self.vector(0)}", f"{inner} > 0.5", f"-{inner}",
            f"{inner} or vector(0)", f"histogram_quantile(0.9, sum by (le) (rate({self.selector(['d_bucket'])}[5m])))",
            f"clamp_min({inner}, 1e-3)", f"topk(3, {inner})", f"max_over_time(({inner})[1h:5m])",
            f'label_replace({inner}, "x", "$1", "job", "(.*)")', f"time() - {self.selector(['t_seconds'])}",
            f"{inner} unless on () absent(up)", f"predict_linear({self.selector(['g'])}[1h] offset 1m, 4 * 3600)",
            f"{inner} * scalar({inner})", f'count_values("v", {inner})', f"quantile_over_time(0.5, {self.selector(['g'])}[10m])",
            f"{inner} == bool 1", f"{self.selector(['g'])} @ end()", "hour() > 8",
        ] if not self.rarely(0.02) else ["1", "time()", '"text"', "up[5m]", "sum(", "mad_over_time(g[5m])", "", "foo(up)",
            "up[5m:1m]", "sum(1)", "rate(up)", "scalar(up)", "limitk(1, up)", "info(up)"])  # fmt: skip

    def counted(self) -> str:
        """A raw SLI's expression."""
        inner = f"increase({self.selector()}[$window])"
        return self.choice([
            f"sum({inner})", f"sum({inner}) or vector(0)", f"sum(rate({self.selector()}[$window])) * 60",
            f"sum({inner}) - sum({inner})", f"count(count_over_time({self.selector()}[$window]))", f"-sum({inner})",
            f"sum(max_over_time(({self.selector(['up', 'g'])})[$window:30s]))", f"sum(last_over_time({self.selector()}[$window]) - "
            f"{self.selector()} offset $window)", f"sum(sum by (job) ({inner}))", f"vector(scalar(sum({inner})))",
        ] if not self.rarely(0.04) else [inner, f"{self.selector()}[$window]", "sum(x)", f"sum by (job) ({inner})", "$window",
            f"scalar(sum({inner}))", f"sum({inner}) / $window", "sum(increase(x[1$window]))", "sum(x offset -$window)",
            f"topk(1, {inner})", "sum(increase(x[$window:$window]))"])  # fmt: skip

    def quantity(self) -> str:
        odd = ["1 elephant", "", "NaN", "1e400", "--1", "1e99", "0.0000000001"]
        return self.choice(odd if self.rarely() else ["100", "1GiB", "70%", "5ms", "-1", "0", "1e3", "0.25"])

    def duration(self, sound: list[str]) -> str:
        return self.choice(DURATIONS if self.rarely() else sound)

    def sli(self, earlier: list[str]) -> dict[str, Any]:
        kinds = ["ratio", "latency", "probe", "raw", "threshold", "freshness", *(["outage"] if earlier else [])]
        match self.choice(kinds):
            case "ratio":
                total, more = self.selector(), self.choice(["", 'code=~"5.."', 'code="500"'])
                part = self.selector() if not more or self.rarely(0.2) else _narrowed(total, more)
                if self.rarely(0.1):
                    total, part = 'd_bucket{le="+Inf"}', 'd_bucket{le="0.5"}'
                return {"ratio": {self.choice(["errors", "good"]): part, "total": total}}
            case "latency":
                sli = {
                    "histogram": self.selector(["d_seconds", "x_ms"]),
                    "threshold": self.duration(["500ms", "1s", "2m"]),
                }
                return {"latency": sli | ({"native": True} if self.rarely(0.1) else {})}
            case "probe":
                return {"probe": {"metric": self.selector(["up", "probe_success"])}}
            case "raw":
                return {"raw": {"errors": self.counted(), "total": self.counted()}}
            case "threshold":
                op = self.choice(["at_least", "at_most", "above", "below"])
                return {
                    "threshold": {
                        "value": self.vector(),
                        op: self.quantity(),
                        "slice": self.duration(["30s", "1m", "5m"]),
                    }
                }
            case "freshness":
                return {"freshness": {"metric": self.selector(["t_seconds"]), "max_age": self.duration(["1h", "2d"])}}
            case _:
                longer = self.duration(["15m", "1h"])
                return {
                    "outage": {
                        "of": self.choice(earlier),
                        "longer_than": longer,
                        "down_at": self.choice(["50%", "100%", "0"] if self.rarely(0.1) else ["50%"]),
                    }
                }

    def alert_labels(self) -> dict[str, str]:
        """Templates, and texts with braces in them only as rarely as people write them."""

        def text() -> str:
            if self.rarely(0.2):
                sound = template(self, 1)
                return mutated(self, sound) if self.rarely() else sound
            drawn = self.text()
            return drawn if "{{" not in drawn or self.rarely(0.1) else "x"

        own = self.label() if self.rarely(0.1) else self.choice(["note", "x1", "pager"])
        return {own: text()} if self.rarely(0.5) else {}

    def alert_texts(self) -> dict[str, Any]:
        """What any alert can be given."""
        block: dict[str, Any] = {}
        if self.rarely(0.3):
            block["name"] = self.choice(["a-b", "1x", "", "é"]) if self.rarely(0.02) else self.choice(["Burns", "A_1"])
        if self.rarely(0.4):
            block["labels"] = self.alert_labels()
        if self.rarely(0.15):
            block["annotations"] = self.annotations()
        for key in ("for", "keep_firing_for"):
            if self.rarely(0.2):
                block[key] = self.duration(["2m", "5m", "0s"])
        return block

    def alerting(self) -> Any:
        if self.rarely(0.1):
            return "off"
        block: dict[str, Any] = self.alert_texts() if self.rarely(0.3) else {}
        for severity in ("page", "ticket"):
            if self.rarely(0.5):
                block[severity] = "off" if self.rarely(0.1) else self.alert_texts()
                if block[severity] != "off" and self.rarely(0.3):
                    where = block[severity] if self.rarely(0.5) else block[severity].setdefault("labels", {})
                    where["severity"] = self.choice(["P1", "critical", "{{ $labels.job }}", 'say "x"', "é"])
        if self.rarely(0.3):
            block["absent"] = "off" if self.rarely(0.2) else self.alert_texts()
            if block["absent"] != "off" and self.rarely(0.3):
                block["absent"]["severity"] = "P1" if self.rarely() else self.choice(["page", "ticket"])
        if self.rarely(0.3):
            marks = self.sample(["50%", "0.75", "100%", "1.5%", "12.5%"], self.randint(1, 3))
            marks += self.choice([["50"], ["0%"], ["150%"], ["1e9%"], ["half"], marks[:1]]) if self.rarely() else []
            block["budget"] = marks if self.rarely(0.5) else {**self.alert_texts(), "consumed": marks}
        if self.rarely(0.2):
            block["least_errors"] = self.choice(["0", "3", "100", "few"] if self.rarely(0.1) else ["3"])
        if self.rarely(0.1):
            block["windows"] = []
            for _ in range(self.randint(1, 3)):
                pace = self.choice([{"budget": "2%"}, {"factor": "2"}, {"factor": "1.5"}])
                pair = {
                    "severity": self.choice(["page", "ticket"]),
                    "long": self.choice(["1h", "1h", "6h", "3d"]),
                    **pace,
                }
                if pair not in [
                    {key: window_entry[key] for key in pair if key in window_entry} for window_entry in block["windows"]
                ]:
                    block["windows"].append(pair | (self.alert_texts() if self.rarely(0.5) else {}))
        return block

    def scraped(self, annotations: dict[str, str]) -> dict[str, Any]:
        """How samples arrive, what is recorded of them, and links; a link is rarely given twice."""
        block: dict[str, Any] = {}
        if self.rarely(0.2):
            block["delay"] = "2h" if self.rarely(0.02) else self.choice(["1m", "0s", "90s"])
        if self.rarely(0.1):
            block["scrape_interval"] = self.duration(["15s", "30s", "1m", "5m"])
        if self.rarely(0.2):
            block["labels_on"] = self.choice(["series", "info"]) if not self.rarely() else "none"
        if self.rarely(0.2):
            odd = ["wiki", "", "https://a b", "https://x/{{ end }}"]
            url = "https://runbooks.example.com/{{ $labels.job }}"
            key = self.choice(["runbook_url", "dashboard_url"])
            block[key] = self.choice(odd) if self.rarely(0.02) else url
            if not self.rarely():
                annotations.pop(key.removesuffix("_url"), None)
        return block

    def slo(self, number: int, earlier: list[str]) -> dict[str, Any]:
        block: dict[str, Any] = {"name": self.choice(["a", "b-c", "d.e", "F_1", "9"]) + str(number)}
        block["objective"] = self.choice(
            ["100", "0", "101", "x"] if self.rarely(0.02) else ["99.9", "99", "95%", "99.999", "50", "1.5"]
        )
        block["window"] = self.choice(WINDOWS if self.rarely(0.1) else WINDOWS[:10])
        block["sli"] = self.sli(earlier)
        kind = next(iter(block["sli"]))
        if kind in ("ratio", "latency", "probe") and self.rarely(0.3):
            if self.rarely(0.5):
                block["by"] = self.sample([*LABELS, *(TAKEN if self.rarely(0.1) else [])], self.randint(1, 2))
            else:
                block["by"] = {self.label(): list(dict.fromkeys(self.text() for _ in range(2)))}
        block["labels"], block["annotations"] = self.labels(), self.annotations()
        if self.rarely(0.4):
            block["alerting"] = self.alerting()
        return block | self.scraped(block["annotations"]) | {"description": self.text() + self.text()}

    def alert(self, number: int) -> dict[str, Any]:
        block: dict[str, Any] = {
            "name": f"Alert_{0 if self.rarely(0.02) else number}",
            "expr": self.vector(),
            "labels": self.labels(1),
        }
        block["annotations"] = self.annotations()
        block["description"] = template(self, 2) if self.rarely(0.5) else self.choice(["plain", "{ x }", "日本\n"])
        if self.rarely(0.4):
            block |= {"for": self.duration(["5m"]), "keep_firing_for": self.duration(["10m"])}
        return block | ({"severity": self.choice(["page", "info", "P1"])} if self.rarely(0.5) else {})

    def document(self, number: int) -> dict[str, Any]:
        slos: list[dict[str, Any]] = []
        for index in range(self.randint(1, 2)):
            slos.append(self.slo(index, [slo["name"] for slo in slos]))
        annotations = self.annotations()
        defaults: dict[str, Any] = {
            "labels": self.labels(1),
            "annotations": annotations,
            "scrape_interval": self.duration(["15s", "30s", "1m"]),
        }
        defaults |= {key: value for key, value in self.scraped(annotations).items() if key != "scrape_interval"}
        if self.rarely(0.2):
            defaults["alerting"] = self.alerting()
        if self.rarely(0.2):
            defaults["recorded_labels"] = {
                "team" if self.rarely() else "ruler": self.choice(["global", "a`b", "x y", '%d "q"'])
            }
        return {
            "service": self.choice(["shop", "a.b", "x-1", "Y_"]) + str(number), "owner": self.choice(["", "web", *VALUES[:12]]),
            "labels": self.labels(1), "defaults": defaults, "slos": slos,
            "alerts": [self.alert(index) for index in range(self.randint(0, 2))],
        }  # fmt: skip


def _narrowed(selector: str, more: str) -> str:
    """The selector with one more matcher."""
    if selector.endswith("}"):
        inner = selector[selector.index("{") + 1 : -1].strip().rstrip(",")
        return selector[: selector.index("{")] + "{" + ", ".join(filter(None, [inner, more])) + "}"
    return selector + "{" + more + "}"
