"""Languages: their names and codes, and which one a text is in.

Texts are identified by py3langid: 4 MB, no network, no pickle, 0.1 ms a sentence, always the same answer.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolformer.errors import ConfigError, ToolError, unknown_name

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SURE = 0.5
"""From this probability on we believe that a text is in a language, however rare."""
LOOKED_AT = 2_000
"""Characters of a text that are looked at."""


@dataclass(frozen=True)
class Language:
    """One language as people, most software (ISO 639-1, where there is one) and NLLB call it."""

    code: str
    name: str
    nllb: str
    common: bool
    """Among those of which most texts are: a few words rather belong to one of these."""


# code, NLLB's code, name; * marks the common ones. Those that py3langid tells apart and NLLB translates.
_TABLE = """
af afr_Latn Afrikaans *      | am amh_Ethi Amharic        | ar arb_Arab Arabic *      | ary ary_Arab Moroccan Arabic
arz arz_Arab Egyptian Arabic | as asm_Beng Assamese       | az azj_Latn Azerbaijani   | ba bak_Cyrl Bashkir
be bel_Cyrl Belarusian       | bg bul_Cyrl Bulgarian *    | bn ben_Beng Bengali *     | bs bos_Latn Bosnian
ca cat_Latn Catalan *        | crh crh_Latn Crimean Tatar | cs ces_Latn Czech *       | cy cym_Latn Welsh
da dan_Latn Danish *         | de deu_Latn German *       | dz dzo_Tibt Dzongkha      | el ell_Grek Greek *
en eng_Latn English *        | eo epo_Latn Esperanto      | es spa_Latn Spanish *     | et est_Latn Estonian *
eu eus_Latn Basque *         | fa pes_Arab Persian *      | fi fin_Latn Finnish *     | fo fao_Latn Faroese
fr fra_Latn French *         | ga gle_Latn Irish          | gd gla_Latn Scottish Gaelic | gl glg_Latn Galician
gu guj_Gujr Gujarati *       | ha hau_Latn Hausa          | he heb_Hebr Hebrew *      | hi hin_Deva Hindi *
hr hrv_Latn Croatian *       | ht hat_Latn Haitian Creole | hu hun_Latn Hungarian *   | hy hye_Armn Armenian *
id ind_Latn Indonesian *     | ig ibo_Latn Igbo           | is isl_Latn Icelandic     | it ita_Latn Italian *
ja jpn_Jpan Japanese *       | jv jav_Latn Javanese       | ka kat_Geor Georgian *    | kab kab_Latn Kabyle
kk kaz_Cyrl Kazakh           | km khm_Khmr Khmer          | kn kan_Knda Kannada *     | ko kor_Hang Korean *
ku kmr_Latn Kurdish          | ky kir_Cyrl Kyrgyz         | lb ltz_Latn Luxembourgish | lg lug_Latn Ganda
lij lij_Latn Ligurian        | ln lin_Latn Lingala        | lo lao_Laoo Lao           | lt lit_Latn Lithuanian *
lv lvs_Latn Latvian *        | mg plt_Latn Malagasy       | mk mkd_Cyrl Macedonian    | ml mal_Mlym Malayalam *
mn khk_Cyrl Mongolian        | mr mar_Deva Marathi        | ms zsm_Latn Malay         | mt mlt_Latn Maltese
my mya_Mymr Burmese *        | ne npi_Deva Nepali         | nl nld_Latn Dutch *       | nn nno_Latn Nynorsk
no nob_Latn Norwegian *      | oc oci_Latn Occitan        | om gaz_Latn Oromo         | or ory_Orya Odia
pa pan_Guru Punjabi *        | pl pol_Latn Polish *       | ps pbt_Arab Pashto        | pt por_Latn Portuguese *
qu quy_Latn Quechua          | ro ron_Latn Romanian *     | ru rus_Cyrl Russian *     | rw kin_Latn Kinyarwanda
sa san_Deva Sanskrit         | si sin_Sinh Sinhala *      | sk slk_Latn Slovak *      | sl slv_Latn Slovenian *
sn sna_Latn Shona            | so som_Latn Somali         | sq als_Latn Albanian *    | sr srp_Cyrl Serbian *
st sot_Latn Southern Sotho   | sv swe_Latn Swedish *      | sw swh_Latn Swahili *     | ta tam_Taml Tamil *
te tel_Telu Telugu *         | tg tgk_Cyrl Tajik          | th tha_Thai Thai *        | tk tuk_Latn Turkmen
tl tgl_Latn Tagalog *        | tr tur_Latn Turkish *      | tt tat_Cyrl Tatar         | ug uig_Arab Uyghur
uk ukr_Cyrl Ukrainian *      | ur urd_Arab Urdu *         | uz uzn_Latn Uzbek         | vec vec_Latn Venetian
vi vie_Latn Vietnamese *     | xh xho_Latn Xhosa          | yo yor_Latn Yoruba        | yue yue_Hant Cantonese
zh zho_Hans Chinese *        | zu zul_Latn Zulu
"""


def _read(entry: str) -> Language:
    code, nllb, name = entry.strip().removesuffix(" *").split(" ", 2)
    return Language(code, name.strip(), nllb, entry.strip().endswith("*"))


LANGUAGES = {language.code: language for language in map(_read, _TABLE.strip().replace("|", "\n").splitlines())}


def language(name: str) -> Language:
    """A language by its English name, its two-letter code or NLLB's code."""
    for known in LANGUAGES.values():
        if name.casefold() in (known.name.casefold(), known.code, known.nllb.casefold()):
            return known
    raise ConfigError(unknown_name("language", name, [known.name for known in LANGUAGES.values()]))


def identify(text: str, target: Language) -> Language:
    """The language to translate a text from. A ToolError if it is in the target language, or in none that we know.

    A few words are hard to place. Where the identifier is not sure, the likeliest of the common languages is taken, and
    not the target, for somebody thought that the text needs translating.
    """
    ranked = _identifier().rank(text[:LOOKED_AT])
    code, probability = ranked[0]
    if not any(character.isalpha() for character in text[:LOOKED_AT]):
        raise ToolError("there is no word to translate")
    if probability >= SURE:
        if code == target.code:
            raise ToolError(f"the text is in {target.name} already")
        if code not in LANGUAGES:
            raise ToolError(f"the text is in a language we cannot translate from ({code})")
        return LANGUAGES[code]
    common = (LANGUAGES[code] for code, _ in ranked if code in LANGUAGES and code != target.code)
    return next(language for language in common if language.common)


@functools.cache
def _identifier() -> "LanguageIdentifier":
    """Loaded once (half a second, 130 MB at its peak); identifying changes nothing in it, so threads may share it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
