"""Tables from other programs: encodings, delimiters, quotes and sheets."""

import re
import zipfile
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from ticketsource_async.errors import ConfigurationError, UnreadableFile
from ticketsource_async.files import FileRows, Row, read

PEOPLE = "email;last_name\nzoe@example.com;Zoë\n"


def read_text(content: str | bytes, **options: str | None) -> FileRows:
    """Read a text. `email` and `last_name` are known names of columns."""
    data = content.encode() if isinstance(content, str) else content
    return read(BytesIO(data), is_known=lambda name: name in ("email", "last_name"), **options)


def workbook(path: Path, *, sheets: tuple[str, ...] = ("People",)) -> Any:
    """Begin a workbook with these sheets."""
    book = xlsxwriter.Workbook(path)
    for name in sheets:
        book.add_worksheet(name)
    return book


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        (PEOPLE.encode(), 'UTF-8, ";"'),
        (PEOPLE.encode("utf-8-sig"), 'UTF-8, ";"'),
        (PEOPLE.encode("cp1252"), 'Windows-1252, ";"'),
        (PEOPLE.encode("utf-16"), 'UTF-16, ";"'),
        (b"\xfe\xff" + PEOPLE.encode("utf-16-be"), 'UTF-16, ";"'),
        (PEOPLE.encode("utf-32"), 'UTF-32, ";"'),
        (PEOPLE.replace(";", "\t").encode("utf-16"), "UTF-16, tab"),
        (PEOPLE.replace(";", ",").encode(), 'UTF-8, ","'),
        (PEOPLE.replace(";", "|").encode(), 'UTF-8, "|"'),
        (PEOPLE.replace("\n", "\r").encode(), 'UTF-8, ";"'),
        (PEOPLE.replace("\n", "\r\n").encode("cp1252"), 'Windows-1252, ";"'),
    ],
)
def test_the_encoding_and_the_delimiter_are_found_and_reported(data: bytes, taken: str) -> None:
    """A byte order mark names the encoding. Without one it is UTF-8, or else Windows-1252."""
    found = read_text(data)

    assert found.taken == taken
    assert found.header == Row(1, ("email", "last_name"))
    assert found.rows == [Row(2, ("zoe@example.com", "Zoë"))]


def test_options_override_what_was_found() -> None:
    """Mac Roman has other letters for the same bytes."""
    found = read_text("email;last_name:x\na;Zoë:y\n".encode("mac-roman"), encoding="mac-roman", delimiter=":")

    assert found.taken == 'mac-roman, ":"'
    assert found.rows == [Row(2, ("a;Zoë", "y"))]
    assert read_text("email\tlast_name;b\n", delimiter="tab").header.cells == ("email", "last_name;b")
    assert read_text("email\na,b\n").rows == [Row(2, ("a", "b"))]
    assert read_text("foo;bar;baz,\n").header.cells == ("foo", "bar", "baz,")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"email\na\n\x81\n", "neither in UTF-8 nor in Windows-1252: line 3 has the byte 81. If you know its encoding"),
        (b"email\r\rZo\xc3\xab\rZo\xeb\r", "parts in UTF-8 and parts in another encoding: see line 4"),
        (b"\xef\xbb\xbfemail\nZo\xeb\n", "is not in utf-8: line 2 cannot be read"),
        ("email\nZoë\n".encode("utf-16-le"), "line 1 has a NUL character. It may be UTF-16"),
        (b'email,last_name\n"1\n2",x\n"Zo"e,x\n', "row 3, which begins in line 4, has a quote too many or too few"),
        (b'email,last_name\na,b\n"Zoe,x\na,b\n', "row 3 has a quote too many or too few"),
        (
            "last_name,x\nMöller".encode("cp1252") + ",Zoë\n".encode(),
            "parts in UTF-8 and parts in another encoding",
        ),
        (b"email\n" + b"x" * 140_000, "has a cell of more than 131,072 characters in row 2, which begins in line 2"),
        (b'sep=,\nemail,last_name\n"Zoe,x\na,b\n', "row 2, which begins in line 3, has a quote"),
        (b"<html><table>", "is not a table. It is HTML, XML or JSON"),
        (b'[{"email": "a"}]', "is not a table. It is HTML, XML or JSON"),
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b"PK\x03\x04", "cannot be read as a spreadsheet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "cannot be read as a spreadsheet"),
    ],
)
def test_the_error_of_an_unreadable_table_names_the_reason(data: bytes, said: str) -> None:
    """Neither a byte nor the place of a quote is guessed."""
    with pytest.raises(UnreadableFile) as caught:
        read_text(data)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoding": "klingon"}, "no encoding 'klingon'"),
        ({"encoding": "hex"}, "no encoding 'hex'"),
        ({"delimiter": ";;"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"sheet": "People"}, "--sheet is for spreadsheets only"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options: dict[str, str], said: str) -> None:
    """It is an error of the caller, not of the file."""
    with pytest.raises(ConfigurationError, match=said):
        read_text("email\n", **options)


