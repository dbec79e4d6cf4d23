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
setTimeout(() => location.reload(), 10000);
