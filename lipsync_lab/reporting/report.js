"use strict";
// one button and one slider for the source and all outputs of a clip; the first output, which has the audio, leads
for (const player of document.querySelectorAll(".player")) {
  const videos = [...player.querySelectorAll("video")], lead = videos[1], bar = player.querySelector(".bar");
  const [button, slider, readout] = ["button", "input", "output"].map(name => bar.querySelector(name));
  const fps = Number(player.dataset.fps), frames = Number(player.dataset.frames);
  for (const video of videos) video.controls = false;
  bar.hidden = false;
  const update = () => { readout.textContent = `frame ${slider.value}`; };
  const show = frame => {  // the middle of a frame: its edge may be either neighbour's
    lead.pause();
    for (const video of videos) video.currentTime = (frame + 0.5) / fps;
    slider.value = frame;
    update();
  };
  const step = () => {
    if (lead.paused) return;
    for (const video of videos)
      if (Math.abs(lead.currentTime - video.currentTime) > 1.5 / fps) video.currentTime = lead.currentTime;
    slider.value = Math.min(frames - 1, Math.floor(lead.currentTime * fps));
    update();
    requestAnimationFrame(step);
  };
  button.addEventListener("click", () => {
    if (!lead.paused) { lead.pause(); return; }
    if (lead.ended || lead.currentTime === 0) for (const video of videos) video.currentTime = 0;
    Promise.all(videos.map(video => video.play())).catch(() => {});
  });
  lead.addEventListener("play", () => { button.textContent = "⏸ pause"; step(); });
  lead.addEventListener("pause", () => { button.textContent = "▶ play"; for (const video of videos) video.pause(); });
  slider.addEventListener("input", () => show(Number(slider.value)));
  player.show = show;  // until then the posters show a frame amid the clip
}
for (const link of document.querySelectorAll("[data-frame]"))
  link.addEventListener("click", () => {
    const clip = document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)));
    clip.querySelector(".player").show(Number(link.dataset.frame));
  });
