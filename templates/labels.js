// Names in a plot: which ones are written, and where.

/** Most names beside the curves of a plot. */
const MOST_LABELS = 12;

/** Height of a line of names, in pixels. */
const LABEL_GAP = 16;

/** The series whose names are written, and the others. With too many, those with a color of their own come first. */
function labelled(series, height) {
  const most = Math.min(MOST_LABELS, Math.floor(height / LABEL_GAP) - 1);
  if (series.length <= most) return [series, []];
  const rank = ({ color, is_other: isOther }) => (color === null ? 0 : isOther ? 2 : 1);
  const ordered = [...series].sort((a, b) => rank(a) - rank(b));
  const colored = ordered.filter((one) => rank(one) < 2).slice(0, most - 1);
  const named = colored.length ? colored : ordered.slice(0, most - 1);
  return [named, series.filter((one) => !named.includes(one))];
}

const othersText = (count) => `${count} ${count === 1 ? "other" : "others"}`;

/** Moves labels apart so that none overlaps another: the positions, in the order given. */
function spread(wanted, gap, low, high) {
  const order = wanted.map((_, index) => index).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  order.forEach((index, rank) => {
    const above = rank ? placed[order[rank - 1]] + gap : low;
    placed[index] = Math.max(placed[index], above);
  });
  let limit = high;
  for (const index of order.reverse()) {
    placed[index] = Math.min(placed[index], limit);
    limit = placed[index] - gap;
  }
  return placed;
}

/** A name in a plot. One that was shortened shows its full text under the pointer. */
const nameText = ({ x, y, text, full, kind }) =>
  create("text", { x, y, class: kind }, text, ...(full === text ? [] : [create("title", {}, full)]));

/** Names to the right of a frame, each with a line to the end of its curve: `{ x, y, text, full, color, kind }`. */
function namesAtTheRight(labels, frame) {
  const heights = labels.map(({ y }) => Math.min(frame.bottom, Math.max(frame.top, y)));
  const placed = spread(heights, LABEL_GAP, frame.top + 6, frame.bottom - 6);
  return labels.flatMap(({ x, text, full, color, kind }, index) => [
    create("path", { class: "leader", d: `M${x} ${heights[index]}L${frame.right + 2} ${heights[index]}L${frame.right + 18} ${placed[index]}`, style: `stroke: ${color}` }),
    nameText({ x: frame.right + 22, y: placed[index], text, full, kind }),
  ]);
}

/** Names beside points. Each takes the nearest place that covers no point and no earlier name, or has none. */
function namesBeside(labels, dots, bounds) {
  const around = ([x, y]) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 });
  const taken = dots.map(around);
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const isFree = (area) => area.left >= bounds.left && area.right <= bounds.right && area.top >= bounds.top
    && area.bottom <= bounds.bottom && !taken.some((other) => overlap(area, other));
  const nodes = [];
  for (const { x, y, text, full, color, kind, width } of labels) {
    const places = Array.from({ length: 49 }, (_, step) => Math.ceil(step / 2) * (step % 2 ? -1 : 1)).flatMap((offset) => {
      const away = 10 + 6 * Math.min(2, Math.abs(offset));
      const middle = y + offset * LABEL_GAP * 0.6;
      const area = (left) => ({ left, right: left + width, top: middle - LABEL_GAP / 2, bottom: middle + LABEL_GAP / 2 });
      return [area(x + away), area(x - away - width)];
    });
    const area = places.find(isFree);
    if (!area) continue;
    taken.push(area);
    const middle = (area.top + area.bottom) / 2;
    const end = area.left > x ? area.left - 2 : area.right + 2;
    if (Math.abs(middle - y) > LABEL_GAP / 3) nodes.push(create("path", { class: "leader", d: `M${x} ${y}L${end} ${middle}`, style: `stroke: ${color}` }));
    nodes.push(nameText({ x: area.left, y: middle, text, full, kind }));
  }
  return nodes;
}
