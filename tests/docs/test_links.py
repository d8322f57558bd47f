from __future__ import annotations

from pathlib import Path

from tests.docs.links import dead_links

_ROOT = Path(__file__).parents[2]


def test_each_link_leads_to_a_file_and_a_heading_that_are_there() -> None:
    folders = (_ROOT / name for name in ("docs", "gateway", "workers"))
    pages = [*_ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    assert {_ROOT / "README.md", _ROOT / "docs" / "running.md", _ROOT / "gateway" / "ledger" / "README.md"} <= {*pages}
    assert list(dead_links(_ROOT, pages)) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# It's `here`, now\n[a](#its-here-now) [b](page.md#there) [c](gone.md) [d](https://example.com/x)\n"
    )
    assert list(dead_links(tmp_path, [page])) == [
        "page.md: page.md#there: no such heading",
        "page.md: gone.md#: no such file",
    ]
