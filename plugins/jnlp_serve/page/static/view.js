// To the passage, and back.
document.querySelector("#passage")?.scrollIntoView({ block: "center" });
document.querySelector(".close")?.addEventListener("click", () => history.length > 1 ? history.back() : location.assign("/"));