def test_a_row_has_the_same_number_as_in_a_spreadsheet() -> None:
    """Blank rows count. Excel's `sep=` is no row, and names the delimiter."""
    text = 'sep=|\n\nemail|last_name\n"a\nb"|c\n\n|\nd|"e,f;g"\n'

    found = read_text(text)

    assert found.taken == 'UTF-8, "|"'
    assert found.header.number == 2
    assert found.rows == [Row(3, ("a\nb", "c")), Row(6, ("d", "e,f;g"))]


def test_a_space_before_a_quote_is_no_part_of_the_cell() -> None:
    """People write `a, "b"`."""
    assert read_text('email, last_name\na, "b, c"\n').rows == [Row(2, ("a", "b, c"))]


def test_a_cell_that_contains_rows_is_doubted() -> None:
    """Two quotes too many can join three rows into one with as many cells as the header."""
    header = "email,last_name,telephone,address_line_1\n"
    address = 'a@example.com,A,1,"Flat 2,\n1 High Street,\nLondon"\n'

    found = read_text(f'{header}{address}b@example.com,"B,2,x\nc@example.com,C,3,x\nd@example.com,D",4,x\n')

    assert [(row.number, row.doubt) for row in found.rows] == [
        (2, ""),
        (3, "a quote too many seems to make one cell of 3 lines: correct the quotes"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        'email,last_name\na@example.com,"A\nb@example.com,Bert\nc@example.com,C"\n',
        'email,last_name,first_name\na@example.com,A,"B\n\nb@example.com,B,C"\n',
        'email,last_name,first_name\na@example.com,A,"B\nb@example.com,B\nc@example.com,C,"\n',
        'last_name,email\n"A,a@example.com\nB",b@example.com\n',
        'id;first_name;email\n1;A;a@example.com\n2;"B;b@example.com\n3;C";c@example.com\n',
        'number,last_name\n7,"Smith\n8,Jones\n9,Adams"\n',
    ],
)
def test_each_form_of_rows_within_quotes_is_doubted(text: str) -> None:
    """Blank rows may be among them, last cells may be missing, and the quote may be in the first cell."""
    assert "a quote too many" in read_text(text).rows[-1].doubt


@pytest.mark.parametrize("cell", ["1 High Street, Flat 2\nLondon", "Mail to zoe@example.com\nor ring", "a\n\nb", "x\n"])
def test_lines_of_an_address_or_a_note_are_not_doubted(cell: str) -> None:
    """They have fewer cells than a row, and no cell that is only an e-mail."""
    assert read_text(f'email,last_name,notes,x\na@example.com,A,"{cell}",\n').rows[0].doubt == ""


def test_an_end_of_file_character_is_no_row() -> None:
    """Old programs write ^Z at the end."""
    assert read_text("email\na@example.com\n\x1a").rows == [Row(2, ("a@example.com",))]


def test_the_cells_of_a_workbook_are_read_as_text(tmp_path: Path) -> None:
    """A number becomes its digits, a day is in ISO 8601, an error is its text. Rows count from the top of the sheet."""
    book = workbook(tmp_path / "people.xlsx", sheets=("Empty", "People"))
    sheet = book.get_worksheet_by_name("People")
    day = book.add_format({"num_format": "dd/mm/yyyy"})
    for column, name in enumerate(("email", "last_name")):
        sheet.write_string(1, column, name)
    sheet.write_string(3, 0, "'=x\r\ny")
    sheet.write_number(3, 1, 441632960001)
    sheet.write_boolean(4, 0, True)
    sheet.write_number(4, 1, 0.5)
    sheet.write_datetime(5, 0, datetime(2026, 7, 1), day)  # noqa: DTZ001 - a workbook has no zones
    sheet.write_datetime(5, 1, datetime(2026, 7, 1, 9, 30), day)  # noqa: DTZ001 - as above
    sheet.write_datetime(6, 0, time(1, 2), book.add_format({"num_format": "hh:mm"}))
    sheet.write_formula(6, 1, "=1/0", None, "#DIV/0!")
    book.close()

    found = read(tmp_path / "people.xlsx")

    assert found.taken == 'sheet "People"'
    assert found.header == Row(2, ("email", "last_name"))
    assert found.rows == [
        Row(4, ("'=x\r\ny", "441632960001")),
        Row(5, ("true", "0.5")),
        Row(6, (date(2026, 7, 1).isoformat(), "2026-07-01T09:30:00")),
        Row(7, ("01:02:00", "#DIV/0!")),
    ]


