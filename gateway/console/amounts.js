// Amounts. Credits are JSON numbers with at most three decimals, and are calculated with as whole millicredits:
// 0.1 + 0.2 is not 0.3 in a browser either.

const GROUPS = new Intl.NumberFormat("en-US");
const EXACT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 12 });
const ROUNDED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const MONEY = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

/** Millicredits of a number of credits: 73.5 → 73500. */
export function toMillicredits(credits) {
  return Math.round(credits * 1000);
}

/** A number of millicredits as credits, exactly: 1234500 → "1,234.5". */
export function formatMillicredits(millicredits) {
  const whole = Math.abs(millicredits);
  const thousandths = String(whole % 1000).padStart(3, "0").replace(/0+$/, "");
  const text = GROUPS.format((whole - (whole % 1000)) / 1000) + (thousandths && `.${thousandths}`);
  return millicredits < 0 ? `−${text}` : text;
}

/** A number of credits, exactly: 73.5 → "73.5", 62040 → "62,040". */
export function formatCredits(credits) {
  return formatMillicredits(toMillicredits(credits));
}

/** The same with its unit: "1 credit", "147 credits"; "up to 375 credits" of a price that depends on what is reported. */
export function withUnit(credits, atMost) {
  return `${upTo(atMost)}${formatCredits(credits)} ${credits === 1 ? "credit" : "credits"}`;
}

/** What a price that is a ceiling begins with. */
export const upTo = (atMost) => (atMost ? "up to " : "");

/** A change of credits with its sign: +100, −147, 0. */
export function formatChange(credits) {
  return credits > 0 ? `+${formatCredits(credits)}` : formatCredits(credits);
}

/** The sum of numbers of credits, exact to the millicredit. */
export function sum(amounts) {
  return amounts.reduce((total, amount) => total + toMillicredits(amount), 0) / 1000;
}

/** `a` − `b`, exact to the millicredit. */
export function difference(a, b) {
  return (toMillicredits(a) - toMillicredits(b)) / 1000;
}

/** Any other number, with all of its decimals: a unit price of 5.2755, a factor of 1.5. */
export function formatExact(number) {
  return EXACT.format(number).replace("-", "−");
}

/** A number with one decimal: an average, a percentage. */
export function formatRounded(number) {
  return ROUNDED.format(number).replace("-", "−");
}

/** A number of things with its noun: `counted(2, "output")` → "2 outputs". */
export function counted(number, word, plural = `${word}s`) {
  return `${GROUPS.format(number)} ${number === 1 ? word : plural}`;
}

/** An amount of money: 5 → "$5.00". */
export function formatMoney(amount) {
  return MONEY.format(amount);
}
