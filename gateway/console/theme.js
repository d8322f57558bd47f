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
// During an upgrade another version may answer for a script, which then does not fit the others: get all of them again.
addEventListener("error", ({ error }) => {
  if (error instanceof SyntaxError && "loading" in document.documentElement.dataset) setTimeout(() => location.reload(), 2000);
});
