"use strict";
// The filters, the theme, and the first look at the address.

(() => {
  const { data, state, make } = page;
  const form = document.getElementById("filters"), fields = form.elements;
  const models = document.querySelector("#models fieldset");
  const theme = document.getElementById("theme");
  const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

  function fill() {
    const held = data.ratios.filter(ratio => page.view(state.masks, ratio.id));
    page.options(fields.masks, [["", "all"], ...data.families.map(family => [family.id, family.title])], state.masks);
    page.options(fields.ratio, [["", "all sizes"], ...held.map(ratio => [ratio.id, page.hole(ratio.id)])], state.ratio);
    page.options(fields.metric, data.metrics.map(metric => [metric.id, metric.title]), state.metric);
    fields.group.value = state.group;
    document.querySelector("[name=cost]").value = state.cost;
    const shown = new Set(page.shown());
    models.querySelectorAll("input").forEach((box, place) => { box.checked = shown.has(place); });
    document.documentElement.dataset.theme = state.theme;
    theme.textContent = dark() ? "Light" : "Dark";
  }

  const dark = () => state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function start() {
    page.read();
    page.set({ ...state });
  }

  data.models.forEach(model => models.append(make("label", {}, make("input", { type: "checkbox", value: model.id }), ` ${model.title}`)));
  document.getElementById("what").textContent = [plural(data.models.length, "model"), plural(data.images, "photograph"),
    `${plural(data.families.length, "mask family").replace("familys", "families")} × ${plural(data.ratios.length, "size")} of holes`, `protocol ${data.protocol}`, `run ${data.name}`].join(" · ");
  models.addEventListener("change", () => page.set({ group: "some", models: [...models.querySelectorAll(":checked")].map(box => box.value) }));
  form.addEventListener("change", event => {
    const name = event.target.name;
    if (!name) return;
    const change = { [name]: event.target.value };
    if (name === "group" && event.target.value === "some") change.models = page.shown().map(place => data.models[place].id);
    if (name === "masks") change.at_masks = "";
    if (name === "ratio") change.at_ratio = "";
    page.set(change);
  });
  form.addEventListener("submit", event => event.preventDefault());
  document.getElementById("reset").addEventListener("click", () => page.set({ masks: "", ratio: "", group: "all", models: [], pins: [], sort: "", down: false, at_masks: "", at_ratio: "" }));
  document.querySelector("[name=cost]").addEventListener("change", event => page.set({ cost: event.target.value }));
  theme.addEventListener("click", () => page.set({ theme: dark() ? "light" : "dark" }));
  page.follow(fill);
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", event => {  // the address is the filters'
      event.preventDefault();
      const place = document.querySelector(link.hash);
      place.tabIndex = -1;
      place.focus({ preventScroll: true });
      place.scrollIntoView();
    });
  }
  addEventListener("hashchange", start);
  start();
})();
