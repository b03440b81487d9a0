// The section of the coefficients and the family.

function growthSection(verdict, pictures, family, forecast) {
  const parts = [];
  if (verdict) {
    parts.push(el("p", {}, verdict.coefficients.map(coefficientInWords).join(", ")));
    parts.push(
      el(
        "ul",
        {},
        ...verdict.lines.map((line) => el("li", {}, line)),
        ...verdict.cautions.map((line) => el("li", { class: "caution" }, line)),
      ),
    );
  }
  if (pictures.length)
    parts.push(
      el(
        "div",
        { class: "columns" },
        ...pictures.map((p) =>
          el("figure", {}, el("img", { src: p.src, alt: p.caption }), el("figcaption", {}, p.caption)),
        ),
      ),
    );
  if (family.length) {
    parts.push(
      el("h3", {}, "The family"),
      ...(forecast ? [el("p", {}, forecast)] : []),
      table({
        id: "family-table",
        rows: family,
        fixed: true,
        columns: [
          { key: "phi", title: "phi" },
          { key: "depth", title: "depth", format: fixed(2) },
          { key: "width", title: "width", format: fixed(2) },
          { key: "resolution", title: "pixels" },
          { key: "layers", title: "layers" },
          { key: "dropout", title: "dropout", format: fixed(2) },
          { key: "macs", title: "MACs", format: short },
          { key: "params", title: "params", format: short },
          { key: "nominal_cost", title: "cost, nominal", format: fixed(2) },
          { key: "cost", title: "cost, counted", format: fixed(2) },
          ...(forecast ? [{ key: "forecast", title: "forecast (90 %)" }] : []),
          { key: "accuracy", title: "accuracy", format: percent },
          ...(forecast ? [{ key: "held", title: "within" }] : []),
        ],
      }),
    );
  }
  return section("growth", "How it grows", ...parts);
}

function coefficientInWords({ name, value, interval }) {
  const [low, high] = (interval || []).map(fixed(2));
  return `${name} ${value.toFixed(3)}${interval ? ` (90 % interval ${low} to ${high})` : ""}`;
}
