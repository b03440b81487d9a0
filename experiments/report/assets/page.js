// The sections of the page, each drawn where the run has what it needs.

const data = JSON.parse(document.getElementById("data").textContent);

function facts(pairs) {
  return el("dl", {}, ...pairs.filter(([, v]) => v !== "" && v !== null && v !== undefined).flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
}

function section(id, title, ...content) {
  return el("section", { id }, el("h2", {}, title), ...content);
}

function frontierSection(frontier) {
  const front = new Set(frontier.front);
  const points = frontier.points.map((p, i) => ({
    x: p.x, y: p.y, std: p.std, kind: p.role, label: p.label, title: p.label,
    faded: !front.has(i) && ["reference", "rival", "candidate"].includes(p.role),
    named: p.role === "candidate" ? 0 : { baseline: 4, family: 3 }[p.role] || (front.has(i) ? 2.5 : 1),
    card: () => [
      facts([["accuracy", `${percent(p.y)}${p.std ? ` ± ${(100 * p.std).toFixed(1)}` : ""} on ${p.split}, n = ${p.n}`], ["seeds", p.seeds.map(percent).join(", ")],
        ["multiply-adds", short(p.macs)], ["parameters", short(p.params)], ["latency", p.latency_ms ? `${p.latency_ms.toPrecision(3)} ms` : ""],
        ["input", p.resolution ? `${p.resolution} pixels` : ""], ["training", p.epochs ? `${p.epochs} epochs, ${p.recipe}` : p.recipe], ["run", p.run], ["id", p.id],
        ["", i === frontier.knee ? "the knee of the front: beyond it more cost brings less than average" : ""]]),
      p.stages.length ? el("ol", { class: "stages" }, ...p.stages.map((line) => el("li", {}, line))) : null,
    ],
  }));
  const runs = [...new Set(frontier.points.map((p) => p.run))];
  const families = runs.map((run) => frontier.points.filter((p) => p.run === run && (p.role === "family" || p.role === "baseline")).sort((a, b) => a.x - b.x)).filter((f) => f.length > 1);
  const lines = [{ kind: "front", points: frontier.front.map((i) => frontier.points[i]) }, ...families.map((f) => ({ kind: "family", points: f }))];
  const kinds = Object.keys(MARKS).filter((kind) => points.some((p) => p.kind === kind));
  const one = frontier.points.find((p) => p.epochs) || frontier.points[0];
  const bars = frontier.points.some((p) => p.std) ? " Bars: one standard deviation over seeds." : "";
  return section("frontier", "The frontier",
    el("p", { class: "quiet" }, `Every network trained for ${one.epochs} epochs of ${one.recipe} on ${one.data}, measured on ${one.split}.${bars} Networks outside the family that the front dominates are faded.`),
    legend(kinds, [["front", "Pareto front"], ...(families.length ? [["family", "family"]] : [])]),
    chart({ id: "frontier-chart", points, lines, log: true, xLabel: frontier.axis, yLabel: `${frontier.accuracy}, %`, yFormat: (v) => String(+(100 * v).toFixed(2)) }),
    table({ id: "frontier-table", rows: frontier.points.map((p, i) => ({ ...p, front: front.has(i) ? (i === frontier.knee ? "front, knee" : "front") : "" })), sort: "x", columns: [
      { key: "label", title: "network", left: true }, { key: "role", title: "role", left: true }, ...(runs.length > 1 ? [{ key: "run", title: "run", left: true }] : []),
      { key: "y", title: "accuracy", format: percent }, { key: "std", title: "± std", format: (v) => (v ? (100 * v).toFixed(1) : "") }, { key: "n", title: "seeds" },
      { key: "macs", title: "MACs", format: short }, { key: "params", title: "params", format: short }, ...(frontier.points.some((p) => p.latency_ms) ? [{ key: "latency_ms", title: "ms", format: fixed(2) }] : []),
      { key: "resolution", title: "pixels", format: (v) => v || "" }, { key: "front", title: "", left: true }] }),
    frontier.differences.length ? el("h3", {}, "At the same cost") : null,
    frontier.differences.length ? el("ul", {}, ...frontier.differences.map((line) => el("li", {}, line))) : null,
    frontier.volumes.length > 1 ? el("p", { class: "quiet" }, `Hypervolume to a common reference: ${frontier.volumes.map((v) => `${v.run} ${v.hypervolume.toFixed(3)}`).join(", ")}.`)
      : frontier.volumes.length ? el("p", { class: "quiet" }, `Hypervolume of the front: ${frontier.volumes[0].hypervolume.toFixed(3)} (accuracy times e-folds of cost, to the costliest and least accurate point).`) : null);
}

const rowsOf = (search) => search.rows.map((row) => Object.fromEntries(search.columns.map((name, i) => [name, row[i]])));

function trialCard(row, search) {
  const latency = search.cost.name !== "macs" && row.cost !== null ? [[search.cost.words, `${short(row.cost)} ${search.cost.unit}`]] : [];
  return [facts([["state", row.state], ["score", fixed(4)(row.score)], ["accuracy", percent(row.accuracy)], ["multiply-adds", short(row.macs)], ["parameters", short(row.params)], ...latency,
    ["seed", plain(row.seed)], ["training", row.seconds === null ? "" : `${row.epochs} epochs, ${duration(row.seconds)}`], ["id", row.id]]),
  row.blocks ? el("ol", { class: "stages mono" }, ...row.blocks.split(" ").map((b) => el("li", {}, b))) : null];
}

function searchSection(search) {
  const rows = rowsOf(search), scored = rows.filter((r) => r.score !== null);
  if (!scored.length) return section("search", "The search", el("p", {}, "No trial has a score yet."));
  let spent = 0, best = -Infinity;
  const steps = rows.map((row) => {
    if (row.macs && row.seconds) spent += row.macs * (row.epochs || 1) * (search.images || 1) * (search.fraction || 1);
    if (row.score !== null && row.score > best) best = row.score;
    return { row, spent, best };
  }).filter((s) => s.row.score !== null);
  const progress = (xOf, log) => {
    const line = steps.flatMap((s, i) => (i ? [{ x: xOf(s), y: steps[i - 1].best }, { x: xOf(s), y: s.best }] : [{ x: xOf(s), y: s.best }]));
    return chart({ id: "progress-chart", log, whole: log === null, height: 270, lines: [{ kind: "best", points: line }], yLabel: "score", yFormat: (v) => String(+v.toFixed(3)),
      xLabel: log === null ? "trial" : `forward multiply-adds spent${search.images ? "" : " per image"}`,
      points: steps.map((s) => ({ x: xOf(s), y: s.row.score, kind: "trial", title: `trial ${s.row.number}`, card: () => trialCard(s.row, search) })) });
  };
  const holder = el("div", {}), tabs = [["by trial", () => progress((s) => s.row.number, null)], ["by multiply-adds spent", () => progress((s) => s.spent, false)]]
    .map(([name, make]) => el("button", { type: "button", "aria-pressed": "false", onclick: (event) => {
      tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab === event.currentTarget)));
      holder.replaceChildren(make());
    } }, name));
  tabs[0].click();
  const cloud = rows.filter((r) => r.accuracy !== null && r.macs);
  const [key, label] = search.cost.name === "macs" ? ["macs", "FLOPs (multiply-adds)"] : ["cost", `${search.cost.words}${search.cost.unit ? `, ${search.cost.unit}` : ""}`];
  const top = scored.reduce((a, b) => (b.score > a.score ? b : a));
  return section("search", "The search",
    el("p", {}, `Best score so far: ${top.score.toFixed(4)}, of trial ${top.number} (${percent(top.accuracy)} at ${short(top.macs)} multiply-adds).${search.running ? ` ${search.running} running when this page was written.` : ""}`),
    el("div", { class: "columns" }, el("div", {}, el("h3", {}, "Score"), el("div", { class: "tabs" }, ...tabs), holder),
      el("div", {}, el("h3", {}, "All trials, after the short training"), el("p", { class: "quiet" }, `Target: ${short(search.target)}${search.cost.unit ? ` ${search.cost.unit}` : ""}. Accuracy is on the validation images.`),
        chart({ id: "trials-chart", log: true, height: 270, xLabel: label, yLabel: "val accuracy, %", yFormat: (v) => String(+(100 * v).toFixed(2)),
          points: cloud.filter((r) => r[key]).map((r) => ({ x: r[key], y: r.accuracy, kind: "trial", label: `trial ${r.number}`, named: r === top ? 3 : 0, card: () => trialCard(r, search) })) }))));
}

