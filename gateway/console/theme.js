// The theme that was chosen, before anything is painted: a script of its own, since a module would run after.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is switched off: the system's theme it is
}
