"""Figures as people read them. The only place where one is rounded."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

MINUS = "−"
NOTHING = "n/a"  # an unknown figure; NaN is one too


def show_percent(ratio: float | None, digits: int = 1) -> str:
    """A ratio (0..1) as a percentage, rounded down, so that `100%` is all and nothing less; negatives too.

    >>> show_percent(0.99996, 2)
    '99.99%'
    """
    if ratio is None or ratio != ratio:
        return NOTHING
    # 1 - 0.0004 is 0.9996 to fifteen digits: what binary leaves over must not tip the rounding.
    exact = round(Decimal(ratio) * 100, 12 if abs(ratio) < 1000 else 0)
    text = f"{exact.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR):,f}"
    if "." in text:
        whole, fraction = text.split(".")
        if digits > 1 and whole.lstrip("-") in ("100", "0") and not fraction.strip("0"):
            text = whole
    return f"{text.replace('-', MINUS)}%"


def show_share(ratio: float | None) -> str:
    """A share of a stretch of time (0..1), rounded down; what is there at all is never shown as none.

    >>> show_share(0.00002), show_share(0.9999), show_share(1.0)
    ('<0.01%', '99.99%', '100%')
    """
    return "<0.01%" if ratio is not None and 0 < ratio < 0.0001 else show_percent(ratio, 2)


def show_ratio_up(ratio: float | None, digits: int = 3) -> str:
    """An error ratio (0..1) as a percentage, rounded up: `0%` is none at all."""
    if ratio is None or ratio != ratio:
        return NOTHING
    if ratio == 0:
        return "0%"
    return f"{round(Decimal(ratio) * 100, 12).quantize(Decimal(1).scaleb(-digits), ROUND_CEILING):f}%"


def show_points(share: float | None) -> str:
    """A difference of two shares in percentage points, to the nearest tenth, with its sign.

    >>> show_points(-0.1234)
    '−12.3 points'
    """
    if share is None or share != share:
        return NOTHING
    text = f"{share * 100:+,.1f}"
    return "±0 points" if text in ("+0.0", "-0.0") else f"{text.replace('-', MINUS)} points"


def show_count(count: float | None) -> str:
    """A number of events, with thin groups; fractions only where there are some."""
    if count is None or count != count:
        return NOTHING
    return f"{count:,.0f}" if float(count).is_integer() or abs(count) >= 1000 else f"{count:,.1f}"


def show_rate(rate: float | None) -> str:
    """A burn rate: `14.4x`."""
    if rate is None or rate != rate:
        return NOTHING
    if rate >= 99.95:
        return f"{rate:,.0f}x"
    if 0 < rate < 0.005:
        return "<0.01x"
    return f"{rate:.1f}x" if rate >= 0.995 or rate == 0 else f"{rate:.2f}x"


def show_duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `2h 13m`."""
    if seconds is None or seconds != seconds:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.3g}s"
    rest = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def show_value(value: float | None, unit: str = "") -> str:
    """A measured value in its unit: `bytes`, `seconds`, or none.

    >>> show_value(4 * 2**30, "bytes"), show_value(5400, "seconds"), show_value(123456.0)
    ('4 GiB', '1h 30m', '123,456')
    """
    if value is None or value != value:
        return NOTHING
    if value < 0:
        return f"{MINUS}{show_value(-value, unit)}"
    if unit == "seconds":
        return show_latency(value) if value else "0s"
    if unit == "bytes":
        power = 0
        while abs(value) >= 1024 and power < 6:
            value, power = value / 1024, power + 1
        return f"{float(f'{value:.3g}'):g} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[power]}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.3g}'):g}"


def show_latency(seconds: float | None) -> str:
    """A latency in milliseconds below a second, in seconds below a minute, else as a length of time.

    >>> show_latency(0.25), show_latency(86400)
    ('250ms', '1d')
    """
    if seconds is None or seconds != seconds:
        return NOTHING
    if 60 <= seconds < float("inf"):
        return show_duration(seconds)
    return f"{seconds * 1000:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
