// Places of names in a plot.

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
