"use strict";
(() => {
  const table = document.querySelector("table.summary");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 2) return;
  const said = document.createElement("span");
  said.className = "sub";
  said.setAttribute("role", "status");

  const value = (row, index) => {
    const cell = row.cells[index];
    const sort = cell.dataset.sort;
    return sort === undefined ? cell.textContent.trim().toLowerCase() : Number(sort);
  };
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    if (!head.dataset.key) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sign = up ? 1 : -1;
      rows.sort((a, b) => {
        const x = value(a, index), y = value(b, index);
        return sign * (x < y ? -1 : x > y ? 1 : 0);
      });
      body.append(...rows);
    });
  });

  const filters = document.getElementById("filters");
  const search = Object.assign(document.createElement("input"), {
    type: "search", placeholder: "Name, team or label", ariaLabel: "Filter objectives by name, team or label",
  });
  const chosen = document.createElement("select");
  chosen.setAttribute("aria-label", "Filter objectives by state");
  chosen.append(new Option("Every state", ""));
  for (const state of new Set(rows.map((row) => row.dataset.state))) chosen.append(new Option(state, state));
  const filter = () => {
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!chosen.value || row.dataset.state === chosen.value)
        && row.dataset.find.toLowerCase().includes(text);
      row.hidden = !fits;
      shown += fits;
    }
    said.textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };
  search.addEventListener("input", filter);
  chosen.addEventListener("change", filter);
  filters.append(said, search, chosen);
  filters.hidden = false;
})();
