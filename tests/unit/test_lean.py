"""What the console's scripts and styles lose on their way to the browser: nothing that means anything."""

from __future__ import annotations

import re

import pytest

from gateway.api.lean import lean_script, lean_style


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ("// why\nconst a = 1; // one\n/** what */\nlet b = [ 1, 2 ];", "let a=1;let b=[1,2];"),
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
        ("const count = 1; f(count);", "let a=1;f(a);"),
        ("const count = 1; f({ count });", "let count=1;f({count});"),
        ("const { count } = f; g(count);", "let{count}=f;g(count);"),
        ("const count = 1; f(a.count, b);", "let c=1;f(a.count,b);"),
        ("const count = [...list];", "let a=[...list];"),
        ("const f = (first, second = first) => second;", "let f=(a,b=a)=>b;"),
        ("class A { shown() {} } const shown = 1;", "class A{shown(){}}let shown=1;"),
        ("t = (word) => `${word} word`;", "t=(a)=>`${a} word`;"),
        ("export const count = 1; export async function go() {}", "export let count=1;export async function go(){}"),
        ("import { a } from './b.js'; f = (from) => from;", "import{a}from './b.js';f=(from)=>from;"),
        ("try {} catch (error) { f(error); }", "try{}catch(a){f(a)}"),
        ("const print = 1; if (count) { f(); }", "let print=1;if(count){f()}"),
        ("const count = 1; x ? count : 2;", "let a=1;x?a:2;"),
        ("const count = 1; f({ a, count() {} });", "let b=1;f({a,count(){}});"),
        ("class A { b = 1; count = 2; } const count = 1;", "class A{b=1;count=2}let count=1;"),
        ("class A { b() {} count = 2; } const count = 1;", "class A{b(){}count=2}let count=1;"),
        ("const count = () => { a(); count(b); };", "let c=()=>{a();c(b)};"),
        ("const { count } = f; g(count, count, count, count);", "let{count:a}=f;g(a,a,a,a);"),
        ("f = ({ wide = false }) => [wide, false, false, false];", "f=({wide=false})=>[wide,false,false,false];"),
        ("f = ({ count = 1 }) => count + count + count + count;", "f=({count:a=1})=>a+a+a+a;"),
        ("let count; f({ count }, count, count, { count: count.count });", "let a;f({count:a},a,a,{count:a.count});"),
        ("let count; { if (count) { count(); } } f({ count() {} }, count);", "let a;{if(a){a()}}f({count(){}},a);"),
        ("const [count, { value: other }] = f; g(count, other);", "let[a,{value:b}]=f;g(a,b);"),
        ("class A { #count = 1; } const count = 1; f(a.#count, count);", "class A{#count=1}let b=1;f(a.#count,b);"),
        ("const count = 1; f({ class: count });", "let a=1;f({class:a});"),
    ],
)  # fmt: skip
def test_only_what_is_surely_a_scripts_own_has_a_shorter_name(script: str, sent: str) -> None:
    assert lean_script(script) == f"{sent}\n"


def test_no_new_name_is_a_word_of_the_language() -> None:
    """A script with 222 names and without a `do` got a variable `do`."""
    script = "".join(f"const name{number} = 1; f(name{number});\n" for number in range(600))
    given = re.findall(r"let (\w+)=", lean_script(script))
    assert len(set(given)) == len(given) == 600
    assert [name for name in given if name in {"do", "if", "in", "of", "as"}] == []
