// A table that sorts by a click on a column's head, filters by words and comparisons, and shows a page at a time.
// columns: [{key, title, format, left, find}]; rows: objects. `find` names a column in comparisons such as macs<2M.

const UNITS = { k: 1e3, m: 1e6, g: 1e9, "%": 0.01 };

function condition(word, columns) {
  const match = /^([a-z_]+)(<=|>=|<|>|=)(.+)$/i.exec(word);
  const column = match && columns.find((c) => c.key === match[1].toLowerCase());
  if (!column) return (row) => row.text.includes(word.toLowerCase());
  const number = /^(-?[\d.]+(?:e-?\d+)?)([kmg%]?)$/i.exec(match[3]);
  const wanted = number ? Number(number[1]) * (UNITS[number[2].toLowerCase()] || 1) : null;
  return ({ values }) => {
    const value = values[column.key];
    if (wanted === null) return match[2] === "=" && String(value).toLowerCase() === match[3].toLowerCase();
    if (value === null || value === undefined || value === "") return false;
    return {
      "<": value < wanted,
      ">": value > wanted,
      "<=": value <= wanted,
      ">=": value >= wanted,
      "=": Number(value) === wanted,
    }[match[2]];
  };
}

function compare(a, b, way) {
  const empty = (v) => v === null || v === undefined || v === "";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  return way * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
}

const inWords = (count) => `${count} row${count === 1 ? "" : "s"}`;

function table(options) {
  const { columns, id } = options,
    page = options.page || 50;
  const rows = options.rows.map((values) => ({
    values,
    text: columns
      .map((c) => plain(values[c.key]))
      .join(" ")
      .toLowerCase(),
  }));
  const state = { key: options.sort || null, way: options.way || 1, words: "", shown: page };
  const body = el("tbody"),
    count = el("span", { class: "count" }),
    more = el("button", { type: "button", class: "more" }, "Show more");
  const heads = columns.map((column) =>
    el(
      "th",
      { scope: "col", class: column.left ? "left" : null },
      options.fixed
        ? column.title
        : el(
            "button",
            {
              type: "button",
              onclick: () => {
                state.way = state.key === column.key ? -state.way : column.left ? 1 : -1;
                state.key = column.key;
                state.shown = page;
                draw();
              },
            },
            column.title,
          ),
    ),
  );
  function draw() {
    const tests = state.words
      .split(/\s+/)
      .filter(Boolean)
      .map((word) => condition(word, columns));
    const found = rows.filter((row) => tests.every((test) => test(row)));
    if (state.key !== null) found.sort((a, b) => compare(a.values[state.key], b.values[state.key], state.way));
    columns.forEach((column, i) => {
      const sorted = state.way > 0 ? "ascending" : "descending";
      heads[i].setAttribute("aria-sort", column.key === state.key ? sorted : "none");
    });
    body.replaceChildren(
      ...found
        .slice(0, state.shown)
        .map(({ values }) =>
          el(
            "tr",
            {},
            ...columns.map((column) =>
              el(
                "td",
                { class: column.left ? "left" : null, title: column.long ? plain(values[column.key]) : null },
                (column.format || plain)(values[column.key], values),
              ),
            ),
          ),
        ),
    );
    count.textContent =
      found.length === rows.length ? inWords(rows.length) : `${found.length} of ${inWords(rows.length)}`;
    more.hidden = found.length <= state.shown;
    more.textContent = `Show ${Math.min(page * 4, found.length - state.shown)} more`;
  }
  more.addEventListener("click", () => {
    state.shown += page * 4;
    draw();
  });
  const search = el("input", {
    type: "search",
    placeholder: options.hint || "Filter",
    "aria-label": "Filter rows",
    spellcheck: "false",
    oninput: (event) => {
      state.words = event.target.value;
      state.shown = page;
      draw();
    },
  });
  draw();
  return el(
    "div",
    { class: "table", id },
    options.fixed ? null : el("div", { class: "tools" }, search, count),
    el("div", { class: "scroll", tabindex: "0" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)),
    more,
  );
}
