// The section of the frontier: the networks that were trained alike, and the front among them.

function frontierSection(frontier) {
  const front = new Set(frontier.front);
  const fades = front.size > 1;
  const joined = new Set(frontier.known.flatMap((curve) => curve.slice(0, -1))); // the costliest has the name
  const points = frontier.points.map((p, i) => ({
    x: p.x,
    y: p.y,
    std: p.std,
    kind: p.role,
    label: p.label,
    title: p.label,
    faded: fades && !front.has(i) && !["baseline", "family", "published", "own"].includes(p.role),
    named: p.role === "candidate" || joined.has(i) ? 0 : { baseline: 4, family: 3 }[p.role] || (front.has(i) ? 2.5 : 1),
    card: () => [
      facts([
        ["accuracy", `${percentWithSpread(p.y, p.std)} on ${p.split}, n = ${p.n}`],
        ["seeds", p.seeds.map(percent).join(", ")],
        ["multiply-adds", short(p.macs)],
        ["parameters", short(p.params)],
        ["activations", p.activations ? short(p.activations) : ""],
        ["peak RAM", p.ram ? `${short(p.ram)} bytes in int8` : ""],
        ["flash", p.flash ? `${short(p.flash)} bytes in int8` : ""],
        ["in int8", typeof p.int8 === "number" ? percentWithSpread(p.int8, p.int8_std) : ""],
        ["latency", p.latency_ms ? `${p.latency_ms.toPrecision(3)} ms` : ""],
        ["input", p.resolution ? `${p.resolution} pixels` : ""],
        ["fitted", p.plan],
        ["training", p.epochs ? `${p.epochs} epochs, ${p.recipe}` : p.recipe],
        ["run", p.run],
        ["id", p.id],
        ["", i === frontier.knee ? "the knee of the front: beyond it more cost brings less than average" : ""],
      ]),
      p.stages.length ? el("ol", { class: "stages" }, ...p.stages.map((line) => el("li", {}, line))) : null,
    ],
  }));
  const runs = [...new Set(frontier.points.map((p) => p.run))];
  const families = runs
    .map((run) =>
      frontier.points
        .filter((p) => p.run === run && (p.role === "family" || p.role === "baseline"))
        .sort((a, b) => a.x - b.x),
    )
    .filter((f) => f.length > 1);
  const lines = [
    { kind: "front", points: frontier.front.map((i) => frontier.points[i]) },
    ...families.map((f) => ({ kind: "family", points: f })),
    ...frontier.known.map((curve) => ({ kind: "known", points: curve.map((i) => frontier.points[i]) })),
  ];
  const kinds = Object.keys(MARKS).filter((kind) => points.some((p) => p.kind === kind));
  const one = frontier.points.find((p) => p.epochs) || frontier.points[0];
  const bars = frontier.points.some((p) => p.std) ? " Bars: one standard deviation over seeds." : "";
  return section(
    "frontier",
    "The frontier",
    el(
      "p",
      { class: "quiet" },
      `Every network trained for ${one.epochs} epochs of ${one.recipe} on ${one.data}, measured on ${one.split}.`,
      `${bars}${fades ? " Networks below the front, other than the family, are paler." : ""}`,
    ),
    legend(kinds, [
      ...(fades ? [["front", "Pareto front"]] : []),
      ...(families.length ? [["family", "family"]] : []),
      ...(frontier.known.length ? [["known", "a known network at several costs"]] : []),
    ]),
    chart({
      id: "frontier-chart",
      points,
      lines,
      log: true,
      xLabel: frontier.axis,
      yLabel: `${frontier.accuracy}, %`,
      yFormat: (v) => String(+(100 * v).toFixed(2)),
    }),
    table({
      id: "frontier-table",
      rows: frontier.points.map((p, i) => ({
        ...p,
        front: front.has(i) ? (i === frontier.knee ? "front, knee" : "front") : "",
      })),
      sort: "x",
      columns: [
        { key: "label", title: "network", left: true },
        { key: "role", title: "role", left: true },
        ...(runs.length > 1 ? [{ key: "run", title: "run", left: true }] : []),
        { key: "y", title: "accuracy", format: percent },
        { key: "std", title: "± std", format: (v) => (v ? (100 * v).toFixed(1) : "") },
        { key: "n", title: "seeds" },
        { key: "macs", title: "MACs", format: short },
        { key: "params", title: "params", format: short },
        ...(frontier.points.some((p) => typeof p.int8 === "number")
          ? [{ key: "int8", title: "int8", format: (v) => (typeof v === "number" ? percent(v) : "") }]
          : []),
        ...(frontier.points.some((p) => p.ram)
          ? [
              { key: "ram", title: "RAM", format: (v) => (v ? short(v) : "") },
              { key: "flash", title: "flash", format: (v) => (v ? short(v) : "") },
            ]
          : []),
        ...(frontier.points.some((p) => p.latency_ms) ? [{ key: "latency_ms", title: "ms", format: fixed(2) }] : []),
        { key: "resolution", title: "pixels", format: (v) => v || "" },
        ...(frontier.points.some((p) => p.plan) ? [{ key: "plan", title: "fitted", left: true }] : []),
        { key: "front", title: "", left: true },
      ],
    }),
    frontier.differences.length ? el("h3", {}, "At the same cost") : null,
    frontier.differences.length ? el("ul", {}, ...frontier.differences.map((line) => el("li", {}, line))) : null,
    frontier.volumes.length ? el("p", { class: "quiet" }, volumesInWords(frontier.volumes)) : null,
  );
}

function percentWithSpread(value, spread) {
  return `${percent(value)}${spread ? ` ± ${(100 * spread).toFixed(1)}` : ""}`;
}

function volumesInWords(volumes) {
  const each = volumes.map((v) => [v.run, v.hypervolume.toFixed(3)]);
  if (each.length > 1) return `Hypervolume to a common reference: ${each.map((pair) => pair.join(" ")).join(", ")}.`;
  const unit = "accuracy times the logarithm of cost, up to the costliest and least accurate point";
  return `Hypervolume of the front: ${each[0][1]} (${unit}).`;
}
