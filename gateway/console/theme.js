// Applies the chosen theme before the first paint: a separate script, because a module would run afterwards.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is disabled: use the system's theme
}
