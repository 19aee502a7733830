"use strict";
(() => {
  const WIDTH = 2000, DAY = 86400000, SVG = "http://www.w3.org/2000/svg";
  const make = (tag, given, ...inside) => {
    const made = Object.assign(document.createElement(tag), given);
    made.append(...inside);
    return made;
  };
  const drawn = (tag, given) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
    return made;
  };
  const asked = new URLSearchParams(location.search);
  const moment = (text) => { const at = Date.parse(text || ""); return Number.isNaN(at) ? null : at; };
  // What is looked at, the same on all charts of the page: null is all of it.
  let range = null;
  let zone = "UTC";
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const iso = (at) => `${new Date(at).toISOString().slice(0, 16)}Z`;
  const remember = () => {
    const query = new URLSearchParams(location.search);
    for (const name of ["from", "to", "zone"]) query.delete(name);
    if (range) { query.set("from", iso(range[0])); query.set("to", iso(range[1])); }
    if (zone !== "UTC") query.set("zone", zone === local ? "local" : zone);
    try { history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`); } catch { /* a page without an address */ }
  };

  const parts = (at) => {
    const found = {};
    const form = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    });
    for (const part of form.formatToParts(at)) found[part.type] = part.value;
    found.month = found.month.slice(0, 3);
    return found;
  };
  const say = (at) => { const p = parts(at); return `${p.day} ${p.month} ${p.year} ${p.hour}:${p.minute}`; };
  const offset = (at) => {
    const p = parts(at);
    return Date.parse(`${p.day} ${p.month} ${p.year} ${p.hour}:${p.minute} UTC`) - Math.floor(at / 60000) * 60000;
  };
  const STEPS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 7200, 10080, 20160, 40320, 80640, 131040].map((m) => m * 60000);
  const ticks = (from, to, most) => {
    const step = STEPS.find((one) => (to - from) / one <= most) || STEPS.at(-1);
    const found = [];
    const shift = offset(from);
    for (let at = Math.ceil((from + shift) / step) * step; at <= to + shift; at += step) {
      const real = at - offset(at - shift), share = (real - from) / (to - from), p = parts(real);
      const dated = step >= DAY || (p.hour === "00" && p.minute === "00");
      if (share > 0.02 && share < 0.98) found.push([share, dated ? `${p.day} ${p.month}` : `${p.hour}:${p.minute}`]);
    }
    return found;
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      const [start, edge, end] = figure.dataset.span.split(" ").map(Number);
      this.span = [start, edge];
      this.end = end;
      this.seen = this.span;
      this.plot = figure.querySelector(".plot");
      this.across = figure.querySelector("svg.x");
      [this.grid, this.fine] = this.plot.querySelectorAll(".grid.up");
      this.small = figure.classList.contains("small");
      this.series = [...figure.querySelectorAll("data")].map((one) => {
        const [first, step] = one.value.split(" ", 2).map(Number);
        const values = one.value.split(" ").slice(2).join(" ").split("|");
        values.forEach((value, index) => { if (!value && index) values[index] = values[index - 1]; });
        return { label: one.textContent, first, step, values };
      });
      this.rule = drawn("line", { class: "pointer", y1: 0, y2: "100%", visibility: "hidden" });
      this.plot.append(this.rule);
      this.readout = make("p", { className: "readout" }, "\u00a0");
      figure.querySelector(".frame").after(this.readout);
      this.at = null;
      this.plot.setAttribute("tabindex", "0");
      this.plot.addEventListener("pointermove", (event) => { this.point(this.time(event)); this.drag(event); });
      this.plot.addEventListener("pointerleave", () => { if (!this.from) this.point(null); });
      this.plot.addEventListener("pointerdown", (event) => {
        this.point(this.time(event));
        if (event.pointerType === "mouse" && event.button === 0) { this.from = this.time(event); this.plot.setPointerCapture(event.pointerId); event.preventDefault(); }
      });
      this.plot.addEventListener("pointerup", (event) => {
        const to = this.time(event), from = this.from;
        this.from = null;
        if (this.band) { this.band.remove(); this.band = null; }
        if (from && Math.abs(to - from) > (this.seen[1] - this.seen[0]) / 50) look([Math.min(from, to), Math.max(from, to)]);
      });
      this.plot.addEventListener("dblclick", () => look(null));
      this.plot.addEventListener("keydown", (event) => this.key(event));
      this.plot.addEventListener("blur", () => this.point(null));
    }
    time(event) {
      const box = this.plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return this.seen[0] + share * (this.seen[1] - this.seen[0]);
    }
    x(at) { return (at - this.span[0]) / (this.span[1] - this.span[0]) * WIDTH; }
    drag(event) {
      if (!this.from) return;
      const [low, high] = [this.x(this.from), this.x(this.time(event))].sort((a, b) => a - b);
      if (!this.band) { this.band = drawn("rect", { class: "chosen", y: 0, height: "100%" }); this.plot.append(this.band); }
      this.band.setAttribute("x", low);
      this.band.setAttribute("width", high - low);
    }
    point(at) {
      this.at = at;
      this.rule.setAttribute("visibility", at === null ? "hidden" : "visible");
      if (at === null) { this.readout.textContent = "\u00a0"; return; }
      let shown = at;
      const values = this.series.map(({ label, first, step, values }) => {
        const index = Math.min(values.length - 1, Math.max(0, Math.ceil((at - first) / step)));
        shown = Math.min(this.end, first + index * step); // the last column may be shorter
        return `${label} ${values[index]}`;
      });
      this.rule.setAttribute("x1", this.x(at));
      this.rule.setAttribute("x2", this.x(at));
      this.readout.textContent = [`${say(shown)}${zone === "UTC" ? " UTC" : ""}`, ...values].join(" · ");
    }
    key(event) {
      const step = this.series.length ? this.series[0].step : (this.seen[1] - this.seen[0]) / 50;
      const at = this.at ?? (this.seen[0] + this.seen[1]) / 2, width = this.seen[1] - this.seen[0];
      const done = {
        ArrowLeft: () => this.point(Math.max(this.seen[0], at - step)), ArrowRight: () => this.point(Math.min(this.seen[1], at + step)),
        "+": () => look([at - width / 4, at + width / 4]), "-": () => look([at - width, at + width]), Escape: () => look(null),
      }[event.key];
      if (done) { event.preventDefault(); done(); }
    }
    show() {
      const own = range && range[0] < this.span[1] && range[1] > this.span[0];
      this.seen = own ? [Math.max(range[0], this.span[0]), Math.min(range[1], this.span[1])] : this.span;
      const left = this.x(this.seen[0]), width = this.x(this.seen[1]) - left;
      const box = this.plot.viewBox.baseVal;
      [box.x, box.width] = [left, width];
      const found = ticks(this.seen[0], this.seen[1], this.small ? 4 : 6);
      const every = Math.max(1, Math.ceil(found.length / 4));
      this.across.replaceChildren(...found.map(([share, text], index) => {
        const made = drawn("text", { x: `${share * 100}%`, ...(index % every ? { class: "minor" } : {}) });
        made.textContent = text;
        return made;
      }));
      const lines = (chosen) => found.filter((_, index) => Boolean(index % every) === chosen).map(([share]) => `M${left + share * width} 0v1000`).join("");
      this.grid.setAttribute("d", lines(false));
      this.fine.setAttribute("d", lines(true));
      if (this.at !== null) this.point(this.at);
    }
  }

  const charts = [...document.querySelectorAll("figure[data-span]")].map((one) => new Chart(one));
  if (!charts.length) return;
  const whole = [Math.min(...charts.map((one) => one.span[0])), Math.max(...charts.map((one) => one.span[1]))];
  const times = [...document.querySelectorAll("time[datetime]")].map((one) => ({ one, at: Date.parse(one.dateTime) }));
  const show = () => {
    for (const chart of charts) chart.show();
    for (const { one, at } of times) (one.querySelector("a") || one).textContent = say(at);
    for (const one of document.querySelectorAll(".zone")) one.textContent = zone;
    for (const select of document.querySelectorAll(".tools select")) select.value = zone;
    for (const one of document.querySelectorAll(".tools .seen")) one.textContent = range ? `${say(range[0])} to ${say(range[1])}` : "";
    for (const one of document.querySelectorAll(".tools .whole")) one.disabled = !range;
  };
  const look = (wanted) => {
    if (wanted) {
      const least = 10 * 60000, middle = (wanted[0] + wanted[1]) / 2, half = Math.max(wanted[1] - wanted[0], least) / 2;
      wanted = [Math.max(whole[0], middle - half), Math.min(whole[1], middle + half)];
      if (wanted[1] - wanted[0] < least || wanted[1] - wanted[0] >= whole[1] - whole[0]) wanted = null;
    }
    range = wanted;
    show();
    remember();
  };

  for (const { one, at } of times) {
    const hours = 3 * 3600000;
    const query = new URLSearchParams({ from: iso(at - hours), to: iso(at + hours) });
    const article = one.closest("article");
    const link = make("a", { href: `?${query}#${article.id}` }, ...one.childNodes);
    link.title = "Look at this moment on all charts";
    one.append(link);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      look([at - hours, at + hours]);
      article.querySelector(".charts").scrollIntoView({ block: "center" });
    });
  }

  for (const tools of document.querySelectorAll(".tools")) {
    const button = (text, label, act, className = "") => {
      const made = make("button", { type: "button", className, ariaLabel: label }, text);
      made.addEventListener("click", act);
      return made;
    };
    const last = (days) => () => look([whole[1] - days * DAY, whole[1]]);
    const move = (by) => () => { if (range) { const width = (range[1] - range[0]) * by; look([range[0] + width, range[1] + width]); } };
    const zones = make("select", { ariaLabel: "Time zone" });
    for (const [value, text] of new Map([["UTC", "UTC"], [tools.dataset.zone, tools.dataset.zone], [local, local === "UTC" ? "UTC" : `${local} (local)`]])) zones.append(new Option(text, value));
    zones.addEventListener("change", () => { zone = zones.value; show(); remember(); });
    const row = make("div", { className: "ranges" },
      button("All", "Show all of the window", () => look(null), "whole"), button("7d", "Show the last 7 days", last(7)),
      button("24h", "Show the last 24 hours", last(1)), button("←", "Earlier", move(-0.5)), button("→", "Later", move(0.5)), zones,
      make("span", { className: "sub seen" }));
    tools.append(row);
    tools.hidden = false;

    const list = tools.querySelector("ol"), options = [...list.children];
    if (options.length < 2) continue;
    const real = options.findIndex((one) => Number(one.dataset.share) === 1);
    const slider = make("input", { type: "range", min: 0, max: options.length - 1, step: 1, value: real, ariaLabel: "What if the objective were another" });
    const answer = make("output", { className: "answer" });
    const label = make("label", { className: "objective" }, "What if the objective were ", slider);
    tools.append(label, answer);
    list.remove();
    const chart = charts.find((one) => tools.parentElement.contains(one.figure) && one.series.some((series) => series.label === "budget remaining"));
    let line = null;
    const choose = () => {
      const option = options[slider.value], share = Number(option.dataset.share);
      answer.replaceChildren(...[...option.childNodes].map((node) => node.cloneNode(true)));
      slider.setAttribute("aria-valuetext", option.querySelector("b").textContent);
      if (line) { line.remove(); line = null; }
      const shape = chart && chart.plot.querySelector("path.main");
      const [full, none] = chart ? ["100%", "0%"].map((text) => [...chart.figure.querySelectorAll("svg.y text")].find((one) => one.textContent === text)) : [];
      if (share === 1 || !shape || !full || !none) return;
      // The burn-down of that SLO is the same line, stretched from where it begins: what is consumed is divided by the share.
      const top = parseFloat(full.getAttribute("y")) * 10;
      line = drawn("path", { class: "what-line", d: shape.getAttribute("d"), transform: `translate(0 ${top}) scale(1 ${1 / share}) translate(0 ${-top})` });
      chart.plot.append(line);
    };
    slider.addEventListener("input", choose);
    choose();
  }

  const given = [moment(asked.get("from")), moment(asked.get("to"))];
  if (asked.get("zone")) {
    const wanted = asked.get("zone") === "local" ? local : asked.get("zone");
    try { new Intl.DateTimeFormat("en", { timeZone: wanted }); zone = wanted; } catch { /* no such zone */ }
  }
  if (given[0] !== null && given[1] !== null && given[0] < given[1]) range = given;
  if (range || zone !== "UTC") show();
})();
