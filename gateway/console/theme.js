// Before the first paint: the chosen theme, and whose navigation it is, so that nothing comes later and moves the rest.
// A separate script, because a module would run afterwards.
document.documentElement.dataset.who = "account";
document.documentElement.dataset.loading = "";
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.who = localStorage.getItem("who") ?? "account";
} catch {
  // storage is disabled: use the system's theme
}
