"""The tokens' dictionary as the models need it."""

from fairseq.data import Dictionary


def load_dictionary(path):
    """fairseq's ``Dictionary`` of ``dict.txt`` with ``<mask>`` as its last symbol."""
    dictionary = Dictionary.load(str(path))
    dictionary.add_symbol("<mask>")
    return dictionary
