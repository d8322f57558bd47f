"""What the console's scripts and styles lose on their way to the browser: nothing that means anything."""

from __future__ import annotations

import re

import pytest

from gateway.api.lean import lean_script, lean_style


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("// why\nconst a = 1; // one\n/** what */\nlet b = [ 1, 2 ];", "let a=1,b=[1,2];"),
        ("if (a) {\n  b();\n} else c();", "if(a){b()}else c();"),
        ("f()\ng()", "f()\ng()"),
        ("class A {\n  one() {}\n  two() {}\n}\nlet a", "class A{one(){}\ntwo(){}}\nlet a"),
        ("a + +b; a - -b; a / b / c", "a+ +b;a- -b;a/b/c"),
        ("return  x . y", "return x.y"),
        (r"s.replace(/[/']+ \/ x/g, ' , ')", r"s.replace(/[/']+ \/ x/g,' , ')"),
        ('const u = "http://a  b";', 'let u="http://a  b";'),
        ("t = `a  ${ b ? ` : ${ c } , d` : {} }  } //e`;", "t=`a  ${b?` : ${c} , d`:{}}  } //e`;"),
        ("t = `\\` $ ${ `}` }`;", "t=`\\` $ ${`}`}`;"),
        ("x = y ? /a b/ : /c  d/;", "x=y?/a b/:/c  d/;"),
        ("return /a  b/.test(c)", "return/a  b/.test(c)"),
    ],
)
def test_a_script_means_the_same(script: str, sent: str) -> None:
    assert lean_script(script) == f"{sent}\n"


def test_a_style_means_the_same() -> None:
    style = "/* what */\n:root { --a: 1px; }\na, b > c:hover { margin: 0 auto; }\n"
    assert lean_style(style) == ":root{--a:1px;}a,b > c:hover{margin:0 auto;}"


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("const count = 1; f(count);", "let e=1;f(e);"),
        ("const count = 1; f({ count });", "let count=1;f({count});"),
        ("const { count } = f; g(count);", "let{count}=f;g(count);"),
        ("const count = 1; f(a.count, b);", "let e=1;f(a.count,b);"),
        ("const count = [...list];", "let e=[...list];"),
        ("const f = (first, second = first) => second;", "let f=(e,a=e)=>a;"),
        ("class A { shown() {} } const shown = 1;", "class A{shown(){}}let shown=1;"),
        ("t = (word) => `${word} word`;", "t=(e)=>`${e} word`;"),
        ("export const count = 1; export async function go() {}", "export let count=1;export async function go(){}"),
        ("import { a } from './b.js'; f = (from) => from;", "import{a}from './b.js';f=(from)=>from;"),
        ("try {} catch (error) { f(error); }", "try{}catch(e){f(e)}"),
        ("const print = 1; if (count) { f(); }", "let e=1;if(count){f()}"),
        ("const count = 1; x ? count : 2;", "let e=1;x?e:2;"),
        ("const count = 1; f({ a, count() {} });", "let e=1;f({a,count(){}});"),
        ("class A { b = 1; count = 2; } const count = 1;", "class A{b=1;count=2}let count=1;"),
        ("class A { b() {} count = 2; } const count = 1;", "class A{b(){}count=2}let count=1;"),
        ("const count = () => { a(); count(b); };", "let e=()=>{a();e(b)};"),
        ("const { count } = f; g(count, count, count, count);", "let{count:e}=f;g(e,e,e,e);"),
        ("f = ({ wide = false }) => [wide, false, false, false];", "f=({wide=false})=>[wide,false,false,false];"),
        ("f = ({ count = 1 }) => count + count + count + count;", "f=({count:e=1})=>e+e+e+e;"),
        ("let count; f({ count }, count, count, { count: count.count });", "let e;f({count:e},e,e,{count:e.count});"),
        ("let count; { if (count) { count(); } } f({ count() {} }, count);", "let e;{if(e){e()}}f({count(){}},e);"),
        ("const [count, { value: other }] = f; g(count, other);", "let[e,{value:a}]=f;g(e,a);"),
        ("class A { #count = 1; } const count = 1; f(a.#count, count);", "class A{#count=1}let e=1;f(a.#count,e);"),
        ("const count = 1; f({ class: count });", "let e=1;f({class:e});"),
    ],
)  # fmt: skip
def test_only_what_is_surely_a_scripts_own_has_a_shorter_name(script: str, sent: str) -> None:
    assert lean_script(script) == f"{sent}\n"


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("f = (first) => first; g = (second) => second;", "f=(e)=>e;g=(e)=>e;"),
        ("const count = 1; f = (first) => first + count;", "let a=1;f=(e)=>e+a;"),
        ("f = (name) => name; g(name);", "f=(e)=>e;g(name);"),
        ("{ const count = 1; f(count); } f(count);", "{let e=1;f(e)}f(count);"),
        ("f = (count) => count, g = count;", "f=(e)=>e,g=count;"),
        ("x ? (count) => (count ? 1 : count) : count;", "x?(e)=>(e?1:e):count;"),
        ("x ? (count) => count ? count?.y ?? 1 : count : count;", "x?(e)=>e?e?.y??1:e:count;"),
        ("t = `${(count) => count} ${count}`;", "t=`${(e)=>e} ${count}`;"),
        ("for (const one of all) if (a) f(one); else g(one); h(one);", "for(let e of all)if(a)f(e);else g(e);h(one);"),
        ("for (const one of all) { f(one); } h(one);", "for(let e of all){f(e)}h(one);"),
        ("try { f(); } catch (error) { g(error); } h(error);", "try{f()}catch(e){g(e)}h(error);"),
        ("f = (first = second, third = [second, fourth]) => third + first;", "f=(e=second,a=[second,fourth])=>a+e;"),
        ("f = ({ [second]: first }) => first + second;", "f=({[second]:e})=>e+second;"),
        ("f = (first) => { g(() => { const other = first; g(other); }); };", "f=(a)=>{g(()=>{let e=a;g(e)})};"),
    ],
)  # fmt: skip
def test_a_short_name_holds_where_its_variable_does(script: str, sent: str) -> None:
    """A parameter named like something outside, a default value, what follows a loop: each keeps its own meaning."""
    assert lean_script(script) == f"{sent}\n"


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("const a = 1; let b = 2; const { c } = d;", "let a=1,b=2,{c}=d;"),
        ("export const a = 1; const b = 2; const c = 3;", "export let a=1;let b=2,c=3;"),
        ("const a = () => { f(); const b = 1; }; const c = 2;", "let a=()=>{f();let b=1},c=2;"),
        ("const a = 1; f(); let b = 2;", "let a=1;f();let b=2;"),
        ("const a = `${ b }`; const c = 1;", "let a=`${b}`,c=1;"),
        ("f([\n  1,\n  2,\n]);", "f([1,2]);"),
    ],
)
def test_declarations_in_a_row_are_one(script: str, sent: str) -> None:
    assert lean_script(script) == f"{sent}\n"


def test_no_new_name_is_a_word_of_the_language() -> None:
    """A script with 222 names and without a `do` got a variable `do`."""
    script = "".join(f"const name{number} = 1; f(name{number});\n" for number in range(600))
    given = re.findall(r"let (\w+)=", lean_script(script))
    assert len(set(given)) == len(given) == 600
    assert [name for name in given if name in {"do", "if", "in", "of", "as"}] == []
