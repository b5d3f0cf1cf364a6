"use strict";
// The sentence, the summary, every cell, and who beats whom.

(() => {
  const { data, state, make, number } = page;
  const by = id => document.getElementById(id);
  const title = place => data.models[place].title;

  // The sentence above the table: who is best, by how much, how sure.
  function lead() {
    const order = page.metric() ? page.ranked() : [];
    if (!order.length) return "No model that is shown has a number in all cells that are chosen.";
    const found = page.view(), metric = page.metric(), [first, second] = order;
    const unit = metric.unit ? ` ${metric.unit}` : "", digits = metric.decimals;
    const spread = page.half(found, first);
    let text = `${title(first)} leads in ${metric.title} with ${number(found.value[first], digits)}`
      + `${spread == null ? "" : ` ±${number(spread, digits)}`}${unit}`;
    if (second !== undefined) {
      const gap = Math.abs(found.value[first] - found.value[second]);
      text += `, ${number(gap, digits)}${unit} ahead of ${title(second)}`;
    }
    return `${text}. ${sure(order, found)}`;
  }

  function sure(order, found) {
    const rivals = order.slice(1), n = found.n[order[0]];
    if (!page.metric().of_images) return "A metric of whole sets of images: there is no paired test.";
    if (n < 10) return `Not sure: ${n} images; an interval and a test need 10.`;
    if (!rivals.length) return "";
    const tests = rivals.map(place => ({ place, ...duel(found, order[0], place) }));
    const untested = tests.filter(one => one.ahead == null).length;
    if (untested) return `Not sure: ${untested} of its rivals share too few images with it for a test.`;
    const best = found.value.every(value => value == null || page.sign() * (value - found.value[order[0]]) <= 0);
    const tied = tests.filter(one => best ? found.tied[one.place] : one.ahead !== 1).map(one => one.place);
    if (!tied.length) return `No other model can be mistaken for it (paired test on ${n} images).`;
    if (tied.length === 1) return `${title(tied[0])} cannot be told apart from it (paired test on ${n} images).`;
    return `${tied.length} models cannot be told apart from it (paired test on ${n} images).`;
  }

  // Mean over the cells at hand of a model's rank among those shown.
  function ranks() {
    const sums = new Map(page.shown().map(place => [place, []]));
    for (const [masks, buckets] of Object.entries(data.cells[state.metric])) {
      for (const [ratio, cell] of Object.entries(buckets)) {
        if ((state.masks && masks !== state.masks) || (state.ratio && ratio !== state.ratio)) continue;
        const there = page.shown().filter(place => cell.value[place] != null);
        for (const place of there) {
          const ahead = there.filter(other => page.sign() * (cell.value[other] - cell.value[place]) > 0).length;
          sums.get(place).push(ahead + 1);
        }
      }
    }
    return place => sums.get(place).length ? sums.get(place).reduce((a, b) => a + b) / sums.get(place).length : null;
  }

  // Place of the pair i < j among all pairs, as combinations are listed.
  function pairAt(i, j) {
    const count = data.models.length;
    return i * count - i * (i + 1) / 2 + j - i - 1;
  }

  // Whether i is ahead of j: 1, 0, -1, or null where nothing was tested; and its share of the images in per cent.
  function duel(found, i, j) {
    const at = i < j ? pairAt(i, j) : pairAt(j, i), turn = i < j;
    const ahead = found.ahead[at], share = found.share[at];
    return { ahead: ahead == null ? null : turn ? ahead : -ahead, share: share == null ? null : turn ? share : 100 - share };
  }

  function wins(place) {
    const found = page.view(), rivals = page.ranked().filter(other => other !== place);
    const duels = rivals.map(other => duel(found, place, other).ahead);
    return duels.some(one => one != null) ? duels.filter(one => one === 1).length : null;
  }

  function columns() {
    const rank = ranks();
    const metrics = data.metrics.map(metric => ({
      id: metric.id, head: metric.title, under: metric.unit + (metric.better === "lower" ? " ↓" : " ↑"), sign: page.sign(metric.id),
      value: place => (page.view(state.masks, state.ratio, metric.id) || { value: [] }).value[place] ?? null, metric }));
    const facts = [
      { id: "rank", head: "Mean rank", under: "over cells", sign: -1, value: rank, text: value => number(value, 1) },
      { id: "wins", head: "Beats", under: "models", sign: 1, value: wins, text: value => `${value}` },
      { id: "seconds", head: "Seconds", under: "an image", sign: -1, value: place => data.models[place].seconds ?? null, text: value => Number(value.toPrecision(2)).toString() },
      { id: "parameters", head: "Size", under: "parameters", sign: -1, value: place => data.models[place].parameters ?? null, text: millions }];
    const about = [...new Set(data.models.flatMap(model => Object.keys(model.about)))];
    const more = about.map(name => ({ id: name, head: name, under: "", words: true, sign: -1, value: place => data.models[place].about[name] ?? null }));
    return [...metrics, ...facts.filter(one => page.shown().some(place => one.value(place) != null)), ...more];
  }

  const millions = value => value >= 1e6 ? `${(value / 1e6).toFixed(value >= 1e7 ? 0 : 1)} M` : `${(value / 1e3).toFixed(0)} k`;

  function summary() {
    const held = columns(), table = by("summary").querySelector("table");
    const sorted = held.find(one => one.id === state.sort) || (state.sort === "model" ? null : held.find(one => one.id === state.metric));
    const places = page.shown().slice().sort((a, b) => {
      if (!sorted) return title(a).localeCompare(title(b)) * (state.down ? -1 : 1);
      const [x, y] = [sorted.value(a), sorted.value(b)];
      if (x == null || y == null) return (x == null) - (y == null) || a - b;
      const step = sorted.words ? String(x).localeCompare(String(y)) : sorted.sign * (y - x);
      return (state.down ? -step : step) || a - b;
    });
    const head = (id, text, under) => make("th", { scope: "col", "aria-sort": (sorted ? sorted.id : "model") === id ? (state.down ? "descending" : "ascending") : "none" },
      make("button", { type: "button", onclick: () => page.set({ sort: id, down: (state.sort || state.metric) === id && !state.down }) }, text), make("small", {}, under || " "));
    table.caption.textContent = `Means over ${page.family(state.masks)}, holes of ${page.hole(state.ratio)}; best first`;
    table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, make("span", {}, "#")), head("model", "Model", ""), ...held.map(one => head(one.id, one.head, one.under))));
    const order = page.ranked();
    table.tBodies[0].replaceChildren(...places.map(place => row(place, order.indexOf(place) + 1, held)));
    by("summary-notes").textContent = notes();
  }

  function row(place, rank, held) {
    const model = data.models[place];
    const name = make("button", { type: "button", "aria-pressed": String(page.pins().includes(place)), title: "Let it stand out in all charts", onclick: () => page.pin(place) },
      make("span", { class: `swatch ${page.colour(place)}` }), model.title);
    return make("tr", { "data-model": model.id, class: page.colour(place) ? "pinned" : "" }, make("td", {}, rank || "–"), make("th", { scope: "row" }, name),
      ...held.map(one => one.metric ? measured(place, one) : make("td", one.words ? { class: "word" } : {}, plain(place, one))));
  }

  function plain(place, one) {
    const value = one.value(place);
    if (value == null) return "–";
    if (one.words && /^[\w./-]+\.html/.test(value)) return make("a", { href: value }, "page");
    return one.text ? one.text(value) : value;
  }

  function measured(place, one) {
    const found = page.view(state.masks, state.ratio, one.id), value = one.value(place);
    if (value == null) return make("td", { title: "no number in some of the cells" }, "–");
    const there = page.shown().map(other => one.value(other)).filter(other => other != null);
    const best = one.sign > 0 ? Math.max(...there) : Math.min(...there), worst = one.sign > 0 ? Math.min(...there) : Math.max(...there);
    const spread = page.half(found, place), text = number(value, one.metric.decimals);
    const cell = make("td", { class: "bar" }, make(found.tied[place] ? "b" : "span", {}, text),
      spread == null ? null : make("small", {}, ` ±${number(spread, one.metric.decimals)}`));
    cell.style.setProperty("--bar", best === worst ? 1 : (value - worst) / (best - worst));
    return cell;
  }

  function notes() {
    const lines = [];
    const found = page.view();
    if (found && found.low.some(low => low != null)) lines.push("±: half of the 95 % interval over images. Bold: cannot be told apart from the best (paired Wilcoxon test, Holm's correction, 5 %).");
    lines.push("A bar shows how far from the worst a number stands.");
    if (wins(page.ranked()[0]) != null) lines.push("Beats: on how many of the others it is ahead by the same test.");
    if (data.unmeasured.length) lines.push(`Not measured: ${data.unmeasured.map(one => one.metric).join(", ")} (reasons at the end of the page).`);
    const absent = page.shown().filter(place => data.models[place].reason && !page.ranked().includes(place));
    if (absent.length) lines.push(`Without numbers: ${absent.map(place => `${title(place)} (${data.models[place].reason})`).join("; ")}.`);
    const outside = page.shown().filter(place => data.models[place].outside);
    if (outside.length) lines.push(`Made for other pictures than these: ${outside.map(place => `${title(place)} (${data.models[place].outside})`).join(", ")}.`);
    if (page.shown().some(place => data.models[place].weights === "starter")) lines.push("Starter: weights that were trained for minutes on a CPU core; they show that a model runs and is scored, not what its paper's weights reach.");
    return lines.join(" ");
  }

  // Models by cells for the metric at hand; a number leads to its pictures.
  function cells() {
    const table = by("cells").querySelector("table"), metric = page.metric();
    const places = page.ranked().concat(page.shown().filter(place => !page.ranked().includes(place)));
    const held = Object.entries(data.cells[state.metric]).filter(([masks]) => !state.masks || masks === state.masks)
      .map(([masks, buckets]) => [masks, Object.entries(buckets).filter(([ratio]) => !state.ratio || ratio === state.ratio)]).filter(([, buckets]) => buckets.length);
    table.caption.textContent = `${page.head()}, ${metric.better} is better; holes in per cent of the picture`;
    table.tHead.replaceChildren(
      make("tr", {}, make("th", { scope: "col", rowspan: 2 }, "Model"), ...held.map(([masks, buckets]) => make("th", { scope: "colgroup", colspan: buckets.length }, page.family(masks)))),
      make("tr", {}, ...held.flatMap(([, buckets]) => buckets.map(([ratio]) => make("th", { scope: "col" }, ratio)))));
    const kinds = held.flatMap(([masks, buckets]) => buckets.map(([ratio, cell]) => ({ masks, ratio, cell, ends: ends(cell, places) })));
    table.tBodies[0].replaceChildren(...places.map(place => make("tr", { "data-model": data.models[place].id },
      make("th", { scope: "row" }, make("span", { class: `swatch ${page.colour(place)}` }), title(place)),
      ...kinds.map(kind => heat(place, kind)))));
  }

  function ends(cell, places) {
    const values = places.map(place => page.sign() * cell.value[place]).filter((_, at) => cell.value[places[at]] != null);
    return [Math.min(...values), Math.max(...values)];
  }

  function heat(place, { masks, ratio, cell, ends: [low, high] }) {
    const value = cell.value[place];
    if (value == null) return make("td", {}, "–");
    const spread = page.half(cell, place), digits = page.metric().decimals;
    const told = `${title(place)}, ${page.family(masks)}, ${page.hole(ratio)}: ${number(value, digits)}${spread == null ? "" : ` ±${number(spread, digits)}`}, ${cell.n[place]} images`;
    const own = page.sign() * value, text = make(own === high ? "b" : "span", {}, number(value, digits));
    const there = data.shots.some(shot => shot.masks === masks && shot.bucket === ratio && data.models[place].id in shot.files);
    const item = make("td", { title: told, "data-cell": `${masks} ${ratio}` },
      there ? make("button", { type: "button", onclick: () => page.gallery({ at_masks: masks, at_ratio: ratio, of: data.models[place].id, order: "worst" }) }, text) : text);
    const level = high === low ? 1 : (own - low) / (high - low);
    item.classList.add(`h${Math.round(level * 8)}`);
    return item;
  }

  function duels() {
    const found = page.view(), order = page.ranked(), table = by("wins").querySelector("table");
    by("wins").hidden = !page.metric().of_images || order.length < 2;
    if (by("wins").hidden) return;
    by("wins-notes").textContent = "In how many per cent of the images the row's model is better than the column's. Bold: by a paired Wilcoxon test, corrected by Holm over all pairs, it is ahead"
      + (found.n[order[0]] < 10 ? "; not tested here, for that takes 10 images." : ".");
    table.caption.textContent = `${page.head()}, ${page.family(state.masks)}, holes of ${page.hole(state.ratio)}`;
    table.tHead.replaceChildren(make("tr", {}, make("th", { scope: "col" }, "Row beats column"), ...order.map((place, at) => make("th", { scope: "col", title: title(place) }, make("abbr", { title: title(place) }, at + 1)))));
    table.tBodies[0].replaceChildren(...order.map((place, at) => make("tr", { "data-model": data.models[place].id },
      make("th", { scope: "row" }, `${at + 1} ${title(place)}`), ...order.map(other => one(found, place, other)))));
  }

  function one(found, place, other) {
    if (place === other) return make("td", { class: "self" });
    const { ahead, share } = duel(found, place, other);
    if (share == null) return make("td", {}, "–");
    const told = `${title(place)} is better than ${title(other)} in ${share} % of the images`;
    return make("td", { class: `h${Math.round(share / 12.5)}`, title: told }, make(ahead === 1 ? "b" : "span", {}, share));
  }

  // From pictures back to the number that belongs to them.
  page.cell = (masks, ratio, model) => {
    const hidden = (state.masks && state.masks !== masks) || (state.ratio && state.ratio !== ratio);
    if (hidden) page.set({ masks, ratio });
    page.now();
    const row = by("cells").querySelector(`tr[data-model="${CSS.escape(model)}"]`) || by("cells").querySelector("tbody tr");
    const button = row.querySelector(`[data-cell="${CSS.escape(`${masks} ${ratio}`)}"] button`);
    by("cells").scrollIntoView();
    if (button) button.focus();
  };

  page.follow(change => {
    if (!page.metric() || !["masks", "ratio", "metric", "group", "models", "pins", "sort", "down"].some(name => name in change)) return;
    by("lead").textContent = lead();
    summary();
    if (["masks", "ratio", "metric", "group", "models", "pins"].some(name => name in change)) { page.later(cells); page.later(duels); }
  });
  document.addEventListener("pointerover", event => {
    if (event.target.closest(".chart")) return;
    const item = event.target.closest("[data-model]");
    page.light(item ? item.dataset.model : "");
  });
})();
