// One kind of chart: points on a plane, lines behind them, names beside them, a card for the point looked at.
// options: points [{x, y, std, kind, label, faded, named, card}], lines [{points, kind}], log, whole, xLabel, yLabel,
// xFormat, height.

function ticksOf(low, high, log, most, whole) {
  if (!log) {
    const span = high - low || 1,
      power = 10 ** Math.floor(Math.log10(span / most));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => span / s <= most && (!whole || s >= 1)) || 1;
    const first = Math.ceil(low / step),
      count = Math.floor(high / step) - first + 1;
    return Array.from({ length: Math.max(0, count) }, (_, i) => (first + i) * step);
  }
  for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d++) {
      for (const s of steps) if (s * 10 ** d >= low && s * 10 ** d <= high) found.push(s * 10 ** d);
    }
    if (found.length <= most || steps.length === 1)
      return found.filter((_, i) => i % Math.ceil(found.length / most) === 0);
  }
  return [];
}

function range(values, log, margin, whole) {
  let low = Infinity,
    high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  // Room for two ticks.
  if (log) {
    const pad = Math.max((high / low) ** margin, 1.15, 1.5 / Math.sqrt(high / low));
    return [low / pad, high * pad];
  }
  const pad = (high - low) * margin || (whole ? 0.5 : Math.abs(high) * 0.1 || 1);
  return [low - pad, high + pad];
}

function chart(options) {
  const box = el("div", { class: "chart" });
  const card = el("div", { class: "card", hidden: true, role: "status" });
  const state = { pinned: null, at: null };
  const draw = () => drawChart(box, card, options, state);
  let width = 0;
  new ResizeObserver(() => {
    if (Math.round(box.clientWidth) !== width) {
      width = Math.round(box.clientWidth);
      draw();
    }
  }).observe(box);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.pinned !== null) {
      state.pinned = null;
      state.at = null;
      draw();
      show(card, options, state);
    }
  });
  return el("div", { class: "figure", id: options.id }, box, card);
}

function show(card, options, state) {
  const index = state.pinned ?? state.at;
  card.hidden = index === null;
  card.replaceChildren();
  card.classList.toggle("pinned", state.pinned !== null);
  if (index === null) return;
  const point = options.points[index];
  card.append(el("h4", {}, point.title || point.label), ...point.card());
  card.append(
    el(
      "p",
      { class: "hint" },
      state.pinned === null ? "Click to keep this in view." : "Kept in view: click elsewhere or press Esc to let go.",
    ),
  );
}

