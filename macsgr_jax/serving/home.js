"use strict";
// Takes files that are dropped anywhere on the page. Without JavaScript the form works as it stands.

const find = (id) => document.getElementById(id);
const accepts = (input, file) => input.accept.split(",").some((ending) => file.name.toLowerCase().endsWith(ending));

function place(file) {
  const input = [find("transcript"), find("recording")].find((one) => accepts(one, file));
  if (!input) {
    find("state").textContent = `${file.name} is neither a transcript nor a recording.`;
    return;
  }
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  find("state").textContent = "";
}

for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", () => find("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("drop").classList.remove("over");
  [...event.dataTransfer.files].forEach(place);
});
find("form").addEventListener("submit", (event) => {
  if (!find("transcript").files.length && !find("text").value.trim()) {
    event.preventDefault();
    find("state").textContent = "Drop or choose a transcript first, or paste one.";
    return;
  }
  find("state").textContent = "Predicting …";
});
window.addEventListener("pageshow", () => { find("state").textContent = ""; });
