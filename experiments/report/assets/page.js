// The page: its data, and its sections, each drawn where the run has what it needs.

const data = JSON.parse(document.getElementById("data").textContent);

function facts(pairs) {
  return el(
    "dl",
    {},
    ...pairs
      .filter(([, v]) => v !== "" && v !== null && v !== undefined)
      .flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]),
  );
}

function section(id, title, ...content) {
  return el("section", { id }, el("h2", {}, title), ...content);
}

function restSections() {
  const out = [];
  if (data.classes?.length) {
    const share = (v) => (v === null ? "" : `${(100 * v).toFixed(1)} %`);
    out.push(
      section(
        "classes",
        "Class by class",
        table({
          id: "classes-table",
          rows: data.classes,
          columns: [
            { key: "name", title: "class", left: true },
            { key: "images", title: "images" },
            { key: "recall", title: "recall", format: share },
            { key: "precision", title: "precision", format: share },
          ],
        }),
      ),
    );
  }
  if (data.failures) {
    out.push(
      section(
        "failures",
        "Failures",
        data.failures.length
          ? table({
              id: "failures-table",
              rows: data.failures,
              columns: [
                { key: "kind", title: "kind", left: true },
                { key: "step", title: "step", left: true },
                { key: "number", title: "trial" },
                { key: "message", title: "message", left: true },
                { key: "id", title: "id", left: true },
              ],
            })
          : el("p", {}, "None."),
      ),
    );
  }
  if (data.cost?.length) {
    out.push(
      section(
        "cost",
        "What it cost",
        table({
          id: "cost-table",
          rows: data.cost,
          fixed: true,
          columns: [
            { key: "step", title: "step", left: true },
            { key: "trainings", title: "trainings" },
            { key: "failed", title: "failed" },
            { key: "seconds", title: "time of slots", format: duration },
            { key: "macs", title: "forward multiply-adds", format: short },
            { key: "devices", title: "devices", left: true },
          ],
        }),
        el(
          "p",
          { class: "quiet" },
          "Multiply-adds of the forward passes over the training images; ",
          "backward passes take about twice as much again.",
        ),
      ),
    );
  }
  if (data.commands?.length)
    out.push(
      section(
        "reproduce",
        "To do it again",
        ...data.commands.map((c) =>
          el("div", {}, el("h3", {}, `${c.step}, started ${c.started}`), el("pre", {}, c.command)),
        ),
      ),
    );
  if (data.environment) out.push(section("environment", "Environment", facts(data.environment)));
  return out;
}

function build() {
  const page = document.getElementById("page"),
    sections = [];
  if (data.frontier) sections.push(frontierSection(data.frontier));
  if (data.search) sections.push(searchSection(data.search));
  if (data.architectures?.length) {
    const widest = Math.max(...data.architectures.flatMap((a) => a.stages.map((s) => s.channels * s.expand)));
    sections.push(
      section(
        "architecture",
        "The network",
        architectureKey(),
        el("div", { class: "columns" }, ...data.architectures.map((a) => drawArchitecture(a, widest))),
      ),
    );
  }
  if (data.importance?.length) sections.push(importanceSection(data.importance));
  if (data.verdict || data.pictures?.length || data.family?.length)
    sections.push(growthSection(data.verdict, data.pictures, data.family, data.forecast));
  if (data.search) sections.push(trialsSection(data.search));
  sections.push(...restSections());
  page.append(
    el(
      "header",
      {},
      el("h1", {}, data.title),
      el("nav", {}, ...sections.map((s) => el("a", { href: `#${s.id}` }, s.firstChild.textContent))),
    ),
    ...(data.story
      ? [
          el(
            "section",
            { id: "story" },
            ...data.story.map((line) => el("p", {}, line)),
            ...(data.unread || []).map((line) => el("p", { class: "caution" }, line)),
          ),
        ]
      : []),
    ...sections,
  );
  document.documentElement.dataset.ready = "yes";
}

build();
