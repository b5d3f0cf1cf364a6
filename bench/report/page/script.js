"use strict";
// Sortable tables, and the gallery with its comparison of two models. No library, no request.

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") !== "descending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    const sign = falling ? -1 : 1;
    rows.sort((a, b) => sign * compareCells(a.cells[column], b.cells[column], sign));
    table.tBodies[0].append(...rows);
  }));
}

function compareCells(a, b, sign) {
  if (a.dataset.value === undefined) return a.textContent.localeCompare(b.textContent);
  if (a.dataset.value === b.dataset.value) return 0;
  if (a.dataset.value === "") return sign;  // empty cells stay below
  if (b.dataset.value === "") return -sign;
  return Number(a.dataset.value) - Number(b.dataset.value);
}

if (window.GALLERY) gallery(window.GALLERY);

function gallery(data) {
  const STEP = 12;
  const form = document.getElementById("choice");
  const list = document.getElementById("shots");
  const more = document.getElementById("more");
  const dialog = document.getElementById("compare");
  const part = name => document.getElementById(name);
  const unique = values => [...new Set(values)];
  const address = (kind, shot, file) =>
    `${kind}/${shot.path.split("/").map(encodeURIComponent).join("/")}/${file.split("/").map(encodeURIComponent).join("/")}`;
  let chosen = [], shown = 0, current = 0;

  function options(select, values) {
    const kept = select.value;
    select.replaceChildren(...values.map(value => new Option(value, value)));
    if (values.includes(kept)) select.value = kept;
  }

  function score(shot, metric, model) {
    const value = (shot.scores[metric] || {})[model];
    return value === undefined ? NaN : value;
  }

  function spread(shot, metric) {
    const values = Object.values(shot.scores[metric] || {});
    return values.length > 1 ? Math.max(...values) - Math.min(...values) : -1;
  }

  function choose() {
    const at = name => form.elements[name].value;
    const sets = data.shots.filter(shot => shot.mask_set === at("mask_set"));
    options(form.elements.bucket, unique(sets.map(shot => shot.bucket)));
    chosen = sets.filter(shot => shot.bucket === at("bucket"));
    const metric = at("metric"), sign = data.better[metric] === "lower" ? -1 : 1;
    const key = shot => {
      const value = sign * score(shot, metric, at("model"));
      return Number.isNaN(value) ? -Infinity : value;
    };
    if (at("order") === "worst") chosen.sort((a, b) => key(a) - key(b));
    if (at("order") === "best") chosen.sort((a, b) => key(b) - key(a));
    if (at("order") === "apart") chosen.sort((a, b) => spread(b, metric) - spread(a, metric));
    list.replaceChildren();
    shown = 0;
    extend();
  }

  function extend() {
    list.append(...chosen.slice(shown, shown + STEP).map((shot, place) => row(shot, shown + place)));
    shown = Math.min(shown + STEP, chosen.length);
    more.hidden = shown === chosen.length;
    more.textContent = `${shown} of ${chosen.length} images`;
  }

  function row(shot, index) {
    const box = document.createElement("article");
    box.className = "shot";
    const head = document.createElement("h3");
    head.textContent = shot.image;
    const items = document.createElement("ol");
    for (const picture of shot.pictures) {
      const item = document.createElement("li"), button = document.createElement("button");
      const image = new Image(128, 128);
      image.loading = "lazy";
      image.decoding = "async";
      image.src = address("thumbs", shot, picture.file.replace(/png$/, "webp"));
      image.alt = `${shot.image}, ${picture.name}`;
      button.type = "button";
      button.append(image);
      button.addEventListener("click", () => open(index, picture.name));
      const value = score(shot, form.elements.metric.value, picture.name);
      item.append(button, picture.name, Number.isNaN(value) ? "" : ` ${value.toPrecision(4)}`);
      items.append(item);
    }
    box.append(head, items);
    return box;
  }

  function open(index, right) {
    current = index;
    const names = chosen[index].pictures.map(picture => picture.name);
    options(part("left"), names);
    options(part("right"), names);
    part("left").value = names[0];
    part("right").value = right;
    if (!dialog.open) dialog.showModal();
    draw();
    part("slider").focus();
  }

  function draw() {
    const shot = chosen[current], side = id => part(id).value;
    const file = name => shot.pictures.find(picture => picture.name === name).file;
    for (const [id, name] of [["under", side("right")], ["over", side("left")]]) {
      part(id).src = address("full", shot, file(name));
      part(id).alt = `${shot.image}, ${name}`;
    }
    part("compared").textContent = `${shot.image}: ${side("left")} and ${side("right")}`;
    part("scores").textContent = Object.keys(shot.scores).map(metric =>
      `${metric}: ` + [side("left"), side("right")].map(name => {
        const value = score(shot, metric, name);
        return Number.isNaN(value) ? "no value" : value.toPrecision(5);
      }).join(" and ")).join("; ");
    slide();
  }

  function slide() {
    const at = part("slider").value;
    part("over").style.clipPath = `inset(0 ${100 - at}% 0 0)`;
    part("edge").style.left = `${at}%`;
    part("slider").setAttribute("aria-valuetext", `${at} per cent ${part("left").value}`);
  }

  function step(by) {
    current = (current + by + chosen.length) % chosen.length;
    const names = chosen[current].pictures.map(picture => picture.name);
    options(part("left"), names);
    options(part("right"), names);
    draw();
  }

  options(form.elements.mask_set, unique(data.shots.map(shot => shot.mask_set)));
  options(form.elements.model, data.models);
  options(form.elements.metric, unique(data.shots.flatMap(shot => Object.keys(shot.scores))));
  form.addEventListener("change", choose);
  form.addEventListener("submit", event => event.preventDefault());
  part("slider").addEventListener("input", slide);
  part("left").addEventListener("change", draw);
  part("right").addEventListener("change", draw);
  part("back").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", event => {
    if (event.key === "PageDown") { step(1); event.preventDefault(); }
    if (event.key === "PageUp") { step(-1); event.preventDefault(); }
  });
  new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) extend();
  }).observe(more);
  choose();
}
