// This page is written again while the sweep runs, and loads itself again. Each time, it keeps its place, what was
// unfolded, how tables were sorted and filtered, which variants were switched off, and the focus.
const stateKey = "runner-live:" + location.pathname;
const focusable = () => [...document.querySelectorAll("button, input, summary, [tabindex]")];
const sortedHeadings = () => [...document.querySelectorAll("th")].map((heading) => heading.getAttribute("aria-sort"));
const filters = () => [...document.querySelectorAll("input[type=search]")];

function saveState() {
  sessionStorage.setItem(stateKey, JSON.stringify({
    y: scrollY,
    open: folds().map((fold) => fold.open),
    hidden: [...hidden],
    sorted: sortedHeadings(),
    filters: filters().map((input) => input.value),
    focus: focusable().indexOf(document.activeElement),
  }));
}

function restoreState(state) {
  history.scrollRestoration = "manual";
  folds().forEach((fold, index) => { fold.open = state.open[index] ?? fold.open; });
  state.hidden.forEach((name) => hidden.add(name));
  redraws.forEach((redraw) => redraw());
  document.querySelectorAll("th").forEach((heading, index) => {
    const clicks = { ascending: 1, descending: 2 }[state.sorted[index]] ?? 0;
    for (let click = 0; click < clicks; click++) heading.querySelector("button").click();
  });
  filters().forEach((input, index) => {
    input.value = state.filters[index] ?? "";
    input.dispatchEvent(new Event("input"));
  });
  focusable()[state.focus]?.focus({ preventScroll: true });
  scrollTo(0, state.y);
}

// A browser that stores nothing throws an error.
try {
  const state = JSON.parse(sessionStorage.getItem(stateKey) ?? "null");
  if (state) restoreState(state);
  addEventListener("pagehide", saveState);
} catch (error) {
  console.warn(error);
}
// A sweep that was killed leaves an old page.
const minutes = Math.round((Date.now() / 1000 - {{ written_at }}) / 60);
const age = minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
if (minutes >= 10) document.querySelector("h1").after(create("p", { class: "warning" }, `This page is ${age} old. The sweep may have ended.`));
setTimeout(() => location.reload(), 10000);
