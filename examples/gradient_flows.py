"""The studies of the five gradient flows: figures and numbers of the documentation.

    python examples/gradient_flows.py --out docs/images/flow            # all of them
    python examples/gradient_flows.py --out docs/images/flow diagonal   # one

Written: OUT_NAME.png and OUT_NAME.json for every examples/flow_NAME.toml.
"""

import argparse
import pathlib
import tempfile

from steode.cli.gradient_flows import run_file

FOLDER = pathlib.Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="studies; all if not given")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/flow"), help="beginning of the names")
    given = parser.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.glob("flow_*.toml")):
        name = path.stem.removeprefix("flow_")
        if given.names and name not in given.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            run_file(path, {}, pathlib.Path(folder))
            for made, ending in (("figure.png", ".png"), ("summary.json", ".json")):
                target = given.out.with_name(f"{given.out.name}_{name}{ending}")
                target.write_bytes((pathlib.Path(folder) / made).read_bytes())


if __name__ == "__main__":
    main()
