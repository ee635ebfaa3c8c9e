"""E-mail: encodings of headers and bodies, alternatives, attachments, mailboxes and damage."""

from __future__ import annotations

import email.message
import email.policy
import mailbox
import time

import pytest

from jnlp.errors import RecordError
from jnlp.io import ReadOptions, Unit, documents, read
from jnlp.types import Failed, Record


def one(path):
    (record,) = read([path])
    assert isinstance(record, Record), record
    return record


def write(tmp_path, data, name="a.eml"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_a_message_with_an_attachment(tmp_path):
    message = email.message.EmailMessage()
    message["Subject"], message["From"], message["To"] = (
        "解約の件",
        "田中 <tanaka@example.jp>",
        "鈴木 <suzuki@example.jp>",
    )
    message["Date"] = "Mon, 01 Apr 2024 09:30:00 +0900"
    message.set_content("お世話になります。\n解約したいです。\n")
    message.add_alternative("<p>HTMLの<b>本文</b></p>", subtype="html")
    message.add_attachment("秘密".encode(), maintype="application", subtype="pdf", filename="見積書.pdf")
    record = one(write(tmp_path, bytes(message)))
    assert record.text == (
        "解約の件\n\n差出人: 田中 <tanaka@example.jp>\n宛先: 鈴木 <suzuki@example.jp>\n\n"
        "お世話になります。\n解約したいです。\n\n添付: 見積書.pdf"
    )
    assert record.title == "解約の件"
    assert record.about == {"author": "田中 <tanaka@example.jp>", "date": "2024-04-01T09:30:00+09:00"}
    (indexed,) = documents([tmp_path])
    assert (indexed.fields["kind"], indexed.fields["date"]) == ("eml", "2024-04-01T09:30:00+09:00")


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-2022-jp", "ご確認ください。"),
        ("iso-2022-jp", "①番の髙橋様"),
        ("shift_jis", "①番の資料です。"),
        ("euc-jp", "議事録を送ります。"),
        ("utf-8", "議事録を送ります🎉"),
        ("x-unknown", "議事録を送ります。"),
        (None, "議事録を送ります。文字の符号は書かれていません。"),
    ],
)
def test_encodings_of_headers_and_bodies(tmp_path, charset, text):
    import base64

    codec = {"iso-2022-jp": "iso2022_jp_ext", "shift_jis": "cp932", "x-unknown": "utf-8", None: "iso2022_jp"}.get(
        charset, charset
    )
    if "髙" in text:
        data = b"\x1b$B-!HV$N\x1b(B\x1b$B|b66MM\x1b(B"  # rows of NEC and IBM, as Outlook writes them
    else:
        data = text.encode("iso2022_jp" if codec == "iso2022_jp_ext" else codec)
    subject = data if charset is None else f"=?{charset}?B?{base64.b64encode(data).decode()}?=".encode()
    stated = f"Content-Type: text/plain; charset={charset}\r\n".encode() if charset else b""
    raw = b"Subject: " + subject + b"\r\n" + stated + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + data + b"\r\n"
    assert one(write(tmp_path, raw)).text == f"{text}\n\n{text}"


def test_a_word_cut_in_the_middle_of_a_character(tmp_path):
    import base64

    data = "会議の資料".encode()
    words = " ".join(f"=?utf-8?B?{base64.b64encode(part).decode()}?=" for part in (data[:4], data[4:]))
    assert one(write(tmp_path, f"Subject: {words}\n\n本文".encode())).title == "会議の資料"


def test_a_message_of_html_alone(tmp_path):
    message = email.message.EmailMessage()
    message["Subject"] = "案内"
    message.set_content("<style>p{}</style><p>一行目</p><p>二行目</p>", subtype="html")
    assert one(write(tmp_path, bytes(message))).text == "案内\n\n一行目\n\n二行目"


def test_a_forwarded_message_is_an_attachment_and_not_opened(tmp_path):
    inner = email.message.EmailMessage()
    inner["Subject"] = "元の話"
    inner.set_content("転送された本文")
    message = email.message.EmailMessage()
    message["Subject"] = "転送"
    message.set_content("ご参考まで。")
    message.add_attachment(inner)
    assert one(write(tmp_path, bytes(message))).text == "転送\n\nご参考まで。\n\n添付: 元の話"


def test_flowed_lines_are_joined(tmp_path):
    raw = "Subject: a\nContent-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\n\n"
    raw += "長い文は \n続きます。\n次の行\n"
    assert one(write(tmp_path, raw.encode())).text == "a\n\n長い文は続きます。\n次の行"


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: =?utf-8?B?!!!?=\n\nx",
        b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\nno boundary comes",
        b"Subject: a\nContent-Type: multipart/mixed\n\nx",
        b'Subject: a\nContent-Type: text/plain; charset="\xff"\nDate: never\nFrom: \xff\xfe\n\nx',
        b"Subject: a\nContent-Transfer-Encoding: base64\n\n!!!",
    ],
)
def test_malformed_messages_are_read_as_far_as_they_go(tmp_path, raw):
    assert one(write(tmp_path, raw)).text


def test_what_is_no_message_fails(tmp_path):
    (failed,) = read([write(tmp_path, "ただの文\n".encode())])
    assert isinstance(failed, Failed)
    assert type(failed.error) is RecordError


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: " + b"=?utf-8?B?44GC?= " * 50_000,
        b'Subject: a\nContent-Type: text/plain; x="' + b'\\"' * 200_000 + b'";' * 50_000,
        b"Subject: a\nTo: " + b"\xff" * 100_000,
    ],
)
def test_very_long_headers_take_no_time(tmp_path, header):
    start = time.monotonic()
    record = one(write(tmp_path, header + b"\n\n" + "本文".encode()))
    assert "本文" in record.text
    assert time.monotonic() - start < 10


def test_many_parts_are_refused(tmp_path):
    parts = b"".join(b"--b\nContent-Type: text/plain\n\nx\n" for _ in range(1200))
    raw = b"Subject: a\nContent-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n"
    (failed,) = read([write(tmp_path, raw)])
    assert "parts" in str(failed.error)


def test_a_mailbox_is_read_message_by_message(tmp_path):
    path = tmp_path / "受信.mbox"
    box = mailbox.mbox(path)
    for number in range(3):
        message = email.message.EmailMessage()
        message["Subject"] = f"件名{number}"
        message.set_content(f"本文{number}\n\nFrom here on\n")
        box.add(message)
    box.close()
    records = list(read([path]))
    assert [record.title for record in records] == ["件名0", "件名1", "件名2"]
    assert [record.id for record in records] == [f"{path.as_posix()}:{number}" for number in (1, 2, 3)]
    assert [record.source.line for record in records] == [1, 2, 3]
    assert records[1].text == "件名1\n\n本文1\n\nFrom here on"
    lines = list(read([path], ReadOptions(unit=Unit.LINE)))
    assert len({record.id for record in lines}) == len(lines) == 9


def test_a_large_message_of_a_mailbox_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("jnlp.io.reading.mail.LARGEST_MESSAGE", 2000)
    raw = "".join(f"From a Mon\nSubject: {n}\n\n{'x' * 70 * n}\n\n" for n in (1, 99, 2)).replace(
        "x" * 70, "x" * 69 + "\n"
    )
    first, failed, last = read([write(tmp_path, raw.encode(), "a.mbox")])
    assert (first.title, last.title) == ("1", "2")
    assert failed.source.line == 2
