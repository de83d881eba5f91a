"""Write FOLDER/categories.json: the leaf-category accuracies of a classifier on valid and test."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

from fairseq_item.commands import predict as predict_command
from fairseq_item.commands.common import Parser, run
from fairseq_item.files import atomic_path


def main(argv=None):
    p = Parser(__doc__)
    p.add_argument("out", metavar="OUT", help="what reproduce.py writes to")
    p.add_argument("folder", metavar="FOLDER", help="of the run")
    p.add_argument("--checkpoint", required=True, metavar="C", help="of the classifier")
    args = p.parse_args(argv)
    found = {}
    for split in ("valid", "test"):
        options = ["--checkpoint", args.checkpoint, "--data", f"{args.out}/data-bin"]
        options += ["--split", split, "--out", f"{args.folder}/categories-{split}.tsv"]
        printed = io.StringIO()
        with redirect_stdout(printed):
            predict_command.main(options)
        found[split] = json.loads(printed.getvalue().splitlines()[-1])
        del found[split]["predictions"]  # the path, which OUT may be moved away from
    with atomic_path(Path(args.folder) / "categories.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
