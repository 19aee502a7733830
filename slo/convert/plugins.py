"""Sloth's common SLI plugins, as the queries that they make of their options.

A plugin is code that Sloth runs; what these count is public, so that an SLO of one becomes the counters behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slo.convert.model import Refused, is_number
from slo.promql.ast import Matcher

_HTTP_ERRORS = "(5..|429)"
_PREFIX = "sloth-common/"
Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Queries:
    """Bad events and all, over `$window`."""

    errors: str
    total: str


def queries_of(plugin: str, options: Options) -> Queries:
    """The queries of a plugin. Raises Refused for one that is not known, or that lacks an option."""
    make = _PLUGINS.get(plugin.removeprefix(_PREFIX)) if plugin.startswith(_PREFIX) else _EXAMPLES.get(plugin)
    if make is None:
        raise Refused(
            f"the plugin {plugin} is code of its own; put the queries that it makes into `events`: they are in the rules that Sloth "
            f"writes for it. Or write a preset with `sloth: {plugin}`, and name its folder by --presets"
        )
    return make(options)


def is_known(plugin: str) -> bool:
    """Whether it is known what a plugin counts."""
    return plugin in _EXAMPLES or (plugin.startswith(_PREFIX) and plugin.removeprefix(_PREFIX) in _PLUGINS)


def is_example(plugin: str) -> bool:
    """Whether it is a plugin of Sloth's own documentation, which people copy and may have changed."""
    return plugin in _EXAMPLES


def _counted(selector: str) -> str:
    return f"sum(rate({selector}[$window]))"


def _filter(options: Options) -> list[str]:
    """The matchers of the option `filter`, as they are written."""
    text = options.get("filter", "").strip().strip("{},").strip()
    return [text] if text else []


def _option(options: Options, name: str) -> str:
    text = options.get(name, "").strip()
    if not text:
        raise Refused(f"the plugin's option `{name}` is missing")
    return text


def _bucket(options: Options) -> str:
    text = _option(options, "bucket")
    if not is_number(text):
        raise Refused(f"the plugin's option `bucket` is {text!r}, which is not a valid number")
    return text


def _select(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join(matchers)}}}"


def _ratio(
    errors: str, total: str, bad: Callable[[Options], list[str]], own: Callable[[Options], list[str]]
) -> Callable[[Options], Queries]:
    def make(options: Options) -> Queries:
        every = [*_filter(options), *own(options)]
        return Queries(_counted(_select(errors, *every, *bad(options))), _counted(_select(total, *every)))

    return make


def _latency(
    histogram: str, own: Callable[[Options], list[str]], excludes: bool = False
) -> Callable[[Options], Queries]:
    """Slow requests; with `excludes` the option `exclude_errors` leaves those out that failed."""

    def make(options: Options) -> Queries:
        every = [*_filter(options), *own(options)]
        if excludes and options.get("exclude_errors", "").lower() in ("1", "t", "true"):
            every.append(str(Matcher("code", "!~", "5..")))
        total = _counted(_select(f"{histogram}_count", *every))
        fast = _counted(_select(f"{histogram}_bucket", *every, str(Matcher("le", "=", _bucket(options)))))
        return Queries(f"{total} - {fast}", total)

    return make


def _fixed(*matchers: Matcher) -> Callable[[Options], list[str]]:
    return lambda options: [str(matcher) for matcher in matchers]


def _given(op: str, **names: str) -> Callable[[Options], list[str]]:
    """Matchers whose values are options, by the label's name."""
    return lambda options: [str(Matcher(label, op, _option(options, name))) for label, name in names.items()]


def _rcodes(options: Options) -> list[str]:
    return [str(Matcher("rcode", "=~", options.get("custom_rcode_regex", "").strip() or "SERVFAIL"))]


def _targets(options: Options) -> Queries:
    up = _select("up", *_filter(options))
    return Queries(f"sum(count_over_time(({up} == 0)[$window:]))", f"sum(count_over_time({up}[$window:]))")


def _constant(options: Options) -> Queries:
    raise Refused("the plugin makes up an error ratio and counts nothing")


def _of(label: str) -> Callable[[Options], list[str]]:
    return _fixed(Matcher(label, "=~", _HTTP_ERRORS))


_NOTHING = _fixed()
_ISTIO = _given("=", destination_service_name="service", destination_service_namespace="namespace")
_PLUGINS: Mapping[str, Callable[[Options], Queries]] = {
    "coredns/availability": _ratio("coredns_dns_responses_total", "coredns_dns_responses_total", _rcodes, _NOTHING),
    "coredns/latency": _latency("coredns_dns_request_duration_seconds", _NOTHING),
    "fake": _constant,
    "noop": _constant,
    "haproxy/frontend/availability": _ratio(
        "haproxy_frontend_http_responses_total", "haproxy_frontend_http_responses_total", _fixed(Matcher("code", "=", "5xx")), _NOTHING
    ),
    "istio/v1/availability": _ratio("istio_requests_total", "istio_requests_total", _of("response_code"), _ISTIO),
    "istio/v1/latency": _latency("istio_request_duration_milliseconds", _ISTIO, excludes=True),
    "kubernetes/apiserver/availability": _ratio("apiserver_request_total", "apiserver_request_total", _of("code"), _NOTHING),
    "kubernetes/apiserver/latency": _latency("apiserver_request_duration_seconds", _fixed(Matcher("verb", "!=", "WATCH"))),
    "kubernetes/kooper/latency": _latency("kooper_controller_processed_event_duration_seconds", _given("=", controller="controller")),
    "kubernetes/nginx-ingress/availability": _ratio(
        "nginx_ingress_controller_requests", "nginx_ingress_controller_requests", _of("status"), _NOTHING
    ),
    "linkerd/v2/availability": _ratio(
        "response_total", "response_total", _fixed(Matcher("classification", "=", "failure")), _fixed(Matcher("direction", "=", "inbound"))
    ),
    "prometheus/rules/eval-availability": _ratio(
        "prometheus_rule_evaluation_failures_total", "prometheus_rule_evaluations_total", _NOTHING, _NOTHING
    ),
    "prometheus/targets/availability": _targets,
    "slok-go-http-metrics/availability": _ratio(
        "http_request_duration_seconds_count", "http_request_duration_seconds_count", _of("code"), _NOTHING
    ),
    "slok-go-http-metrics/latency": _latency("http_request_duration_seconds", _NOTHING, excludes=True),
    "traefik/v1/availability": _ratio(
        "traefik_backend_requests_total", "traefik_backend_requests_total", _of("code"), _given("=~", backend="backend_regex")
    ),
    "traefik/v1/latency": _latency("traefik_backend_request_duration_seconds", _given("=~", backend="backend_regex"), excludes=True),
    "traefik/v2/availability": _ratio(
        "traefik_service_requests_total", "traefik_service_requests_total", _fixed(Matcher("code", "=~", "(5..)")),
        _given("=~", service="service_name_regex"),
    ),
    "traefik/v2/latency": _latency("traefik_service_request_duration_seconds", _given("=~", service="service_name_regex"), excludes=True),
}  # fmt: skip
# Of Sloth's documentation, by the whole id.
_EXAMPLES: Mapping[str, Callable[[Options], Queries]] = {
    "getting_started_availability": _ratio(
        "http_request_duration_seconds_count",
        "http_request_duration_seconds_count",
        _of("code"),
        _given("=", job="job"),
    ),
}
