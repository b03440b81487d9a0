"use strict";
// Elements, numbers and names that all parts of the page share. Texts are only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined)
      node.append(child.nodeType ? child : document.createTextNode(String(child)));
  }
  return node;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function short(value) {
  if (value === null || value === undefined) return "";
  for (const [unit, name] of [
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(value) >= unit) return `${+(value / unit).toPrecision(3)} ${name}`;
  }
  return String(+value.toPrecision(3));
}

const percent = (value) => (value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`);
const fixed = (digits) => (value) => (value === null || value === undefined ? "" : Number(value).toFixed(digits));
const plain = (value) => (value === null || value === undefined ? "" : String(value));

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const MARKS = {
  baseline: ["star", "#b5121b", "this run's network (the baseline of its family)"],
  family: ["circle", "#b5121b", "its family: phi doublings of the cost"],
  candidate: ["cross", "#d9777b", "other candidates of the search"],
  rival: ["square", "#8a6d1f", "this run's network scaled in other ways"],
  reference: ["diamond", "#1f4e79", "known networks scaled to the cost, trained the same way"],
  given: ["hexagon", "#2a7f7f", "given: files and networks of other runs"],
  pretrained: ["plus", "#5b3a8e", "pretrained elsewhere, fine-tuned here"],
  distilled: ["wedge", "#b5121b", "distilled: trained to imitate a teacher, too"],
  published: ["ring", "#777777", "published figures: ImageNet, each paper's own training"],
  own: ["triangle", "#2f7d4f", "own points"],
  trial: ["circle", "#5f7fa3", "trials"],
  failed: ["cross", "#b9a13a", "not finished with an accuracy"],
};

function mark(kind, x, y, size, attributes) {
  const [shape, color] = MARKS[kind];
  const a = size,
    path = {
      star: () =>
        Array.from({ length: 10 }, (_, i) => {
          const r = i % 2 ? 0.42 * a * 1.5 : a * 1.5,
            t = (Math.PI * i) / 5 - Math.PI / 2;
          const at = `${(x + r * Math.cos(t)).toFixed(1)},${(y + r * Math.sin(t)).toFixed(1)}`;
          return `${i ? "L" : "M"}${at}${i === 9 ? "Z" : ""}`;
        }).join(""),
      diamond: () => `M${x},${y - 1.2 * a}L${x + 1.2 * a},${y}L${x},${y + 1.2 * a}L${x - 1.2 * a},${y}Z`,
      square: () => `M${x - a},${y - a}h${2 * a}v${2 * a}h${-2 * a}Z`,
      triangle: () => `M${x},${y - 1.2 * a}L${x + 1.1 * a},${y + 0.8 * a}L${x - 1.1 * a},${y + 0.8 * a}Z`,
      wedge: () => `M${x},${y + 1.2 * a}L${x + 1.1 * a},${y - 0.8 * a}L${x - 1.1 * a},${y - 0.8 * a}Z`,
      hexagon: () => {
        const h = 0.87 * a;
        return `M${x},${y - 1.1 * a}l${h},${0.55 * a}v${1.1 * a}l${-h},${0.55 * a}l${-h},${-0.55 * a}v${-1.1 * a}Z`;
      },
      cross: () => `M${x - a},${y - a}L${x + a},${y + a}M${x - a},${y + a}L${x + a},${y - a}`,
      plus: () => {
        const t = 0.4 * a;
        const b = 1.2 * a;
        const arms = `h${2 * t}v${b - t}h${b - t}v${2 * t}h${t - b}v${b - t}`;
        return `M${x - t},${y - b}${arms}h${-2 * t}v${t - b}h${t - b}v${-2 * t}h${b - t}Z`;
      },
    }[shape];
  const line = shape === "cross" || shape === "ring" || shape === "triangle";
  const paint = line ? { fill: "none", stroke: color, "stroke-width": shape === "cross" ? 2 : 1.6 } : { fill: color };
  return path
    ? svg("path", { d: path(), ...paint, ...attributes })
    : svg("circle", { cx: x, cy: y, r: a, ...paint, ...attributes });
}
