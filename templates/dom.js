// Makes the tables of a report sortable and filterable, and its plots readable under the pointer. Without this
// script, the page has the same numbers and static plots.
"use strict";

/** Creates an element with attributes, listeners (functions) and children. */
function create(name, attributes = {}, ...children) {
  const isDrawing = ["svg", "g", "path", "line", "circle", "rect", "text", "title", "polygon"].includes(name);
  const node = isDrawing
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
