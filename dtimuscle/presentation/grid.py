"""How tables are set: columns, headings and the style that all of them share."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
from great_tables import GT, loc, style
from great_tables._gt_data import Body

from dtimuscle.presentation.style import FAINT, FONT_STACK, INK, MUTED, PAPER

# Names of rows up to this length (characters) stay on one line and in sight while the table scrolls.
LONGEST_UNBROKEN = 48

# Least width of a column of words: what its longest cell takes, within these bounds (characters); a column of
# sentences gets a quarter of its longest one.
_NARROWEST, _WIDEST, _SENTENCES = 12, 24, 40


@dataclass(frozen=True)
class Column:
    """One column of a printed table.

    Parameters
    ----------
    key : str
        Its name in the frame of cells.
    label : str
        Its heading.
    align : {"right", "left"}, default="right"
        Numbers stand right, words left.
    spanner : str, default=""
        Heading above several columns.
    is_markup : bool, default=False
        Whether its cells are HTML already, their text escaped.
    """

    key: str
    label: str
    align: str = "right"
    spanner: str = ""
    is_markup: bool = False


def notes_html(lines: Iterable[str]) -> str:
    """Set notes that stand below a table.

    Parameters
    ----------
    lines : iterable of str
        One paragraph each, as HTML.

    Returns
    -------
    str
        One block.
    """
    text = "".join(f'<p style="margin:0 0 .2rem">{line}</p>' for line in lines)
    return f'<div style="max-width:44rem;margin:.9rem 0 0;font-size:.875em;line-height:1.5;color:{MUTED}">{text}</div>'


def table_html(
    name: str,
    cells: pd.DataFrame,
    columns: Sequence[Column],
    *,
    title: str,
    row_label: tuple[str, str],
    group: str = "",
    colours: tuple[str, Sequence[str]] = ("", ()),
    wraps_names: bool = False,
) -> str:
    """Set cells as the HTML of a table.

    Parameters
    ----------
    name : str
        Identifier of the exhibit.
    cells : DataFrame
        What is printed, as text.
    columns : sequence of Column
        The columns, in order.
    title : str
        Caption.
    row_label : tuple of (str, str)
        Column that names the rows, and its heading.
    group : str, default=""
        Column whose values head groups of rows.
    colours : tuple of (str, sequence of str)
        A column, and the colour of each of its cells.
    wraps_names : bool, default=False
        Whether the names of rows may take several lines, which leaves room for many columns.

    Returns
    -------
    str
        The table with its own style.
    """
    keys = [row_label[0], *([group] if group else []), *(column.key for column in columns)]
    # A P is not torn apart at the end of a line.
    frame = cells.reindex(columns=keys).fillna("").astype(str).replace("P < ", "P\u00a0<\u00a0", regex=True)
    table = GT(frame, rowname_col=row_label[0], groupname_col=group or None, id=f"table-{name.replace('_', '-')}")
    table = table.tab_stubhead(row_label[1]).cols_label({column.key: column.label for column in columns})
    for column in columns:
        table = table.cols_align("left" if column.align == "left" else "right", columns=[column.key])
    table = table._replace(_body=_escaped(frame, markup=[column.key for column in columns if column.is_markup]))
    for spanner in dict.fromkeys(column.spanner for column in columns if column.spanner):
        table = table.tab_spanner(spanner, [column.key for column in columns if column.spanner == spanner])
    for colour in dict.fromkeys(colours[1]):
        rows = [row for row, own in enumerate(colours[1]) if own == colour]
        table = table.tab_style(style.text(color=colour, weight="600"), loc.body(columns=[colours[0]], rows=rows))
    longest = 0 if frame.empty else int(frame[row_label[0]].str.len().max())
    names = "min-width: 9rem" if longest > LONGEST_UNBROKEN else "position: sticky; left: 0; z-index: 1"
    if longest <= LONGEST_UNBROKEN and not wraps_names:
        names += "; white-space: nowrap"
    styled = _styled(table, names=names, widths=_least_widths(frame, columns))
    html = _without_idle_rules(_with_movable_headings(styled.as_raw_html()))
    caption = f'<caption class="gt_caption">{escape(title)}</caption>'
    return html.replace("<thead>", f"{caption}\n<thead>", 1)


class _FinishedBody(Body):
    """Cells that are HTML already. The library's own body escapes them one by one, half of the time of a table."""

    def render_formats(
        self,
        data_tbl: pd.DataFrame,
        formats: object,  # noqa: ARG002 - the library passes it
        context: object,  # noqa: ARG002
    ) -> set[tuple[Any, int]]:
        """Say that all cells are formatted.

        Parameters
        ----------
        data_tbl : DataFrame
            The cells as they were given.
        formats, context : object
            Nothing is left to format.

        Returns
        -------
        set of (str, int)
            Column and row of each cell.
        """
        return {(column, row) for column in data_tbl.columns for row in range(len(data_tbl))}


