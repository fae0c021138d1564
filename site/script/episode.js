// The page of an episode: the sentence that is being said is marked, and a sentence's time starts the sound there.
// Without this script, the player and the transcript are all there, side by side.

const player = document.querySelector("audio");
const sentences = [...document.querySelectorAll("[data-start]")];
const starts = sentences.map((sentence) => Number(sentence.dataset.start) / 1000);

/** Return the place of the sentence that is said at a time, in seconds; -1 before the first. */
function placeAt(seconds) {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

let marked = -1;

function mark() {
  const place = placeAt(player.currentTime + 0.02);
  if (place === marked) return;
  sentences[marked]?.removeAttribute("aria-current");
  sentences[place]?.setAttribute("aria-current", "true");
  marked = place;
}

function seek(place) {
  player.currentTime = starts[place];
  player.play();
}

/** Put a button in the place of a sentence's time, so that it can be reached by the keyboard. */
function addButton(sentence, place) {
  const time = sentence.querySelector(".at");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "at";
  button.textContent = time.textContent;
  button.setAttribute("aria-label", `Play from ${time.textContent}`);
  button.addEventListener("click", () => seek(place));
  time.replaceWith(button);
  const said = sentence.querySelector(".said");
  said.classList.add("seeks");
  said.addEventListener("click", (event) => event.target.closest("a") || seek(place));
}

if (player && sentences.length) {
  sentences.forEach(addButton);
  player.addEventListener("timeupdate", mark);
}