function importanceSection(choices) {
  const most = choices[0].share || 1;
  return section("importance", "Which choices mattered", el("p", { class: "quiet" }, "How far each choice sets the most accurate tenth of the trials apart from all (PED-ANOVA, as shares), and the mean accuracy at each of its values. Few trials make rough shares."),
    el("div", { class: "bars" }, ...choices.map((choice) => el("div", { class: "row" }, el("span", { class: "what" }, choice.name),
      svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "meter", role: "img", "aria-label": percent(choice.share) }, svg("rect", { x: 0, y: 0, width: (100 * choice.share) / most, height: 10, fill: "#5f7fa3" })),
      el("span", { class: "number" }, percent(choice.share)), el("span", { class: "quiet" }, choice.values.map((v) => `${v.value}: ${percent(v.accuracy)} (n = ${v.n})`).join(", "))))));
}

function growthSection(verdict, pictures, family) {
  const parts = [];
  if (verdict) {
    parts.push(el("p", {}, verdict.coefficients.map((c) => `${c.name} ${c.value.toFixed(3)}${c.interval ? ` (90 % interval ${c.interval[0].toFixed(2)} to ${c.interval[1].toFixed(2)})` : ""}`).join(", ")));
    parts.push(el("ul", {}, ...verdict.lines.map((line) => el("li", {}, line)), ...verdict.cautions.map((line) => el("li", { class: "caution" }, line))));
  }
  if (pictures.length) parts.push(el("div", { class: "columns" }, ...pictures.map((p) => el("figure", {}, el("img", { src: p.src, alt: p.caption }), el("figcaption", {}, p.caption)))));
  if (family.length) {
    parts.push(el("h3", {}, "The family"), table({ id: "family-table", rows: family, fixed: true, columns: [{ key: "phi", title: "phi" }, { key: "depth", title: "depth", format: fixed(2) }, { key: "width", title: "width", format: fixed(2) },
      { key: "resolution", title: "pixels" }, { key: "layers", title: "layers" }, { key: "dropout", title: "dropout", format: fixed(2) }, { key: "macs", title: "MACs", format: short }, { key: "params", title: "params", format: short },
      { key: "nominal_cost", title: "cost, nominal", format: fixed(2) }, { key: "cost", title: "cost, counted", format: fixed(2) }, { key: "accuracy", title: "accuracy", format: percent }] }));
  }
  return section("growth", "How it grows", ...parts);
}

