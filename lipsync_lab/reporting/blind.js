"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sides = ["left", "right"], answers = [], played = {};
  const at = (id) => document.getElementById(id);
  const buttons = [...document.querySelectorAll("[data-choice]")];
  let shown = 0, saved = true;

  function update() {
    const ready = sides.every((side) => played[side]);
    buttons.forEach((button) => { button.disabled = !ready; });
    sides.forEach((side) => { at(side + "-played").textContent = played[side] ? "played" : "not played yet"; });
    at("save").disabled = at("back").disabled = !answers.length;
  }

  function show() {
    const trial = data.trials[answers.length], over = trial === undefined;
    document.querySelector("main").hidden = over;
    at("done").hidden = !over;
    document.body.dataset.trial = answers.length + 1;
    sides.forEach((side, index) => {
      played[side] = false;
      at(side).pause();
      if (!over) at(side).src = trial[index];
    });
    at("count").textContent = "Pair " + (answers.length + 1) + " of " + data.trials.length;
    shown = performance.now();
    update();
  }

  function choose(choice) {
    if (answers.length >= data.trials.length || !sides.every((side) => played[side])) return;
    answers.push({ choice, seconds: (performance.now() - shown) / 1000 });
    saved = false;
    show();
  }

  // quoted, and no cell that a spreadsheet takes for a formula
  const cell = (text) => '"' + String(text).replace(/^[=+\-@\t\r]+/, "").replace(/"/g, '""') + '"';

  function save() {
    const who = at("participant").value.trim();
    const rows = answers.map((answer, index) =>
      [data.study, who, index + 1, answer.choice, answer.seconds.toFixed(1)].map(cell).join(","));
    const text = [data.columns.join(","), ...rows].join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "answers_" + (who.replace(/[^A-Za-z0-9]+/g, "_") || "nobody") + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
  }

  sides.forEach((side, index) => {
    at(side).addEventListener("play", () => at(sides[1 - index]).pause());
    at(side).addEventListener("ended", () => { played[side] = true; update(); });
  });
  buttons.forEach((button) => button.addEventListener("click", () => choose(button.dataset.choice)));
  at("save").addEventListener("click", save);
  at("back").addEventListener("click", () => { answers.pop(); saved = false; show(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.target.tagName === "VIDEO") return;
    if (event.key === "ArrowLeft") choose("left");
    else if (event.key === "ArrowRight") choose("right");
    else if (event.key === "1" || event.key === "2") {
      const video = at(sides[event.key - 1]);
      video.currentTime = 0;
      video.play();
    }
  });
  addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  show();
})();
