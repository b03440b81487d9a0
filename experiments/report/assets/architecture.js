// A network as a picture: a row a stage, a bar a layer. Width of a bar: channels (square-root scale); the pale bar
// behind it: the inner width after expansion; its texture the operation; a square for the kernel; a dot for
// squeeze-excite.

const FILLS = { mbconv: "#3b6ea5", sepconv: "#6aa84f", conv: "#c98a2b", end: "#9a9a9a", other: "#7b5ea7" };

function drawArchitecture(arch, widest) {
  const narrow = window.innerWidth < 640,
    left = 70,
    full = narrow ? 72 : 200,
    width = left + full + (narrow ? 246 : 270),
    bar = 9,
    gap = 3,
    rowGap = 13;
  const scale = (channels) => Math.max(3, full * Math.sqrt(channels / widest));
  let y = 8;
  const parts = [];
  for (const stage of arch.stages) {
    const bars = Math.min(stage.layers, 8),
      height = Math.max(bars * (bar + gap) - gap, 27),
      top = y;
    const color = FILLS[stage.family] || FILLS.other;
    parts.push(
      svg("text", { x: 0, y: top + 11, class: "strong" }, stage.name),
      svg("text", { x: 0, y: top + 25, class: "quiet" }, `${stage.size} px`),
    );
    const from = top + (height - (bars * (bar + gap) - gap)) / 2;
    for (let i = 0; i < bars; i++) {
      const at = from + i * (bar + gap),
        w = scale(stage.channels);
      if (stage.expand > 1)
        parts.push(
          svg("rect", {
            x: left,
            y: at,
            width: Math.min(full, scale(stage.channels * stage.expand)),
            height: bar,
            fill: color,
            opacity: 0.22,
          }),
        );
      parts.push(svg("rect", { x: left, y: at, width: w, height: bar, fill: color }));
      if (stage.family === "sepconv")
        parts.push(
          svg("line", {
            x1: left,
            x2: left + w,
            y1: at + bar / 2,
            y2: at + bar / 2,
            stroke: "#fff",
            "stroke-width": 1.4,
            "stroke-dasharray": "3 2",
          }),
        );
      if (stage.family === "conv")
        parts.push(
          svg("line", {
            x1: left,
            x2: left + w,
            y1: at + bar / 2,
            y2: at + bar / 2,
            stroke: "#fff",
            "stroke-width": 1.2,
          }),
        );
      if (i === 0 && stage.stride > 1) parts.push(svg("path", { d: `M${left - 11},${at}h8l-4,${bar}z`, fill: "#444" }));
    }
    const x = left + full + 12,
      middle = top + height / 2;
    if (stage.kernel) {
      const side = stage.kernel * 2.6;
      parts.push(
        svg("rect", {
          x: x + 9 - side / 2,
          y: middle - side / 2,
          width: side,
          height: side,
          fill: "none",
          stroke: "#333",
          "stroke-width": 1.2,
        }),
      );
    }
    if (stage.se) parts.push(svg("circle", { cx: x + 30, cy: middle, r: 5, fill: "#b5121b" }));
    const skip = ["pool", "project", "pad", "none"].includes(stage.skip)
      ? `, ${stage.skip === "none" ? "no" : stage.skip} skip`
      : "";
    const kernel = stage.kernel ? ` ${stage.kernel}×${stage.kernel}` : "";
    const times = stage.layers > 1 ? `${stage.layers} × ` : "";
    parts.push(
      svg("text", { x: x + 44, y: middle - 3 }, `${times}${stage.block}${kernel}${stage.se ? " + SE" : ""}`),
      svg(
        "text",
        { x: x + 44, y: middle + 11, class: "quiet" },
        `${stage.channels} ch${skip}, ${Math.round((100 * stage.macs) / arch.macs)} % ${narrow ? "" : "of "}MACs`,
      ),
    );
    y += height + rowGap;
  }
  const counts = `${short(arch.macs)} multiply-adds, ${short(arch.params)} parameters`;
  const caption = `${counts}, ${arch.resolution} pixels, id ${arch.id}`;
  return el(
    "figure",
    { class: "arch" },
    el("h3", {}, arch.title),
    el("p", { class: "quiet" }, caption),
    svg("svg", { viewBox: `0 0 ${width} ${y}`, role: "img", "aria-label": `${arch.title}, stage by stage` }, ...parts),
  );
}

function architectureKey() {
  const box = (op, line) =>
    svg(
      "svg",
      { width: 26, height: 10, viewBox: "0 0 26 10", "aria-hidden": "true" },
      svg("rect", { x: 0, y: 0, width: 26, height: 9, fill: FILLS[op] }),
      line
        ? svg("line", {
            x1: 0,
            x2: 26,
            y1: 4.5,
            y2: 4.5,
            stroke: "#fff",
            "stroke-width": 1.3,
            "stroke-dasharray": line === "dash" ? "3 2" : null,
          })
        : null,
    );
  const item = (picture, text) => el("span", { class: "key" }, picture, text);
  const icon = (node) => svg("svg", { width: 16, height: 14, viewBox: "0 0 16 14", "aria-hidden": "true" }, node);
  return el(
    "p",
    { class: "legend" },
    item(box("mbconv"), "MBConv, pale: width after expansion"),
    item(box("sepconv", "dash"), "separable"),
    item(box("conv", "full"), "plain convolution"),
    item(box("other"), "residual and other blocks"),
    item(icon(svg("rect", { x: 2, y: 1, width: 12, height: 12, fill: "none", stroke: "#333" })), "kernel, to scale"),
    item(icon(svg("circle", { cx: 8, cy: 7, r: 5, fill: "#b5121b" })), "squeeze-excite"),
    item(icon(svg("path", { d: "M3,2h9l-4.5,10z", fill: "#444" })), "stride 2"),
    el("span", { class: "key" }, "one bar a layer, as wide as its channels (square-root scale)"),
  );
}
