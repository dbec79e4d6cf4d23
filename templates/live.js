// This page is written again while the sweep runs, and loads itself again.
addEventListener("pagehide", () => {
  try { saveState(); } catch (error) { console.warn(error); }
});
// A sweep that was killed leaves an old page.
const minutes = Math.round((Date.now() / 1000 - {{ written_at }}) / 60);
const age = minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`;
if (minutes >= 10) document.querySelector("h1").after(create("p", { class: "warning" }, `This page is ${age} old. The sweep may have ended.`));
setTimeout(() => location.reload(), 10000);
