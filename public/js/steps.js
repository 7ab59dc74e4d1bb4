// On a narrow screen the steps for phones are open.
const isNarrow = matchMedia('(width < 40rem)').matches
if (isNarrow) document.querySelector('[data-narrow]').open = true
