"use strict";
// Names and texts came from outside: they reach the document as text (textContent), never as HTML.

const $ = (id) => document.getElementById(id);

// An element; its children are elements, or texts.
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(text, className, act) {
  const made = element("button", className, text);
  made.type = "button";
  made.onclick = act;
  return made;
}

// The value of a block of the page: base64 of deflated JSON.
async function unpacked(id) {
  const packed = Uint8Array.from(atob($(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
