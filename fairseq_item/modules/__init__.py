"""Building blocks of the models: plain torch modules that know no fairseq task."""