def test_a_sheet_must_be_named_if_several_have_rows(tmp_path: Path) -> None:
    """The error names the sheets."""
    book = workbook(tmp_path / "people.xlsx", sheets=("Old", "New", "Empty"))
    for name in ("Old", "New"):
        book.get_worksheet_by_name(name).write_string(0, 0, name)
    book.close()

    with pytest.raises(ConfigurationError, match='several sheets with rows: "Old", "New"'):
        read(tmp_path / "people.xlsx")
    with pytest.raises(ConfigurationError, match=r'has no sheet \'new\'[.] Its sheets are "Old", "New", "Empty"'):
        read(tmp_path / "people.xlsx", sheet="new")
    with pytest.raises(UnreadableFile, match="has no rows"):
        read(tmp_path / "people.xlsx", sheet="Empty")
    with pytest.raises(ConfigurationError, match="--delimiter is for text files only"):
        read(tmp_path / "people.xlsx", delimiter=",")
    assert read(tmp_path / "people.xlsx", sheet="New").header == Row(1, ("New",))


def ods_of(path: Path, rows: str) -> Path:
    """Write an ODS with these rows."""
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    names += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    content = (
        f'<office:document-content {names}><office:body><office:spreadsheet><table:table table:name="People">{rows}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", "<manifest/>")
        file.writestr("content.xml", content)
    return path


def test_an_opendocument_sheet_is_read(tmp_path: Path) -> None:
    """Repeated blank rows count. A true is 1 if LibreOffice converted the file."""
    header = '<table:table-cell office:value-type="string"><text:p>email</text:p></table:table-cell>'
    yes = '<table:table-cell office:value-type="float" office:value="1"/>'
    day = '<table:table-cell office:value-type="date" office:date-value="2026-07-01"/>'
    blank = '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
    rows = blank.join(f"<table:table-row>{row}</table:table-row>" for row in (header, yes + day))
    found = read(ods_of(tmp_path / "people.ods", rows))

    assert (found.header, found.rows) == (Row(1, ("email", "")), [Row(5, ("1", "2026-07-01"))])


def xlsx_of(path: Path, row: str, *, calculation: str = "", prefix: str = "") -> Path:
    """Write an XLSX whose first sheet has a header of two cells and this row."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    name = f' xmlns:{prefix.removesuffix(":")}="{main}"' if prefix else f' xmlns="{main}"'
    header = "".join(
        f'<c r="{place}1" t="inlineStr"><is><t>{text}</t></is></c>'
        for place, text in (("A", "email"), ("B", "last_name"))
    )
    sheet = f'<worksheet{name}><sheetData><row r="1">{header}</row><row r="2">{row}</row></sheetData></worksheet>'
    if prefix:
        sheet = re.sub(r"<(/?)(?=[a-z])", rf"<\g<1>{prefix}", sheet)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="People" sheetId="1" '
        f'r:id="r1"/></sheets>{calculation}</workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": sheet,
    }
    with zipfile.ZipFile(path, "w") as file:
        for part, text in parts.items():
            file.writestr(part, text)
    return path


TO_COMPUTE = '<calcPr calcId="124519" fullCalcOnLoad="1" />'


@pytest.mark.parametrize(
    ("cell", "calculation", "read_as"),
    [
        ("<c r='B2'><f>A1&amp;B1</f><v /></c>", TO_COMPUTE, "#NOT COMPUTED!"),  # as openpyxl writes it
        ("<c r='B2'><f>A1&amp;B1</f><v></v></c>", "", "#NOT COMPUTED!"),
        ("<c r='B2' s='1'><f>A1&amp;B1</f></c>", "", "#NOT COMPUTED!"),
        ("<c r='B2' t='n'><f t='shared' si='0'/><v/></c>", "", "#NOT COMPUTED!"),
        ("<c r='B2'><f>A1&amp;B1</f><v>0</v></c>", TO_COMPUTE, "#NOT COMPUTED!"),  # as XlsxWriter writes it
        ("<c r='B2'><f>A1-A2</f><v>0</v></c>", "", "0"),
        ("<c r='B2'><f>A1&amp;B1</f><v>5</v></c>", TO_COMPUTE, "5"),
        ('<c r="B2" t="str"><f>A1&amp;"x"</f><v>Zoë</v></c>', TO_COMPUTE, "Zoë"),
        ('<c r="B2" t="str"><f>IF(1,"","x")</f><v></v></c>', "", ""),  # as Excel and LibreOffice write an empty result
        ('<c r="B2" t="str"><f>IF(1,"","x")</f><v></v></c>', TO_COMPUTE, "#NOT COMPUTED!"),
        ('<c r="B2" t="e"><f>NA()</f><v>#N/A</v></c>', "", "#N/A"),
        ('<c r="B2" s="1" t="e"><v>#REF!</v></c>', "", "#REF!"),
        ('<c r="B2"><v>1E400</v></c>', "", "#NUM!"),
        ('<c r="B2"/><c r="C2"><v>5</v></c>', TO_COMPUTE, ""),
    ],
)
@pytest.mark.parametrize("prefix", ["", "x:"])
def test_an_error_and_a_formula_without_a_result_are_seen(
    tmp_path: Path, cell: str, calculation: str, read_as: str, prefix: str
) -> None:
    """Neither is read as an empty cell or as 0."""
    row = f'<c r="A2" t="inlineStr"><is><t>zoe@example.com</t></is></c>{cell}'
    found = read(xlsx_of(tmp_path / "people.xlsx", row, calculation=calculation, prefix=prefix))

    assert [row.cells[:2] for row in found.rows] == [("zoe@example.com", read_as)]


def test_a_formula_of_xlsxwriter_is_seen_in_the_sheet_that_has_it(tmp_path: Path) -> None:
    """Without a value, the library writes 0. With one, the value is read."""
    book = workbook(tmp_path / "people.xlsx", sheets=("Other", "People"))
    for name in ("Other", "People"):
        book.get_worksheet_by_name(name).write_row(0, 0, ("email", "last_name"))
    book.get_worksheet_by_name("Other").write_row(1, 0, ("a@example.com", 0))
    for row, value in ((1, {}), (2, {"value": ""}), (3, {"value": "Zoë"}), (4, {"value": 7})):
        book.get_worksheet_by_name("People").write_formula(row, 1, '=A1&"x"', None, **value)
    book.close()

    assert read(tmp_path / "people.xlsx", sheet="Other").rows == [Row(2, ("a@example.com", "0"))]
    cells = [row.cells[1] for row in read(tmp_path / "people.xlsx", sheet="People").rows]
    assert cells == ["#NOT COMPUTED!", "#NOT COMPUTED!", "Zoë", "7"]


AN_ERROR = (
    '<table:table-cell office:value-type="string" office:string-value="" calcext:value-type="error">'
    "<text:p>#N/A</text:p></table:table-cell>"
)


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        ("<table:table-cell table:formula='of:=[.A1]&gt;\"x\"'/>", "#NOT COMPUTED!"),  # as odfpy writes it
        ("<table:table-cell table:formula='of:=[.A1]>5'/>", "#NOT COMPUTED!"),
        ('<table:table-cell table:formula="of:=IF(1;1;2)"><text:p/></table:table-cell>', ""),  # as LibreOffice does
        (AN_ERROR, "#N/A"),
        (
            '<table:table-cell table:formula="of:=1+1" office:value-type="float" office:value="2"></table:table-cell>',
            "2",
        ),
        ('<table:table-cell office:value-type="float" office:value="1E400"/>', "#NUM!"),
    ],
)
def test_an_error_and_a_formula_without_a_result_are_seen_in_opendocument(
    tmp_path: Path, cell: str, read_as: str
) -> None:
    """LibreOffice writes no type for a formula with an empty result."""
    key = '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
    found = read(ods_of(tmp_path / "people.ods", f"<table:table-row>{key}{cell}{key}</table:table-row>"))

    assert found.header.cells == ("x", read_as, "x")


@pytest.mark.parametrize("how", ["truncated", "changed"])
def test_a_broken_workbook_is_refused(tmp_path: Path, how: str) -> None:
    """It may be truncated or changed."""
    book = workbook(tmp_path / "people.xlsx")
    book.get_worksheet_by_name("People").write_string(0, 0, "email")
    book.close()
    data = bytearray((tmp_path / "people.xlsx").read_bytes())
    if how == "truncated":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 :] = bytes(byte ^ 0xFF for byte in data[len(data) // 2 :])

    with pytest.raises(UnreadableFile, match="cannot be read as a spreadsheet"):
        read(BytesIO(bytes(data)))


def test_the_error_names_a_cell_at_the_far_end_of_a_sheet(tmp_path: Path) -> None:
    """The cells between would not fit into memory."""
    book = workbook(tmp_path / "people.xlsx")
    for row, column in ((0, 0), (1_048_575, 16_383)):
        book.get_worksheet_by_name("People").write_string(row, column, "email")
    book.close()

    with pytest.raises(UnreadableFile, match=r"its last cell is XFD1048576[.] Delete the rows and columns after"):
        read(tmp_path / "people.xlsx")
