"use strict";
/* A board's table: rows are moved and hidden, never made. */
function setUpTable(board) {
  const body = board.querySelector("tbody");
  const rows = [...body.rows];
  const heads = all("thead th", board);
  rows.forEach((row, index) => { row.dataset.index = index; });
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const isText = head.dataset.key === "model";
      const value = (row) => {
        const text = row.cells[column].dataset.value;
        return isText ? text : text === "" ? null : Number(text);
      };
      const sign = descending ? -1 : 1;
      body.append(...[...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null); // unknown comes last
        const order = isText ? x.localeCompare(y) : x - y;
        return sign * order || a.dataset.index - b.dataset.index;
      }));
    });
  });
  const form = board.querySelector(".filters");
  const find = form.querySelector("input[type=search]");
  const boxes = all("input[type=checkbox][value]:not([name])", form);
  const [verified, size] = [form.elements.verified, form.elements.size];
  const sizes = heads.findIndex((head) => head.dataset.key === "parameters");
  const count = form.querySelector("output");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = boxes.filter((box) => box.checked).map((box) => box.value);
    for (const row of rows) {
      const text = row.cells[1].textContent.toLowerCase();
      const parameters = row.cells[sizes]?.dataset.value;
      row.hidden = !(kinds.some((kind) => row.classList.contains(kind)) && words.every((word) => text.includes(word)))
        || (verified?.checked && !row.querySelector(".badge.verified"))
        || (size?.value && !(parameters && Number(parameters) <= Number(size.value)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    drawBoard(board);
  };
  // A phone shows one's own results first; the numbers of papers and compressors are a tap away.
  if (narrow.matches && rows.some((row) => row.classList.contains("own"))) {
    for (const box of boxes) box.checked = box.value === "own";
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  return filter;
}
