import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import unescape
from html.parser import HTMLParser

import nbformat.v4 as nb
import pandas as pd
import pytest

from dtimuscle.issues import Issue, Severity
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.exhibit import Beside
from dtimuscle.presentation.pages import (
    Link,
    PageContext,
    exhibit_page,
    index_page,
    notebook_page,
    without_active_content,
)

BADGE = "Simulated data, not patients"


class _Collector(HTMLParser):
    """Sources that a browser would load, and the levels of the headings."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.headings: list[int] = []
        self.without_alt = 0
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        if tag in ("script", "img", "link", "iframe", "source"):
            self.sources += [values[key] for key in ("src", "href", "srcset") if values.get(key)]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and "alt" not in values:
            self.without_alt += 1


def _read(page: str) -> _Collector:
    collector = _Collector()
    collector.feed(page)
    collector.sources += re.findall(r"url\(['\"]?([^)'\"]+)", page) + re.findall(r"@import\s+['\"]([^'\"]+)", page)
    return collector


@pytest.fixture(scope="module")
def context():
    return PageContext(
        study="Thigh & grade",
        run="test_run",
        is_simulated=True,
        version="0.1.0",
        created="1 May 2025",
        command="dtimuscle run study.yaml",
        seed=7,
        nav=(Link("Overview", "index.html"),),
    )


@pytest.fixture(scope="module")
def notebook():
    outputs = [
        nb.new_output("display_data", data={"text/html": "<b>kept</b><script>alert(1)</script>", "text/plain": "x"}),
        nb.new_output("display_data", data={"application/javascript": "alert(2)"}),
        nb.new_output("display_data", data={"image/png": "aGk=", "text/plain": "x"}),
        nb.new_output("stream", name="stdout", text="3 < 4"),
        nb.new_output("error", ename="E", evalue="v", traceback=["\x1b[31mValueError\x1b[0m: no"]),
    ]
    return nb.new_notebook(
        cells=[
            nb.new_markdown_cell("# Modelling\n\nWords.\n\n## Read"),
            nb.new_code_cell("level: float = 0.95  # coverage", metadata={"tags": ["parameters"]}),
            nb.new_code_cell("print('3 < 4')", outputs=outputs),
        ]
    )


@pytest.fixture(scope="module")
def pages(notebook, results, registry) -> Callable[[PageContext], dict[str, str]]:
    figure = figures.roc_figure(list(results.roc.curves.values()), registry, published={"fa+md": "0.722"})
    table = tables.group_comparison_table(results.comparisons, registry)
    cards = [
        figure.card(notebook="04_modelling", page="exhibits/roc.html", csv="t/r.csv", svg="f/r.svg", png="f/r.png"),
        table.card(notebook="", page="exhibits/groups.html", csv="t/g.csv"),
    ]

    @cache
    def write(context: PageContext) -> dict[str, str]:
        below = replace(context, root="../")
        return {
            "index": index_page(
                cards,
                context,
                question="What was asked?",
                key_results=tables.verdict_pairs(results.verdicts, registry),
                issues=[Issue(Severity.WARNING, "a", "doubtful"), Issue(Severity.ERROR, "sub-07", "failed")],
                notebooks=[Link("Modelling", "notebooks/04_modelling.html")],
                downloads=[Link("results.json", "results.json")],
            ),
            "figure": exhibit_page(figure, cards[0], below, following=Link("Next one", "exhibits/groups.html")),
            "table": exhibit_page(table, cards[1], below),
            "notebook": notebook_page(notebook, below, title="Modelling"),
        }

    return write


def test_every_page_of_a_simulated_run_says_so(pages, context):
    for name, page in pages(context).items():
        assert BADGE in page, name


def test_no_page_of_a_real_run_says_simulated(pages, context):
    for name, page in pages(replace(context, is_simulated=False)).items():
        assert BADGE not in page, name


def test_no_page_loads_anything_from_elsewhere_or_runs_a_script(pages, context):
    for name, page in pages(context).items():
        read = _read(page)
        assert not [source for source in read.sources if re.match(r"(?i)\s*(https?:|//|file:)", source)], name
        assert "script" not in read.tags, name
        assert "default-src 'none'" in page, name


def test_pages_can_be_read_aloud(pages, context):
    for name, page in pages(context).items():
        read = _read(page)
        assert '<html lang="en">' in page, name
        assert read.headings[0] == 1, name
        assert read.headings.count(1) == 1, name
        assert all(after - before <= 1 for before, after in zip(read.headings, read.headings[1:], strict=False)), name
        assert read.without_alt == 0, name


def test_pages_are_small(pages, context):
    for name in ("index", "table", "notebook"):
        assert len(pages(context)[name]) < 100_000, name


def test_index_lists_exhibits_issues_and_key_results(pages, context):
    page = pages(context)["index"]
    assert page.index("sub-07") < page.index("doubtful")
    for words in ("exhibits/roc.html", "exhibits/groups.html", "t/r.csv", "f/r.png", "notebooks/04_modelling.html"):
        assert words in page
    assert "1.02 ± 0.34 mm²/s" in page
    assert "disagrees" in page


def test_index_without_results_still_stands(context):
    page = index_page([], context, question="What was asked?")
    assert "What was asked?" in page
    assert "Published and found" not in page


def test_links_from_below_lead_back_up(pages, context):
    page = pages(context)["figure"]
    assert 'href="../exhibits/groups.html"' in page
    assert 'href="../t/r.csv"' in page


def test_published_stands_beside_found_on_the_page_of_an_exhibit(pages, context):
    assert re.search(r"AUC of FA \+ ADC</th>\s*<td data-label=\"Published\">0.722</td>", pages(context)["figure"])


def test_words_of_others_are_escaped(context):
    pair = Beside("<b>label</b>", "<i>1</i>", "2", "agrees")
    page = index_page([], context, question="Is 1 < 2?", key_results=[pair])
    assert "<b>label</b>" not in page
    assert "Is 1 &lt; 2?" in page
    assert "Thigh &amp; grade" in page


def test_footer_says_how_the_run_was_made(pages, context):
    page = pages(context)["notebook"]
    for words in ("dtimuscle 0.1.0", "1 May 2025", "seed 7", "dtimuscle run study.yaml"):
        assert words in page


def test_notebook_keeps_words_results_and_errors_but_no_scripts(pages, context):
    page = pages(context)["notebook"]
    assert "<b>kept</b>" in page
    assert "data:image/png;base64,aGk=" in page
    assert "3 &lt; 4" in page
    assert "ValueError" in page
    assert "alert" not in page


def test_parameters_of_a_notebook_stand_open_and_other_code_is_folded(pages, context):
    page = pages(context)["notebook"]
    assert page.count('<details class="code" open') == 1
    assert page.count('<details class="code">') == 1


@pytest.fixture(scope="module")
def executed():
    explained = (
        'run_folder: str = ""  # where results go\nscale: float = 1.0  # µ, no unit\nnames: list[str] = []  # who'
    )
    injected = (
        '# Parameters\nrun_folder = "/study/me/reports/my_run"\nscale = 2.5\nnames = ["a", "/data/b"]\nnew = None\n'
    )
    shown = '<p><a href="file:///study/me/reports/my_run/index.html">/study/me/reports/my_run/index.html</a></p>'
    return nb.new_notebook(
        cells=[
            nb.new_code_cell(explained, metadata={"tags": ["parameters"]}),
            nb.new_code_cell(injected, metadata={"tags": ["injected-parameters"]}),
            nb.new_code_cell("close()", outputs=[nb.new_output("display_data", data={"text/html": shown})]),
        ]
    )


def _code(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page))


def test_parameters_stand_once_with_the_values_of_the_run(executed, context):
    page = notebook_page(executed, context, title="T")
    assert page.count("<summary>Parameters") == 1
    code = _code(page)
    for line in ('run_folder: str = "my_run"  # where results go', "scale: float = 2.5  # µ, no unit", "new = None"):
        assert line in code
    assert 'names: list[str] = ["a", "b"]  # who' in code


def test_places_of_the_machine_stay_out_of_pages(executed, context):
    command = "dtimuscle run --dataset /data/scans/bids --out '/study/me/reports/my_run' --set scale=1/2"
    page = notebook_page(executed, replace(context, command=command), title="T")
    assert "/study/me" not in page
    assert "file:" not in page.partition("<body>")[2]
    assert ">my_run/index.html</a>" in page
    assert "dtimuscle run --dataset …/bids --out '…/my_run' --set scale=1/2" in _code(page)
    assert "/study/me" in executed.cells[1].source  # the notebook itself stays as it was executed


def test_parameters_that_are_no_literals_are_shown_as_they_are(context):
    cells = [
        nb.new_code_cell("%magic", metadata={"tags": ["parameters"]}),
        nb.new_code_cell("x = f()", metadata={"tags": ["injected-parameters"]}),
    ]
    assert "%magic" in _code(notebook_page(nb.new_notebook(cells=cells), context, title="T"))


def test_claims_of_the_index_are_one_line_each_with_all_numbers_folded_below(context):
    pairs = [
        Beside("Gracilis", "lower", "0.1", "agrees", "FA is lower."),
        Beside("Sartorius", "lower", "0.2", "undecided", "FA is lower."),
        Beside("FA + ADC", "0.722", "0.811", "disagrees", "Both tell more."),
    ]
    page = index_page([], context, question="?", key_results=pairs)
    lines = re.findall(r"<summary>(.*?)</summary>(.*?)</details>", page, flags=re.DOTALL)
    assert [re.findall(r'class="statement">([^<]+)', line)[0] for line, _ in lines] == [
        "FA is lower.",
        "Both tell more.",
    ]
    assert "1&nbsp;agrees" in lines[0][0]
    assert "1&nbsp;undecided" in lines[0][0]
    for number in ("0.1", "0.2"):
        assert number in lines[0][1]
    assert "0.811" in lines[1][1]


@pytest.mark.parametrize(
    ("html", "cleaned"),
    [
        ("<p>a &amp; b</p>", "<p>a &amp; b</p>"),
        ("a<script>b</script>c", "ac"),
        ("a<img src='https://x.org/a.png' alt='x'>b", "ab"),
        ("<p background='//x.org/a.png' id='i'>b</p>", '<p id="i">b</p>'),
        ("<img src='data:image/png;base64,aGk='>", "<img src='data:image/png;base64,aGk='>"),
        ("<b onclick='f()'>b</b>", "<b>b</b>"),
        ("<a href='java\nscript:f()'>b</a>", "<a>b</a>"),
        ("<a href='file:///home/x'>b</a>", "<a>b</a>"),
        ("<link rel=stylesheet href=//x.org/a.css>b", "b"),
        ("<p style='background:url(//x.org)'>b</p>", "<p>b</p>"),
        ('<svg viewBox="0 0 1 1"><path d="M0 0"/></svg>', '<svg viewBox="0 0 1 1"><path d="M0 0"/></svg>'),
        ("<iframe src='a'><p>b</p></iframe>c", "c"),
    ],
)
def test_active_content_is_taken_out(html, cleaned):
    assert without_active_content(html) == cleaned


def test_a_comment_in_a_notebook_is_nothing_else(context):
    cells = [nb.new_markdown_cell("one <!--1--> <!--0-->"), nb.new_markdown_cell("two"), nb.new_code_cell("#<!--0-->")]
    page = notebook_page(nb.new_notebook(cells=cells), context, title="T")
    assert page.count("<p>one") == page.count("<p>two</p>") == 1
    assert "<!--" not in page.partition("<main")[2]


def test_data_frames_in_notebooks_keep_their_markup(context):
    html = pd.DataFrame({"x": ["<b>"]}).to_html()
    cell = nb.new_code_cell("frame", outputs=[nb.new_output("execute_result", data={"text/html": html})])
    page = notebook_page(nb.new_notebook(cells=[cell]), context, title="T")
    assert 'class="dataframe"' in page
    assert "&lt;b&gt;" in page
