"""Invented names of the members of the past, in the scripts in which people write theirs."""

from __future__ import annotations

from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_GIVEN = _words(
    """
    Ada Amara Amir Ana Andre Angela Anil Anna Aria Ben Bianca Bruno Caleb Camila Carmen Chen Chloe
    Claire Dalia Dana Daniel Darius Diego Elena Eli Elif Emeka Emma Esther Ethan Eva Farah Felix Fiona
    Gabriel Grace Hana Hannah Hassan Henry Hugo Ines Irene Isaac Ivy Jada Jamal James Jonas Joy Julia
    Kai Karim Kofi Lars Layla Leah Leo Lina Lucia Luis Maeve Malik Marta Mateo Maya Mia Mila Milan Nadia
    Naomi Nia Nico Nina Noah Nora Olga Omar Oscar Owen Paula Pedro Priya Quinn Rafael Rana Rosa Ruth
    Sana Sara Simon Sofia Tara Tariq Theo Tomas Uma Vera Viktor Wendy Yara Yusuf Zara Zoe
    """
)
_FAMILY = _words(
    """
    Abbott Adeyemi Aguilar Alvarez Andersen Baker Banerjee Bauer Bell Bianchi Brooks Byrne Castillo Cho
    Clarke Cohen Costa Cruz Dang Diaz Dubois Ellis Evans Farrell Fischer Flores Foster Garcia Gomez
    Green Gupta Haddad Hansen Hayes Hoang Hughes Ibrahim Ivanov Jackson Jensen Johnson Kang Kaplan Kelly
    Khan Kim Klein Kowalski Kumar Lam Larsen Lee Levy Lopez Mancini Martin Mendoza Meyer Mills Moore
    Morgan Moreno Murphy Nakamura Nelson Nguyen Novak Nowak Okoye Olsen Ortiz Park Patel Perez Petrov
    Price Quist Ramirez Reed Reyes Rivera Rossi Russo Sanchez Santos Schmidt Shah Silva Singh Sokolov
    Stone Sullivan Tanaka Torres Tran Turner Vargas Vega Wagner Walsh Wang Ward Weber White Wong Wright
    Yang Young Zhang
    """
)
_TURKISH_GIVEN = _words(
    """
    Ahmet Ali Aslı Ayşe Barış Berk Burcu Can Cem Ceren Çağla Defne Deniz Doğa Ece Efe Ekin Elif Emre
    Esra Gizem Gökçe Gül Hakan Irmak İlker İpek Kaan Kerem Leyla Mehmet Melis Mert Murat Naz Nehir Onur
    Oya Ömer Özge Pelin Selin Serkan Sevgi Sinem Şule Tolga Tuğçe Umut Ümit Yağmur Yiğit Zeynep
    """
)
_TURKISH_FAMILY = _words(
    """
    Acar Akın Aksoy Arslan Aydın Bulut Çelik Çetin Demir Doğan Erdem Güneş Güler Işık Kaya Kılıç Koç
    Korkmaz Kurt Özdemir Özkan Öztürk Polat Sarı Şahin Şen Şimşek Taş Tekin Tunç Uçar Ünal Yavuz Yıldız
    Yılmaz Yüksel
    """
)
_WHOLE = (
    "王芳", "李伟", "张敏", "陈静", "林志強", "佐藤 葵", "鈴木 蓮", "高橋 結衣", "김민준", "이서연", "박지훈",
    "Ольга Соколова", "Иван Петренко", "Марія Коваль", "Ελένη Παπαδοπούλου", "Νίκος Γεωργίου",
    "فاطمة الزهراء", "يوسف حداد", "نور الدين", "شیرین رضایی", "נועה לוי", "יונתן כהן",
    "प्रिया शर्मा", "अर्जुन मेहता", "অনন্যা সেন", "தமிழ் செல்வி", "สมชาย ใจดี",
    "Nguyễn Thị Lan", "Trần Văn Minh", "Łukasz Wiśniewski", "Zuzanna Żak", "Jiří Dvořák", "Þóra Björnsdóttir",
    "Søren Ægidius", "Zoë O’Connor", "María José Peña", "João Conceição", "Siân Llewellyn", "Ngozi Okwuosa",
)  # fmt: skip

_WHOLE_SHARE = 0.07


def name(chance: Random, *, turkish: bool) -> str:
    """A full name: Turkish ones as they are there, otherwise those of a large city."""
    if turkish:
        return f"{chance.choice(_TURKISH_GIVEN)} {chance.choice(_TURKISH_FAMILY)}"
    if chance.random() < _WHOLE_SHARE:
        return chance.choice(_WHOLE)
    return f"{chance.choice(_GIVEN)} {chance.choice(_FAMILY)}"
