"use strict";
// Two charts by Vega-Lite, whose script is loaded when they come near the screen.

(() => {
  const { data, state, number } = page;
  const HEIGHT = 380, LINE = 13;
  const holders = { curves: document.querySelector("#curves .chart"), costs: document.querySelector("#costs .chart") };
  const views = {};
  const near = new Set();
  let waiting = 0;

  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const paint = (place, usual = "--grey") => css(page.colour(place) ? `--${page.colour(place)}` : usual);

  function config() {
    const text = { labelColor: css("--soft"), titleColor: css("--soft"), gridColor: css("--line"), domainColor: css("--line"), tickColor: css("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return { background: null, view: { stroke: null }, font: "system-ui, sans-serif", axis: text, text: { color: css("--ink"), fontSize: 12 } };
  }

  function frame(holder, layer) {
    return { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: Math.max(240, holder.clientWidth - 60), height: HEIGHT, autosize: { type: "fit", contains: "padding" },
      padding: 4, config: config(), params: [{ name: "lit", value: "" }], layer };
  }

  // From low to high with some air, so that no point lies on the frame.
  function domain(values) {
    const low = Math.min(...values), high = Math.max(...values), air = 0.05 * (high - low || Math.abs(high) || 1);
    return [low - air, high + air];
  }

  function curves() {
    const points = [];
    for (const ratio of data.ratios) {
      const found = page.view(state.masks, ratio.id);
      for (const place of found ? page.shown() : []) {
        if (found.value[place] == null) continue;
        points.push({ id: data.models[place].id, model: data.models[place].title, place, ratio: ratio.middle, value: found.value[place], low: found.low[place], high: found.high[place],
          hole: page.hole(ratio.id), told: interval(found, place), n: found.n[place], colour: paint(place), ink: paint(place, "--soft"), pinned: Boolean(page.colour(place)) });
      }
    }
    if (new Set(points.map(point => point.ratio)).size < 2) return null;
    const span = domain(points.flatMap(point => [point.value, point.pinned ? point.low : null, point.pinned ? point.high : null].filter(value => value != null)));
    const right = Math.max(...points.map(point => point.ratio));
    const last = spread(points.filter(point => point.ratio === right), span);
    const room = 7 * Math.max(...last.map(point => point.model.length));
    const x = { field: "ratio", type: "quantitative", title: "hole, per cent of the picture", axis: { grid: false, tickCount: 6 }, scale: { domain: [Math.min(...points.map(point => point.ratio)), right] } };
    const y = { field: "value", type: "quantitative", title: page.head(), scale: { domain: span, zero: false, nice: false } };
    const colour = { condition: { test: "datum.id === lit", value: css("--ink") }, field: "colour", type: "nominal", scale: null };
    const tooltip = [{ field: "model", title: "model" }, { field: "hole", title: "hole" }, { field: "told", title: page.metric().title }, { field: "n", title: "images" }];
    const up = { filter: "datum.pinned || datum.id === lit" };
    const detail = { field: "id", type: "nominal" };
    return { ...frame(holders.curves, [
      { transform: [up, { filter: "isValid(datum.low)" }], mark: { type: "area", opacity: 0.15 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour, detail } },
      { mark: { type: "line", strokeWidth: 1 }, encoding: { x, y, detail, color: { value: css("--grey") } } },
      { transform: [up], mark: { type: "line", strokeWidth: 2.5 }, encoding: { x, y, detail, color: colour } },
      { mark: { type: "point", filled: true, size: 28 }, encoding: { x, y, color: colour, tooltip } },
      { mark: { type: "point", filled: true, size: 220, opacity: 0 }, encoding: { x, y, tooltip } },
      { data: { values: last }, mark: { type: "text", align: "left", dx: 8, clip: false }, encoding: { x, y: { ...y, field: "label" }, text: { field: "model" }, color: { ...colour, field: "ink" },
        opacity: { condition: { test: "datum.id === lit || datum.pinned", value: 1 }, value: 0.85 } } },
    ]), data: { values: points }, padding: { left: 4, top: 8, bottom: 4, right: room }, width: Math.max(120, holders.curves.clientWidth - 60 - room), autosize: { type: "pad" } };
  }

  const interval = (found, place) => {
    const half = page.half(found, place), digits = page.metric().decimals;
    return number(found.value[place], digits) + (half == null ? "" : ` ±${number(half, digits)}`);
  };

  // Names at the ends of lines, moved apart until none covers another.
  function spread(points, [low, high]) {
    const line = Math.min(LINE, HEIGHT / Math.max(points.length, 1)) * (high - low) / HEIGHT;
    const sorted = points.slice().sort((a, b) => a.value - b.value).map(point => ({ ...point, label: point.value }));
    for (let at = 1; at < sorted.length; at++) sorted[at].label = Math.max(sorted[at].label, sorted[at - 1].label + line);
    let roof = high;
    for (let at = sorted.length - 1; at >= 0; at--) {
      sorted[at].label = Math.min(sorted[at].label, roof);
      roof = sorted[at].label - line;
    }
    return sorted;
  }

  const COSTS = { seconds: "seconds an image, on the device of the run", parameters: "parameters", memory: "bytes of memory at the peak" };

  function costs() {
    const found = page.view(), wide = Math.max(240, holders.costs.clientWidth - 70);
    const ranked = page.ranked(), there = ranked.filter(place => data.models[place][state.cost]);
    document.getElementById("costs-notes").textContent = [there.length < ranked.length ? `${ranked.length - there.length} models have no such figure.` : "",
      there.length > 1 ? "The line joins models that no other beats in both." : ""].join(" ").trim();
    if (there.length < 2) return null;
    const points = there.map(place => ({ id: data.models[place].id, model: data.models[place].title, cost: data.models[place][state.cost], value: found.value[place],
      told: interval(found, place), colour: paint(place), ink: paint(place, "--soft"), pinned: Boolean(page.colour(place)) }));
    const span = domain(points.map(point => point.value)), logs = points.map(point => Math.log10(point.cost));
    const sides = [Math.min(...logs), Math.max(...logs)], air = Math.max(0.1, 0.06 * (sides[1] - sides[0]));
    const across = [10 ** (sides[0] - air), 10 ** (sides[1] + air)];
    const x = { field: "cost", type: "quantitative", title: COSTS[state.cost], scale: { type: "log", domain: across, nice: false }, axis: { grid: false, format: state.cost === "seconds" ? "~g" : "~s", labelOverlap: true, tickCount: 6 } };
    const y = { field: "value", type: "quantitative", title: page.head(), scale: { domain: span, zero: false, nice: false } };
    const colour = { condition: { test: "datum.id === lit", value: css("--ink") }, field: "colour", type: "nominal", scale: null };
    const front = pareto(points), names = placed(points, front, across, span, wide - 60);
    return { ...frame(holders.costs, [
      { data: { values: front }, mark: { type: "line", interpolate: "step-after", strokeDash: [4, 4], color: css("--soft") }, encoding: { x, y, order: { field: "cost", type: "quantitative" } } },
      { mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { x, y, color: colour, tooltip: [{ field: "model" }, { field: "told", title: page.metric().title }, { field: "cost", title: state.cost, format: ".3~s" }] } },
      ...["left", "right", "center"].map(align => ({ data: { values: names.filter(name => name.align === align) }, mark: { type: "text", align, baseline: "middle" },
        encoding: { x: { ...x, field: "at" }, y: { ...y, field: "label" }, text: { field: "model" }, color: { ...colour, field: "ink" }, opacity: { condition: { test: "datum.free || datum.id === lit", value: 1 }, value: 0 } } })),
    ]), data: { values: points } };
  }

  function pareto(points) {
    const sign = page.sign(), front = [];
    for (const point of points.slice().sort((a, b) => a.cost - b.cost || sign * (b.value - a.value)))
      if (!front.length || sign * (point.value - front[front.length - 1].value) > 0) front.push(point);
    return front;
  }

  // A place for each name beside its point where it covers no other name, point or line of the front; those that find none wait to be pointed at.
  function placed(points, front, [left, right], [low, high], wide) {
    const px = point => (Math.log10(point.cost) - Math.log10(left)) / Math.log10(right / left) * wide;
    const py = point => (high - point.value) / (high - low) * HEIGHT;
    const steps = front.slice(1).flatMap((point, at) => {
      const [x, y, above] = [px(point), py(front[at]), py(point)];
      return [[px(front[at]), y - 1, x, y + 1], [x - 1, Math.min(y, above), x + 1, Math.max(y, above)]];
    });
    const taken = [...points.map(point => [px(point) - 5, py(point) - 5, px(point) + 5, py(point) + 5]), ...steps];
    const covers = box => box[0] < 0 || box[2] > wide || box[1] < 0 || box[3] > HEIGHT || taken.some(other => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]);
    const back = (x, y) => ({ at: left * (right / left) ** (x / wide), label: high - y / HEIGHT * (high - low) });
    return points.slice().sort((a, b) => b.pinned - a.pinned).map(point => {
      const size = 6.6 * point.model.length, x = px(point), y = py(point);
      const tries = [["left", 9, 0], ["right", -9, 0], ["center", 0, -13], ["center", 0, 13], ["left", 7, -11], ["left", 7, 11], ["right", -7, -11], ["right", -7, 11], ["left", 9, -20], ["left", 9, 20], ["right", -9, -20], ["right", -9, 20]];
      for (const [align, dx, dy] of tries) {
        const start = align === "left" ? x + dx : align === "right" ? x + dx - size : x + dx - size / 2;
        const box = [start, y + dy - 6, start + size, y + dy + 6];
        if (covers(box)) continue;
        taken.push(box);
        return { ...point, align, free: true, ...back(x + dx, y + dy) };
      }
      return { ...point, align: x > wide / 2 ? "right" : "left", free: false, ...back(x > wide / 2 ? x - 9 : x + 9, y) };
    });
  }

  const SPECS = { curves, costs };

  async function draw(name) {
    await library();
    const spec = page.metric() ? SPECS[name]() : null, holder = holders[name];
    document.getElementById(name).classList.toggle("empty", !spec);
    if (views[name]) views[name].finalize();
    views[name] = null;
    if (!spec) {
      holder.textContent = name === "curves" ? "A curve takes two sizes of holes." : "No two models have both a number and such a figure.";
      return;
    }
    const options = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { theme: "page", disableDefaultStyle: true } };
    const made = await vegaEmbed(holder, spec, options);
    views[name] = made.view;
    made.view.addEventListener("pointermove", (_, item) => page.light(item && item.datum && item.datum.id || ""));
    made.view.addEventListener("click", (_, item) => {
      const place = item && item.datum ? data.models.findIndex(model => model.id === item.datum.id) : -1;
      if (place >= 0) page.pin(place);
    });
  }

  let loaded;
  function library() {
    if (window.vegaEmbed) return Promise.resolve();
    loaded ||= new Promise((done, failed) => {
      if (data.pictures) return addEventListener("load", done);  // one file: it stands further down
      const script = document.createElement("script");
      script.src = document.body.dataset.charts;
      script.onload = done;
      script.onerror = failed;
      document.body.append(script);
    });
    return loaded;
  }

  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(() => near.forEach(draw), 30);
  }

  const seen = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting || near.has(target.id)) continue;
      near.add(target.id);
      draw(target.id);
    }
  }, { rootMargin: "300px" });
  for (const name of Object.keys(SPECS)) seen.observe(document.getElementById(name));
  document.addEventListener("lit", event => {
    for (const view of Object.values(views)) if (view) view.signal("lit", event.detail).runAsync();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  addEventListener("resize", soon);
  page.follow(change => {
    if (["masks", "ratio", "metric", "group", "models", "pins", "cost", "theme"].some(name => name in change)) soon();
  });
})();
