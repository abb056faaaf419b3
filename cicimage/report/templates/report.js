"use strict";
// Sorting and choosing for those who have scripts; the page says everything without.
(() => {
  const text = (row, i) => row.cells[i].textContent.trim();
  const amount = (s) => {
    const m = s.replace(/,/g, "").replace(/−/g, "-").match(/^<?-?\d+(?:[.:]\d+)?/);
    return m ? Number(m[0].replace("<", "").replace(":", ".")) : NaN;
  };
  const compare = (a, b) => {
    const x = amount(a), y = amount(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => compare(text(a, i), text(b, i)) * (down ? -1 : 1));
        body.append(...rows);
      });
    }
  }
  const box = document.getElementById("cards");
  const sorter = document.querySelector(".sorter");
  if (box && sorter) {
    sorter.hidden = false;
    const cards = [...box.children];
    const order = document.getElementById("order");
    const choices = { condition: document.getElementById("condition"), score: document.getElementById("score") };
    for (const [name, select] of Object.entries(choices)) {
      for (const value of new Set(cards.map((c) => c.dataset[name]))) select.add(new Option(value, value));
    }
    const orders = {
      number: (a, b) => a.dataset.number - b.dataset.number,
      p: (a, b) => Math.abs(a.dataset.p - 0.5) - Math.abs(b.dataset.p - 0.5),
      "p-down": (a, b) => b.dataset.p - a.dataset.p,
      score: (a, b) => a.dataset.score.localeCompare(b.dataset.score) || a.dataset.number - b.dataset.number,
    };
    const show = () => {
      let n = 0;
      for (const card of cards) {
        card.hidden = Object.entries(choices).some(([name, select]) => select.value && card.dataset[name] !== select.value);
        n += !card.hidden;
      }
      box.append(...cards.sort(orders[order.value]));
      document.getElementById("shown").textContent = `${n} of ${cards.length} shown`;
    };
    const outlines = document.getElementById("outlines");
    outlines.addEventListener("change", () => box.classList.toggle("bare", !outlines.checked));
    for (const select of [order, ...Object.values(choices)]) select.addEventListener("change", show);
    document.getElementById("shown").textContent = `${cards.length} shown`;
  }
  // A link into a closed part opens it first; what a choice hides is shown again when it is linked to.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target.hidden = false;
    target.scrollIntoView({ block: "center" });
  };
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details.printed")) part.open = true;
  });
  addEventListener("hashchange", open);
  if (location.hash) open();
})();
