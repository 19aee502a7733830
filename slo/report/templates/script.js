"use strict";
(() => {
  const table = document.querySelector("table.summary");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  // A narrow screen lays the table out as a list; to those who hear it, it stays a table.
  for (const [tags, role] of [["table.summary", "table"], ["thead, tbody", "rowgroup"], ["tr", "row"], ["td", "cell"], ["thead th", "columnheader"], ["tbody th", "rowheader"]]) {
    for (const one of role === "table" ? [table] : table.querySelectorAll(tags)) one.setAttribute("role", role);
  }
  rows.forEach((row, index) => {
    row.cells[0].dataset.sort = index; // they come worst first
    const why = row.querySelector(".why");
    why.title = why.textContent;
  });
  if (rows.length < 2) return;

  const value = (row, index) => {
    const cell = row.cells[index];
    const sort = cell.dataset.sort;
    return sort === undefined ? cell.textContent.trim().toLowerCase() : Number(sort);
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    if (!head.dataset.key) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keyed = rows.map((row) => [value(row, index), row]);
      keyed.sort(([x], [y]) => (up ? 1 : -1) * (x < y ? -1 : x > y ? 1 : 0));
      body.append(...keyed.map(([, row]) => row));
    });
  });

  // What a row is found by: its name, its owner, its labels as key=value, its state.
  const known = rows.map((row) => {
    const link = row.querySelector("a");
    const name = link.textContent.toLowerCase();
    const labels = new Set(row.dataset.labels.toLowerCase().split("\n"));
    const state = row.className.replace("-", " ");
    labels.add(`state=${state}`).add(`owner=${row.dataset.owner.toLowerCase()}`).add(`service=${name.split("/")[0]}`);
    const anchor = link.getAttribute("href");
    const section = anchor.startsWith("#") && document.getElementById(anchor.slice(1));
    const text = `${name} ${row.dataset.owner.toLowerCase()} ${row.dataset.labels.toLowerCase()}`;
    return { row, text, labels, state, owner: row.dataset.owner, section: section && (section.closest(".fold") || section) };
  });

  const make = (tag, given) => Object.assign(document.createElement(tag), given);
  const search = make("input", {
    type: "search", placeholder: "Name, owner, tier=1", ariaLabel: "Filter SLOs by name, owner or label, such as tier=1",
  });
  const choice = (label, every, values) => {
    const made = make("select", { ariaLabel: label });
    made.append(new Option(every, ""), ...values.map((one) => new Option(one, one)));
    return made;
  };
  const states = choice("Filter SLOs by state", "Every state", [...new Set(known.map((one) => one.state))]);
  const owners = choice("Filter SLOs by owner", "Every owner", [...new Set(known.map((one) => one.owner))].filter(Boolean).sort());
  const fields = { q: search, state: states, owner: owners };
  const said = make("span", { className: "sub" });
  said.setAttribute("role", "status");
  const clear = make("button", { type: "button", textContent: "Clear", hidden: true });
  const nothing = document.getElementById("nothing");

  // Of very many SLOs the table has the worst: the others are found by name, on the pages of their services.
  const names = document.getElementById("names");
  const others = document.getElementById("others");
  const everywhere = names && Object.entries(JSON.parse(names.textContent)).flatMap(([service, [file, ...own]]) => {
    const page = file || `slos/service-${service.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.html`;
    return own.map((name) => [`${service}/${name}`.toLowerCase(), page, `${service}/${name}`]);
  });
  const inTable = new Set(known.map((one) => one.row.querySelector("a").textContent.toLowerCase()));
  const find = (words) => {
    const found = words.length ? everywhere.filter(([text]) => !inTable.has(text) && words.every((word) => text.includes(word))) : [];
    others.replaceChildren(...found.slice(0, 50).map(([, page, text]) => {
      const link = make("a", { href: `${page}?q=${encodeURIComponent(text)}`, textContent: text });
      const item = make("li", {});
      item.append(link);
      return item;
    }), ...(found.length > 50 ? [make("li", { textContent: `and ${found.length - 50} more` })] : []));
    others.hidden = !found.length;
    return found.length;
  };

  const apply = () => {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of known) {
      const fits = (!states.value || one.state === states.value) && (!owners.value || one.owner === owners.value)
        && words.every((word) => word.includes("=") ? one.labels.has(word) : one.text.includes(word));
      one.row.hidden = !fits;
      if (one.section) one.section.hidden = !fits;
      shown += fits;
    }
    const all = shown === rows.length;
    said.textContent = all ? "" : `${shown} of ${rows.length}`;
    clear.hidden = !Object.values(fields).some((field) => field.value);
    const more = everywhere ? find(words) : 0;
    nothing.hidden = shown + more > 0;
    const asked = Object.values(fields).map((field) => field.value.trim()).filter(Boolean).join(", ");
    nothing.textContent = shown ? "" : `No SLO fits ${asked}. There are ${rows.length}.`;
    for (const chip of document.querySelectorAll(".tally button")) chip.setAttribute("aria-pressed", String(chip.value === states.value));
  };
  // The address says what is filtered, so that it can be sent to somebody.
  const keep = () => {
    const query = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value.trim()) query.set(name, field.value.trim());
    try { history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`); } catch { /* a page without an address */ }
  };
  const changed = () => { apply(); keep(); };
  search.addEventListener("input", changed);
  states.addEventListener("change", changed);
  owners.addEventListener("change", changed);
  clear.addEventListener("click", () => { for (const field of Object.values(fields)) field.value = ""; changed(); search.focus(); });
  for (const chip of document.querySelectorAll(".tally li")) {
    const button = make("button", { type: "button", value: chip.dataset.state });
    button.append(...chip.childNodes);
    chip.append(button);
    button.addEventListener("click", () => { states.value = states.value === button.value ? "" : button.value; changed(); });
  }
  const given = new URLSearchParams(location.search);
  for (const [name, field] of Object.entries(fields)) field.value = given.get(name) || "";
  for (const field of [states, owners]) if (field.selectedIndex < 0) field.value = "";
  const filters = document.getElementById("filters");
  filters.append(said, clear, search, states, ...(owners.options.length > 2 ? [owners] : []));
  filters.hidden = false;
  apply();
})();
