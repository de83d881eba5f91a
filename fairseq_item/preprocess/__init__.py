"""From a catalogue to a data-bin, and benchmarks cut out of it; needs neither torch nor fairseq."""
