// The explorer: curves computed beforehand, drawn as SVG. No dependencies; works from a file.
(function () {
  "use strict";

  const root = document.getElementById("explorer-app");
  const source = document.getElementById("explorer-data");
  if (!root || !source) return;
  const data = JSON.parse(source.textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const key = (bits, range, rate) => `${bits}/${range}/${rate}`;
  const entries = new Map(data.entries.map((entry) => [key(entry.bits, entry.range, entry.rate), entry]));
  const highest = data.unit * Math.max(...data.entries.map((entry) => Math.max(...entry.eps_g)));

  const sliders = [
    { name: "range", label: "quantization range ω", values: data.ranges, start: 2.25 },
    { name: "bits", label: "bits b", values: data.bits, start: 3 },
    { name: "rate", label: "learning rate η", values: data.rates, start: 0.02 },
  ];
  const chosen = {};

  function html(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function shape(tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function number(value, digits = 3) {
    if (value === 0) return "0";
    if (Math.abs(value) < 5e-5) return "< 0.0001";
    return String(Number(value.toPrecision(digits)));
  }

  function ticks(low, high, count) {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const found = [];
    for (let place = Math.ceil(low / step) * step; place <= high + 1e-9 * step; place += step) {
      found.push(Number(place.toPrecision(10)));
    }
    return found;
  }

  // axes with grid, labels, and a group for what is drawn inside the frame
  class Chart {
    constructor(parent, { height, title, xlabel, ylabel }) {
      this.height = height;
      this.labels = { xlabel, ylabel };
      this.margin = { left: 56, right: 14, top: 12, bottom: 44 };
      this.svg = shape("svg", { role: "img", "aria-label": title });
      this.box = html("div", {}, this.svg);
      parent.append(this.box);
    }

    // units are pixels, so that text has its size on every screen
    begin(x, y) {
      this.width = Math.max(260, this.box.clientWidth);
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      const xticks = Math.min(8, Math.floor(this.width / 75));
      const { left, right, top, bottom } = this.margin;
      const across = this.width - left - right;
      const up = this.height - top - bottom;
      this.x = (value) => left + (across * (value - x[0])) / (x[1] - x[0]);
      this.y = (value) => top + up - (up * (value - y[0])) / (y[1] - y[0]);
      this.frame = { left, top, right: left + across, bottom: top + up };
      this.svg.replaceChildren();
      for (const place of ticks(...x, xticks)) {
        this.line(place, y[0], place, y[1], "grid");
        this.text(this.x(place), this.frame.bottom + 17, number(place), "middle");
      }
      for (const place of ticks(...y, 5)) {
        this.line(x[0], place, x[1], place, "grid");
        this.text(left - 7, this.y(place) + 4, number(place), "end");
      }
      this.text(left + across / 2, this.height - 6, this.labels.xlabel, "middle", "title");
      const middle = top + up / 2;
      const turned = this.text(14, middle, this.labels.ylabel, "middle", "title");
      turned.setAttribute("transform", `rotate(-90 14 ${middle})`);
    }

    add(tag, attributes, text) {
      const element = shape(tag, attributes, text);
      this.svg.append(element);
      return element;
    }

    line(x1, y1, x2, y2, name) {
      const [a, b] = [this.x(x1), this.x(x2)];
      return this.add("line", { x1: a, y1: this.y(y1), x2: b, y2: this.y(y2), class: name });
    }

    path(points, name) {
      const drawn = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
      return this.add("polyline", { points: drawn.join(" "), class: name });
    }

    text(x, y, words, anchor, name = "") {
      return this.add("text", { x, y, "text-anchor": anchor, class: name }, words);
    }
  }

  // controls
  const controls = html("form", { class: "controls", "aria-label": "Parameters of the model" });
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const slider of sliders) {
    const id = `explorer-${slider.name}`;
    const input = html("input", { type: "range", id, min: 0, max: slider.values.length - 1, step: 1 });
    input.value = slider.values.indexOf(slider.start);
    const output = html("output", { for: id });
    const update = () => {
      chosen[slider.name] = slider.values[Number(input.value)];
      output.textContent = String(chosen[slider.name]);
      input.setAttribute("aria-valuetext", `${slider.label}: ${chosen[slider.name]}`);
    };
    update();
    input.addEventListener("input", () => {
      update();
      draw();
    });
    controls.append(html("div", {}, html("label", { for: id }, slider.label), output, input));
  }

  const main = html("div", { class: "chart" });
  const side = html("div", { class: "charts" });
  const legend = html("p", { class: "legend" });
  const readout = html("div", { class: "readout", role: "status", "aria-live": "polite" });
  const code = html("code", { id: "explorer-code" });
  const copy = html("button", { type: "button", class: "copy" }, "copy");
  copy.addEventListener("click", () => {
    // pages opened as files have no clipboard in some browsers: then the text is selected
    const done = () => { copy.textContent = "copied"; setTimeout(() => { copy.textContent = "copy"; }, 1500); };
    const select = () => window.getSelection().selectAllChildren(code);
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select);
    else select();
  });
  const program = html("details", { class: "program" }, html("summary", {}, "this model as code"), copy, html("pre", {}, code));
  root.append(controls, main, legend, readout, side, program);

  for (const [name, words] of [
    ["curve", "exact limit"],
    ["flat", "flat until it leaves its band"],
    ["estimate", "estimate: half of the drop"],
    ["fixed", "fixed point"],
  ]) {
    legend.append(html("span", { class: `key ${name}` }, html("i", { "aria-hidden": "true" }), words));
  }

  const curve = new Chart(main, {
    height: 380, title: "Generalization error over time for the chosen parameters",
    xlabel: "rescaled time τ", ylabel: "generalization error",
  });
  const lengths = new Chart(side, {
    height: 270, title: "End of the first plateau against range", xlabel: "quantization range ω",
    ylabel: "half of the drop at τ",
  });
  const floors = new Chart(side, {
    height: 270, title: "Error of the fixed point against range", xlabel: "quantization range ω",
    ylabel: "error at the fixed point",
  });

  // the plateau at the beginning, while the weights are in their first cell
  function first(entry) {
    return entry.plateaus.find((item) => item[0] === 0) || null;
  }

  function drawCurve(entry) {
    const end = data.clock[data.clock.length - 1] / entry.rate;
    const scale = 1 / entry.rate;
    const top = entry.eps_g.reduce((a, b) => Math.max(a, b), 0) * data.unit;
    curve.begin([0, end], [0, Math.max(1.1 * top, 0.05 * highest)]);
    const frame = curve.frame;
    for (const [start, until, , height] of entry.plateaus) {
      const [a, b] = [curve.x(start * scale), curve.x(until * scale)];
      curve.add("rect", { x: a, y: frame.top, width: b - a, height: frame.bottom - frame.top, class: "flat" });
      curve.line(start * scale, height, until * scale, height, "level");
    }
    for (const value of entry.fixed_points) curve.line(0, value, end, value, "fixed");
    curve.path(data.clock.map((time, index) => [time * scale, entry.eps_g[index] * data.unit]), "curve");
    if (entry.estimate && entry.estimate[0] * scale <= end) {
      const place = curve.x(entry.estimate[0] * scale);
      curve.add("path", { d: `M${place} ${frame.bottom - 16}l7 16h-14z`, class: "estimate" });
    }
  }

  function drawLengths(entry) {
    const scale = 1 / entry.rate;
    const row = data.ranges.map((range) => entries.get(key(entry.bits, range, entry.rate)));
    const predicted = row.filter((item) => item.estimate).map((item) => [item.range, item.estimate[0] * scale]);
    const measured = row.filter((item) => first(item)).map((item) => [item.range, first(item)[2] * scale]);
    const top = Math.max(...predicted.map((point) => point[1]), ...measured.map((point) => point[1]), 1e-9);
    lengths.begin([0, Math.max(...data.ranges) + 0.25], [0, 1.1 * top]);
    lengths.path(predicted, "estimate-line");
    for (const [x, y] of measured) {
      lengths.add("circle", { cx: lengths.x(x), cy: lengths.y(y), r: 4.5, class: x === entry.range ? "dot now" : "dot" });
    }
    lengths.line(entry.range, 0, entry.range, 1.1 * top, "now");
  }

  function drawFloors(entry) {
    const row = data.ranges.map((range) => entries.get(key(entry.bits, range, entry.rate)));
    const points = row.flatMap((item) => item.fixed_points.map((value) => [item.range, value]));
    const top = Math.max(...points.map((point) => point[1]));
    floors.begin([0, Math.max(...data.ranges) + 0.25], [0, 1.1 * top]);
    for (const [x, y] of points) {
      floors.add("circle", { cx: floors.x(x), cy: floors.y(y), r: 4.5, class: x === entry.range ? "dot fixed now" : "dot fixed" });
    }
    floors.line(entry.range, 0, entry.range, 1.1 * top, "now");
  }

  // a curve that stays flat to the end is near its fixed point: a plateau has a drop after it
  function later(entry, found) {
    const count = String(entry.plateaus.length - (found ? 1 : 0));
    const tail = entry.eps_g.slice(Math.floor(entry.eps_g.length / 2));
    const range = Math.max(...entry.eps_g) - Math.min(...entry.eps_g);
    const still = Math.max(...tail) - Math.min(...tail) < 0.1 * range;
    return still ? `${count}; flat to the end, which is no plateau: no drop follows` : count;
  }

  function asCode(entry) {
    return [
      "from steode import Constant, LinearModel, Normal, Uniform, plateau, solve",
      "",
      "model = LinearModel(",
      `    weight_quantizer=Uniform(bits=${entry.bits}, range=${entry.range}, kind="mid-tread"),`,
      "    teacher=Constant(1.0),",
      "    init=Normal(std=0.05),",
      `    learning_rate=${entry.rate},`,
      "    noise=0.1,",
      ")",
      `print(plateau(solve(model, t_end=${number(data.clock[data.clock.length - 1] / entry.rate)})))`,
    ].join("\n");
  }

  function describe(entry) {
    const scale = 1 / entry.rate;
    const found = first(entry);
    const rows = [
      ["first plateau, measured", found ? `flat at ${number(found[3])} until τ = ${number(found[1] * scale)}, half of the drop at τ = ${number(found[2] * scale)}` : "none by the rule"],
      ["half of the drop, estimated", entry.estimate ? `τ = ${number(entry.estimate[0] * scale)}, standard deviation of the crossing times ${number(entry.estimate[1] * scale)}` : "weights never leave their cell"],
      ["later plateaus, each before a drop", later(entry, found)],
      ["error at the fixed point", entry.fixed_points.map((value) => number(value)).join(", ") || "none"],
    ];
    const body = rows.map(([name, value]) => html("tr", {}, html("th", { scope: "row" }, name), html("td", {}, value)));
    const head = html("caption", {}, `ω = ${entry.range}, b = ${entry.bits}, η = ${entry.rate}`);
    readout.replaceChildren(html("table", {}, head, html("tbody", {}, ...body)));
    code.textContent = asCode(entry);
  }

  function draw() {
    const entry = entries.get(key(chosen.bits, chosen.range, chosen.rate));
    drawCurve(entry);
    drawLengths(entry);
    drawFloors(entry);
    describe(entry);
    root.dataset.setting = key(chosen.bits, chosen.range, chosen.rate);
  }

  draw();
  window.addEventListener("resize", draw);
})();
