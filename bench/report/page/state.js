"use strict";
// What the page shows: the filters, their place in the address, and what follows when they change.

const page = (() => {
  const data = window.PAGE;
  const DEFAULTS = { masks: "", ratio: "", metric: data.metrics.length ? data.metrics[0].id : "", group: "all",
    models: [], pins: [], sort: "", down: false, cost: "seconds", theme: "",
    at_masks: "", at_ratio: "", order: "worst", of: "", strip: "median" };
  const COLOURS = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];
  const state = { ...DEFAULTS };
  const followers = [];
  let lit = "";

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const [name, usual] of Object.entries(DEFAULTS)) {
      if (Array.isArray(usual)) state[name] = given.getAll(name);
      else if (typeof usual === "boolean") state[name] = given.get(name) === "1";
      else state[name] = given.get(name) ?? usual;
    }
    const known = (list, id) => list.some(one => one.id === id);
    if (!known(data.families, state.masks)) state.masks = "";
    if (!known(data.metrics, state.metric)) state.metric = DEFAULTS.metric;
    if (!view(state.masks, state.ratio)) state.ratio = "";
  }

  function write() {
    const told = new URLSearchParams();
    for (const [name, usual] of Object.entries(DEFAULTS)) {
      if (Array.isArray(usual)) state[name].forEach(one => told.append(name, one));
      else if (typeof usual === "boolean") { if (state[name]) told.set(name, "1"); }
      else if (state[name] !== usual) told.set(name, state[name]);
    }
    history.replaceState(null, "", `#${told}`);
  }

  function view(masks = state.masks, ratio = state.ratio, metric = state.metric) {
    return (data.views[metric] || {})[`${masks}|${ratio}`];
  }

  function set(change) {
    Object.assign(state, change);
    if (!view(state.masks, state.ratio)) state.ratio = "";
    write();
    for (const follower of followers) follower(change);
  }

  // Numbers of the models that are shown: those of the group, in the run's order.
  function shown() {
    return data.models.map((_, place) => place).filter(place => {
      const model = data.models[place];
      if (state.group === "some") return state.models.includes(model.id);
      return state.group === "all" || model.kind === state.group;
    });
  }

  const metric = (id = state.metric) => data.metrics.find(one => one.id === id);
  const sign = id => metric(id).better === "lower" ? -1 : 1;

  // Shown models with a number, best first.
  function ranked(id = state.metric, masks = state.masks, ratio = state.ratio) {
    const values = (view(masks, ratio, id) || { value: [] }).value;
    return shown().filter(place => values[place] != null).sort((a, b) => sign(id) * (values[b] - values[a]));
  }

  // Models that stand out: those that were chosen, else the three best; each with a colour of its own.
  function pins() {
    const places = state.pins.map(id => data.models.findIndex(model => model.id === id));
    const kept = places.filter(place => place >= 0 && shown().includes(place));
    return kept.length ? kept.slice(0, COLOURS.length) : metric() ? ranked().slice(0, 3) : [];
  }

  function colour(place) {
    const found = pins().indexOf(place);
    return found < 0 ? "" : COLOURS[found];
  }

  function pin(place) {
    const own = pins().map(one => data.models[one].id), id = data.models[place].id;
    set({ pins: own.includes(id) ? own.filter(one => one !== id) : [...own, id].slice(-COLOURS.length) });
  }

  // Pointing at a model lights it in every part of the page.
  function light(id) {
    if (id === lit) return;
    lit = id;
    for (const item of document.querySelectorAll(".lit")) item.classList.remove("lit");
    if (id) for (const item of document.querySelectorAll(`[data-model="${CSS.escape(id)}"]`)) item.classList.add("lit");
    document.dispatchEvent(new CustomEvent("lit", { detail: id }));
  }

  function make(tag, attributes = {}, ...children) {
    const item = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") item.className = value;
      else if (name.startsWith("on")) item.addEventListener(name.slice(2), value);
      else if (value !== undefined && value !== false) item.setAttribute(name, value === true ? "" : value);
    }
    item.append(...children.filter(child => child != null));
    return item;
  }

  const number = (value, decimals) => value == null ? "–" : value.toFixed(decimals).replace("-", "−");
  function half(found, place) {
    if (found.low[place] == null || found.high[place] == null) return null;
    return Math.max(found.value[place] - found.low[place], found.high[place] - found.value[place]);
  }
  const family = id => id ? data.families.find(one => one.id === id).title : "all masks";
  const hole = id => !id ? "all sizes" : id === "0-100" ? "any size" : `${id} %`;
  const head = id => metric(id).title + (metric(id).unit ? `, ${metric(id).unit}` : "");
  const follow = follower => followers.push(follower);

  // What lies below the first screen is drawn in tasks of its own, so that a filter answers at once.
  const tasks = new Set();
  function later(task) {
    if (!tasks.size) setTimeout(next);
    tasks.add(task);
  }
  function next() {
    const [task] = tasks;
    if (!task) return;
    tasks.delete(task);
    if (tasks.size) setTimeout(next);
    task();
  }
  function now() {
    while (tasks.size) next();
  }

  function options(select, pairs, value) {
    select.replaceChildren(...pairs.map(([id, text]) => new Option(text, id)));
    select.value = value;
  }

  return { data, state, set, read, view, shown, ranked, pins, pin, colour, light, metric, sign, make, number, half,
    family, hole, head, follow, later, now, options };
})();
