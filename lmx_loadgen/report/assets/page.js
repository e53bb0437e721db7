(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const config = { displayModeBar: false, displaylogo: false, responsive: true, doubleClick: "reset" };
  const hidden = new Set();

  const remembered = "lmx-loadgen-theme";
  const toggle = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");

  // The reader's system decides until the reader does. A browser may keep nothing for a file.
  function stored() {
    try { return localStorage.getItem(remembered); } catch { return null; }
  }

  function setTheme(name) {
    root.dataset.theme = name;
    toggle.textContent = name === "dark" ? "Light page" : "Dark page";
  }

  const theme = () => root.dataset.theme;
  setTheme(stored() ?? (system.matches ? "dark" : "light"));

  // Figures come in the colours of the dark page. Only values of colour keys are exchanged, never text.
  function recoloured(value, key) {
    if (Array.isArray(value)) return value.map((item) => recoloured(item, key));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, recoloured(inner, name)]));
    }
    return key === "color" && theme() === "light" ? (data.light[value] ?? value) : value;
  }

  function traces(figure) {
    return figure.data.map((trace) => {
      const copy = { ...trace };
      for (const part of ["line", "marker", "error_y"]) {
        if (copy[part]) copy[part] = recoloured(copy[part], part);
      }
      copy.visible = !(copy.meta && hidden.has(copy.meta.series));
      return copy;
    });
  }

  function draw(key) {
    const chart = data.charts[key];
    const option = chart.options[chart.chosen];
    const box = document.getElementById(`chart-${key}`);
    const note = document.getElementById(`note-${key}`);
    note.textContent = option.note;
    box.classList.toggle("empty", option.figure === null);
    if (option.figure === null) {
      Plotly.purge(box);
      box.textContent = "Nothing to draw: no request succeeded here.";
      return Promise.resolve();
    }
    if (!box.classList.contains("js-plotly-plot")) box.textContent = "";
    const layout = { ...structuredClone(option.figure.layout), template: data.templates[theme()] };
    return Plotly.react(box, traces(option.figure), layout, config);
  }

  const drawAll = () => Promise.all(Object.keys(data.charts).map(draw));

  function choose(control, index) {
    const keys = Object.keys(data.charts).filter((key) => data.charts[key].control === control);
    for (const key of keys) data.charts[key].chosen = index;
    return Promise.all(keys.map(draw));
  }

  for (const select of document.querySelectorAll("select[data-control]")) {
    select.addEventListener("change", () => choose(select.dataset.control, select.selectedIndex));
  }

  for (const button of document.querySelectorAll("button[data-series]")) {
    button.addEventListener("click", () => {
      const index = Number(button.dataset.series);
      if (!hidden.delete(index)) hidden.add(index);
      button.setAttribute("aria-pressed", String(!hidden.has(index)));
      drawAll();
    });
  }

  // A chart that was drawn where it could not be seen has no size of its own.
  for (const details of document.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      for (const box of details.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(box);
    });
  }

  toggle.addEventListener("click", () => {
    setTheme(theme() === "dark" ? "light" : "dark");
    try { localStorage.setItem(remembered, theme()); } catch { /* it lasts as long as the page then */ }
    drawAll();
  });
  system.addEventListener("change", () => {
    if (stored() !== null) return;
    setTheme(system.matches ? "dark" : "light");
    drawAll();
  });

  drawAll().then(() => root.classList.add("drawn"));
})();
