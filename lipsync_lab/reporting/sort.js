"use strict";
// a click on a column's head sorts the table by it, by the order that a cell states or else by its text: numbers by
// size, what is undefined always last
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const way = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    const text = row => {
      const cell = row.cells[column];  // a row that failed has fewer
      return cell ? cell.dataset.order ?? cell.textContent.trim() : "";
    };
    const order = (first, second) => {
      const [a, b] = [text(first), text(second)];
      if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
      return way * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    };
    body.append(...[...body.rows].sort(order));
  }));
}
