// The state of a page that is loaded again: its place, what was unfolded, how tables were sorted and filtered, which
// variants were switched off, and the focus. The page may have changed, so everything is found by its name.

const stateKey = "runner-page:" + location.pathname;
const sortedAs = { ascending: 1, descending: 2 };

/** Pairs of a name and a node. Nodes with the same name are numbered. */
function named(selector) {
  const counts = new Map();
  return [...document.querySelectorAll(selector)].map((node) => {
    const name = node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent;
    const key = `${node.tagName} ${name}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return [`${key} ${counts.get(key)}`, node];
  });
}

/** The headings of all tables, with the name of the table. */
const namedHeadings = () => named(".scroll > table").flatMap(([table, node]) =>
  [...node.tHead.rows[0].cells].map((heading) => [`${table} ${heading.textContent}`, heading]));

const focusable = () => named("button, input, summary, [tabindex]");

function saveState() {
  const values = (nodes, value) => Object.fromEntries(nodes.map(([name, node]) => [name, value(node)]));
  sessionStorage.setItem(stateKey, JSON.stringify({
    y: scrollY,
    hidden: [...hidden],
    open: values(named("summary"), (node) => node.parentElement.open),
    sorted: values(namedHeadings(), (heading) => heading.getAttribute("aria-sort")),
    filters: values(named("input[type=search]"), (input) => input.value),
    focus: focusable().find(([, node]) => node === document.activeElement)?.[0],
  }));
}

function restoreState({ y, hidden: switchedOff, open, sorted, filters, focus }) {
  for (const [name, node] of named("summary")) node.parentElement.open = open[name] ?? node.parentElement.open;
  switchedOff.forEach((name) => hidden.add(name));
  redraws.forEach((redraw) => redraw());
  for (const [name, heading] of namedHeadings()) {
    // A click sorts upwards, and another one downwards.
    for (let clicks = sortedAs[sorted[name]] ?? 0; clicks > 0; clicks--) heading.querySelector("button").click();
  }
  for (const [name, input] of named("input[type=search]")) {
    input.value = filters[name] ?? "";
    input.dispatchEvent(new Event("input"));
  }
  focusable().find(([name]) => name === focus)?.[1].focus({ preventScroll: true });
  scrollTo(0, y);
}

// A browser that stores nothing throws an error here, and the page works without its state.
try {
  const state = sessionStorage.getItem(stateKey);
  sessionStorage.removeItem(stateKey);
  if (state !== null) restoreState(JSON.parse(state));
} catch (error) {
  console.warn(error);
}
