// The sections of the search: its course, all its trials, and which choices mattered.

const rowsOf = (search) =>
  search.rows.map((row) => Object.fromEntries(search.columns.map((name, i) => [name, row[i]])));

function trialCard(row, search) {
  const latency =
    search.cost.name !== "macs" && row.cost !== null
      ? [[search.cost.words, `${short(row.cost)} ${search.cost.unit}`]]
      : [];
  return [
    facts([
      ["state", row.state],
      ["score", fixed(4)(row.score)],
      ["accuracy", percent(row.accuracy)],
      ["multiply-adds", short(row.macs)],
      ["parameters", short(row.params)],
      ...latency,
      ["seed", plain(row.seed)],
      ["training", row.seconds === null ? "" : `${row.epochs} epochs, ${duration(row.seconds)}`],
      ["id", row.id],
    ]),
    row.blocks ? el("ol", { class: "stages mono" }, ...row.blocks.split(" ").map((b) => el("li", {}, b))) : null,
  ];
}

function searchSection(search) {
  const rows = rowsOf(search),
    scored = rows.filter((r) => r.score !== null);
  if (!scored.length) return section("search", "The search", el("p", {}, "No trial has a score yet."));
  let spent = 0,
    best = -Infinity;
  const steps = rows
    .map((row) => {
      if (row.macs && row.seconds)
        spent += row.macs * (row.epochs || 1) * (search.images || 1) * (search.fraction || 1);
      if (row.score !== null && row.score > best) best = row.score;
      return { row, spent, best };
    })
    .filter((s) => s.row.score !== null);
  const progress = (xOf, log) => {
    const line = steps.flatMap((s, i) =>
      i
        ? [
            { x: xOf(s), y: steps[i - 1].best },
            { x: xOf(s), y: s.best },
          ]
        : [{ x: xOf(s), y: s.best }],
    );
    return chart({
      id: "progress-chart",
      log,
      whole: log === null,
      height: 270,
      lines: [{ kind: "best", points: line }],
      yLabel: "score",
      yFormat: (v) => String(+v.toFixed(3)),
      xLabel: log === null ? "trial" : `forward multiply-adds spent${search.images ? "" : " per image"}`,
      points: steps.map((s) => ({
        x: xOf(s),
        y: s.row.score,
        kind: "trial",
        title: `trial ${s.row.number}`,
        card: () => trialCard(s.row, search),
      })),
    });
  };
  const holder = el("div", {}),
    tabs = [
      ["by trial", () => progress((s) => s.row.number, null)],
      ["by multiply-adds spent", () => progress((s) => s.spent, false)],
    ].map(([name, make]) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": "false",
          onclick: (event) => {
            for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab === event.currentTarget));
            holder.replaceChildren(make());
          },
        },
        name,
      ),
    );
  tabs[0].click();
  const cloud = rows.filter((r) => r.accuracy !== null && r.macs);
  const [key, label] =
    search.cost.name === "macs"
      ? ["macs", "FLOPs (multiply-adds)"]
      : ["cost", `${search.cost.words}${search.cost.unit ? `, ${search.cost.unit}` : ""}`];
  const top = scored.reduce((a, b) => (b.score > a.score ? b : a));
  return section(
    "search",
    "The search",
    el(
      "p",
      {},
      `Best score so far: ${top.score.toFixed(4)}, of trial ${top.number} `,
      `(${percent(top.accuracy)} at ${short(top.macs)} multiply-adds).`,
      search.running ? ` ${search.running} running when this page was written.` : "",
    ),
    el(
      "div",
      { class: "columns" },
      el("div", {}, el("h3", {}, "Score"), el("div", { class: "tabs" }, ...tabs), holder),
      el(
        "div",
        {},
        el("h3", {}, "All trials, after the short training"),
        el(
          "p",
          { class: "quiet" },
          `Target: ${short(search.target)}${search.cost.unit ? ` ${search.cost.unit}` : ""}. `,
          "Accuracy is on the validation images.",
        ),
        chart({
          id: "trials-chart",
          log: true,
          height: 270,
          xLabel: label,
          yLabel: `val ${search.metric}, %`,
          yFormat: (v) => String(+(100 * v).toFixed(2)),
          points: cloud
            .filter((r) => r[key])
            .map((r) => ({
              x: r[key],
              y: r.accuracy,
              kind: "trial",
              label: `trial ${r.number}`,
              named: r === top ? 3 : 0,
              card: () => trialCard(r, search),
            })),
        }),
      ),
    ),
  );
}

function importanceSection(choices) {
  const most = choices[0].share || 1;
  return section(
    "importance",
    "Which choices mattered",
    el(
      "p",
      { class: "quiet" },
      "How far each choice sets the most accurate tenth of the trials apart from all (PED-ANOVA, as shares), ",
      "and the mean accuracy at each of its values. Few trials make rough shares.",
    ),
    el(
      "div",
      { class: "bars" },
      ...choices.map((choice) =>
        el(
          "div",
          { class: "row" },
          el("span", { class: "what" }, choice.name),
          svg(
            "svg",
            {
              viewBox: "0 0 100 10",
              preserveAspectRatio: "none",
              class: "meter",
              role: "img",
              "aria-label": percent(choice.share),
            },
            svg("rect", { x: 0, y: 0, width: (100 * choice.share) / most, height: 10, fill: "#5f7fa3" }),
          ),
          el("span", { class: "number" }, percent(choice.share)),
          el(
            "span",
            { class: "quiet" },
            choice.values.map((v) => `${v.value}: ${percent(v.accuracy)} (n = ${v.n})`).join(", "),
          ),
        ),
      ),
    ),
  );
}

function trialsSection(search) {
  const hint = "Filter, such as: complete accuracy>40% macs<2M k5";
  return section(
    "trials",
    "Trials",
    table({
      id: "trials-table",
      rows: rowsOf(search),
      hint,
      sort: "score",
      way: -1,
      columns: [
        { key: "number", title: "trial" },
        { key: "state", title: "state", left: true },
        { key: "score", title: "score", format: fixed(4) },
        { key: "accuracy", title: "accuracy", format: percent },
        { key: "macs", title: "MACs", format: short },
        { key: "params", title: "params", format: short },
        ...(search.cost.name === "macs"
          ? []
          : [
              {
                key: "cost",
                title: `${search.cost.words}${search.cost.unit ? `, ${search.cost.unit}` : ""}`,
                format: short,
              },
            ]),
        { key: "seconds", title: "time", format: duration },
        { key: "seed", title: "seed" },
        { key: "id", title: "id", left: true },
        { key: "blocks", title: "stages", left: true, long: true },
      ],
    }),
  );
}
