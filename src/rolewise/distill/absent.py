"""Names under which other papers and libraries know a method: what is here under another name, and what is not here."""

from __future__ import annotations

from collections.abc import Iterable

from rolewise.errors import InputError, listed, near

#: The name elsewhere -> the name here.
ALIASES = {
    "activation_boundaries": "ab",
    "affinity": "kta",
    "at": "attention",
    "aver": "ensemble_kd",
    "be_your_own_teacher": "byot",
    "camkd": "ca_mkd",
    "catkd": "cat_kd",
    "cc": "correlation",
    "cckd": "correlation",
    "channel_wise": "cwd",
    "cskd": "cs_kd",
    "deit": "deit_token",
    "distkd": "dist",
    "distplus": "dist_plus",
    "factor_transfer": "ft",
    "fitnet": "fitnets",
    "hint": "fitnets",
    "ifv": "ifvd",
    "kd_plus_plus": "norm_direction",
    "kdpp": "norm_direction",
    "kl": "kd",
    "kl_div": "kd",
    "knowledge_review": "review_kd",
    "logit_stand": "logit_standardisation",
    "logit_standardization": "logit_standardisation",
    "ls": "logit_standardisation",
    "lskd": "logit_standardisation",
    "manifold_distillation": "manifold",
    "manifold_kd": "manifold",
    "mlld": "mlkd",
    "multi_level": "mlkd",
    "nd": "norm_direction",
    "ofakd": "ofa",
    "overhaul": "ofd",
    "pkd": "pearson_kd",
    "prime_aware": "pad",
    "pskd": "ps_kd",
    "reviewkd": "review_kd",
    "scale_decoupled": "sdd",
    "sp": "similarity",
    "spkd": "similarity",
    "tfkd": "tf_kd",
    "vanilla_kd": "kd",
    "wttm": "ttm",
}
#: What the field calls a method and is no loss here, and what nobody has written here, in words.
ABSENT = {
    "apprentice": "a student of few bits, which is students[].quantise beside kd (configs/digits_low_bits.yaml),",
    "ban": "a born-again network, which is a student taught by one of its own kind (students[].teachers),",
    "born_again": "a born-again network, which is a student taught by one of its own kind (students[].teachers),",
    "cutmix_pick": "the choice of mixed images by entropy, which is mix: {pairs: student_entropy, entropy_rule: pick},",
    "dafl": "distillation without data, which is students[].data_free,",
    "deep_inversion": "distillation without data, which is students[].data_free,",
    "dot": "the optimiser with two momenta, which is train.distill_gradient: {apart: 0.075},",
    "fast_dfkd": "distillation without data, which is students[].data_free,",
    "dml": "deep mutual learning, which is two students in roles that have kd of each other,",
    "norm": "the N-to-one matching of representations",
    "qkd": "a student of few bits, which is students[].quantise and phases (configs/digits_low_bits.yaml),",
    "sqakd": "a student of few bits, which is students[].quantise beside kd (configs/digits_low_bits.yaml),",
    "takd": "the teacher assistant, which is a student that teaches another one (students[].teachers),",
    "unix": "the mixing of images by rank, which is mix: {pairs: student_entropy, entropy_rule: unix},",
    "zskt": "distillation without data, which is students[].data_free,",
}


def unknown_method(name: object, known: Iterable[str]) -> InputError:
    """Returns the error for a method that nobody has registered.

    Args:
        name: the unknown name.
        known: names of methods and of combinations.
    """
    names, text = sorted(known), str(name)
    hint = elsewhere(text, names) or near(text, names)
    rule = f"must be a method, got {name!r}{hint}"
    return InputError(f"no method is called {name!r}{hint}", path=("name",), rule=rule)


def elsewhere(name: str, known: Iterable[str]) -> str:
    """Returns the methods here that stand in for one known elsewhere by this name; empty where there are none.

    Args:
        name: the unknown name.
        known: names of methods and of combinations.
    """
    names = sorted(known)
    word = name.lower().replace("-", "_").removesuffix("_loss")
    plain = {key.replace("_", ""): key for key in (*ALIASES, *ABSENT)}.get(word.replace("_", ""), "")
    if ALIASES.get(plain) in names:
        return f'; did you mean "{ALIASES[plain]}"?'
    if plain in ABSENT and plain not in names:
        return f"; {ABSENT[plain]} is not among the methods here, which are {listed(names)}"
    return ""
