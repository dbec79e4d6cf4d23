// Plots

/** Names of the variants that are switched off, in all plots of the page. */
const hidden = new Set();
const redraws = [];

/** Round values between two ends, about `count` of them. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = (step) => Math.abs(Math.log(step / rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).reduce((best, step) => (distance(step) < distance(best) ? step : best));
  const values = [];
  for (let index = Math.ceil(low / step); index * step <= high * (1 + 1e-9); index++) values.push(index * step);
  return { values, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** The powers of ten between two ends, and their doubles and fives if there are few. */
function logTicks(low, high) {
  const values = [];
  const factors = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) values.push(value);
    }
  }
  return values;
}

/** The ticks whose labels do not overlap, the powers of ten before the others. `at` gives the place of a value. */
function apart(values, at) {
  const isPower = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
  const ordered = [...values.filter(isPower), ...values.filter((value) => !isPower(value))];
  const kept = [];
  for (const value of ordered) {
    const room = (other) => (textWidth(short(value), "12px") + textWidth(short(other), "12px")) / 2 + 8;
    if (kept.every((other) => Math.abs(at(value) - at(other)) >= room(other))) kept.push(value);
  }
  return kept;
}

const measure = document.createElement("canvas").getContext("2d");

/** Width of a text in pixels, in a font of this weight and size. */
function textWidth(text, font) {
  measure.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  return measure.measureText(text).width;
}

/** A text that is at most so many pixels wide, with dots in its middle if it was longer. */
function fitted(text, width, font) {
  if (textWidth(text, font) <= width) return text;
  const letters = [...text];
  let kept = letters.length - 1;
  const shortened = () => `${letters.slice(0, Math.ceil(kept / 2)).join("")}\u2026${letters.slice(letters.length - Math.floor(kept / 2)).join("")}`;
  while (kept > 1 && textWidth(shortened(), font) > width) kept--;
  return shortened();
}