function drawChart(box, card, options, state) {
  const { points, log } = options;
  const width = Math.max(280, box.clientWidth),
    height = options.height || Math.min(440, Math.max(280, width * 0.52));
  const right = 14,
    top = 12,
    bottom = 44;
  const [x0, x1] = range(
    points.map((p) => p.x),
    log,
    points.some((p) => p.named) ? 0.12 : 0.06,
    options.whole,
  );
  const [y0, y1] = range(
    points.flatMap((p) => [p.y - (p.std || 0), p.y + (p.std || 0)]),
    false,
    0.12,
  );
  const rows = ticksOf(y0, y1, false, 6).map((v) => [v, (options.yFormat || fixed(2))(v)]);
  const left = Math.max(54, 26 + 7 * Math.max(...rows.map(([, text]) => text.length)));
  const t = log ? Math.log : (v) => v;
  const px = (v) => left + ((t(v) - t(x0)) / (t(x1) - t(x0))) * (width - left - right);
  const py = (v) => top + ((y1 - v) / (y1 - y0)) * (height - top - bottom);
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `${options.yLabel} against ${options.xLabel}`,
  });
  for (const v of ticksOf(x0, x1, log, Math.max(2, Math.floor((width - left) / 76)), options.whole)) {
    root.append(
      svg("line", { x1: px(v), x2: px(v), y1: top, y2: height - bottom, class: "grid" }),
      svg("text", { x: px(v), y: height - bottom + 16, "text-anchor": "middle" }, (options.xFormat || short)(v)),
    );
  }
  for (const [v, text] of rows) {
    root.append(
      svg("line", { x1: left, x2: width - right, y1: py(v), y2: py(v), class: "grid" }),
      svg("text", { x: left - 7, y: py(v) + 4, "text-anchor": "end" }, text),
    );
  }
  root.append(
    svg(
      "text",
      { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle", class: "axis" },
      options.xLabel,
    ),
    svg(
      "text",
      {
        x: 12,
        y: (top + height - bottom) / 2,
        "text-anchor": "middle",
        class: "axis",
        transform: `rotate(-90 12 ${(top + height - bottom) / 2})`,
      },
      options.yLabel,
    ),
  );
  for (const line of options.lines || []) {
    root.append(
      svg("polyline", {
        points: line.points.map((p) => `${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`).join(" "),
        class: `line ${line.kind}`,
      }),
    );
  }
  const many = points.length > 400,
    marks = svg("g", {});
  const placed = points.map((p) => ({ p, x: px(p.x), y: py(p.y), half: py(p.y) - py(p.y + (p.std || 0)) }));
  for (const { p, x, y } of [...placed].sort((a, b) => (a.p.named || 0) - (b.p.named || 0))) {
    const faded = p.faded ? 0.38 : many ? 0.6 : 0.95;
    if (p.std) {
      const [low, high] = [py(p.y - p.std), py(p.y + p.std)];
      const d = `M${x},${low}V${high}M${x - 4},${low}H${x + 4}M${x - 4},${high}H${x + 4}`;
      marks.append(svg("path", { d, class: "bar", stroke: MARKS[p.kind][1], opacity: faded }));
    }
    marks.append(
      mark(p.kind, x, y, many ? 2.6 : p.kind === "trial" || p.kind === "failed" ? 4 : 5.2, {
        opacity: faded,
        class: "mark",
      }),
    );
  }
  root.append(marks);
  const ring = svg("circle", { r: 10, class: "ring", visibility: "hidden" });
  root.append(ring);
  box.replaceChildren(root);
  const tracks = (options.lines || []).flatMap((line) => line.points.map((p) => [px(p.x), py(p.y)]).flatMap(alongTo));
  nameAll(root, placed, tracks, { left, right: width - right, top, bottom: height - bottom });
  const focus = () => {
    const index = state.pinned ?? state.at;
    ring.setAttribute("visibility", index === null ? "hidden" : "visible");
    if (index !== null) {
      ring.setAttribute("cx", placed[index].x);
      ring.setAttribute("cy", placed[index].y);
    }
    show(card, options, state);
  };
  const nearest = (event) => {
    const area = root.getBoundingClientRect(),
      x = event.clientX - area.left,
      y = event.clientY - area.top;
    let best = null,
      least = 24 * 24;
    placed.forEach((q, i) => {
      const d = (q.x - x) ** 2 + (q.y - y) ** 2;
      if (d < least) {
        least = d;
        best = i;
      }
    });
    return best;
  };
  root.addEventListener("pointermove", (event) => {
    if (state.pinned === null) {
      state.at = nearest(event);
      focus();
    }
  });
  root.addEventListener("pointerleave", () => {
    state.at = null;
    focus();
  });
  root.addEventListener("click", (event) => {
    const at = nearest(event);
    state.pinned = at === state.pinned ? null : at;
    state.at = at;
    focus();
  });
  focus();
}

function legend(kinds, extra) {
  const item = (picture, text) => el("span", { class: "key" }, picture, text);
  const small = (node) => svg("svg", { width: 18, height: 16, viewBox: "0 0 18 16", "aria-hidden": "true" }, node);
  return el(
    "p",
    { class: "legend" },
    ...kinds.map((kind) => item(small(mark(kind, 9, 8, 5)), MARKS[kind][2])),
    ...(extra || []).map(([kind, text]) =>
      item(small(svg("line", { x1: 1, x2: 17, y1: 8, y2: 8, class: `line ${kind}` })), text),
    ),
  );
}
