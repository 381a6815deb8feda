// A picture that is saved of a figure has the figure's title in it, broken as its width asks. `figures.ready` hands the
// title on in the layout's `meta`. One listener per tab. Without this script the picture is saved without a title.

const SAVE = ".modebar-btn[data-title^='Download plot']"
const LETTER = 8.5 // pixels of a letter, and of a line
const LINE = 22

const broken = (title, letters) => {
  const lines = [""]
  for (const word of title.split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim()
    if (longer.length <= letters || !lines.at(-1)) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}
// Plotly reads a title as HTML.
const plain = (line) => line.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

const titled = (event) => {
  const button = event.target instanceof Element && event.target.closest(SAVE)
  const figure = button && button.closest(".js-plotly-plot")
  const title = figure?.layout?.meta?.title
  if (!title) return
  const { layout } = figure
  const { l: left = 0, t: top = 80 } = figure._fullLayout?._size ?? {}
  const options = figure._context?.toImageButtonOptions ?? {}
  const lines = broken(title, Math.floor((figure.clientWidth - 24) / LETTER))
  const room = LINE * lines.length + 10
  const { annotations, margin, font } = layout
  // Not as a title of Plotly's: where a scale lies above a map, that is drawn beyond the picture.
  const written = {
    text: lines.map(plain).join("<br>"), font: { size: 16 }, align: "left", showarrow: false,
    x: 0, xref: "paper", xanchor: "left", xshift: 12 - left,
    y: 1, yref: "paper", yanchor: "top", yshift: top + room - 12,
  }
  layout.annotations = [...(annotations ?? []), written]
  layout.margin = { ...margin, t: top + room }
  // The page's own letters are not at hand where the picture is drawn: others would be wider than the room for them.
  layout.font = { ...font, family: "sans-serif" }
  options.height = figure.clientHeight + room
  // Plotly's own listener comes next, and begins with a copy of the layout. Then all is as it was.
  setTimeout(() => {
    Object.assign(layout, { annotations, margin, font })
    delete options.height
  })
}

export default function () {
  if (document.documentElement.dataset.miSaving) return
  document.documentElement.dataset.miSaving = "titled"
  document.addEventListener("click", titled, true)
}