def _escaped(frame: pd.DataFrame, *, markup: Sequence[str]) -> _FinishedBody:
    return _FinishedBody(
        pd.DataFrame(
            {key: frame[key] if key in markup else [escape(text) for text in frame[key]] for key in frame.columns},
            index=frame.index,
            dtype=object,
        )
    )


def _with_movable_headings(html: str) -> str:
    """Let the headings of groups stay in sight, and break, however far the table scrolls."""
    heading = r'(<t[hd] class="gt_group_heading"[^>]*>)(.*?)(</t[hd]>)'
    return re.sub(heading, r'\1<span class="gt_group_words">\2</span>\3', html)


def _without_idle_rules(html: str) -> str:
    """Drop the style rules for parts that a table does not have; they are most of its size."""
    head, closing, body = html.partition("</style>")
    present = set(re.findall(r"gt_\w+", body)) | {"gt_caption"}
    kept = re.sub(r"\s*#[\w-]+ \.(gt_\w+)[^{}]*\{[^{}]*\}", lambda rule: rule[0] if rule[1] in present else "", head)
    return kept + closing + body


def _least_widths(frame: pd.DataFrame, columns: Sequence[Column]) -> dict[int, int]:
    """Least width in characters of each column of words, by its position behind the names of the rows."""
    longest = {
        place: 0 if frame.empty or column.is_markup else int(frame[column.key].str.len().max())
        for place, column in enumerate(columns)
        if column.align == "left"
    }
    return {
        place: max(_NARROWEST, min(length, _WIDEST), min(length // 4, _SENTENCES)) for place, length in longest.items()
    }


def _styled(table: GT, *, names: str, widths: dict[int, int]) -> GT:
    identity = f"#{table._options.table_id.value}"
    least = "".join(
        f"{identity} td:nth-child({place + 2}) {{ min-width: {0.5 * n:g}em; }}\n    " for place, n in widths.items()
    )
    css = f"""
    {identity} {{ padding: 0 !important; }}
    {identity} table {{ font-family: {FONT_STACK}; }}
    {identity} .gt_table {{ margin: 0; font-variant-numeric: tabular-nums lining-nums; line-height: 1.35; }}
    {identity} .gt_caption {{ caption-side: top; text-align: left; font-weight: 600; padding: 0 0 .5rem; }}
    {identity} .gt_row {{ vertical-align: top; }}
    {identity} td.gt_right {{ white-space: nowrap; }}
    {identity} th.gt_stub {{ font-weight: 400; }}
    {identity} th.gt_stub, {identity} thead tr:first-child > th:first-child {{ background: {PAPER}; {names}; }}
    {identity} td.gt_left {{ max-width: 44rem; }}
    {least}
    @media (max-width: 40rem) {{ {identity} th.gt_stub {{ white-space: normal; min-width: 6.5rem; }} }}
    {identity} .gt_group_heading {{ padding: 14px 10px 5px; }}
    {identity} tbody tr:first-child .gt_group_heading {{ padding-top: 9px; }}
    {identity} .gt_group_words {{ display: inline-block; position: sticky; left: 0; max-width: min(43rem, 84vw); }}
    {identity} .gt_col_heading {{ vertical-align: bottom; }}
    {identity} .gt_column_spanner {{ padding-bottom: 4px; }}
    {identity} tr > :first-child {{ padding-left: 0; }}
    {identity} tr > :last-child {{ padding-right: 0; }}
    """
    table = table.tab_options(
        table_font_size="14px",
        table_font_color=INK,
        table_background_color=PAPER,
        table_width="auto",
        table_border_top_style="solid",
        table_border_top_width="2px",
        table_border_top_color=INK,
        table_border_bottom_style="solid",
        table_border_bottom_width="1px",
        table_border_bottom_color=INK,
        column_labels_background_color="transparent",
        column_labels_font_weight="600",
        column_labels_font_size="13px",
        column_labels_border_top_style="none",
        column_labels_border_bottom_width="1px",
        column_labels_border_bottom_color=INK,
        column_labels_padding="6px",
        column_labels_padding_horizontal="10px",
        row_group_background_color="transparent",
        row_group_font_weight="600",
        row_group_font_size="13px",
        row_group_border_top_style="none",
        row_group_border_bottom_width="1px",
        row_group_border_bottom_color=FAINT,
        table_body_border_top_style="none",
        table_body_border_bottom_style="none",
        table_body_hlines_style="solid",
        table_body_hlines_width="1px",
        table_body_hlines_color="#edf0f2",
        stub_border_style="none",
        data_row_padding="5px",
        data_row_padding_horizontal="10px",
    )
    return table.opt_css(css)