/** A number with three digits and a prefix: `1.5 M`. */
function short(value) {
  const size = Math.abs(value);
  const [scale, prefix] = [[1e15, " P"], [1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([scale]) => size >= scale) ?? [1, ""];
  return `${Number((value / scale).toPrecision(3))}${prefix}`.replace("-", "\u2212");
}

const fixed = (value, decimals) => value.toFixed(decimals).replace("-", "\u2212");

/** The color of a series. The baseline has that of the text. */
const colorOf = (series) => series.color ?? "var(--text)";

/** The values that the y axis must contain: those of the visible curves, without their first tenth. */
function visibleValues(data, series) {
  const values = data.references.map(([value]) => value);
  for (const { points, band, partial } of series) {
    for (const curve of [points, ...partial]) {
      const start = curve.length > 1 ? curve.at(-1)[0] * 0.1 : -Infinity;
      const isShown = (x) => x >= start || data.log_x;
      for (const [x, y] of curve) if (y !== null && isShown(x)) values.push(y);
      if (curve === points) for (const [x, low, high] of band) if (isShown(x)) values.push(low, high);
    }
  }
  return values;
}

/** Cost and loss at the end of the series that no other beats in both, the cheapest first. */
function front(series) {
  const ends = series.filter(({ points, front }) => points.length && front !== undefined && front !== null)
    .map(({ points, front }) => [points.at(-1)[0], front])
    .sort(([ax, ay], [bx, by]) => ax - bx || ay - by);
  if (ends.length < 3) return [];
  let best = Infinity;
  return ends.filter(([, y]) => {
    const isBetter = y < best;
    best = Math.min(best, y);
    return isBetter;
  });
}

/** An interactive plot of curves, or of points. */
class CurvePlot {
  constructor(figure, data) {
    this.data = data;
    this.cursor = null;
    this.readout = create("div", { class: "readout", hidden: true });
    this.live = create("p", { class: "visually-hidden", role: "status" });
    this.canvas = create("div", {
      class: "canvas", tabindex: 0, role: "application", "aria-roledescription": "plot",
      "aria-label": `${data.title}. Left and right arrow keys read the values.`,
      pointermove: (event) => this.point(event), pointerdown: (event) => this.point(event),
      pointerleave: (event) => { if (event.pointerType === "mouse") this.move(null); }, blur: () => this.move(null), keydown: (event) => this.key(event),
    });
    const legend = create("div", { class: "legend", role: "group", "aria-label": "Variants" });
    const folded = create("div", { class: "legend" });
    const [colored, others] = labelled(data.series, Infinity);
    for (const series of [...colored, ...others]) {
      const box = create("input", {
        type: "checkbox", "data-variant": series.name, checked: !hidden.has(series.name),
        change: (event) => {
          if (event.target.checked) hidden.delete(series.name); else hidden.add(series.name);
          redraws.forEach((redraw) => redraw());
        },
      });
      const swatch = create("span", { class: "swatch", style: `background: ${colorOf(series)}` });
      (others.includes(series) ? folded : legend).append(create("label", {}, box, swatch, series.name));
    }
    if (others.length) legend.append(create("details", {}, create("summary", {}, othersText(others.length)), folded));
    this.legend = legend;
    const block = create("div", { class: "interactive" },
      create("strong", { class: "title" }, data.title), create("div", { class: "plot-area" }, this.canvas, this.readout),
      create("div", { class: "x-title" }, data.x_title), legend, this.live);
    figure.prepend(block);
    figure.classList.add("explorable");
    redraws.push(() => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  draw() {
    const { data } = this;
    for (const box of this.legend.querySelectorAll("input")) box.checked = !hidden.has(box.dataset.variant);
    const width = Math.max(280, this.canvas.clientWidth);
    const isWide = width >= 640;
    const height = isWide ? 420 : 300;
    const series = data.series.filter(({ name }) => !hidden.has(name));
    const font = "600 13px";
    const [named, others] = labelled(series, height - 36);
    const names = [...named.map(({ name }) => name), ...(others.length ? [othersText(others.length)] : [])];
    const widest = Math.ceil(Math.max(0, ...names.map((name) => textWidth(name, font))));
    const labels = isWide ? 28 + Math.min(0.4 * width, widest) : 8;
    const frame = { left: 62, right: width - labels, top: 10, bottom: height - 26 };
    const values = visibleValues(data, series);
    let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : data.y;
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const pad = 0.06 * (high - low);
    [low, high] = [low - pad, high + pad];
    const across = data.log_x
      ? (x) => Math.log(x / data.x[0]) / Math.log(data.x[1] / data.x[0])
      : (x) => (x - data.x[0]) / (data.x[1] - data.x[0]);
    const x = (value) => frame.left + across(value) * (frame.right - frame.left);
    const y = (value) => frame.bottom - ((value - low) / (high - low)) * (frame.bottom - frame.top);
    Object.assign(this, { frame, x, y, series });

    const plot = create("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    const yTicks = ticks(low, high, isWide ? 6 : 4);
    this.decimals = yTicks.decimals + 2;
    for (const value of yTicks.values) {
      plot.append(create("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) }));
      plot.append(create("text", { x: frame.left - 8, y: y(value), class: "right" }, fixed(value, yTicks.decimals)));
    }
    // The label of a tick at the edge is moved inwards.
    const tickAt = (value) => Math.min(x(value), width - textWidth(short(value), "12px") / 2 - 2);
    for (const value of apart(data.log_x ? logTicks(...data.x) : ticks(...data.x, isWide ? 7 : 4).values, tickAt)) {
      plot.append(create("line", { class: "grid", x1: x(value), x2: x(value), y1: frame.top, y2: frame.bottom }));
      plot.append(create("text", { x: tickAt(value), y: frame.bottom + 14, class: "middle" }, short(value)));
    }

    const inside = create("svg", {
      x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.bottom - frame.top,
      viewBox: `${frame.left} ${frame.top} ${frame.right - frame.left} ${frame.bottom - frame.top}`,
    });
    const path = (points) => points.filter(([, value]) => value !== null)
      .map(([px, py], index) => `${index ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
    for (const [value, name] of data.references) {
      inside.append(create("line", { class: "reference", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) }, create("title", {}, name)));
    }
    const best = data.has_front ? front(series) : [];
    if (best.length) {
      const steps = best.flatMap(([px, py], index) => (index ? [[px, best[index - 1][1]], [px, py]] : [[px, py]]));
      inside.append(create("path", { class: "reference", d: path([...steps, [data.x[1], best.at(-1)[1]]]), style: "fill: none" }));
    }
    for (const one of series) {
      const color = colorOf(one);
      if (one.band.length > 1) {
        const edge = [...one.band.map(([px, , top]) => [px, top]), ...one.band.toReversed().map(([px, bottom]) => [px, bottom])];
        inside.append(create("path", { d: `${path(edge)}Z`, style: `fill: ${color}`, opacity: 0.12 }));
      } else if (one.band.length === 1) {
        const [px, bottom, top] = one.band[0];
        inside.append(create("line", { x1: x(px), x2: x(px), y1: y(bottom), y2: y(top), style: `stroke: ${color}; stroke-width: 2` }));
      }
      for (const curve of one.partial) inside.append(create("path", { d: path(curve), style: `stroke: ${color}; stroke-width: 1; fill: none` }));
      if (data.has_lines && one.points.length > 1) inside.append(create("path", { d: path(one.points), style: `stroke: ${color}; stroke-width: 2.2; fill: none` }));
      const marked = data.has_points || one.points.length === 1 ? one.points : [];
      for (const [px, py] of [...marked, ...(one.marks ?? [])]) {
        if (py !== null) inside.append(create("circle", { cx: x(px), cy: y(py), r: 4.5, style: `fill: ${color}` }));
      }
    }
    plot.append(inside);
    // Texts come after the curves, so that no curve crosses them.
    for (const [value, name] of data.references) {
      plot.append(create("text", { x: frame.left + 6, y: Math.max(frame.top + 6, y(value) - 8) }, name));
    }
    if (isWide) plot.append(...this.names(named, others, { width, low, high, font }));
    this.line = create("line", { class: "cursor", y1: frame.top, y2: frame.bottom, visibility: "hidden" });
    plot.append(this.line);
    this.canvas.replaceChildren(plot);
    this.move(this.cursor);
  }

  /** The names of series, in the color of the text. The others have one name together. */
  names(named, others, { width, low, high, font }) {
    const { frame, x, y } = this;
    const isInside = (end) => end && end[1] !== null && low <= end[1] && end[1] <= high;
    const label = (one, text, kind) => {
      const end = (one.points.length ? one.points : one.partial[0] ?? []).at(-1);
      return isInside(end) ? [{ x: x(end[0]), y: y(end[1]), text, full: text, color: colorOf(one), kind }] : [];
    };
    const labels = named.flatMap((one) => label(one, one.name, "name"));
    const rest = others.length ? othersText(others.length) : null;
    if (this.series.some(({ points }) => points.length > 1)) {
      const middle = others.flatMap((one) => label(one, rest, "")).sort((a, b) => a.y - b.y);
      labels.push(...middle.slice(middle.length >> 1).slice(0, 1));
      const fitting = labels.map((one) => ({ ...one, text: fitted(one.text, width - frame.right - 26, font) }));
      return namesAtTheRight(fitting, frame);
    }
    const dots = this.series.flatMap(({ points }) => points).map(([px, py]) => [x(px), y(py)]);
    const beside = labels.map((one) => {
      const text = fitted(one.text, 0.4 * width, font);
      return { ...one, text, width: textWidth(text, font) };
    });
    const note = rest ? [create("text", { x: width - 4, y: frame.top + 6, class: "right" }, `${rest} without a name`)] : [];
    const bounds = { left: frame.left, right: width - 4, top: frame.top + (rest ? 14 : 0), bottom: frame.bottom };
    return [...namesBeside(beside, dots, bounds), ...note];
  }

  /** The x values of all visible points. */
  stops() {
    const curves = this.series.flatMap(({ points, partial }) => [points, ...partial]);
    return [...new Set(curves.flat().map(([px]) => px))].sort((a, b) => a - b);
  }

  point(event) {
    const at = event.clientX - this.canvas.getBoundingClientRect().left;
    const distance = (value) => Math.abs(this.x(value) - at);
    this.move(this.stops().reduce((best, value) => (best === null || distance(value) < distance(best) ? value : best), null));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const stops = this.stops();
    if (!stops.length) return;
    if (event.key === "Escape") this.move(null);
    else if (event.key === "Home") this.move(stops[0]);
    else if (event.key === "End") this.move(stops.at(-1));
    else if (step) {
      const index = stops.indexOf(this.cursor);
      this.move(index < 0 ? stops.at(-1) : stops[Math.min(stops.length - 1, Math.max(0, index + step))]);
    } else return;
    event.preventDefault();
    this.live.textContent = this.readout.hidden ? "" : this.readout.textContent;
  }

  /** Shows the values at an x, or nothing. */
  move(cursor) {
    this.cursor = cursor;
    this.readout.hidden = cursor === null;
    this.line?.setAttribute("visibility", cursor === null ? "hidden" : "visible");
    if (cursor === null) return;
    const at = this.x(cursor);
    this.line.setAttribute("x1", at);
    this.line.setAttribute("x2", at);
    const near = (points) => points.reduce((best, point) =>
      Math.abs(this.x(point[0]) - at) < (best ? Math.abs(this.x(best[0]) - at) : 12) ? point : best, null);
    const rows = this.series
      .map((one) => [one, near(one.points.length ? one.points : one.partial.flat())])
      .filter(([, point]) => point && point[1] !== null)
      .sort(([, [, a]], [, [, b]]) => a - b);
    const shown = rows.slice(0, 14).map(([one, [, value]]) => create("div", {},
      create("span", { class: "swatch", style: `background: ${colorOf(one)}` }), `${one.name} `,
      create("b", {}, fixed(value, this.decimals)), " "));
    if (rows.length > shown.length) shown.push(create("div", {}, `and ${rows.length - shown.length} more`));
    this.readout.replaceChildren(create("div", { class: "muted" }, `${short(cursor)} ${this.data.x_title} `), ...shown);
    const isRight = at > (this.frame.left + this.frame.right) / 2;
    this.readout.style.left = isRight ? "auto" : `${at + 12}px`;
    this.readout.style.right = isRight ? `${this.canvas.clientWidth - at + 12}px` : "auto";
  }
}

/** The differences from the baseline on a narrow screen, where the static plot would be too small to read. */
function drawDifferences(figure, data) {
  const list = create("div", { class: "differences" }, create("strong", { class: "title" }, data.title));
  const [low, high] = data.x;
  const x = (value) => 2 + 96 * Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
  for (const row of data.rows) {
    const strip = create("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true", class: row.verdict });
    const mark = (value, kind) => create("line", { class: kind, x1: x(value), x2: x(value), y1: 0, y2: 10 });
    if (data.noise !== null) {
      const [left, right] = [-data.noise, data.noise].map(x);
      strip.append(create("rect", { x: left, y: 0, width: right - left, height: 10 }));
    }
    strip.append(mark(0, "zero"));
    if (data.margin !== null) strip.append(mark(-data.margin, "margin"), mark(data.margin, "margin"));
    for (const [interval, kind] of [[row.interval, "thin-line"], [row.thick, "thick-line"]]) {
      if (interval) strip.append(create("line", { class: kind, x1: x(interval[0]), x2: x(interval[1]), y1: 7, y2: 7 }));
    }
    // A line without a length is drawn as its round or square ends.
    const isInside = (value) => value !== null && low <= value && value <= high;
    const point = (value, y, kind) => create("line", { class: kind, x1: x(value), x2: x(value), y1: y, y2: y });
    strip.append(...row.seeds.filter(isInside).map((value) => point(value, 2.5, "seed")));
    if (isInside(row.mean)) strip.append(point(row.mean, 7, "mean"));
    const drawn = [row.mean, ...row.seeds, ...(row.interval ?? []), ...(row.thick ?? [])].filter((value) => value !== null);
    if (drawn.some((value) => value < low)) strip.append(create("polygon", { points: "0,7 2,4 2,10" }));
    if (drawn.some((value) => value > high)) strip.append(create("polygon", { points: "100,7 98,4 98,10" }));
    list.append(create("div", {}, create("strong", {}, row.name), ` ${row.label}`, strip));
  }
  figure.prepend(list);
  figure.classList.add("has-differences");
}

startTables();
for (const figure of document.querySelectorAll("figure[data-plot]")) {
  const data = JSON.parse(figure.dataset.plot);
  if (data.kind === "curves") new CurvePlot(figure, data);
  else drawDifferences(figure, data);
}
// A printed page shows what is folded.
const folds = () => [...document.querySelectorAll("details")];
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = folds().filter((fold) => !fold.open);
  unfolded.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => unfolded.forEach((fold) => { fold.open = false; }));
