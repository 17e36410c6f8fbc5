"use strict";
{
  const viewers = [...document.querySelectorAll(".viewer")];
  // with several viewers on a page, keys go to the one that was used last
  let active = viewers.length === 1 ? viewers[0] : null;
  const keys = new Map();

  for (const root of viewers) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const one = selector => root.querySelector(selector), all = selector => [...root.querySelectorAll(selector)];
    const source = one("video.source"), output = one("video.output"), last = data.frames.length - 1;
    const canvas = one("canvas.difference"), flip = one("canvas.flip"), readout = one(".bar output");
    const failures = all(".failures button"), inTime = [...failures].sort((a, b) => a.dataset.start - b.dataset.start);
    const tracks = all("[data-curve]").map(track => [data.curves[track.dataset.curve], track.querySelector(".value")]);
    const boxes = all(".box"), caption = one(".pane.output figcaption");
    let frame = 0, shownSource = -1;

    // a page that is a file may draw videos, and may not read them: the difference is made by blending
    const paint = () => {
      if (source.readyState < 2 || output.readyState < 2) return;
      const [width, height] = [output.videoWidth, output.videoHeight];
      const draw = (target, image, operation) => {
        const pen = target.getContext("2d");
        pen.globalCompositeOperation = operation;
        pen.drawImage(image, 0, 0, width, height);
      };
      for (const target of [canvas, flip]) if (target.width !== width) [target.width, target.height] = [width, height];
      if (flip.hidden === false) draw(flip, source, "copy");
      draw(canvas, source, "copy");
      draw(canvas, output, "difference");
      for (let twice = 0; twice < 2; twice++) draw(canvas, canvas, "lighter");
      root.dataset.painted = frame;
    };

    const tell = () => {
      root.dataset.frame = frame;
      root.style.setProperty("--at", (frame + 0.5) / (last + 1));
      readout.textContent = `frame ${data.frames[frame]} of ${data.frames[last]}, ${(frame / data.fps).toFixed(2)} s`;
      for (const [curve, value] of tracks) value.textContent = curve[frame] ?? "–";
      const [x1, y1, x2, y2] = data.boxes[data.boxes.length === 1 ? 0 : frame] ?? [];
      for (const box of boxes) {
        const there = typeof x1 === "number";
        for (const [name, value] of Object.entries(there ? {x: x1, y: y1, width: x2 - x1, height: y2 - y1} : {width: 0, height: 0}))
          box.setAttribute(name, value);
      }
    };

    const show = number => {
      frame = Math.max(0, Math.min(last, number));
      output.pause();
      source.pause();
      // the middle of a frame: its edge may be either neighbour's
      source.currentTime = output.currentTime = (frame + 0.5) / data.fps;
      tell();
    };

    const follow = () => {
      const step = (_, about) => {
        if (output.paused) return;
        frame = Math.min(last, Math.round((about?.mediaTime ?? output.currentTime) * data.fps));
        tell();
        if (Math.abs(source.currentTime - output.currentTime) > 1.5 / data.fps) source.currentTime = output.currentTime;
        if (shownSource === frame || !output.requestVideoFrameCallback) paint();
        next();
      };
      const next = () => output.requestVideoFrameCallback ? output.requestVideoFrameCallback(step) : requestAnimationFrame(step);
      next();
      const other = (_, about) => {
        shownSource = Math.round(about.mediaTime * data.fps);
        if (!output.paused && shownSource === frame) paint();
        if (!source.paused) source.requestVideoFrameCallback(other);
      };
      source.requestVideoFrameCallback?.(other);
    };

    const play = () => {
      if (!output.paused) return show(frame);
      if (frame === last) source.currentTime = output.currentTime = frame = 0;
      source.playbackRate = output.playbackRate = Number(one("select").value);
      Promise.all([source.play(), output.play()]).catch(error => { if (error.name !== "AbortError") throw error; });
    };
    output.addEventListener("play", () => { one("[data-do=play]").textContent = "❚❚ pause"; follow(); });
    output.addEventListener("pause", () => { one("[data-do=play]").textContent = "▶ play"; source.pause(); });
    output.addEventListener("ended", () => show(last));
    for (const video of [source, output])
      for (const event of ["seeked", "loadeddata"])
        video.addEventListener(event, () => { if (output.paused && !source.seeking && !output.seeking) paint(); });

    const mark = failure => {
      for (const each of failures) each.toggleAttribute("aria-current", false);
      failure.setAttribute("aria-current", "true");
      const list = failure.closest("ol"), place = failure.parentElement.offsetTop - list.offsetTop;
      if (place < list.scrollTop || place > list.scrollTop + list.clientHeight - 30) list.scrollTop = place - 40;
      show(Number(failure.dataset.row));
    };
    const neighbour = way => {
      if (!inTime.length) return;
      const now = inTime.findIndex(failure => failure.hasAttribute("aria-current"));
      mark(inTime[now < 0 ? (way > 0 ? 0 : inTime.length - 1) : (now + way + inTime.length) % inTime.length]);
    };
    const swap = () => {
      flip.hidden = !flip.hidden;
      root.classList.toggle("flipped", !flip.hidden);
      caption.textContent = flip.hidden ? "output" : "source (in the place of the output)";
      paint();
    };
    const toggleBoxes = () => { one("[data-do=boxes]").checked = !root.classList.toggle("nobox"); };

    const actions = {
      play, flip: swap, boxes: toggleBoxes,
      back: () => show(frame - 1),
      on: () => show(frame + 1),
      next: () => neighbour(1),
      previous: () => neighbour(-1),
      large: () => root.classList.toggle("large"),
      help: () => { one(".keys").hidden = !one(".keys").hidden; },
    };
    for (const [name, action] of Object.entries(actions)) one(`[data-do=${name}]`)?.addEventListener("click", action);
    for (const failure of failures) failure.addEventListener("click", () => mark(failure));
    one("select").addEventListener("change", event => { source.playbackRate = output.playbackRate = Number(event.target.value); });
    for (const plot of all(".plot")) {
      const seek = event => {
        const {left, width} = plot.getBoundingClientRect();
        show(Math.floor((event.clientX - left) / width * (last + 1)));
      };
      plot.addEventListener("pointerdown", event => { plot.setPointerCapture(event.pointerId); seek(event); });
      plot.addEventListener("pointermove", event => { if (event.buttons & 1) seek(event); });
    }
    for (const event of ["pointerdown", "focusin"]) root.addEventListener(event, () => { active = root; });

    keys.set(root, {
      " ": swap, p: play, b: toggleBoxes, j: actions.next, k: actions.previous, z: actions.large, "?": actions.help,
      ArrowLeft: event => show(frame - (event.shiftKey ? 10 : 1)),
      ArrowRight: event => show(frame + (event.shiftKey ? 10 : 1)),
      Home: () => show(0),
      End: () => show(last),
    });
    root.show = show;
    show(failures.length ? Number(failures[0].dataset.row) : 0);
    if (failures.length) failures[0].setAttribute("aria-current", "true");
  }

  document.addEventListener("keydown", event => {
    if (!active || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    const action = keys.get(active)[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll(".viewer details")) part.open = true; });
}
