// Names beside the marks of a chart.

// Small boxes along a line, from each of its points to the next, for names to stay clear of.
function alongTo([x, y], i, all) {
  const [u, v] = all[i + 1] || [x, y],
    steps = Math.min(200, Math.ceil(Math.hypot(u - x, v - y) / 6));
  return Array.from({ length: steps }, (_, k) => {
    const a = x + ((u - x) * k) / steps,
      b = y + ((v - y) * k) / steps;
    return [a - 2, b - 2, a + 2, b + 2];
  });
}

// Names go where they cover no mark, bar, line or other name, the nearest such place first; one that finds no place is
// left to the card.
function nameAll(root, placed, tracks, area) {
  const names = placed.filter((q) => q.p.label && q.p.named);
  const crowded = names.length > 40 || (names.length > 6 && area.right - area.left < 480);
  const named = crowded ? names.filter((q) => q.p.named > 2) : names;
  const marks = placed.flatMap((q) => [
    [q.x - 6, q.y - 6, q.x + 6, q.y + 6],
    [q.x - 4, q.y - q.half, q.x + 4, q.y + q.half],
  ]);
  const taken = [...marks, ...tracks];
  const shifts = [
    [9, 4],
    [-9, 4],
    [0, -11],
    [0, 20],
    [9, -9],
    [-9, -9],
    [9, 17],
    [-9, 17],
    [0, -24],
    [0, 32],
    [16, -20],
    [-16, -20],
    [16, 28],
    [-16, 28],
    [0, -40],
    [0, 48],
    [34, -34],
    [-34, -34],
    [34, 44],
    [-34, 44],
  ];
  for (const far of [60, 85, 115, 150])
    shifts.push([0, -far], [0, far], [far, -far / 2], [-far, -far / 2], [far, far / 2], [-far, far / 2]);
  for (const { p, x, y } of named.sort((a, b) => b.p.named - a.p.named)) {
    const text = svg("text", { class: "name" }, p.label.length > 26 ? `${p.label.slice(0, 25)}…` : p.label);
    root.append(text);
    const size = text.getBBox(),
      w = size.width,
      h = size.height;
    const spot = shifts
      .map(([dx, dy]) => {
        const at = dx === 0 ? x - w / 2 : dx > 0 ? x + dx : x + dx - w,
          base = y + dy;
        return { at, base, box: [at - 1, base - h + 3, at + w + 1, base + 3], far: Math.abs(dx) + Math.abs(dy) > 26 };
      })
      .find(
        ({ box }) =>
          box[0] >= area.left &&
          box[2] <= area.right &&
          box[1] >= area.top - 4 &&
          box[3] <= area.bottom &&
          !taken.some((o) => box[0] < o[2] && box[2] > o[0] && box[1] < o[3] && box[3] > o[1]),
      );
    if (!spot) {
      text.remove();
      continue;
    }
    text.setAttribute("x", spot.at);
    text.setAttribute("y", spot.base);
    if (spot.far)
      root.append(
        svg("line", {
          x1: x,
          y1: y,
          x2: spot.at + w / 2,
          y2: spot.base > y ? spot.box[1] + 2 : spot.box[3],
          class: "leader",
        }),
      );
    taken.push(spot.box);
  }
}
