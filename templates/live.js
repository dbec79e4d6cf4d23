// This page is written again while the sweep runs. It keeps its place, what was unfolded, and which variants are
// switched off.
const stateKey = "runner-live:" + location.pathname;
addEventListener("pagehide", () => {
  const open = folds().map((fold) => fold.open);
  sessionStorage.setItem(stateKey, JSON.stringify({ y: scrollY, open, hidden: [...hidden] }));
});
const state = JSON.parse(sessionStorage.getItem(stateKey) ?? "null");
if (state) {
  history.scrollRestoration = "manual";
  folds().forEach((fold, index) => { fold.open = state.open[index] ?? fold.open; });
  state.hidden.forEach((name) => hidden.add(name));
  redraws.forEach((redraw) => redraw());
  scrollTo(0, state.y);
}
// A page that was not written for long is that of a sweep that was killed.
const age = Date.now() / 1000 - {{ live_since }};
if (age < 600) setTimeout(() => location.reload(), 10000);
else document.querySelector("h1").after(create("p", { class: "warning" }, `Written ${Math.round(age / 60)} minutes ago. The sweep has probably ended.`));
