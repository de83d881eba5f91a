"""The tokens' dictionary as the models need it."""

from fairseq.data import Dictionary

from fairseq_item.data.titles import read_dictionary


def load_dictionary(path):
    """fairseq's ``Dictionary`` of ``dict.txt`` with ``<mask>`` as its last symbol.

    Raises:
        InputError: the file is missing or damaged.
    """
    read_dictionary(path)  # which says what is wrong with it, and where
    dictionary = Dictionary.load(str(path))
    dictionary.add_symbol("<mask>")
    return dictionary