function trialsSection(search) {
  const hint = "Filter, such as: complete accuracy>40% macs<2M k5";
  return section("trials", "Trials", table({ id: "trials-table", rows: rowsOf(search), hint, sort: "score", way: -1, columns: [
    { key: "number", title: "trial" }, { key: "state", title: "state", left: true }, { key: "score", title: "score", format: fixed(4) }, { key: "accuracy", title: "accuracy", format: percent },
    { key: "macs", title: "MACs", format: short }, { key: "params", title: "params", format: short },
    ...(search.cost.name === "macs" ? [] : [{ key: "cost", title: `${search.cost.words}${search.cost.unit ? `, ${search.cost.unit}` : ""}`, format: short }]),
    { key: "seconds", title: "time", format: duration }, { key: "seed", title: "seed" }, { key: "id", title: "id", left: true }, { key: "blocks", title: "stages", left: true, long: true }] }));
}

function restSections() {
  const out = [];
  if (data.failures) {
    out.push(section("failures", "Failures", data.failures.length ? table({ id: "failures-table", rows: data.failures, columns: [{ key: "kind", title: "kind", left: true }, { key: "step", title: "step", left: true },
      { key: "number", title: "trial" }, { key: "message", title: "message", left: true }, { key: "id", title: "id", left: true }] }) : el("p", {}, "None.")));
  }
  if (data.cost && data.cost.length) {
    out.push(section("cost", "What it cost", table({ id: "cost-table", rows: data.cost, fixed: true, columns: [{ key: "step", title: "step", left: true }, { key: "trainings", title: "trainings" }, { key: "failed", title: "failed" },
      { key: "seconds", title: "time of slots", format: duration }, { key: "macs", title: "forward multiply-adds", format: short }, { key: "devices", title: "devices", left: true }] }),
    el("p", { class: "quiet" }, "Multiply-adds of the forward passes over the training images; backward passes take about twice as much again.")));
  }
  if (data.commands && data.commands.length) out.push(section("reproduce", "To do it again", ...data.commands.map((c) => el("div", {}, el("h3", {}, `${c.step}, started ${c.started}`), el("pre", {}, c.command)))));
  if (data.environment) out.push(section("environment", "Environment", facts(data.environment)));
  return out;
}

function build() {
  const page = document.getElementById("page"), sections = [];
  if (data.frontier) sections.push(frontierSection(data.frontier));
  if (data.search) sections.push(searchSection(data.search));
  if (data.architectures && data.architectures.length) {
    const widest = Math.max(...data.architectures.flatMap((a) => a.stages.map((s) => s.channels * s.expand)));
    sections.push(section("architecture", "The network", architectureKey(), el("div", { class: "columns" }, ...data.architectures.map((a) => drawArchitecture(a, widest)))));
  }
  if (data.importance && data.importance.length) sections.push(importanceSection(data.importance));
  if (data.verdict || (data.pictures && data.pictures.length) || (data.family && data.family.length)) sections.push(growthSection(data.verdict, data.pictures, data.family));
  if (data.search) sections.push(trialsSection(data.search));
  sections.push(...restSections());
  page.append(el("header", {}, el("h1", {}, data.title), el("nav", {}, ...sections.map((s) => el("a", { href: `#${s.id}` }, s.firstChild.textContent)))),
    ...(data.story ? [el("section", { id: "story" }, ...data.story.map((line) => el("p", {}, line)),
      ...(data.unread || []).map((line) => el("p", { class: "caution" }, line)))] : []), ...sections);
  document.documentElement.dataset.ready = "yes";
}

build();
