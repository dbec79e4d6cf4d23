// Tables

const UNITS = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18, KiB: 1 / 1024, MiB: 1, GiB: 1024, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** The number that a text starts with, with its unit, or null. Several, such as `1 h 05 m`, are added up. */
function leadingNumber(text) {
  let rest = text.trim().replaceAll("\u2212", "-");
  let sum = null;
  for (;;) {
    const found = /^[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?/.exec(rest);
    if (!found) return sum;
    rest = rest.slice(found[0].length);
    const unit = /^ ?(KiB|MiB|GiB|ms|[kMGTPEsmh])(?![\w/])/.exec(rest);
    sum = (sum ?? 0) + Number(found[0].replaceAll(",", "")) * (unit ? UNITS[unit[1]] : 1);
    if (!unit || !"smh".includes(unit[1])) return sum;
    rest = rest.slice(unit[0].length).trimStart();
  }
}

/** The number of a cell: that of its data if the text is rounded, else the one that the text starts with, or null. */
const cellNumber = (cell) =>
  cell.dataset.value === undefined ? leadingNumber(cell.textContent) : Number(cell.dataset.value);

/** Compares two cells: numbers by their size, other texts by the alphabet, and cells without a value last. */
function compareCells(a, b, isNumber, sign) {
  const [x, y] = [a, b].map((cell) => (isNumber ? cellNumber(cell) : cell.textContent.trim() || null));
  if (x === null || y === null) return (x === null) - (y === null);
  return sign * (isNumber ? x - y : x.localeCompare(y, "en", { numeric: true }));
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const cells = [...body.rows].map((row) => row.cells[column]);
    const numbers = cells.filter((cell) => cellNumber(cell) !== null).length;
    // Texts in a column of numbers, such as "not reached", stand for a missing one.
    const isNumber = numbers > 0 && (heading.classList.contains("number") || numbers > cells.length / 2);
    const sort = () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const cell = (row) => row.cells[column];
      const rows = [...body.rows].sort((a, b) => compareCells(cell(a), cell(b), isNumber, ascending ? 1 : -1));
      body.append(...rows);
    };
    const button = create("button", { type: "button", title: "Sort by this column", click: sort });
    const wrap = () => {
      button.append(...heading.childNodes);
      heading.append(button);
    };
    wrap();
    // Chromium repeats the headings on every page of a printed table only if they contain no buttons.
    addEventListener("beforeprint", () => button.replaceWith(...button.childNodes));
    addEventListener("afterprint", wrap);
  });
}

/** Rows from which on a table has a filter. */
const FILTERED_ROWS = 6;

/** A text as it is compared: with the minus sign of keyboards, and without capitals. */
const searched = (text) => text.replaceAll("\u2212", "-").toLowerCase();

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < FILTERED_ROWS) return;
  const shown = create("span", { class: "count", role: "status" });
  const filter = (event) => {
    const words = searched(event.target.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = searched([...row.cells].map((cell) => cell.textContent).join("\n"));
      row.hidden = !words.every((word) => text.includes(word));
      count += !row.hidden;
    }
    shown.textContent = words.length ? `${count} of ${rows.length} rows` : "";
  };
  const input = create("input", {
    type: "search", placeholder: "words in a row", "aria-label": `Filter: ${table.getAttribute("aria-label")}`, input: filter,
  });
  table.closest(".scroll").before(create("label", { class: "filter" }, "Filter ", input, shown));
}

/** Width in pixels from which on the cells of a table that is too wide break into lines. */
const LEAST_TIGHT = 600;

/** Ways to lay out a table, as classes: as it is, smaller with cells that break into lines, and a block for each row. */
const LAYOUTS = [[], ["tight"], ["tight", "wrapped"], ["blocks"]];

/** Gives a table the first layout in which it fits. */
function fitTable(scroll) {
  const layouts = scroll.clientWidth < LEAST_TIGHT ? [LAYOUTS[0], LAYOUTS.at(-1)] : LAYOUTS;
  for (const layout of layouts) {
    scroll.className = ["scroll", ...layout].join(" ");
    if (scroll.scrollWidth <= scroll.clientWidth + 1) return;
  }
}

/** Adds a number to the names of tables that have the same one. */
function numberEqualNames(tables) {
  const counts = new Map();
  for (const table of tables) {
    const name = table.getAttribute("aria-label");
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    if (count > 1) table.setAttribute("aria-label", `${name} (${count})`);
  }
}

/** Sorts, filters and lays out all tables of the page. */
function startTables() {
  const tables = [...document.querySelectorAll(".scroll > table")];
  numberEqualNames(tables);
  const widths = new Map();
  // The layout changes the height, and only another width can change the layout.
  const observer = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    if (widths.get(target) === target.clientWidth) return;
    widths.set(target, target.clientWidth);
    fitTable(target);
  }));
  for (const table of tables) {
    makeSortable(table);
    makeFilterable(table);
    fitTable(table.parentElement);
    observer.observe(table.parentElement);
  }
}
