// On a narrow screen the steps for phones are opened.
const isNarrow = matchMedia('(width < 40rem)').matches
if (isNarrow) document.querySelector('[data-narrow]').open = true
