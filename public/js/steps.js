// The steps for the device at hand are open.
const isNarrow = matchMedia('(width < 40rem)').matches
if (isNarrow) document.querySelector('[data-narrow]').open = true
