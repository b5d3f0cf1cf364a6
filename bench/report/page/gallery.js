"use strict";
// Pictures: the strip of the first screen, the gallery, and two pictures against each other.

(() => {
  const { data, state, make, number } = page;
  const by = id => document.getElementById(id);
  const GIVEN = ["truth", "masked"];
  const STEP = 12;
  const list = by("shots"), more = by("more"), viewer = by("viewer");
  let chosen = [], done = 0, current = null;

  const titleOf = name => name === "truth" ? "Truth" : name === "masked" ? "Masked" : data.models.find(model => model.id === name).title;
  const encoded = path => path.split("/").map(encodeURIComponent).join("/");
  function address(size, shot, name) {
    const path = `${size}/${name === "truth" ? shot.truth : `${shot.path}/${shot.files[name]}`}`;
    return data.pictures ? data.pictures[path] : encoded(path);
  }
  const score = (shot, model) => (shot.scores[state.metric] || {})[model];
  // The model that orders pictures: the chosen one, else the best.
  const judge = () => data.models.some(model => model.id === state.of) ? state.of : page.ranked().length ? data.models[page.ranked()[0]].id : "";

  // Truth and masked, then models that stand out, then the others that are shown, best first.
  function names(shot) {
    const rest = page.ranked().concat(page.shown().filter(place => !page.ranked().includes(place)));
    const places = [...new Set([...page.pins(), ...rest])];
    return [...GIVEN, ...places.map(place => data.models[place].id).filter(id => id in shot.files)];
  }

  function apart(shot) {
    const values = page.shown().map(place => score(shot, data.models[place].id)).filter(value => value != null);
    return values.length > 1 ? Math.max(...values) - Math.min(...values) : -1;
  }

  function ordered(shots, order, model) {
    const good = shot => score(shot, model) == null ? -Infinity : page.sign() * score(shot, model);
    const sorted = shots.slice().sort((a, b) => good(a) - good(b)), known = sorted.filter(shot => good(shot) > -Infinity);
    if (order === "worst") return [...known, ...sorted.filter(shot => good(shot) === -Infinity)];
    if (order === "best") return sorted.reverse();
    if (order === "apart") return shots.slice().sort((a, b) => apart(b) - apart(a));
    if (order === "median" && known.length) {
      const middle = (known.length - 1) / 2;
      return known.map((shot, at) => [Math.abs(at - middle), shot]).sort((a, b) => a[0] - b[0]).map(([, shot]) => shot);
    }
    if (order === "spread") return [...new Set([0, .25, .5, .75, 1].map(part => known[Math.round(part * (known.length - 1))]))].filter(Boolean);
    return shots;
  }

  function tile(shot, name, among) {
    const image = make("img", { loading: "lazy", decoding: "async", width: 160, height: 160, alt: `${shot.image}, ${titleOf(name)}`, src: address("thumbs", shot, name) });
    const value = score(shot, name), metric = page.metric();
    const label = make("span", { class: "label" }, make("span", {}, titleOf(name)), value == null ? null : make("small", {}, ` ${number(value, metric.decimals)}`));
    const place = data.models.findIndex(model => model.id === name);
    return make("li", { "data-model": place < 0 ? undefined : name, class: place < 0 ? "" : page.colour(place) },
      make("button", { type: "button", onclick: () => open(shot, name, among) }, image, label));
  }

  // The gallery's own cell: the page's filters where they name one, else free-form holes of 40-50 %.
  function cell() {
    const held = masks => [...new Set(data.shots.filter(shot => shot.masks === masks).map(shot => shot.bucket))];
    const families = data.families.filter(family => held(family.id).length);
    const usual = families.find(family => family.title === "freeform") || families[0];
    const masks = [state.at_masks, state.masks].find(id => families.some(family => family.id === id)) || usual.id;
    const ratios = held(masks);
    const ratio = [state.at_ratio, state.ratio, "40-50"].find(id => ratios.includes(id)) || ratios[Math.floor(0.8 * (ratios.length - 1))];
    return { masks, ratio, families, ratios };
  }

  function gallery() {
    const at = cell(), form = by("choice").elements, model = judge();
    page.options(form.at_masks, at.families.map(family => [family.id, family.title]), at.masks);
    page.options(form.at_ratio, at.ratios.map(ratio => [ratio, page.hole(ratio)]), at.ratio);
    page.options(form.of, page.shown().map(place => [data.models[place].id, data.models[place].title]), model);
    form.order.value = state.order;
    form.of.parentElement.hidden = ["apart", "run"].includes(state.order);
    chosen = ordered(data.shots.filter(shot => shot.masks === at.masks && shot.bucket === at.ratio), state.order, model);
    by("kept").textContent = `${page.family(at.masks)}, holes of ${page.hole(at.ratio)}: pictures of ${chosen.length} of ${data.images} photographs were kept, ordered by ${page.metric().title}.`
      + (data.lossless ? "" : " They are compressed here; the run's folder holds them exactly.");
    list.replaceChildren();
    done = 0;
    extend();
  }

  function extend() {
    list.append(...chosen.slice(done, done + STEP).map(row));
    done = Math.min(done + STEP, chosen.length);
    more.hidden = done === chosen.length;
    more.textContent = `${done} of ${chosen.length} photographs`;
  }

  function row(shot) {
    return make("article", { class: "shot" }, make("h3", {}, shot.image), make("ol", { class: "pictures" }, ...names(shot).map(name => tile(shot, name, chosen))));
  }

  const STRIP = [["median", "typical"], ["worst", "worst"], ["best", "best"], ["apart", "disagreement"]];

  function strip() {
    const at = cell(), model = page.ranked().length ? data.models[page.ranked()[0]].id : "";
    const here = data.shots.filter(shot => shot.masks === at.masks && shot.bucket === at.ratio);
    const [shot] = ordered(here, state.strip, model);
    document.querySelector("#strip .choice").replaceChildren(...STRIP.map(([order, text]) =>
      make("button", { type: "button", "aria-pressed": String(state.strip === order), onclick: () => page.set({ strip: order }) }, text)));
    if (!shot) return;
    const why = { median: `typical of ${titleOf(model)}`, worst: `the worst of ${titleOf(model)}`, best: `the best of ${titleOf(model)}`, apart: "where the models differ most" }[state.strip];
    by("strip-caption").textContent = `${page.family(at.masks)}, hole of ${page.hole(at.ratio)}: ${why.replace(/\.$/, "")}. Choose a picture to compare.`;
    const best = page.ranked().map(place => data.models[place].id).filter(id => id in shot.files);
    const shown = [...GIVEN, ...best.slice(0, data.models.length > 16 ? 10 : 4)]; // beside a long table there is room
    document.querySelector("#strip .pictures").replaceChildren(...shown.map(name => tile(shot, name, here)));
  }

  function open(shot, right, among) {
    current = { shot, among, left: right === "truth" ? "masked" : "truth", right };
    by("difference").checked = false;
    by("zoom").value = "1";
    by("slider").value = 50;
    if (!viewer.open) viewer.showModal();
    draw();
    by("slider").focus();
  }

  function draw() {
    const { shot } = current, held = names(shot);
    for (const side of ["left", "right"]) {
      if (!held.includes(current[side])) current[side] = side === "left" ? "truth" : held[held.length - 1];
      page.options(by(side), held.map(name => [name, titleOf(name)]), current[side]);
      const [under, over] = viewer.querySelectorAll(`.side.${side} img`), name = current[side];
      under.src = address("full", shot, "truth");
      under.alt = `${shot.image}, ${titleOf(name)}`;
      over.hidden = name === "truth";
      if (name !== "truth") over.src = address("full", shot, name);
      viewer.querySelector(`.label.${side}`).textContent = titleOf(name);
    }
    by("compared").textContent = `${shot.image}: ${titleOf(current.left)} and ${titleOf(current.right)}`;
    by("scores").textContent = data.metrics.filter(metric => shot.scores[metric.id]).map(metric =>
      `${metric.title} ` + [current.left, current.right].filter(name => !GIVEN.includes(name)).map(name => number(shot.scores[metric.id][name] ?? null, metric.decimals)).join(" and ")).filter(text => /\d/.test(text)).join(" · ");
    slide();
  }

  function slide() {
    const at = Number(by("slider").value), stage = viewer.querySelector(".stage");
    stage.style.setProperty("--edge", `${at}%`);
    stage.classList.toggle("difference", by("difference").checked);
    by("slider").setAttribute("aria-valuetext", `${at} per cent ${titleOf(current.left)}`);
    viewer.querySelector(".zoomed").style.transform = `scale(${by("zoom").value})`;
    stage.classList.toggle("enlarged", by("zoom").value !== "1");
  }

  function step(by_) {
    const at = current.among.indexOf(current.shot);
    current.shot = current.among[(at + by_ + current.among.length) % current.among.length];
    draw();
  }

  function zoom(steps) {
    const levels = [...by("zoom").options].map(option => option.value);
    by("zoom").value = levels[Math.min(levels.length - 1, Math.max(0, levels.indexOf(by("zoom").value) + steps))];
    slide();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const models = names(current.shot).slice(GIVEN.length);
    const deeds = { PageDown: () => step(1), PageUp: () => step(-1), "+": () => zoom(1), "-": () => zoom(-1),
      d: () => { by("difference").checked = !by("difference").checked; slide(); } };
    if (/^[1-9]$/.test(event.key) && models[event.key - 1]) deeds[event.key] = () => { current.right = models[event.key - 1]; draw(); };
    if (!deeds[event.key]) return;
    event.preventDefault();
    deeds[event.key]();
  }

  page.gallery = change => {
    page.set(change);
    page.now();
    by("gallery").scrollIntoView();
    const first = list.querySelector("button");
    if (first) first.focus({ preventScroll: true });
  };

  if (!data.shots.length) { by("strip").hidden = true; page.gallery = () => {}; return; }
  by("choice").addEventListener("change", event => page.set({ [event.target.name]: event.target.value }));
  by("choice").addEventListener("submit", event => event.preventDefault());
  by("slider").addEventListener("input", slide);
  by("difference").addEventListener("change", slide);
  by("zoom").addEventListener("change", slide);
  for (const side of ["left", "right"]) by(side).addEventListener("change", event => { current[side] = event.target.value; draw(); });
  by("back").addEventListener("click", () => step(-1));
  by("next").addEventListener("click", () => step(1));
  by("to-cell").addEventListener("click", () => {
    const { shot, right } = current;
    viewer.close();
    page.cell(shot.masks, shot.bucket, GIVEN.includes(right) ? judge() : right);
  });
  by("back-to-cell").addEventListener("click", () => page.cell(cell().masks, cell().ratio, judge()));
  viewer.addEventListener("keydown", key);
  viewer.querySelector(".stage").addEventListener("wheel", event => { event.preventDefault(); zoom(event.deltaY < 0 ? 1 : -1); }, { passive: false });
  viewer.querySelector(".stage").addEventListener("pointermove", event => {
    const box = viewer.querySelector(".stage").getBoundingClientRect();
    viewer.querySelector(".zoomed").style.transformOrigin = `${100 * (event.clientX - box.left) / box.width}% ${100 * (event.clientY - box.top) / box.height}%`;
  });
  new IntersectionObserver(entries => { if (entries.some(entry => entry.isIntersecting)) extend(); }, { rootMargin: "600px" }).observe(more);
  page.follow(change => {
    const all = ["masks", "ratio", "metric", "group", "models", "pins"].some(name => name in change);
    if (all || "strip" in change) strip();
    if (all || ["at_masks", "at_ratio", "order", "of"].some(name => name in change)) page.later(gallery);
  });
})();
